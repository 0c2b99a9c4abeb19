//! One request that is remembered.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base_kit::Moment;
use base_signal::Reason;
use traffic_balance::SessionOutcome;
use traffic_http::request_id::RequestId;

use crate::decisions::Candidate;
use crate::failure::{Failure, Fault};

/// Attempts kept of one request: those of a long row say the same again. The last one is always kept.
const MAX_ATTEMPTS: usize = 8;
/// Bytes kept of a path: what tells one resource from another is rarely further behind.
const MAX_PATH_BYTES: usize = 1024;
/// Bytes kept of any other name: the longest host name and its port, or that of an endpoint.
const MAX_NAME_BYTES: usize = 264;

/// Method, host, path, listener, route, answerer, pool, balancer, session; more than [`Place`] can point at would be cut wrongly.
const _: () = assert!(MAX_PATH_BYTES + (8 + MAX_ATTEMPTS) * MAX_NAME_BYTES < u16::MAX as usize);

/// A part of a decision's text.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    start: u16,
    length: u16,
}

/// What became of a request, and why. Texts are as the client sent them, or as they are called in the configuration.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether anything is noted at all.
    pub(super) is_on: bool,
    text: Vec<u8>,
    attempts: Vec<Attempt>,
    method: Option<Place>,
    host: Option<Place>,
    path: Option<Place>,
    listener: Option<Place>,
    route: Option<Place>,
    answerer: Option<Place>,
    pool: Option<Place>,
    balancer: Option<Place>,
    session: Option<Place>,
    request_id: Option<RequestId>,
    pub(crate) started: Moment,
    /// When its first byte came, since 1970-01-01 UTC.
    pub time: Duration,
    /// The client, as trusted proxies report it.
    pub client: IpAddr,
    /// Whether the path was longer than what is kept of it.
    pub is_cut: bool,
    /// Attempts that were made and are not kept.
    pub omitted: u32,
    /// Sent to the client; 0 if none was.
    pub status: u16,
    /// Why it failed, if it did.
    pub reason: Option<Reason>,
    /// What exactly went wrong.
    pub detail: Option<String>,
    /// What became of its session, once an endpoint had answered.
    pub session_outcome: Option<SessionOutcome>,
    /// Whether so little of its pool was fit that all endpoints got traffic.
    pub in_panic: bool,
    /// From its first byte to the last of its head.
    pub head: Duration,
    /// What it waited for an endpoint with room.
    pub queued: Option<Duration>,
    /// From its first byte to the last of its answer.
    pub total: Duration,
    /// Of its pool: the endpoints that there were in the end; only of those that failed, were tried more than once or were slow.
    pub candidates: Option<Arc<[Candidate]>>,
}

/// One connection that a request was sent on, or that could not be made for it.
#[derive(Clone, Debug)]
pub struct Attempt {
    endpoint: Place,
    /// After the request's first byte.
    pub began: Duration,
    /// Whether the connection was open already.
    pub is_reused: bool,
    /// Other requests in flight at the endpoint, over all workers.
    pub others: u32,
    /// Why this endpoint.
    pub choice: Choice,
    /// What connecting took; `None` on a connection that was open already.
    pub connect: Option<Duration>,
    /// When all of the request was sent, after its first byte.
    pub sent: Option<Duration>,
    /// From then to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// Of the answer; 0 if none came.
    pub status: u16,
    /// What went wrong, if anything did.
    pub setback: Option<Box<Setback>>,
}

/// Why an attempt went to its endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Whether the request's session is bound to it; else the balancer chose it.
    pub is_bound: bool,
    /// Endpoints that the balancer had to choose from.
    pub among: u32,
    /// Of the endpoint.
    pub tier: u8,
    /// Which part of its share the endpoint got then, in percent.
    pub share: u32,
}

/// What went wrong with an attempt.
#[derive(Clone, Debug)]
pub struct Setback {
    /// Why.
    pub reason: Reason,
    /// What exactly.
    pub detail: Option<String>,
    /// Whose doing it was.
    pub fault: Fault,
    /// What was done about it.
    pub after: After,
}

