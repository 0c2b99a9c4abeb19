//! What each party has seen of each request.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a client does wrong, or slowly, with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientFault {
    /// Goes before the head is complete.
    GoesInHead,
    /// Stops in the middle of the head.
    StallsInHead,
    /// Goes in the middle of the body.
    GoesInBody,
    /// Stops in the middle of the body.
    StallsInBody,
    /// Goes while it waits for the answer.
    GoesWaiting,
    /// Goes in the middle of the answer.
    GoesReading,
    /// Stops reading in the middle of the answer.
    StallsReading,
    /// Says that it sends no more, and waits for its answer.
    HalfCloses,
    /// The network cuts its connection.
    IsCut,
}

impl ClientFault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::GoesInHead,
        Self::StallsInHead,
        Self::GoesInBody,
        Self::StallsInBody,
        Self::GoesWaiting,
        Self::GoesReading,
        Self::StallsReading,
        Self::HalfCloses,
        Self::IsCut,
    ];
}

/// What an endpoint does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointFault {
    /// Refuses the connection.
    Refuses,
    /// Lets nobody connect, and does not say so.
    NeverConnects,
    /// Resets before it has read anything.
    ResetsAtOnce,
    /// Resets once it has the head.
    ResetsAfterHead,
    /// Resets once it has all of the request.
    ResetsAfterRequest,
    /// Closes once it has all of the request.
    ClosesUnanswered,
    /// Resets in the middle of its head.
    ResetsInHead,
    /// Resets in the middle of its body.
    ResetsInBody,
    /// Closes in the middle of its head.
    ClosesInHead,
    /// Closes in the middle of its body, which is shorter than it has said.
    ClosesInBody,
    /// Does not take the request's body.
    StopsReading,
    /// Never answers.
    Hangs,
    /// Stops in the middle of its body.
    HangsInBody,
    /// Answers before it has the body, and reads on.
    AnswersEarly,
    /// Answers before it has the body, and closes.
    AnswersEarlyAndCloses,
    /// Its answer is no HTTP.
    SendsGarbage,
    /// Sends more than it has said.
    SendsTooMuch,
    /// Sends interim answers without end.
    FloodsInterim,
    /// Closes a connection that it has said would stay.
    ClosesSilently,
    /// Says so that it sends no more, and reads on.
    HalfCloses,
    /// Says that it has too much to do.
    IsOverloaded,
    /// Answers 500.
    Errs,
}

impl EndpointFault {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Refuses,
        Self::NeverConnects,
        Self::ResetsAtOnce,
        Self::ResetsAfterHead,
        Self::ResetsAfterRequest,
        Self::ClosesUnanswered,
        Self::ResetsInHead,
        Self::ResetsInBody,
        Self::ClosesInHead,
        Self::ClosesInBody,
        Self::StopsReading,
        Self::Hangs,
        Self::HangsInBody,
        Self::AnswersEarly,
        Self::AnswersEarlyAndCloses,
        Self::SendsGarbage,
        Self::SendsTooMuch,
        Self::FloodsInterim,
        Self::ClosesSilently,
        Self::HalfCloses,
        Self::IsOverloaded,
        Self::Errs,
    ];
}

impl EndpointFault {
    /// Whether it shows before there is a request.
    pub(crate) const fn is_at_the_door(&self) -> bool {
        matches!(self, Self::Refuses | Self::NeverConnects | Self::ResetsAtOnce)
    }
}

/// An answer as a client got it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The reason that Aya gives for an answer of its own.
    pub(crate) reason: Option<String>,
    /// Whether its end is told by nothing but the connection's.
    pub(crate) is_until_close: bool,
    /// Whether all of it came.
    pub(crate) is_whole: bool,
}

/// How a client's connection ended, as the client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Aya has closed it.
    Closed,
    /// Aya has reset it.
    Reset,
    /// The client has.
    ByClient,
}

/// A request from first to last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) pool: &'static str,
    pub(crate) body_bytes: u64,
    /// On which connection of which client.
    pub(crate) session: String,
    /// Its client's fault on this connection, if there was one at this request or before.
    pub(crate) fault: Option<ClientFault>,
    /// Whether its client takes its time.
    pub(crate) is_slow: bool,
    /// Its answer may come before all of it is sent.
    pub(crate) is_answered_early: bool,
    /// When all of it was sent.
    pub(crate) sent: Option<Duration>,
    pub(crate) answers: Vec<Answer>,
    /// Times that it was begun to be sent to an endpoint.
    pub(crate) sendings: usize,
    /// The endpoint that its cookie names.
    pub(crate) bound: Option<u32>,
    /// It was sent to another one first, though that one could have served it.
    pub(crate) was_passed_over: bool,
}

/// A client's connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) requests: Vec<String>,
    /// When an answer was complete or a request begun, whatever came last.
    pub(crate) last_use: Duration,
    /// The number of the link.
    pub(crate) link: Option<usize>,
    /// The last answer said that the connection is closed.
    pub(crate) was_told: bool,
    pub(crate) ended: Option<(Ended, Duration)>,
}

/// Aya's end of a client's connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Front {
    /// When Aya accepted it, or has written last.
    pub(crate) last_use: Duration,
    pub(crate) closed: Option<Duration>,
    /// Something had arrived before and was not read.
    pub(crate) is_neglected: bool,
}

/// What was written by Aya on a connection to an endpoint, and what came back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exchanges {
    /// Requests that have begun.
    pub(crate) begun: u32,
    /// Answers that are complete.
    pub(crate) answered: u32,
    /// Where the last one ends among the bytes that the endpoint has written.
    pub(crate) answer_end: u64,
}

/// What each party has seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) requests: BTreeMap<String, Asked>,
    pub(crate) sessions: BTreeMap<String, Session>,
    /// By link.
    pub(crate) upstream: BTreeMap<usize, Exchanges>,
    /// By link.
    pub(crate) fronts: BTreeMap<usize, Front>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) tally: Tally,
    /// When nobody could connect any more.
    pub(crate) drained: Option<Duration>,
    /// When what was left was cut.
    pub(crate) cut: Option<Duration>,
}

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests of which some was sent.
    pub requests: u64,
    /// Answers that came whole.
    pub answers: u64,
    /// Of them, Aya's own, and answers that broke off, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// What clients did wrong.
    pub client_faults: BTreeMap<String, u64>,
    /// What endpoints did wrong.
    pub endpoint_faults: BTreeMap<String, u64>,
    /// What the operator did.
    pub operations: BTreeMap<String, u64>,
    /// Requests that were sent again.
    pub sent_again: u64,
    /// Times that an invariant was looked at.
    pub checks: u64,
    /// Time that passed in the simulated world.
    pub simulated: Duration,
}

impl Tally {
    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.answers += other.answers;
        self.sent_again += other.sent_again;
        self.checks += other.checks;
        self.simulated += other.simulated;
        for (word, count) in &other.reasons {
            *self.reasons.entry(word).or_default() += count;
        }
        let pairs = [
            (&mut self.client_faults, &other.client_faults),
            (&mut self.endpoint_faults, &other.endpoint_faults),
            (&mut self.operations, &other.operations),
        ];
        for (to, from) in pairs {
            for (word, count) in from {
                *to.entry(word.clone()).or_default() += count;
            }
        }
    }
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// One of [`crate::INVARIANTS`].
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}
