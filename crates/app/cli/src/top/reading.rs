//! What the admin API answers, as far as it is shown.
//!
//! Not the API's own types: `aya top` may be older or younger than the Aya it asks. What is missing is left out of the view,
//! what is unknown is shown as it is.

use control_api::{Answers, Durations, FailureCount, LastFailure};
use serde::Deserialize;

/// All counts at a moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reading {
    pub(super) version: String,
    pub(super) generation: u64,
    pub(super) workers: u32,
    pub(super) draining: bool,
    pub(super) started_ms: u64,
    pub(super) now_ms: u64,
    pub(super) clock_us: u64,
    pub(super) connections: u64,
    pub(super) answers: Answers,
    pub(super) unanswered: u64,
    pub(super) failures: Vec<FailureCount>,
    pub(super) bounds_us: Vec<u64>,
    pub(super) durations: Durations,
    pub(super) pools: Vec<Pool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) balance: String,
    pub(super) retries: u64,
    pub(super) connections: u64,
    pub(super) waiting: u32,
    pub(super) panic: bool,
    pub(super) panic_cause: Option<String>,
    pub(super) panic_since_ms: Option<u64>,
    pub(super) first_byte: Durations,
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Endpoint {
    pub(super) endpoint: State,
    pub(super) answers: Answers,
    pub(super) first_byte: Durations,
}

/// An endpoint as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) address: String,
    pub(super) resolved: Option<String>,
    pub(super) weight: u32,
    pub(super) condition: String,
    pub(super) agent: Option<Agent>,
    /// How much of its weight counts, whoever says so.
    pub(super) share_percent: Option<u32>,
    pub(super) eligible: bool,
    pub(super) cause: Option<String>,
    pub(super) cause_ms: Option<u64>,
    pub(super) in_flight: u32,
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) last_failure: Option<LastFailure>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    pub(super) weight_percent: u32,
}

impl State {
    /// The part of its weight that counts, where it is not all of it.
    pub(super) fn share(&self) -> Option<u32> {
        let own = self.share_percent.unwrap_or(100);
        let agent = self.agent.map_or(100, |agent| agent.weight_percent);
        Some(own.saturating_mul(agent) / 100).filter(|percent| *percent != 100)
    }
}
