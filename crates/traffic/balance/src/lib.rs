//! Which endpoint of a pool takes a request, and what is known about each endpoint.
//!
//! What is here:
//! - [`EndpointState`]: everything learned about one server, shared by all workers, the health checks and the API;
//!   it outlives a reload. [`PoolState`] holds the endpoints of a pool and an epoch, [`Registry`] holds the pools.
//! - [`Balancer`]: chooses among the eligible endpoints of a pool; one instance per worker and pool, never shared.
//! - [`Stickiness`]: which endpoint a session stays with, around any balancer.
//! - [`kinds`]: the balancers there are, in one list.
//!
//! What always holds:
//! - Nothing here reads a clock, draws randomness of its own or does I/O: a run repeats from its seed.
//! - Per request no lock is taken: in-flight counts and failure counts are atomics. Only a change of state (an ejection,
//!   a change of membership) takes the pool's lock.
//! - A pool's epoch grows *after* a change is written, so whoever sees the new epoch sees the change.
//! - Passive failures never take the last eligible endpoint out of a pool.
//!
//! What is not here: probes (`traffic-health`), retries and connection pools (`traffic-proxy`).

mod balancer;
mod endpoint;
#[cfg(test)]
mod fixture;
pub mod kinds;
mod methods;
mod pool;
mod reference;
mod registry;
mod selector;
mod sticky;
mod transition;

pub use balancer::{
    Balancer, BalancerKind, FactsNeeded, Feedback, KeySource, MAX_ENDPOINTS_PER_POOL, Member, NoSettings,
    Probing, ReportUse, RequestFacts, SettingsError, read_settings, read_sound_settings,
};
pub use endpoint::{
    AdminState, AgentWish, Average, ByLoad, Counting, EndpointId, EndpointState, Health, InFlight,
    LastFailure, Learned, LoadReport, MAX_AGENT_PERCENT, Penalty, Place, ProbeAnswer, Resources, Share,
    Utilisation, WaitingLine,
};
pub use methods::hash::hash_key;
pub use pool::{Level, MAX_TIER, MAX_WEIGHT, PoolChangeError, PoolState};
pub use reference::reference_markdown;
pub use registry::Registry;
pub use selector::{Pick, Selector};
pub use sticky::{Bound, NamedBy, Session, SessionOutcome, SessionTable, Stickiness, Stored};
pub use transition::{CauseKind, Outcome, Transition};
