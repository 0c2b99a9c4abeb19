//! `aya explain`: what would become of a request, and why; or what has become of one.

mod levels;
mod past;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use base_model::Model;
use base_model::model::{Pool, Protocol};
use clap::Args;
use serde_json::{Value, json};
use traffic_http::ClientCertificate;
use traffic_proxy::{Explanation, Outcome, PoolChoice, Question};
use traffic_route::{Considered, Loss, Verdict};
use traffic_tls::{ClientHello, read_client_certificate};

use super::config::{load, refuse};
use crate::admin::DEFAULT_URL;
use crate::output;

/// What is asked on the command line.
#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// The configuration; `-` reads standard input
    #[arg(required_unless_present = "id")]
    file: Option<PathBuf>,
    /// Such as `GET`
    #[arg(required_unless_present = "id")]
    method: Option<String>,
    /// Such as `http://shop.example.com/cart?id=1`, or a path (of the host `localhost`)
    #[arg(required_unless_present = "id")]
    url: Option<String>,
    /// A header field, `Name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Who would open the connection
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client: IpAddr,
    /// A file with the certificate in PEM that the client would show; it is taken to be good
    #[arg(long, value_name = "FILE")]
    client_certificate: Option<PathBuf>,
    /// A protocol that the client would speak inside of TLS (ALPN); may be repeated
    #[arg(long, value_name = "PROTOCOL")]
    alpn: Vec<String>,
    /// The listener it would come in by; default: the one with the port of the URL, or the first
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The id of a request of the past (`x-request-id` of its answer): asks a running Aya what became of it
    #[arg(long, value_name = "REQUEST_ID", conflicts_with_all = ["file", "headers", "client", "client_certificate", "alpn", "listener"])]
    id: Option<String>,
    /// The admin port of that Aya
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL, conflicts_with = "file")]
    admin: String,
    /// The file that holds the token of that admin port, if it wants one
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    token_file: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// The request that is asked about.
struct Request {
    method: String,
    url: String,
    /// `Name: value` each.
    headers: Vec<String>,
    /// Who would open the connection.
    client: IpAddr,
    /// What the client would show.
    client_certificate: Option<PathBuf>,
    /// What the client would speak inside of TLS.
    alpn: Vec<String>,
    /// Name of the listener; the one with the port of the URL, or the first, if not given.
    listener: Option<String>,
}

/// Says what would become of a request, or what has become of one.
pub(crate) fn explain(options: ExplainOptions) -> anyhow::Result<ExitCode> {
    let ExplainOptions {
        file,
        method,
        url,
        headers,
        client,
        client_certificate,
        alpn,
        listener,
        id,
        admin,
        token_file,
        json,
    } = options;
    match (id, file, method, url) {
        (Some(id), ..) => past::explain(&id, &admin, token_file.as_deref(), json),
        (None, Some(file), Some(method), Some(url)) => {
            let request = Request { method, url, headers, client, client_certificate, alpn, listener };
            foretell(&file, &request, json)
        }
        _ => anyhow::bail!("give FILE, METHOD and URL, or --id"),
    }
}

