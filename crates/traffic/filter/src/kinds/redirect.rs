//! `redirect`: tells the client where to ask instead.
//!
//! What a client writes into its request must not decide which server it is sent to: paths begin with one slash, values
//! are encoded, and only text and `{host}` may stand where a URI names its server.

use base_kit::{KindInfo, Status};
use schemars::JsonSchema;
use serde::Deserialize;
use traffic_http::{RequestHead, ResponseHead};

use crate::template::{Piece, Sources, Template, with_buffer};
use crate::uri::{self, Part};
use crate::{Answer, Handler, HandlerKind, RequestContext, SettingsError, settings};

/// The kind.
pub(super) struct Redirect;

/// Its settings: `to`, or parts that change while the others stay.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Where to: a path, or a URI with `http://` or `https://`. May hold placeholders.
    to: Option<String>,
    /// Another scheme, on its usual port.
    scheme: Option<Scheme>,
    /// Another host, on the usual port.
    host: Option<String>,
    /// Another port.
    port: Option<u16>,
    /// Another path. May hold placeholders.
    path: Option<String>,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "permanent")]
    status: u16,
    /// Whether the query goes along, unless `{query}` says where to.
    #[serde(default = "yes")]
    keep_query: bool,
}

const fn permanent() -> u16 {
    308
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The handler.
#[derive(Debug)]
struct Redirecting {
    status: u16,
    target: Target,
    /// Whether the client's query is joined to the end.
    append_query: bool,
    /// Whether the request has to say which host it is for.
    needs_host: bool,
}

#[derive(Debug)]
enum Target {
    Whole(Template),
    Parts { origin: Option<Origin>, path: Option<Template> },
}

/// The server; what is not given is the client's.
#[derive(Debug)]
struct Origin {
    scheme: Option<Scheme>,
    host: Option<Box<str>>,
    port: Option<u16>,
}

impl HandlerKind for Redirect {
    fn info(&self) -> KindInfo {
        KindInfo { name: "redirect", summary: "Sends the client to another place.", status: Status::Beta }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        r#"{"to": "https://www.example.com{path}", "status": 301}"#
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Handler>, SettingsError> {
        let settings: Settings = settings::parse(settings)?;
        if !matches!(settings.status, 301 | 302 | 303 | 307 | 308) {
            let problem = format!("{} is not a redirect", settings.status);
            return Err(SettingsError::at(["status"], problem).suggest("301, 302, 303, 307 or 308"));
        }
        let target = target(&settings)?;
        let (template, needs_host) = match &target {
            Target::Whole(template) => (Some(template), template.pieces().contains(&Piece::Host)),
            Target::Parts { origin, path } => {
                (path.as_ref(), origin.as_ref().is_some_and(|origin| origin.host.is_none()))
            }
        };
        let places_query = template.is_some_and(|template| template.pieces().contains(&Piece::Query));
        let append_query = settings.keep_query && !places_query;
        Ok(Box::new(Redirecting { status: settings.status, target, append_query, needs_host }))
    }
}

fn target(settings: &Settings) -> Result<Target, SettingsError> {
    let Settings { to, scheme, host, port, path, .. } = settings;
    let has_origin = scheme.is_some() || host.is_some() || port.is_some();
    match to {
        Some(_) if has_origin || path.is_some() => Err(SettingsError::at(["to"], "`to` is the whole target")
            .suggest("leave out scheme, host, port and path")),
        Some(to) => whole(to).map(Target::Whole).map_err(|error| error.below("to")),
        None if !has_origin && path.is_none() => {
            Err(SettingsError::at([], "where to?")
                .suggest("give `to`, or some of scheme, host, port and path"))
        }
        None => {
            let path = path.as_deref().map(path_template).transpose().map_err(|error| error.below("path"))?;
            let origin = has_origin.then(|| origin(*scheme, host.as_deref(), *port)).transpose()?;
            Ok(Target::Parts { origin, path })
        }
    }
}

fn origin(scheme: Option<Scheme>, host: Option<&str>, port: Option<u16>) -> Result<Origin, SettingsError> {
    if port == Some(0) {
        return Err(SettingsError::at(["port"], "0 is not a port"));
    }
    if let Some(host) = host
        && uri::host_of(host.as_bytes()) != Some(host.as_bytes())
    {
        let problem = format!("`{}` is not a host", host.escape_debug());
        return Err(
            SettingsError::at(["host"], problem).suggest("a name or an address; the port goes to `port`")
        );
    }
    Ok(Origin { scheme, host: host.map(Into::into), port })
}

fn path_template(text: &str) -> Result<Template, SettingsError> {
    let template = Template::compile(text)?;
    match template.pieces().first() {
        Some(Piece::Literal(text)) if text.starts_with('/') && !begins_with_two(text) => Ok(template),
        Some(Piece::Path) => Ok(template),
        _ => Err(SettingsError::at([], "a path begins with one `/`, or with `{path}`")),
    }
}

fn begins_with_two(text: &str) -> bool {
    text.starts_with("//") || text.starts_with("/\\")
}

fn whole(text: &str) -> Result<Template, SettingsError> {
    let template = Template::compile(text)?;
    let pieces = template.pieces();
    let (server, pieces) = match pieces {
        [Piece::Literal(text), rest @ ..] if text.starts_with("http://") || text.starts_with("https://") => {
            (text.split_once("://").map_or("", |(_, server)| server), rest)
        }
        [Piece::Scheme, Piece::Literal(text), rest @ ..] if text.starts_with("://") => {
            (text.trim_start_matches("://"), rest)
        }
        _ => return path_template(text),
    };
    check_server(server, pieces)?;
    Ok(template)
}

/// What names the server is text and `{host}`, up to the first `/`, `?`, `#` or `{path}`.
fn check_server(text: &str, pieces: &[Piece]) -> Result<(), SettingsError> {
    let mut server = String::new();
    let mut ended = take_server(text, &mut server);
    for piece in pieces {
        if ended {
            break;
        }
        match piece {
            Piece::Literal(text) => ended = take_server(text, &mut server),
            Piece::Host => server.push_str("host"),
            Piece::Path => ended = true,
            _ => return Err(SettingsError::at([], "only text and `{host}` may name the server")),
        }
    }
    match uri::host_of(server.as_bytes()) {
        Some(_) => Ok(()),
        None => Err(SettingsError::at([], format!("`{}` is not a server", server.escape_debug()))),
    }
}

/// Whether the name of the server ends within the text.
fn take_server(text: &str, server: &mut String) -> bool {
    let end = text.find(['/', '?', '#']);
    server.push_str(text.get(..end.unwrap_or(text.len())).unwrap_or_default());
    end.is_some()
}

impl Handler for Redirecting {
    fn answer(&self, context: &RequestContext<'_>, request: &RequestHead) -> Answer {
        let host = uri::host_of(context.host);
        if self.needs_host && host.is_none() {
            return Answer { head: ResponseHead::new(400), body: [].into() };
        }
        let mut head = ResponseHead::new(self.status);
        with_buffer(|location| {
            self.write_location(context, request, location);
            head.fields_mut().set("location", location);
        });
        Answer { head, body: [].into() }
    }
}

impl Redirecting {
    fn write_location(&self, context: &RequestContext<'_>, request: &RequestHead, out: &mut Vec<u8>) {
        let sources = Sources { context, fields: request.fields(), groups: None };
        match &self.target {
            Target::Whole(template) => template.write_uri(sources, out),
            Target::Parts { origin, path } => {
                if let Some(origin) = origin {
                    origin.write(context, out);
                }
                // The slash that a server's name ends with is the path's first: `push_path` looks at the byte before.
                match path {
                    Some(template) => template.write_uri(sources, out),
                    None => uri::push_path(out, context.path),
                }
            }
        }
        if out.last() == Some(&b'?') {
            out.pop();
        }
        if let (true, Some(query)) = (self.append_query, context.query) {
            insert_query(query, out);
        }
    }
}

/// Joins the query to the target, in front of a fragment.
fn insert_query(query: &[u8], out: &mut Vec<u8>) {
    let place = out.iter().position(|&byte| byte == b'#').unwrap_or(out.len());
    let fragment = out.split_off(place);
    out.push(if out.contains(&b'?') { b'&' } else { b'?' });
    uri::push(out, query, Part::Written);
    out.extend_from_slice(&fragment);
}

impl Origin {
    fn write(&self, context: &RequestContext<'_>, out: &mut Vec<u8>) {
        let scheme = self.scheme.map_or(context.scheme, |scheme| scheme.word());
        let host = match &self.host {
            Some(host) => host.as_bytes(),
            None => uri::host_of(context.host).unwrap_or_default(),
        };
        out.extend_from_slice(scheme.as_bytes());
        out.extend_from_slice(b"://");
        out.extend_from_slice(host);
        let usual = if scheme == Scheme::Https.word() { 443 } else { 80 };
        if let Some(port) = self.port.filter(|&port| port != usual) {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
    }
}