/// What was done after an attempt went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It was sent again on a fresh connection to the same endpoint.
    FreshConnection,
    /// Another endpoint was looked for.
    NextEndpoint,
    /// Nothing: that was not the endpoint's fault, so another one would do no better.
    NotItsFault,
    /// Nothing: some of the request had been sent, and the method is not one that may be repeated.
    NotIdempotent,
    /// Nothing: not all of the body that had been sent was still there.
    BodyGone,
    /// Nothing: the answer had begun.
    AnswerBegun,
    /// Nothing: the attempts that the route allows were used up.
    NoAttemptLeft,
    /// Nothing: there was no other endpoint that could take it.
    NoOtherEndpoint,
}

impl After {
    /// As in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FreshConnection => "fresh-connection",
            Self::NextEndpoint => "next-endpoint",
            Self::NotItsFault => "not-its-fault",
            Self::NotIdempotent => "not-idempotent",
            Self::BodyGone => "body-gone",
            Self::AnswerBegun => "answer-begun",
            Self::NoAttemptLeft => "no-attempt-left",
            Self::NoOtherEndpoint => "no-other-endpoint",
        }
    }
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            is_on: false,
            text: Vec::new(),
            attempts: Vec::new(),
            method: None,
            host: None,
            path: None,
            listener: None,
            route: None,
            answerer: None,
            pool: None,
            balancer: None,
            session: None,
            request_id: None,
            started: Moment::ZERO,
            time: Duration::ZERO,
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            is_cut: false,
            omitted: 0,
            status: 0,
            reason: None,
            detail: None,
            session_outcome: None,
            in_panic: false,
            head: Duration::ZERO,
            queued: None,
            total: Duration::ZERO,
            candidates: None,
        }
    }
}

/// How things are called that a request met, and what it asked for.
pub(crate) struct Names<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) listener: &'a str,
    pub(crate) route: Option<&'a str>,
    /// The pool and its balancer.
    pub(crate) pool: Option<(&'a str, &'a str)>,
}

/// What a request under way notes.
impl Decision {
    /// Begins anew, with the memory there is.
    pub(crate) fn begin(&mut self, is_on: bool) {
        if !is_on && !self.is_on {
            return;
        }
        let (mut text, mut attempts) = (std::mem::take(&mut self.text), std::mem::take(&mut self.attempts));
        text.clear();
        attempts.clear();
        *self = Self { is_on, text, attempts, ..Self::default() };
    }

    /// A filter or handler has answered.
    pub(crate) fn answered_by(&mut self, kind: &str) {
        if self.is_on {
            self.answerer = Some(self.keep(kind.as_bytes(), MAX_NAME_BYTES));
        }
    }

    /// Its session is bound to this endpoint.
    pub(crate) fn bound_to(&mut self, endpoint: &str) {
        if self.is_on {
            self.session = Some(self.keep(endpoint.as_bytes(), MAX_NAME_BYTES));
        }
    }

    /// An endpoint is tried, on a connection that is open already or on a new one, with so many others in flight.
    pub(crate) fn attempt(
        &mut self,
        endpoint: &str,
        others: u32,
        choice: Choice,
        is_reused: bool,
        began: Duration,
    ) {
        if !self.is_on {
            return;
        }
        if self.attempts.len() == MAX_ATTEMPTS {
            // Of a long row the first ones and the last tell most.
            self.attempts.pop();
            self.omitted += 1;
            self.text.truncate(self.end_of_attempts());
        }
        let endpoint = self.keep(endpoint.as_bytes(), MAX_NAME_BYTES);
        self.attempts.push(Attempt {
            endpoint,
            began,
            is_reused,
            others,
            choice,
            connect: None,
            sent: None,
            first_byte: None,
            status: 0,
            setback: None,
        });
    }

