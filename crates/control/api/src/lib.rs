//! The admin API: what can be asked and changed while Aya runs, over HTTP.
//!
//! Always true here: the server knows the node only through the trait [`Node`], owns no state of it, and answers every
//! error as `application/problem+json` (RFC 9457). Without a token it serves loopback only, and only requests that a web
//! page cannot forge. Every size, number and time has a limit in [`limits`].
//!
//! Not here: what the node does with a change, and traffic: this server runs on the control runtime, never on a worker.

mod document;
mod guard;
mod hosts;
pub mod limits;
mod node;
mod problem;
mod routes;
mod server;
mod types;

#[cfg(test)]
mod tests;

pub use document::{openapi_json, reference_markdown};
pub use node::{ApplyError, Node, NodeError, Pending};
pub use problem::{Code, Problem};
pub use server::{ServeError, serve};
pub use types::{
    AdminState, AgentView, Answers, Applied, AttemptView, CandidateView, Change, ChangeKind, CheckReport,
    ConfigView, DecisionFilter, DecisionView, Diagnostic, Durations, EndpointChange, EndpointNow,
    EndpointStats, EndpointView, FailureCount, Health, HistoryEntry, LastFailure, ListenerView, NewEndpoint,
    Origin, PoolStats, PoolView, Readiness, RollbackRequest, SessionView, Severity, Stats, Status,
    StickyView, Upgraded,
};