/// Says what would become of a request.
fn foretell(file: &Path, request: &Request, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = match load(file)? {
        Ok(loaded) => loaded,
        Err(diagnostics) => return Ok(refuse(&diagnostics)),
    };
    let model = Arc::new(loaded.model);
    let asked = || -> Result<_, String> {
        Ok((request.head()?, request.find_listener(&model)?, request.certificate()?))
    };
    let (head, listener, certificate) = match asked() {
        Ok(asked) => asked,
        Err(problem) => {
            output::say(&format!("aya: {problem}\n"));
            return Ok(ExitCode::from(2));
        }
    };
    let certificate = certificate.as_ref();
    let hello = request.hello(&model, listener);
    let hello = hello.as_ref();
    let question = Question { listener, peer: request.client, certificate, hello, head: head.as_bytes() };
    let explanation = traffic_proxy::explain(&model, &question)?;
    let report = Report { model: &model, listener, explanation: &explanation };
    if json {
        output::print(&format!("{}\n", serde_json::to_string_pretty(&report.to_json())?))?;
    } else {
        output::print(&report.to_text())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Request {
    /// The head as a client would send it.
    fn head(&self) -> Result<String, String> {
        for text in [&self.method, &self.url].into_iter().chain(&self.headers) {
            // It would end a line, or be cut there, and say something else than is meant.
            if text.contains(['\r', '\n', '\0']) {
                return Err(format!("{text:?} must not have line breaks or zero bytes in it"));
            }
        }
        let after_scheme = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        let has_authority = after_scheme.len() < self.url.len();
        let path_at = after_scheme.find(['/', '?']).unwrap_or(after_scheme.len());
        let (authority, target) =
            if has_authority { after_scheme.split_at(path_at) } else { ("", after_scheme) };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let target = target.split('#').next().unwrap_or_default();
        let mut head = format!("{} {target} HTTP/1.1\r\n", self.method);
        let names_host = self.headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:"));
        if !names_host {
            let host = if has_authority { authority } else { "localhost" };
            let _ = write!(head, "Host: {host}\r\n");
        }
        for line in &self.headers {
            if !line.contains(':') {
                return Err(format!("`{line}` is no header; write `-H 'Name: value'`"));
            }
            let _ = write!(head, "{line}\r\n");
        }
        head.push_str("\r\n");
        Ok(head)
    }

    /// What the client would ask for in TLS, unless the scheme, or else the listener, is one without it.
    fn hello(&self, model: &Model, listener: usize) -> Option<ClientHello> {
        let (scheme, rest) = self.url.split_once("://")?;
        let listener = model.listeners.get(listener)?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" | "tcp" => false,
            _ => listener.tls.is_some() || !listener.pass_through.is_empty(),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.split(':').next().unwrap_or_default();
        let is_name = !host.is_empty() && host.parse::<IpAddr>().is_err() && !host.starts_with('[');
        let name = is_name.then(|| host.trim_end_matches('.').to_ascii_lowercase().into());
        let protocols = self.alpn.iter().map(|protocol| protocol.as_bytes().into()).collect();
        is_secure.then_some(ClientHello { name, protocols })
    }

    fn certificate(&self) -> Result<Option<ClientCertificate>, String> {
        let Some(path) = &self.client_certificate else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let read = text.and_then(|text| read_client_certificate(&text));
        let problem =
            |problem| format!("the client certificate {} cannot be read: {problem}", path.display());
        read.map(Some).map_err(problem)
    }

    fn find_listener(&self, model: &Model) -> Result<usize, String> {
        let by =
            |wanted: &dyn Fn(&base_model::model::Listener) -> bool| model.listeners.iter().position(wanted);
        if let Some(name) = &self.listener {
            return by(&|listener| *listener.name == **name).ok_or_else(|| {
                let names: Vec<_> =
                    model.listeners.iter().map(|listener| format!("`{}`", listener.name)).collect();
                format!("there is no listener `{name}`; there are {}", names.join(", "))
            });
        }
        let port = self
            .url
            .split('/')
            .nth(2)
            .and_then(|authority| authority.rsplit_once(':')?.1.parse::<u16>().ok());
        let of_port =
            port.and_then(|port| by(&|listener| listener.bind.iter().any(|address| address.port() == port)));
        let of_scheme = self.url.split_once("://").and_then(|(scheme, _)| {
            let is_secure = scheme.eq_ignore_ascii_case("https");
            by(&|listener| listener.protocol == Protocol::Http && listener.tls.is_some() == is_secure)
        });
        let of_requests = || by(&|listener| listener.protocol == Protocol::Http);
        Ok(of_port.or(of_scheme).or_else(of_requests).unwrap_or(0))
    }
}

struct Report<'a> {
    model: &'a Model,
    listener: usize,
    explanation: &'a Explanation,
}

impl Report<'_> {
    fn listener(&self) -> &str {
        self.model.listeners.get(self.listener).map_or("?", |listener| &listener.name)
    }

    /// How it comes that nobody would look for requests, if so.
    fn passed_on(&self) -> Option<&'static str> {
        let listener = self.model.listeners.get(self.listener)?;
        match listener.protocol {
            _ if self.explanation.is_passed_through => Some(
                "tls: its whole connection is passed on as it is, by what it asks for in the handshake (`pass-through`)",
            ),
            Protocol::Tcp { .. } => Some("tcp: whole connections are passed on, whatever is asked on them"),
            Protocol::Udp { .. } => Some("udp: datagrams are passed on, whatever is in them"),
            Protocol::Http => None,
        }
    }

    fn route(&self, index: usize) -> &str {
        self.model.routes.get(index).map_or("?", |route| &route.name)
    }

    fn pool(&self, choice: &PoolChoice) -> Option<&Pool> {
        self.model.pools.get(choice.pool)
    }

    fn verdict(&self, considered: &Considered) -> String {
        match &considered.verdict {
            Verdict::Matched => "takes it".to_owned(),
            Verdict::Lost(Loss::Outranked { by }) => {
                format!("would take it, but `{}` is more specific or comes first", self.route(*by))
            }
            Verdict::Lost(loss) => format!("does not: {loss}"),
        }
    }

    fn won(&self) -> Option<usize> {
        let won = |considered: &&Considered| considered.verdict == Verdict::Matched;
        self.explanation.routes.iter().find(won).map(|considered| considered.route)
    }

    fn to_text(&self) -> String {
        let mut text = format!("listener  {}\nclient    {}\n", self.listener(), self.explanation.client);
        if let Some(how) = self.passed_on() {
            let _ = writeln!(text, "protocol  {how}");
        }
        if let Some(path) = &self.explanation.normal_path {
            let _ = writeln!(text, "path      {} is matched and sent", String::from_utf8_lossy(path));
        }
        for (number, considered) in self.explanation.routes.iter().enumerate() {
            let title = if number == 0 { "routes" } else { "" };
            let _ =
                writeln!(text, "{title:<9} {}: {}", self.route(considered.route), self.verdict(considered));
        }
        if let Some(route) = self.won().and_then(|index| self.model.routes.get(index)) {
            let filters: Vec<&str> = route.filters.iter().map(|filter| &*filter.kind.name).collect();
            if !filters.is_empty() {
                let _ = writeln!(text, "filters   {}", filters.join(", "));
            }
        }
        self.write_outcome(&mut text);
        text
    }

    fn write_outcome(&self, text: &mut String) {
        let _ = match &self.explanation.outcome {
            Outcome::Refused { reason, detail } => {
                let detail = detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
                let (status, word, meaning) = (reason.status(), reason.word(), reason.meaning().trim());
                writeln!(
                    text,
                    "answer    {status} {word}: {meaning}{detail}\nmended by {}",
                    reason.blame().word()
                )
            }
            Outcome::Answered { by, status } => writeln!(text, "answer    {status}, by `{by}`"),
            Outcome::Forwarded(choices) => {
                choices.iter().for_each(|choice| self.write_choice(choice, text));
                Ok(())
            }
        };
    }

    fn write_choice(&self, choice: &PoolChoice, text: &mut String) {
        let Some(pool) = self.pool(choice) else { return };
        let share = match choice.of {
            of if of == choice.weight => String::new(),
            of => format!(", for {} of {of} requests", choice.weight),
        };
        let _ = writeln!(text, "pool      {}{share}, balanced by {}", pool.name, pool.balance.name);
        if let Some(session) = &choice.session {
            let _ = writeln!(text, "session   {}", session.why);
        }
        let is_bound = choice.session.as_ref().is_some_and(|session| session.endpoint.is_some());
        let order = match (choice.is_fixed, choice.lacks_key) {
            _ if is_bound => "the first one, while it is up",
            (true, _) => "always in this order, while all are up",
            (_, true) => "any of these: the request lacks what the balancer's key is made from",
            _ => "any of these, as load and turns have it; while all are idle:",
        };
        if let Some(path) = &choice.probe {
            let _ = writeln!(text, "probes    the running process asks `GET {path}` who has least to do");
        }
        let _ = writeln!(text, "endpoints {order}");
        levels::write(pool, choice, is_bound, text);
    }

    fn to_json(&self) -> Value {
        let routes: Vec<_> = self.explanation.routes.iter().map(|considered| {
            let lost_on = match &considered.verdict {
                Verdict::Matched => Value::Null,
                Verdict::Lost(Loss::Outranked { by }) => json!({"outranked-by": self.route(*by)}),
                Verdict::Lost(loss) => json!(loss.to_string()),
            };
            json!({"route": self.route(considered.route), "takes": considered.verdict == Verdict::Matched, "lost-on": lost_on})
        }).collect();
        let outcome = match &self.explanation.outcome {
            Outcome::Refused { reason, detail } => json!({
                "status": reason.status(), "reason": reason.word(), "blame": reason.blame().word(), "detail": detail,
            }),
            Outcome::Answered { by, status } => json!({"status": status, "by": **by}),
            Outcome::Forwarded(choices) => {
                json!({"pools": choices.iter().map(|choice| self.choice_to_json(choice)).collect::<Vec<_>>()})
            }
        };
        json!({
            "listener": self.listener(),
            "client": self.explanation.client,
            "passed-through": self.explanation.is_passed_through,
            "path": self.explanation.normal_path.as_ref().map(|path| String::from_utf8_lossy(path)),
            "routes": routes,
            "outcome": outcome,
        })
    }

    fn choice_to_json(&self, choice: &PoolChoice) -> Value {
        let pool = self.pool(choice);
        json!({
            "pool": pool.map(|pool| &*pool.name),
            "balance": pool.map(|pool| &*pool.balance.name),
            "weight": choice.weight,
            "of": choice.of,
            "fixed": choice.is_fixed,
            "lacks-key": choice.lacks_key,
            "session": choice.session.as_ref().map(|session| json!({
                "endpoint": session.endpoint.as_ref().map(|endpoint| endpoint.name()),
                "why": session.why,
            })),
            "probe": choice.probe,
            "endpoints": choice.order.iter().map(|candidate| &*candidate.name).collect::<Vec<_>>(),
            "levels": levels::to_json(choice),
        })
    }
}
