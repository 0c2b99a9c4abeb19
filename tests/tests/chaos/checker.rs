//! Clients that know every byte of the answers that they must get, and look into every failure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use base_testkit::{Aya, Wire, WireError, wait_for};
use scenarios::{answer_body, noise};
use serde_json::Value;

use super::strokes::Strokes;
use crate::chunked;

/// What is kept of a request's body to send it again, by the play's configuration.
pub(crate) const REPLAY_BYTES: usize = 64 * 1024;

/// Why a failure was not to be avoided. There are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Excuse {
    /// Bytes of a request that may not be repeated had been sent: whether it had its effect cannot be known.
    NotIdempotent,
    /// The endpoint was lost after more of the body had gone than is kept.
    BodyGone,
    /// The client had got the beginning of the answer.
    AnswerBegun,
}

impl Excuse {
    /// All there are.
    pub(crate) const ALL: &[Self] = &[Self::NotIdempotent, Self::BodyGone, Self::AnswerBegun];

    /// In words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::NotIdempotent => "a POST of which bytes had been sent",
            Self::BodyGone => {
                "a body larger than what is kept for sending again, of which bytes had been sent"
            }
            Self::AnswerBegun => "the answer had begun when its endpoint was lost",
        }
    }
}

/// What the clients saw.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) answered: usize,
    pub(crate) checked_bytes: usize,
    pub(crate) excused: BTreeMap<Excuse, usize>,
    /// Failures that a safe retry could have saved, and wrong bytes.
    pub(crate) faults: Vec<String>,
}

impl Findings {
    /// Both together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.answered += other.answered;
        self.checked_bytes += other.checked_bytes;
        for (excuse, count) in other.excused {
            *self.excused.entry(excuse).or_default() += count;
        }
        self.faults.extend(other.faults);
        self
    }
}

/// One request, made from the client's number and its own.
struct Plan {
    id: String,
    method: &'static str,
    /// What it brings; `None`: nothing.
    body: Option<Vec<u8>>,
    brings_chunks: bool,
    gets_chunks: bool,
    wants: usize,
}

