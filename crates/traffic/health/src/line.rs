//! Connections that checks keep from one question to the next.
//!
//! Making a connection and taking it down again is most of what a check costs, for both sides. A check keeps its connection where the
//! endpoint does, up to a number over all checks; and now and then it makes a new one all the same, so that an endpoint that
//! accepts no more is found.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base_kit::Rng;
use traffic_tls::EndpointTls;

pub(crate) use connection::{Connection, PlainSocket};

/// For how long questions are asked on one connection: the next one is asked on a new one. So long an endpoint that accepts no more may go
/// unnoticed by its check; its traffic notices at once.
const LONGEST_KEPT: Duration = Duration::from_secs(600);

/// Questions on one connection at most, however short the pauses are. As many as nginx answers on one if nothing is said.
pub const MAX_QUESTIONS_PER_CONNECTION: u32 = 1_000;

/// What one check of one endpoint keeps. The default keeps nothing.
#[derive(Debug, Default)]
pub struct Line {
    /// How many may be kept, over all checks.
    places: Option<Arc<Places>>,
    /// Questions on one connection.
    most_questions: u32,
    /// Those that count as asked on the next connection before the first one is.
    head_start: u32,
    kept: Option<Kept>,
    /// A question that was asked in a round.
    begun: Option<Begun>,
    /// What the endpoint is known by over TLS.
    pub(crate) tls: Option<EndpointTls>,
}

/// A connection with its place among those that are kept.
#[derive(Debug)]
pub(crate) struct Kept<C = Connection> {
    pub(crate) connection: C,
    address: SocketAddr,
    /// Questions that may still be asked on it.
    questions_left: u32,
    /// `None`: it cannot be kept.
    place: Option<Place>,
}

/// A question that was asked, and what has come of its answer.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) kept: Kept,
    pub(crate) received: Vec<u8>,
    /// For how long it has been waited for.
    waited: Duration,
}

/// How many connections are kept, over all checks, and how many may be.
#[derive(Debug)]
pub(crate) struct Places {
    most: AtomicUsize,
    taken: AtomicUsize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Place(Arc<Places>);

impl Line {
    /// One that keeps its connection while there is a place, for questions with such pauses. The first connection is renewed early, at
    /// random: checks that began together do not all make new ones together.
    pub(crate) fn new(places: &Arc<Places>, interval: Duration, rng: &mut dyn Rng) -> Self {
        let most_questions = questions_within(LONGEST_KEPT, interval);
        let head_start = (rng.unit() * f64::from(most_questions)) as u32;
        Self { places: Some(Arc::clone(places)), most_questions, head_start, ..Self::default() }
    }

    /// The connection that was kept, unless it leads elsewhere, or the endpoint has closed it or said something unasked.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Option<Kept> {
        self.kept.take().filter(|kept| kept.address == address).and_then(Kept::if_quiet)
    }

    /// The connection that is kept, for questions that are asked in rounds, unless it is encrypted.
    pub(crate) fn take_plain(&mut self) -> Option<Kept<PlainSocket>> {
        self.kept.take_if(|kept| kept.connection.is_plain())?.try_map(Connection::into_plain)
    }

    /// Takes back a connection that questions were asked on in rounds.
    pub(crate) fn take_back(&mut self, kept: Kept<PlainSocket>) {
        self.kept = kept.try_map(Connection::plain);
    }

    /// Goes on from a question that was asked in a round.
    pub(crate) fn go_on(&mut self, kept: Kept<PlainSocket>, received: Vec<u8>, waited: Duration) {
        self.begun = kept.try_map(Connection::plain).map(|kept| Begun { kept, received, waited });
    }

    /// The question that was asked in a round.
    pub(crate) fn take_begun(&mut self) -> Option<Begun> {
        self.begun.take()
    }

    /// For how long an answer has been waited for already.
    pub(crate) fn waited(&self) -> Duration {
        self.begun.as_ref().map_or(Duration::ZERO, |begun| begun.waited)
    }

    /// A new connection, with a place if there is one.
    pub(crate) fn begin(&mut self, connection: Connection, address: SocketAddr) -> Kept {
        let place = self.places.as_ref().and_then(Places::take);
        let questions_left = self.most_questions.saturating_sub(std::mem::take(&mut self.head_start));
        Kept { connection, address, questions_left, place }
    }

    /// Keeps a connection for the next question.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept = Some(kept).filter(Kept::may_be_kept);
    }
}

impl Places {
    pub(crate) const fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), taken: AtomicUsize::new(0) }
    }

    /// Says how many there are from now on. If more are taken, the others are given back when they are used next.
    pub(crate) fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Takes one, if there is one.
    fn take(self: &Arc<Self>) -> Option<Place> {
        let most = self.most.load(Ordering::Relaxed);
        let one_more = |taken| (taken < most).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.ok().map(|_| Place(Arc::clone(self)))
    }

    fn are_too_many(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C> Kept<C> {
    /// Whether another question may follow the one that is asked now.
    pub(crate) fn may_be_kept(&self) -> bool {
        self.may_be_asked(1)
    }

    /// Whether another question may follow the one that is asked next.
    pub(crate) fn may_be_kept_after_another(&self) -> bool {
        self.may_be_asked(2)
    }

    fn may_be_asked(&self, questions: u32) -> bool {
        self.place.as_ref().is_some_and(|place| !place.0.are_too_many()) && self.questions_left >= questions
    }

    /// Counts a question.
    pub(crate) const fn ask(&mut self) {
        self.questions_left = self.questions_left.saturating_sub(1);
    }

    fn try_map<D>(self, to: impl FnOnce(C) -> Option<D>) -> Option<Kept<D>> {
        let Self { connection, address, questions_left, place } = self;
        to(connection).map(|connection| Kept { connection, address, questions_left, place })
    }
}

impl Kept {
    fn if_quiet(mut self) -> Option<Self> {
        self.connection.is_quiet().then_some(self)
    }
}

/// How many questions with such pauses there are in this time.
fn questions_within(time: Duration, pause: Duration) -> u32 {
    let questions = time.as_millis() / pause.as_millis().max(1);
    u32::try_from(questions).unwrap_or(u32::MAX).clamp(1, MAX_QUESTIONS_PER_CONNECTION)
}

#[cfg(test)]
mod tests {
    use base_kit::SeededRng;

    use super::*;

    #[test]
    fn a_connection_is_kept_for_ten_minutes_or_a_thousand_questions() {
        let questions = |millis| questions_within(LONGEST_KEPT, Duration::from_millis(millis));
        assert_eq!(
            [questions(0), questions(200), questions(2_000), questions(3_600_000)],
            [1_000, 1_000, 300, 1]
        );
    }

    #[test]
    fn first_connections_end_at_different_times() {
        let (places, mut rng) = (Arc::new(Places::new(1)), SeededRng::new(3));
        let starts: Vec<u32> =
            (0..1_000).map(|_| Line::new(&places, Duration::from_secs(2), &mut rng).head_start).collect();
        for tenth in 0..10 {
            let within = starts.iter().filter(|start| (30 * tenth..30 * (tenth + 1)).contains(*start));
            assert!((60..140).contains(&within.count()), "{starts:?}");
        }
    }
}
