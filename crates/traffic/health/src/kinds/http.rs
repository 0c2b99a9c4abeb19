//! `http`: the endpoint answers a request as wanted.

use std::fmt::Write as _;
use std::io;

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, BodyMatch, CheckKind, Offered, StatusRange};
use regex::bytes::Regex;
use traffic_http::{BodyEvent, BodyReader, Framing, HeadLimits, HttpError, Method, ResponseHead};
use traffic_tls::ClientTls;

use crate::kinds::tls::{dial, tls_of};
use crate::line::{Begun, Kept, Line};
use crate::probe::{Passed, Probe, ProbeFailure, ProbeFuture, ProbeKind, Target, UnfitCheck};

/// The kind.
pub(super) struct HttpKind;

/// How much of a body is looked at: a health page is short, and a check must not become a download.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A health answer has a short head; what is larger is no health answer.
const HEAD_LIMITS: HeadLimits =
    HeadLimits { max_head_bytes: 64 * 1024, max_fields: 256, max_target_bytes: 0 };

/// Interim answers (1xx) before the one that counts; more are a fault.
const MAX_INTERIM: usize = 8;

/// What checks call themselves.
pub(super) const USER_AGENT: &str = concat!("aya-health/", env!("CARGO_PKG_VERSION"));

impl ProbeKind for HttpKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "http",
            summary: "The endpoint answers a request with a status, and if asked for with a body, as wanted.",
            status: Status::Stable,
        }
    }

    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>> {
        match &check.kind {
            CheckKind::Http { .. } => {
                Some(HttpProbe::new(check).map(|probe| Box::new(probe) as Box<dyn Probe>))
            }
            _ => None,
        }
    }
}

struct HttpProbe {
    /// Asked over TLS.
    tls: Option<ClientTls>,
    method: Method,
    /// The request up to the value of `host`.
    before_host: String,
    /// The configured `Host`.
    host: Option<String>,
    /// The request after the value of `host`, without the empty line.
    after_host: String,
    /// Whether `connection` is not the operator's.
    may_keep: bool,
    statuses: Vec<StatusRange>,
    body: Option<WantedBody>,
}

struct WantedBody {
    pattern: Regex,
    /// As configured, for the log.
    wanted: String,
}

impl WantedBody {
    fn new(body: &BodyMatch) -> Result<Self, UnfitCheck> {
        let (pattern, wanted) = match body {
            BodyMatch::Contains(text) => (Regex::new(&regex::escape(text)), format!("`{text}`")),
            BodyMatch::Regex(pattern) => (Regex::new(pattern), format!("a match of `{pattern}`")),
        };
        let pattern = pattern.map_err(|error| UnfitCheck(error.to_string()))?;
        Ok(Self { pattern, wanted })
    }
}

