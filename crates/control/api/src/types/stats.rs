//! Counts of everything, for those that watch.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::pool::EndpointView;

/// Everything that was counted since the process started. Two of these give rates: the difference of two counts, over the
/// difference of `clock_us`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Stats {
    /// Version of Aya.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Number of the configuration in use.
    pub generation: u64,
    /// Worker threads.
    pub workers: u32,
    /// Whether the process is about to end.
    pub draining: bool,
    /// When the process started, in milliseconds since 1970-01-01 UTC. Where it differs, counts began anew.
    pub started_ms: u64,
    /// When this was taken, in milliseconds since 1970-01-01 UTC.
    pub now_ms: u64,
    /// When this was taken, in microseconds of a clock that only goes forward.
    pub clock_us: u64,
    /// Client connections open.
    pub connections: u64,
    /// Requests by class of the status sent.
    pub answers: Answers,
    /// Requests whose client was gone before its answer.
    pub unanswered: u64,
    /// Requests that failed, by reason.
    pub failures: Vec<FailureCount>,
    /// Upper bounds of the buckets of all durations, in microseconds.
    pub bounds_us: Vec<u64>,
    /// Time from the first byte of a request to the last byte of its answer.
    pub durations: Durations,
    /// In the order of the configuration.
    pub pools: Vec<PoolStats>,
}

/// Counts by class of status.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Answers {
    /// 100 to 199.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// 200 to 299.
    #[serde(rename = "2xx")]
    pub successful: u64,
    /// 300 to 399.
    #[serde(rename = "3xx")]
    pub redirected: u64,
    /// 400 to 499.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 500 to 599.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

impl Answers {
    /// Adds to the class of this name; no other name counts.
    pub fn add(&mut self, class: &str, count: u64) {
        let place = match class {
            "1xx" => &mut self.informational,
            "2xx" => &mut self.successful,
            "3xx" => &mut self.redirected,
            "4xx" => &mut self.client_error,
            "5xx" => &mut self.server_error,
            _ => return,
        };
        *place += count;
    }
}

/// How often requests failed for a reason.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct FailureCount {
    /// As in `x-aya-reason` and in the access log.
    #[schema(example = "connect-failed")]
    pub reason: String,
    /// Who has to act: `client`, `upstream` or `aya`.
    pub blame: String,
    /// How often.
    pub count: u64,
}

/// How long something took, counted by length.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Durations {
    /// How many were not longer than each of the bounds and longer than the one before; the last number is of those that were
    /// longer than all. Empty if there were none at all.
    pub buckets: Vec<u64>,
    /// All together, in microseconds.
    pub sum_us: u64,
}

/// Counts of a pool.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct PoolStats {
    /// Its name in the configuration.
    pub name: String,
    /// How traffic is spread over it.
    #[schema(example = "round-robin")]
    pub balance: String,
    /// Attempts after the first, on the next candidate.
    pub retries: u64,
    /// Connections to its endpoints open, idle ones included.
    pub connections: u64,
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
    /// Time from a request sent to the first byte of its answer.
    pub first_byte: Durations,
    /// Its endpoints.
    pub endpoints: Vec<EndpointStats>,
}

/// Counts of an endpoint.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct EndpointStats {
    /// As it is now.
    pub endpoint: EndpointView,
    /// Answers by class of status.
    pub answers: Answers,
    /// Time from a request sent to the first byte of its answer.
    pub first_byte: Durations,
}
