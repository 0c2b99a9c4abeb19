//! What goes over the wire. Times are milliseconds since 1970-01-01 UTC (`…_ms`).

mod config;
mod decision;
mod pool;
mod stats;
mod status;

pub use config::{
    Applied, Change, ChangeKind, CheckReport, ConfigView, Diagnostic, HistoryEntry, Origin, RollbackRequest,
    Severity,
};
pub use decision::{AttemptView, CandidateView, DecisionFilter, DecisionView, EndpointNow, SessionView};
pub use pool::{
    AdminState, AgentView, EndpointChange, EndpointView, Health, LastFailure, NewEndpoint, PoolView,
    StickyView,
};
pub use stats::{Answers, Durations, EndpointStats, FailureCount, PoolStats, Stats};
pub use status::{ListenerView, Readiness, Status, Upgraded};
