//! One request that is remembered.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base_kit::Moment;
use base_signal::Reason;
use traffic_balance::SessionOutcome;
use traffic_http::request_id::RequestId;

use crate::decisions::Candidate;
use crate::decisions::attempt::{Attempt, Place};
use crate::decisions::notes::{MAX_ATTEMPTS, Notes};
use crate::decisions::over::{End, Over, has_failed};

/// Bytes kept of a path: what tells one resource from another is rarely further behind.
const MAX_PATH_BYTES: usize = 1024;
/// Bytes kept of any other name: the longest host name and its port, or that of an endpoint.
const MAX_NAME_BYTES: usize = 264;

/// Method, host, path, listener, route, answerer, pool, balancer, session; more than [`Place`] can point at would be cut wrongly.
const _: () = assert!(MAX_PATH_BYTES + (8 + MAX_ATTEMPTS) * MAX_NAME_BYTES < u16::MAX as usize);

/// What became of a request, and why. Texts are as the client sent them, or as they are called in the configuration.
#[derive(Clone, Debug)]
pub struct Decision {
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

impl Default for Decision {
    fn default() -> Self {
        Self {
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

impl Decision {
    /// Takes the place of what was remembered here, with the memory there is.
    pub(super) fn replace(&mut self, notes: &Notes, end: &End, over: Over<'_>) {
        let (mut text, mut attempts) = (std::mem::take(&mut self.text), std::mem::take(&mut self.attempts));
        text.clear();
        attempts.clear();
        let Over { names, request_id, client, detail, queued, in_panic, candidates } = over;
        *self = Self {
            text,
            attempts,
            request_id,
            started: end.started,
            client,
            is_cut: names.path.len() > MAX_PATH_BYTES,
            omitted: notes.omitted,
            status: end.status,
            reason: end.reason,
            detail,
            session_outcome: notes.session_outcome,
            in_panic,
            head: notes.head,
            queued,
            total: end.total,
            candidates,
            ..Self::default()
        };
        for (endpoint, attempt) in notes.attempts() {
            let endpoint = self.keep(endpoint.as_bytes(), MAX_NAME_BYTES);
            self.attempts.push(Attempt { endpoint, ..attempt.clone() });
        }
        self.answerer = notes.answerer().map(|kind| self.keep(kind.as_bytes(), MAX_NAME_BYTES));
        self.session = notes.session().map(|name| self.keep(name.as_bytes(), MAX_NAME_BYTES));
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
        has_failed(self.status, self.reason)
    }

    fn at(&self, place: Option<Place>) -> Option<&[u8]> {
        let Place { start, length } = place?;
        self.text.get(usize::from(start)..)?.get(..usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::decisions::over::{Names, example};
    use crate::decisions::{After, Choice};
    use crate::failure::Fault;

    /// A request that was tried at so many endpoints of this name and a number, all in vain.
    fn tried(name: &str, times: u32) -> Notes {
        let mut notes = Notes::default();
        notes.begin(true);
        notes.answered_by("answerer");
        notes.bound_to("10.0.0.0:80");
        for number in 0..times {
            let endpoint = Rc::from(format!("{name}{number}:80"));
            notes.attempt(&endpoint, number, Choice::default(), false, Duration::ZERO);
            notes.broke(Fault::Endpoint, &Reason::ConnectFailed.into());
            notes.then(After::NextEndpoint);
        }
        notes
    }

    #[test]
    fn of_a_long_row_the_first_attempts_and_the_last_are_kept() {
        let mut decision = Decision::default();
        decision.replace(&tried("10.0.0.", 100), &End::default(), example("/"));
        let names: Vec<_> =
            decision.attempts().map(|(name, attempt)| (name.to_vec(), attempt.others)).collect();
        assert_eq!((names.len(), decision.omitted), (MAX_ATTEMPTS, 92));
        assert_eq!(names.last(), Some(&(b"10.0.0.99:80".to_vec(), 99)));
        assert_eq!(names[6], (b"10.0.0.6:80".to_vec(), 6));
        assert_eq!(decision.answerer(), Some(&b"answerer"[..]));
        assert_eq!(decision.session(), Some(&b"10.0.0.0:80"[..]));
        assert!(decision.attempts().all(|(_, attempt)| attempt.setback.is_some()));
    }

    #[test]
    fn memory_is_bounded_and_used_again_and_what_is_cut_is_said() {
        let mut decision = Decision::default();
        let long = "x".repeat(60_000);
        let notes = tried(&long, 20);
        let fill = |decision: &mut Decision| {
            let (text, bytes) = (long.as_str(), long.as_bytes());
            let (route, pool) = (Some(text), Some((text, text)));
            let names = Names { method: bytes, host: bytes, path: bytes, listener: text, route, pool };
            decision.replace(&notes, &End::default(), Over { names, ..example("/") });
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
        let mut notes = tried("10.0.0.", 3);
        notes.clear();
        notes.begin(false);
        notes.attempt(&Rc::from("10.0.0.1:80"), 0, Choice::default(), false, Duration::ZERO);
        notes.broke(Fault::Endpoint, &Reason::ConnectFailed.into());
        notes.answered_by("answerer");
        assert!(!notes.has_attempts() && notes.answerer().is_none() && notes.session().is_none());
    }
}
