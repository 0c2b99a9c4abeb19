//! What is remembered of requests, so that one can ask later what became of them and why.
//!
//! A request under way notes each attempt in a [`Decision`] that belongs to its exchange. When it is over, that and the oldest of
//! the worker's ring change places: nothing is copied but names, nothing is allocated once the ring is full, and no other
//! thread is involved. Who asks sends a command to every worker and gets copies.
//!
//! Never here: values of header fields, queries, bodies.

mod decision;
mod find;
mod ring;
mod standing;

pub(crate) use decision::Names;
pub use decision::{After, Attempt, Choice, Decision, Setback};
pub use find::DecisionQuery;
pub(crate) use ring::Decisions;
pub use standing::Candidate;
pub(crate) use standing::Standings;
