//! What is remembered of requests, so that one can ask later what became of them and why.
//!
//! A request under way notes each attempt in its exchange. When it is over and one to be remembered, a [`Decision`] is made of that in the place
//! of the oldest of the worker's ring: nothing is allocated once the ring is full, and no other thread is involved. Who asks
//! sends a command to every worker and gets copies.
//!
//! Never here: values of header fields, queries, bodies.

mod attempt;
mod decision;
mod find;
mod notes;
mod over;
mod ring;
mod standing;

pub use attempt::{After, Attempt, Choice, Setback};
pub use decision::Decision;
pub use find::DecisionQuery;
pub(crate) use notes::Notes;
pub(crate) use over::{End, Names, Over};
pub(crate) use ring::Decisions;
pub use standing::Candidate;
pub(crate) use standing::Standings;
