//! What a request under way notes.

use std::rc::Rc;
use std::time::Duration;

use traffic_balance::SessionOutcome;

use crate::decisions::attempt::{After, Attempt, Choice, Setback};
use crate::failure::{Failure, Fault};

/// Attempts kept of one request: those of a long row say the same again. The last one is always kept.
pub(super) const MAX_ATTEMPTS: usize = 8;

/// What a request under way notes, in case it is remembered. Few are: so it is little, and nothing of it is copied before.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    is_on: bool,
    /// The first attempt, which is the only one of most requests.
    first: Option<Noted>,
    more: Vec<Noted>,
    /// Attempts that were made and are not kept.
    pub(super) omitted: u32,
    /// The kind of the filter or handler that has answered; empty if none has.
    answerer: String,
    /// The endpoint that its session is bound to; empty if there is none.
    session: String,
    /// What became of its session, once an endpoint had answered.
    pub(crate) session_outcome: Option<SessionOutcome>,
    /// From its first byte to the last of its head.
    pub(crate) head: Duration,
}

/// An attempt, and the endpoint's name.
#[derive(Debug)]
struct Noted {
    endpoint: Rc<str>,
    attempt: Attempt,
}

impl Notes {
    /// Begins, when they are clear. Unless `is_on`, nothing is noted.
    pub(crate) const fn begin(&mut self, is_on: bool) {
        self.is_on = is_on;
    }

    /// Lets go of everything but the memory.
    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.more.clear();
        self.answerer.clear();
        self.session.clear();
        (self.is_on, self.omitted, self.session_outcome, self.head) = (false, 0, None, Duration::ZERO);
    }

    /// Whether anything is noted.
    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// A filter or handler has answered.
    pub(crate) fn answered_by(&mut self, kind: &str) {
        if self.is_on {
            self.answerer.push_str(kind);
        }
    }

    /// Its session is bound to this endpoint.
    pub(crate) fn bound_to(&mut self, endpoint: &str) {
        if self.is_on {
            self.session.push_str(endpoint);
        }
    }

    /// An endpoint is tried, on a connection that is open already or on a new one, with so many others in flight.
    pub(crate) fn attempt(
        &mut self,
        endpoint: &Rc<str>,
        others: u32,
        choice: Choice,
        is_reused: bool,
        began: Duration,
    ) {
        if !self.is_on {
            return;
        }
        let noted = Noted {
            endpoint: Rc::clone(endpoint),
            attempt: Attempt::begin(others, choice, is_reused, began),
        };
        if self.first.is_none() {
            self.first = Some(noted);
            return;
        }
        if self.more.len() == MAX_ATTEMPTS - 1 {
            // Of a long row the first ones and the last tell most.
            self.more.pop();
            self.omitted += 1;
        }
        self.more.push(noted);
    }

    /// Whether an attempt was noted.
    pub(crate) const fn has_attempts(&self) -> bool {
        self.first.is_some()
    }

    /// Connecting, successful or not, has taken so long.
    pub(crate) fn connected(&mut self, took: Duration) {
        if let Some(attempt) = self.last() {
            attempt.connect = Some(took);
        }
    }

    /// An answer has begun.
    pub(crate) fn answered(&mut self, sent: Duration, first_byte: Duration, status: u16) {
        if let Some(attempt) = self.last() {
            (attempt.sent, attempt.first_byte, attempt.status) = (Some(sent), Some(first_byte), status);
        }
    }

    /// An attempt went wrong. Nothing is done about it until [`Notes::then`] says so.
    pub(crate) fn broke(&mut self, fault: Fault, failure: &Failure) {
        if let Some(attempt) = self.last() {
            let (reason, detail) = (failure.reason, failure.detail.clone());
            attempt.setback = Some(Box::new(Setback { reason, detail, fault, after: After::AnswerBegun }));
        }
    }

    /// What was done about it.
    pub(crate) fn then(&mut self, after: After) {
        if let Some(setback) = self.last().and_then(|attempt| attempt.setback.as_mut()) {
            setback.after = after;
        }
    }

    fn last(&mut self) -> Option<&mut Attempt> {
        self.more.last_mut().or(self.first.as_mut()).map(|noted| &mut noted.attempt)
    }

    /// In order, each with the name of its endpoint.
    pub(super) fn attempts(&self) -> impl Iterator<Item = (&str, &Attempt)> {
        self.first.iter().chain(&self.more).map(|noted| (&*noted.endpoint, &noted.attempt))
    }

    /// The kind of the filter or handler that has answered.
    pub(super) fn answerer(&self) -> Option<&str> {
        (!self.answerer.is_empty()).then_some(&*self.answerer)
    }

    /// The endpoint that its session is bound to.
    pub(super) fn session(&self) -> Option<&str> {
        (!self.session.is_empty()).then_some(&*self.session)
    }
}
