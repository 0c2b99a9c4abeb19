//! `http`: the endpoint answers a request as wanted.

use std::fmt::Write as _;

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, BodyMatch, CheckKind, StatusRange};
use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use traffic_http::{BodyEvent, BodyReader, HeadLimits, HttpError, Method, ResponseHead};

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

/// One read takes at most this much.
const READ_BYTES: usize = 8 * 1024;

const USER_AGENT: &str = concat!("aya-health/", env!("CARGO_PKG_VERSION"));

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
                Some(HttpProbe::new(&check.kind).map(|probe| Box::new(probe) as Box<dyn Probe>))
            }
            _ => None,
        }
    }
}

struct HttpProbe {
    method: Method,
    /// The request up to the value of `host`.
    before_host: String,
    /// The configured `Host`.
    host: Option<String>,
    /// The request after the value of `host`.
    after_host: String,
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
    fn new(kind: &CheckKind) -> Result<Self, UnfitCheck> {
        let CheckKind::Http { method, path, host, headers, statuses, body } = kind else {
            return Err(UnfitCheck("it is not an HTTP check".to_owned()));
        };
        let given = |name: &str| headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut after_host = String::from("\r\nconnection: close\r\n");
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
        after_host.push_str("\r\n");
        Ok(Self {
            method: Method::from_bytes(method.as_bytes()),
            before_host: format!("{method} {path} HTTP/1.1\r\nhost: "),
            host: host.as_deref().or(given("host").map(|(_, value)| &**value)).map(str::to_owned),
            after_host,
            statuses: statuses.clone(),
            body: body.as_ref().map(WantedBody::new).transpose()?,
        })
    }

    async fn ask(&self, target: &Target) -> Result<Passed, ProbeFailure> {
        let connected = TcpStream::connect(target.address).await;
        let mut stream = connected.map_err(|error| ProbeFailure::of_connect(&error))?;
        let host = self.host.as_deref().unwrap_or(&target.authority);
        let request = [&self.before_host, host, &self.after_host].concat();
        // An endpoint may answer and close before it took the request: the answer counts.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut input = Input { stream, received: Vec::new(), ended: false };
        let head = input.head().await?;
        self.judge_status(head.status())?;
        if let Some(wanted) = &self.body {
            let body = input.body(&head, self.method).await?;
            if !wanted.pattern.is_match(&body) {
                return Err(ProbeFailure::Body(wanted.wanted.clone()));
            }
        }
        Ok(Passed::Answered(head.status()))
    }

    fn judge_status(&self, got: u16) -> Result<(), ProbeFailure> {
        if self.statuses.iter().any(|range| (range.first..=range.last).contains(&got)) {
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
        Box::pin(self.ask(target))
    }
}

/// What the endpoint sends.
struct Input {
    stream: TcpStream,
    /// Received and not yet used.
    received: Vec<u8>,
    ended: bool,
}

impl Input {
    /// Reads more; at the end of the stream sets `ended` instead.
    async fn more(&mut self) -> Result<(), ProbeFailure> {
        let mut chunk = [0; READ_BYTES];
        let count = self.stream.read(&mut chunk).await;
        let count = count.map_err(|error| ProbeFailure::Broken(error.to_string()))?;
        self.ended = count == 0;
        self.received.extend_from_slice(chunk.get(..count).unwrap_or_default());
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
    async fn body(&mut self, head: &ResponseHead, method: Method) -> Result<Vec<u8>, ProbeFailure> {
        let mut reader = BodyReader::new(head.framing(method).map_err(not_understood)?);
        let mut body = Vec::new();
        while body.len() < MAX_BODY_BYTES {
            let (consumed, event) = reader.read(&self.received).map_err(not_understood)?;
            let (stalled, end) = match event {
                BodyEvent::Data(data) => {
                    body.extend_from_slice(data);
                    (false, false)
                }
                BodyEvent::NeedMore => (true, false),
                BodyEvent::End => (false, true),
            };
            self.received.drain(..consumed);
            if end {
                break;
            }
            if stalled && self.ended {
                reader.end_of_input().map_err(|_| ProbeFailure::Closed("within the answer"))?;
                break;
            }
            if stalled {
                self.more().await?;
            }
        }
        body.truncate(MAX_BODY_BYTES);
        Ok(body)
    }
}

fn not_understood(error: HttpError) -> ProbeFailure {
    ProbeFailure::NotUnderstood(error.to_string())
}