impl Plan {
    fn new(client: u64, number: u64) -> Self {
        let dice = noise(8, client * 1_000_003 + number * 7_919 + 1);
        let (kind, size) = (dice[0] % 20, usize::from(dice[1]) * 256 + usize::from(dice[2]));
        let (method, brings) = match kind {
            0..=11 => ("GET", None),
            12..=15 => ("PUT", Some(size)),
            // Larger than what is kept.
            16 => ("PUT", Some(REPLAY_BYTES + 2 * size)),
            17..=18 => ("POST", Some(size / 16)),
            _ => ("DELETE", None),
        };
        let wants = match dice[3] % 4 {
            0 => size * 4,
            1 => size / 8,
            _ => usize::from(dice[4]) * 8,
        };
        let id = format!("chaos-{client}-{number}");
        let body = brings.map(|count| noise(count, size as u64 + number));
        Self {
            id,
            method,
            body,
            brings_chunks: dice[5].is_multiple_of(2),
            gets_chunks: dice[6].is_multiple_of(3),
            wants,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { id, method, wants, .. } = self;
        let kind = if self.gets_chunks { "chunked" } else { "length" };
        let head =
            format!("{method} /{kind}/{id}/{wants} HTTP/1.1\r\nHost: play.test\r\nX-Request-Id: {id}\r\n");
        match &self.body {
            None => format!("{head}\r\n").into_bytes(),
            Some(body) if self.brings_chunks => {
                let framed = chunked(body, 3_001, "");
                [format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes(), &framed].concat()
            }
            Some(body) => [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat(),
        }
    }

    fn expected(&self) -> Vec<u8> {
        answer_body(&self.id, self.body.as_deref().unwrap_or_default(), self.wants)
    }
}

/// How an exchange went.
enum Outcome {
    /// Whole and right; whether the connection stays.
    Right { stays: bool },
    /// The beginning was right, then it broke off.
    Broken(WireError),
    /// Aya answered in the endpoint's place.
    Refused { status: u16, reason: String, stays: bool },
    /// Nothing came.
    Silent(WireError),
    /// Bytes that are not the answer to this request.
    Wrong(String),
}

/// A client that asks, one request after the other, until it is told to stop.
pub(crate) fn ask_until(over: &AtomicBool, aya: &Aya, strokes: &Strokes, client: u64) -> Findings {
    let mut findings = Findings::default();
    let mut kept = None;
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let plan = Plan::new(client, number);
        let stays = match exchange(&mut kept, aya.listener("web"), &plan) {
            Outcome::Right { stays } => {
                findings.answered += 1;
                findings.checked_bytes += plan.wants;
                stays
            }
            Outcome::Wrong(what) => {
                findings.faults.push(format!("{} {}: wrong bytes: {what}", plan.method, plan.id));
                false
            }
            Outcome::Silent(error) => {
                findings.faults.push(format!("{} {}: no answer: {error}", plan.method, plan.id));
                false
            }
            Outcome::Refused { status, reason, stays } => {
                findings.judge(aya, strokes, &plan, None, &format!("{status} {reason}"));
                stays
            }
            Outcome::Broken(error) => {
                findings.judge(aya, strokes, &plan, Some(Excuse::AnswerBegun), &error.to_string());
                false
            }
        };
        if !stays {
            kept = None;
        }
    }
    findings
}

impl Findings {
    /// Asks Aya what became of a request that failed, and finds the excuse or the fault. What Aya says is believed only where it
    /// fits what the client knows, and of a server that something has befallen.
    fn judge(&mut self, aya: &Aya, strokes: &Strokes, plan: &Plan, known: Option<Excuse>, seen: &str) {
        let struck = strokes.now();
        let decision = decision(aya, &plan.id);
        let last = decision["attempts"].as_array().and_then(|attempts| attempts.last());
        let server = last.and_then(|attempt| attempt["endpoint"].as_str()).unwrap_or_default();
        let after = last.and_then(|attempt| attempt["after"].as_str()).unwrap_or_default();
        let is_large = plan.body.as_ref().is_some_and(|body| body.len() > REPLAY_BYTES);
        let excuse = match after {
            "not-idempotent" if plan.method == "POST" => Some(Excuse::NotIdempotent),
            "body-gone" if is_large => Some(Excuse::BodyGone),
            "answer-begun" => known,
            _ => None,
        };
        match excuse.filter(|_| struck.iter().any(|one| one == server)) {
            Some(excuse) => *self.excused.entry(excuse).or_default() += 1,
            None => self
                .faults
                .push(format!("{} {}: {seen}; struck: {struck:?}; {decision}", plan.method, plan.id)),
        }
    }
}

/// What Aya remembers of a request, a moment after it is over.
fn decision(aya: &Aya, id: &str) -> Value {
    wait_for("a failed request to be remembered", || {
        let found = aya.admin("GET", &format!("/api/v1/decisions?request-id={id}"), "").json();
        found.get(0).cloned()
    })
}

fn exchange(kept: &mut Option<Wire>, address: SocketAddr, plan: &Plan) -> Outcome {
    if kept.is_none() {
        match Wire::connect(address) {
            Ok(wire) => *kept = Some(wire),
            Err(error) => return Outcome::Silent(error),
        }
    }
    let Some(wire) = kept else { return Outcome::Wrong("no connection".to_owned()) };
    // Aya may answer before it has taken everything; what it says counts.
    let sent = wire.send(plan.bytes());
    match wire.response_head() {
        Err(error) => Outcome::Silent(sent.err().unwrap_or(error)),
        Ok(head) if head.status == 200 && head.reason().is_empty() => {
            let stays = head.keeps_alive();
            let is_chunked = head.fields.lists("transfer-encoding", "chunked");
            read_body(wire, is_chunked, &plan.expected(), stays)
        }
        Ok(head) => {
            let length = head.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            let _ = wire.exactly(length);
            Outcome::Refused {
                status: head.status,
                reason: head.reason().to_owned(),
                stays: head.keeps_alive() && sent.is_ok(),
            }
        }
    }
}

/// Reads a body and compares it with what it must be, piece by piece, so that the beginning of a broken one is compared as well.
fn read_body(wire: &mut Wire, is_chunked: bool, expected: &[u8], stays: bool) -> Outcome {
    let mut seen = 0;
    loop {
        let left = expected.get(seen..).unwrap_or_default();
        let piece = if is_chunked {
            wire.chunk()
        } else if left.is_empty() {
            Ok(Vec::new())
        } else {
            wire.exactly(left.len().min(1_024))
        };
        match piece {
            Err(error @ WireError::Malformed(_)) => return Outcome::Wrong(error.to_string()),
            Err(error) => return Outcome::Broken(error),
            Ok(piece) if piece.is_empty() => break,
            Ok(piece) if left.starts_with(&piece) => seen += piece.len(),
            Ok(_) => return Outcome::Wrong(format!("another byte after {seen}")),
        }
    }
    if seen != expected.len() {
        return Outcome::Wrong(format!("{seen} bytes of {}", expected.len()));
    }
    // Behind the last chunk stands an empty line: no trailers are sent.
    if is_chunked && wire.exactly(2).is_ok_and(|end| end != b"\r\n") {
        return Outcome::Wrong("trailers that nobody sent".to_owned());
    }
    Outcome::Right { stays }
}
