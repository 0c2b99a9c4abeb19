//! Pools and their endpoints.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A pool.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct PoolView {
    /// Its name in the configuration.
    pub name: String,
    /// How traffic is spread over it.
    #[schema(example = "round-robin")]
    pub balance: String,
    /// What keeps a session with its endpoint; absent if nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyView>,
    /// Requests that wait because all endpoints, or that of their session, are at their connection limit.
    #[serde(default)]
    pub waiting: u32,
    /// Whether so little of it is fit that all endpoints get traffic.
    #[serde(default)]
    pub panic: bool,
    /// How much of it is fit, and what that is compared with; only in panic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic_cause: Option<String>,
    /// Since when it is in panic, in milliseconds since 1970-01-01 UTC; only in panic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic_since_ms: Option<u64>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointView>,
}

/// What keeps a session with its endpoint.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct StickyView {
    /// What sessions are known by: `cookie` (one of Aya's own), `source` or `learn`.
    #[schema(example = "learn")]
    pub by: String,
    /// Sessions in the table; absent where clients keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// Sessions that the table can hold at all; absent where clients keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
}

/// An endpoint as it is now.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct EndpointView {
    /// Host and port, as in the configuration.
    #[schema(example = "10.0.0.1:8080")]
    pub address: String,
    /// The address that a name was looked up to; absent if there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// Share of traffic relative to the others; 0 takes no new traffic.
    pub weight: u32,
    /// Which part of that it gets while it takes traffic, in percent: less than 100 while it is new, or does worse than its peers.
    #[serde(default = "all")]
    pub share_percent: u32,
    /// 0 takes traffic first; the next ones are its backup.
    #[serde(default)]
    pub tier: u8,
    /// Where it is; absent if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What is known of its health.
    pub health: Health,
    /// What an operator said.
    pub state: AdminState,
    /// What an agent beside it asks for; absent if none has spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentView>,
    /// All that in one word: `up`, `degraded` (it does worse than its peers and gets less), `down`, `unchecked`, `ejected`, `drain` or
    /// `maintenance`. More may come.
    #[schema(example = "up")]
    pub condition: String,
    /// Whether it gets new traffic now, all in all.
    pub eligible: bool,
    /// Why it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When that was found, in milliseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_ms: Option<u64>,
    /// Until when it is ejected, in milliseconds since 1970-01-01 UTC; absent if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected_until_ms: Option<u64>,
    /// Requests it is working on.
    pub in_flight: u32,
    /// Requests sent to it since the process started.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// The last one that failed; absent if none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
}

/// A request that failed at an endpoint.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct LastFailure {
    /// How, in the words of `x-aya-reason`.
    #[schema(example = "connect-failed")]
    pub reason: String,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
}

/// What an agent beside an endpoint asks for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct AgentView {
    /// Share of the endpoint's weight, in percent; 0 takes no new traffic.
    #[schema(example = 75, maximum = 1_000)]
    pub weight_percent: u32,
    /// Whether it takes traffic. Stands beside what an operator said: both have to be ready.
    pub state: AdminState,
}

/// What is known of an endpoint's health.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// No check has finished yet; it gets no traffic.
    Unchecked,
    /// Fit, or never checked.
    Up,
    /// Checks fail.
    Down,
}

/// What an operator says about an endpoint.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdminState {
    /// Takes traffic.
    Ready,
    /// Finishes what it has, sessions that stay with it included; takes nothing new.
    Drain,
    /// Out of use.
    Maintenance,
}

/// An endpoint to add.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Host and port.
    #[schema(example = "10.0.0.3:8080")]
    pub address: String,
    /// Share of traffic relative to the others; 1 if not given.
    #[serde(default = "one")]
    #[schema(default = 1, maximum = 65_535)]
    pub weight: u32,
    /// 0 takes traffic first; the next ones are its backup.
    #[serde(default)]
    #[schema(maximum = 15)]
    pub tier: u8,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

const fn all() -> u32 {
    100
}

const fn one() -> u32 {
    1
}

/// What to change of an endpoint. What is absent stays.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointChange {
    /// Share of traffic relative to the others; 0 takes no new traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 65_535)]
    pub weight: Option<u32>,
    /// Whether it takes traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AdminState>,
}