impl HttpProbe {
    fn new(check: &ActiveCheck) -> Result<Self, UnfitCheck> {
        let CheckKind::Http { method, path, host, headers, statuses, body } = &check.kind else {
            return Err(UnfitCheck("it is not an HTTP check".to_owned()));
        };
        let given = |name: &str| headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut after_host = String::from("\r\n");
        // Writing to a string cannot fail.
        if given("user-agent").is_none() {
            let _ = write!(after_host, "user-agent: {USER_AGENT}\r\n");
        }
        if !matches!(&**method, "GET" | "HEAD" | "OPTIONS") && given("content-length").is_none() {
            after_host.push_str("content-length: 0\r\n");
        }
        for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            let _ = write!(after_host, "{name}: {value}\r\n");
        }
        Ok(Self {
            tls: check.tls.as_deref().map(tls_of).transpose()?,
            may_keep: given("connection").is_none(),
            method: Method::from_bytes(method.as_bytes()),
            before_host: format!("{method} {path} HTTP/1.1\r\nhost: "),
            host: host.as_deref().or(given("host").map(|(_, value)| &**value)).map(str::to_owned),
            after_host,
            statuses: statuses.clone(),
            body: body.as_ref().map(WantedBody::new).transpose()?,
        })
    }

    async fn ask(&self, target: &Target, line: &mut Line) -> Result<Passed, ProbeFailure> {
        let begun = line.take_begun().map(Input::begun);
        if let Some(mut input) = begun.or_else(|| line.take(target.address).map(Input::new)) {
            match self.ask_on(&mut input, target).await {
                // The endpoint may close a connection that was idle at any time. That says nothing; a new one does.
                Err(ProbeFailure::Closed(_) | ProbeFailure::Broken(_)) if !input.has_spoken => {}
                done => return input.end(line, done),
            }
        }
        let connection = dial(target, self.tls.as_ref(), &mut line.tls, Offered::Http1).await?;
        let mut input = Input::new(line.begin(connection, target.address));
        let done = self.ask_on(&mut input, target).await;
        input.end(line, done)
    }

    /// The request, and whether the connection is to stay open. Composed each time: what it is made of is at hand, as all who ask the same
    /// share it, where one that was kept would have to be fetched from memory.
    fn compose(&self, target: &Target, stays: bool) -> String {
        let host = self.host.as_deref().unwrap_or(&target.authority);
        let end = if stays { "\r\n" } else { "connection: close\r\n\r\n" };
        [&self.before_host, host, &self.after_host, end].concat()
    }

    /// Sends the question; whether the connection is to stay open.
    async fn send(&self, input: &mut Input, target: &Target) -> bool {
        input.kept.ask();
        let stays = self.may_keep && input.kept.may_be_kept();
        // An endpoint may answer and close before it took the request: the answer counts.
        let _ = input.kept.connection.write_all(self.compose(target, stays).as_bytes()).await;
        stays
    }

    async fn ask_on(&self, input: &mut Input, target: &Target) -> Result<Passed, ProbeFailure> {
        let stays = match input.stays {
            Some(stays) => stays,
            None => self.send(input, target).await,
        };
        let head = input.head().await?;
        self.judge_status(head.status())?;
        let framing = head.framing(self.method).map_err(not_understood);
        let is_whole = match &self.body {
            Some(wanted) => {
                let mut reader = BodyReader::new(framing?);
                let body = input.body(&mut reader).await?;
                if !wanted.pattern.is_match(&body) {
                    return Err(ProbeFailure::Body(wanted.wanted.clone()));
                }
                reader.is_done()
            }
            // Nobody waits for a body that nobody looks at, or minds it; what has come already may be all of it.
            None => framing.is_ok_and(|framing| input.skip(framing)),
        };
        input.is_free = stays && is_whole && head.persists() && input.received.is_empty();
        Ok(Passed::Answered(head.status()))
    }

    fn is_wanted(&self, status: u16) -> bool {
        self.statuses.iter().any(|range| (range.first..=range.last).contains(&status))
    }

    fn judge_status(&self, got: u16) -> Result<(), ProbeFailure> {
        if self.is_wanted(got) {
            return Ok(());
        }
        let word = |range: &StatusRange| match range {
            StatusRange { first, last } if first == last => first.to_string(),
            StatusRange { first, last } => format!("{first}-{last}"),
        };
        let wanted: Vec<String> = self.statuses.iter().map(word).collect();
        Err(ProbeFailure::Status { got, wanted: wanted.join(", ") })
    }
}

impl Probe for HttpProbe {
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(async { self.ask(target, &mut Line::default()).await })
    }

    fn run_on<'probe>(&'probe self, target: &'probe Target, line: &'probe mut Line) -> ProbeFuture<'probe> {
        Box::pin(self.ask(target, line))
    }

    fn question(&self, target: &Target) -> Option<String> {
        (self.may_keep && self.tls.is_none()).then(|| self.compose(target, true))
    }

    fn is_well(&self, answer: &[u8], head: &mut ResponseHead) -> bool {
        head.clear();
        let Ok(Some(consumed)) = head.parse(answer, &HEAD_LIMITS) else { return false };
        let is_fit = !head.is_interim() && self.is_wanted(head.status()) && head.persists();
        let Ok(framing) = head.framing(self.method) else { return false };
        let mut body = Vec::new();
        let mut reader = BodyReader::new(framing);
        let Ok((rest, true)) = take(&mut reader, answer.get(consumed..).unwrap_or_default(), |data| {
            if self.body.is_some() {
                body.extend_from_slice(data);
            }
        }) else {
            return false;
        };
        let is_wanted = self.body.as_ref().is_none_or(|wanted| wanted.pattern.is_match(&body));
        is_fit && rest.is_empty() && is_wanted
    }
}

