//! The life of a connection and of a request.
//!
//! ```text
//! accept ─► Client ─► head ─► admit ─► identify ─► route ─► filters ─► handler
//!                                                                  └─► pool ─► endpoint ─► relay ─► record
//! ```
//! One [`run`] per core: an OS thread with its own runtime, listening sockets, timers, buffers, upstream connections, balancers and
//! counters. **Nothing on the request path takes a lock, crosses a thread or allocates in steady state.** What workers share
//! are the [`Plan`] (immutable, swapped whole) and the atomics of endpoint state.
//!
//! `life` is the place to begin reading.
//!
//! Not here: the bytes of HTTP (`traffic-http`), the choice of endpoints (`traffic-balance`), active checks (`traffic-health`), and who
//! starts and stops all this (`app-node`).

mod answer;
mod client;
mod connection;
mod decisions;
mod explain;
mod failure;
mod life;
mod plan;
mod relay;
mod thread;
mod timers;
mod upstream;
mod wire;
mod worker;

pub use decisions::{After, Attempt, Candidate, Choice, Decision, DecisionQuery, Setback};
pub use explain::{EndpointChoice, Explanation, Outcome, PoolChoice, Question, explain};
pub use failure::Fault;
pub use life::SessionChoice;
pub use plan::{Plan, PlanError};
pub use thread::{Command, Engine, ListenSocket, Vitals, run};
pub use worker::{Surroundings, TransitionSink, WorkerSetup};