    /// Whether anything is noted.
    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether an attempt was noted.
    pub(crate) const fn has_attempts(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// Connecting, successful or not, has taken so long.
    pub(crate) fn connected(&mut self, took: Duration) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.connect = Some(took);
        }
    }

    /// An answer has begun.
    pub(crate) fn answered(&mut self, sent: Duration, first_byte: Duration, status: u16) {
        if let Some(attempt) = self.attempts.last_mut() {
            (attempt.sent, attempt.first_byte, attempt.status) = (Some(sent), Some(first_byte), status);
        }
    }

    /// An attempt went wrong. Nothing is done about it until [`Decision::then`] says so.
    pub(crate) fn broke(&mut self, fault: Fault, failure: &Failure) {
        if let Some(attempt) = self.attempts.last_mut() {
            let (reason, detail) = (failure.reason, failure.detail.clone());
            attempt.setback = Some(Box::new(Setback { reason, detail, fault, after: After::AnswerBegun }));
        }
    }

    /// What was done about it.
    pub(crate) fn then(&mut self, after: After) {
        let last = self.attempts.last_mut();
        if let Some(setback) = last.and_then(|attempt| attempt.setback.as_mut()) {
            setback.after = after;
        }
    }

    /// The request is over and shall be remembered.
    pub(crate) fn finish(&mut self, names: &Names<'_>, id: Option<RequestId>) {
        self.request_id = id;
        self.is_cut = names.path.len() > MAX_PATH_BYTES;
        self.method = Some(self.keep(names.method, MAX_NAME_BYTES));
        self.host = Some(self.keep(names.host, MAX_NAME_BYTES));
        self.path = Some(self.keep(names.path, MAX_PATH_BYTES));
        self.listener = Some(self.keep(names.listener.as_bytes(), MAX_NAME_BYTES));
        self.route = names.route.map(|name| self.keep(name.as_bytes(), MAX_NAME_BYTES));
        if let Some((pool, balancer)) = names.pool {
            self.pool = Some(self.keep(pool.as_bytes(), MAX_NAME_BYTES));
            self.balancer = Some(self.keep(balancer.as_bytes(), MAX_NAME_BYTES));
        }
    }

    fn keep(&mut self, value: &[u8], most: usize) -> Place {
        let number = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let start = number(self.text.len());
        self.text.extend_from_slice(value.get(..most).unwrap_or(value));
        Place { start, length: number(self.text.len()) - start }
    }

    /// Behind all that attempts still point at.
    fn end_of_attempts(&self) -> usize {
        let ends =
            self.attempts.iter().map(|attempt| attempt.endpoint).chain(self.answerer).chain(self.session);
        ends.map(|place| usize::from(place.start) + usize::from(place.length)).max().unwrap_or(0)
    }
}

impl Attempt {
    /// What sending the request took, once there was a connection; `None` if no answer came.
    pub fn sending(&self) -> Option<Duration> {
        Some(self.sent?.saturating_sub(self.began + self.connect.unwrap_or_default()))
    }
}

/// What can be read of it.
impl Decision {
    /// The request's id; empty if its head could not be read.
    pub fn request_id(&self) -> &str {
        self.request_id.as_ref().map_or("", RequestId::as_str)
    }

    /// As received; empty if there was no request line.
    pub fn method(&self) -> &[u8] {
        self.at(self.method).unwrap_or_default()
    }

    /// The authority asked for, port included; empty if there was none.
    pub fn host(&self) -> &[u8] {
        self.at(self.host).unwrap_or_default()
    }

    /// As received, without query; see [`Decision::is_cut`].
    pub fn path(&self) -> &[u8] {
        self.at(self.path).unwrap_or_default()
    }

    /// The listener's name.
    pub fn listener(&self) -> &[u8] {
        self.at(self.listener).unwrap_or_default()
    }

    /// The route's name.
    pub fn route(&self) -> Option<&[u8]> {
        self.at(self.route)
    }

    /// The kind of the filter or handler that answered.
    pub fn answerer(&self) -> Option<&[u8]> {
        self.at(self.answerer)
    }

    /// The pool's name.
    pub fn pool(&self) -> Option<&[u8]> {
        self.at(self.pool)
    }