/// What the endpoint sends.
struct Input {
    kept: Kept,
    /// Received and not yet used.
    received: Vec<u8>,
    /// Whether the question that was asked already leaves the connection open; `None` if none was.
    stays: Option<bool>,
    /// Whether anything was received.
    has_spoken: bool,
    ended: bool,
    /// Whether another question may follow.
    is_free: bool,
}

impl Input {
    const fn new(kept: Kept) -> Self {
        let received = Vec::new();
        Self { kept, received, stays: None, has_spoken: false, ended: false, is_free: false }
    }

    /// Where the question was asked already: in a round, where connections stay open.
    fn begun(Begun { kept, received, .. }: Begun) -> Self {
        let has_spoken = !received.is_empty();
        Self { kept, received, stays: Some(true), has_spoken, ended: false, is_free: false }
    }

    /// Keeps the connection where that is possible: after a good answer, all of which has come.
    fn end(self, line: &mut Line, done: Result<Passed, ProbeFailure>) -> Result<Passed, ProbeFailure> {
        if self.is_free {
            line.keep(self.kept);
        }
        done
    }

    /// Reads more; at the end of the stream sets `ended` instead.
    async fn more(&mut self) -> Result<(), ProbeFailure> {
        let count = self.kept.connection.read(&mut self.received).await.map_err(broken)?;
        self.ended = count == 0;
        self.has_spoken |= count > 0;
        Ok(())
    }

    /// The head of the final answer.
    async fn head(&mut self) -> Result<ResponseHead, ProbeFailure> {
        let mut head = ResponseHead::default();
        let mut interim = 0;
        loop {
            match head.parse(&self.received, &HEAD_LIMITS).map_err(not_understood)? {
                Some(consumed) => {
                    self.received.drain(..consumed);
                    if !head.is_interim() {
                        return Ok(head);
                    }
                    interim += 1;
                    if interim > MAX_INTERIM {
                        return Err(ProbeFailure::NotUnderstood("too many interim answers".to_owned()));
                    }
                    head.clear();
                }
                None if self.ended => return Err(ProbeFailure::Closed("before the answer")),
                None => self.more().await?,
            }
        }
    }

    /// The body, as far as it is looked at.
    async fn body(&mut self, reader: &mut BodyReader) -> Result<Vec<u8>, ProbeFailure> {
        let mut body = Vec::new();
        while body.len() < MAX_BODY_BYTES && !self.take(reader, &mut body).map_err(not_understood)? {
            if self.ended {
                reader.end_of_input().map_err(|_| ProbeFailure::Closed("within the answer"))?;
                break;
            }
            self.more().await?;
        }
        body.truncate(MAX_BODY_BYTES);
        Ok(body)
    }

    /// Forgets what has come of a body; whether that was all of it.
    fn skip(&mut self, framing: Framing) -> bool {
        self.take(&mut BodyReader::new(framing), &mut Vec::new()).unwrap_or(false)
    }

    /// Takes what was received of a body; whether that was the end of it.
    fn take(&mut self, reader: &mut BodyReader, body: &mut Vec<u8>) -> Result<bool, HttpError> {
        let (rest, is_end) = take(reader, &self.received, |data| body.extend_from_slice(data))?;
        let consumed = self.received.len() - rest.len();
        self.received.drain(..consumed);
        Ok(is_end)
    }
}

/// Takes what was received of a body; what is behind it, and whether it has ended.
fn take<'r>(
    reader: &mut BodyReader,
    mut received: &'r [u8],
    mut data: impl FnMut(&[u8]),
) -> Result<(&'r [u8], bool), HttpError> {
    loop {
        let (consumed, event) = reader.read(received)?;
        let (stalled, end) = match event {
            BodyEvent::Data(bytes) => {
                data(bytes);
                (false, false)
            }
            BodyEvent::NeedMore => (true, false),
            BodyEvent::End => (false, true),
        };
        received = received.get(consumed..).unwrap_or_default();
        if end || stalled {
            return Ok((received, end));
        }
    }
}

fn broken(error: io::Error) -> ProbeFailure {
    ProbeFailure::Broken(error.to_string())
}

fn not_understood(error: HttpError) -> ProbeFailure {
    ProbeFailure::NotUnderstood(error.to_string())
}
