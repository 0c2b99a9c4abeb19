//! What happened to a request at an endpoint, and what that did to the endpoint.

use std::fmt;
use std::sync::Arc;

/// How a request (or the attempt to connect for it) ended, as far as the endpoint is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered.
    Success,
    /// It did not, or not properly. The word says how, for instance `connect-failed`.
    Failure(&'static str),
}

/// A change of an endpoint's state: for a log line and a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The pool's name.
    pub pool: Arc<str>,
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// The word of the state left.
    pub from: &'static str,
    /// The word of the state entered.
    pub to: &'static str,
    /// Why, in words for people.
    pub cause: String,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, endpoint, from, to, cause } = self;
        write!(f, "{pool}/{endpoint}: {from} → {to} ({cause})")
    }
}
