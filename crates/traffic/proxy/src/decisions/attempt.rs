//! One try to have a request answered.

use std::time::Duration;

use base_signal::Reason;

use crate::failure::Fault;

/// A part of a decision's text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) start: u16,
    pub(super) length: u16,
}

/// One connection that a request was sent on, or that could not be made for it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its name.
    pub(super) endpoint: Place,
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

impl Attempt {
    /// One of which nothing is known yet but why it is made.
    pub(super) fn begin(others: u32, choice: Choice, is_reused: bool, began: Duration) -> Self {
        Self {
            endpoint: Place::default(),
            began,
            is_reused,
            others,
            choice,
            connect: None,
            sent: None,
            first_byte: None,
            status: 0,
            setback: None,
        }
    }

    /// What sending the request took, once there was a connection; `None` if no answer came.
    pub fn sending(&self) -> Option<Duration> {
        Some(self.sent?.saturating_sub(self.began + self.connect.unwrap_or_default()))
    }
}