    /// The kind of the pool's balancer.
    pub fn balancer(&self) -> Option<&[u8]> {
        self.at(self.balancer)
    }

    /// The endpoint that its session was bound to when it came; `None` if it had none, or that is gone.
    pub fn session(&self) -> Option<&[u8]> {
        self.at(self.session)
    }

    /// The attempts, in order, each with the name of its endpoint.
    pub fn attempts(&self) -> impl Iterator<Item = (&[u8], &Attempt)> {
        self.attempts.iter().map(|attempt| (self.at(Some(attempt.endpoint)).unwrap_or_default(), attempt))
    }

    /// What the answer took, from its first byte to its last; zero if none came from an endpoint.
    pub fn body(&self) -> Duration {
        let last = self.attempts.last();
        let began = last.and_then(|attempt| Some(attempt.sent? + attempt.first_byte?));
        began.map_or(Duration::ZERO, |began| self.total.saturating_sub(began))
    }

    /// Whether it failed, and not for something that the client alone can mend.
    pub fn has_failed(&self) -> bool {
        self.status >= 500 || self.reason.is_some_and(|reason| reason.status() >= 500)
    }

    /// Whether an attempt went wrong.
    pub(super) fn was_hard(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.setback.is_some())
    }

    fn at(&self, place: Option<Place>) -> Option<&[u8]> {
        let Place { start, length } = place?;
        self.text.get(usize::from(start)..)?.get(..usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_row_the_first_attempts_and_the_last_are_kept() {
        let mut decision = Decision::default();
        decision.begin(true);
        decision.answered_by("answerer");
        decision.bound_to("10.0.0.0:80");
        for number in 0..100_u32 {
            decision.attempt(
                &format!("10.0.0.{number}:80"),
                number,
                Choice::default(),
                false,
                Duration::ZERO,
            );
            decision.broke(Fault::Endpoint, &Reason::ConnectFailed.into());
            decision.then(After::NextEndpoint);
        }
        let names: Vec<_> =
            decision.attempts().map(|(name, attempt)| (name.to_vec(), attempt.others)).collect();
        assert_eq!((names.len(), decision.omitted), (MAX_ATTEMPTS, 92));
        assert_eq!(names.last(), Some(&(b"10.0.0.99:80".to_vec(), 99)));
        assert_eq!(names[6], (b"10.0.0.6:80".to_vec(), 6));
        assert_eq!(decision.answerer(), Some(&b"answerer"[..]));
        assert_eq!(decision.session(), Some(&b"10.0.0.0:80"[..]));
    }

    #[test]
    fn memory_is_bounded_and_used_again_and_what_is_cut_is_said() {
        let mut decision = Decision::default();
        let long = "x".repeat(60_000);
        let fill = |decision: &mut Decision| {
            decision.begin(true);
            for _ in 0..20 {
                decision.attempt(&long, 0, Choice::default(), true, Duration::ZERO);
            }
            let (text, bytes) = (long.as_str(), long.as_bytes());
            let (route, pool) = (Some(text), Some((text, text)));
            let names = Names { method: bytes, host: bytes, path: bytes, listener: text, route, pool };
            decision.finish(&names, None);
        };
        fill(&mut decision);
        assert!(decision.is_cut && decision.path().len() == MAX_PATH_BYTES);
        let memory = (decision.text.as_ptr(), decision.text.capacity(), decision.attempts.capacity());
        assert!(memory.1 < 16 << 10, "{memory:?}");
        fill(&mut decision);
        assert_eq!(memory, (decision.text.as_ptr(), decision.text.capacity(), decision.attempts.capacity()));
    }

    #[test]
    fn nothing_is_noted_when_nobody_can_ask() {
        let mut decision = Decision::default();
        decision.begin(false);
        decision.attempt("10.0.0.1:80", 0, Choice::default(), false, Duration::ZERO);
        decision.broke(Fault::Endpoint, &Reason::ConnectFailed.into());
        assert!(!decision.has_attempts() && decision.text.capacity() == 0);
    }
}
