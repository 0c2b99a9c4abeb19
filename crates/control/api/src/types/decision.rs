//! Requests that are remembered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of a request, and why. No header values, no query, no bodies.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, ToSchema)]
pub struct DecisionView {
    /// Its id, as in `x-request-id` and in the access log.
    pub request_id: String,
    /// When its first byte came, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// The client: the peer, or whom a trusted proxy named.
    pub client: String,
    /// Name of the listener.
    pub listener: String,
    /// As received.
    pub method: String,
    /// The authority asked for, port included.
    pub host: String,
    /// As received, without query.
    pub path: String,
    /// Whether the path was longer than what is kept of it.
    pub path_cut: bool,
    /// What the client was sent; 0 if it was sent none.
    pub status: u16,
    /// Why it failed, if it did, as in `x-aya-reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What that means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// What exactly went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Who has to act for the failure to go away: `client`, `upstream` or `aya`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<String>,
    /// Name of the route; absent if none took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Kind of the filter or handler that answered in place of an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// Name of the pool that it was meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Kind of the pool's balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balancer: Option<String>,
    /// Whether so little of the pool was fit that all of its endpoints got traffic.
    #[serde(default)]
    pub panic: bool,
    /// What kept it with an endpoint; absent if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionView>,
    /// What it was sent on, or was to be, in order.
    pub attempts: Vec<AttemptView>,
    /// Attempts before the last that are not kept: of a long row, the first ones and the last are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts_omitted: u32,
    /// The pool's endpoints as they were when the request was over, those that took no traffic first; only of requests that
    /// failed, were tried more than once or were slow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<CandidateView>,
    /// The pool's endpoints as they are at the time of asking; only where a single request is asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub now: Vec<EndpointNow>,
    /// Milliseconds from its first byte to the last of its head.
    pub head_ms: f64,
    /// Milliseconds that it waited for an endpoint with room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_ms: Option<f64>,
    /// Milliseconds from the first byte of the endpoint's answer to its last.
    pub body_ms: f64,
    /// Milliseconds from its first byte to the last of its answer.
    pub total_ms: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What kept a request with an endpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct SessionView {
    /// The endpoint that its session was bound to when it came; absent if it named none, or that endpoint is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What became of the session: `kept`, `new`, `moved`, `unknown` (the request named one that nobody here knows); absent if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// One connection that a request was sent on, or that could not be made for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, ToSchema)]
pub struct AttemptView {
    /// Host and port of the endpoint.
    #[schema(example = "10.0.0.1:8080")]
    pub endpoint: String,
    /// When it began, in milliseconds after the request's first byte.
    pub began_ms: f64,
    /// Who chose the endpoint: `session` or `balancer`.
    #[serde(default)]
    pub chosen_by: String,
    /// How many endpoints the balancer had to choose from.
    #[serde(default)]
    pub among: u32,
    /// The endpoint's: 0 takes traffic first; the next ones are its backup.
    #[serde(default)]
    pub tier: u8,
    /// Which part of its share of traffic the endpoint got then, in percent.
    #[serde(default)]
    pub share_percent: u32,
    /// Other requests that the endpoint was working on.
    pub others_in_flight: u32,
    /// Whether the connection was open already.
    pub reused: bool,
    /// Milliseconds that connecting took; absent on a connection that was open already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// Milliseconds that sending the request took, with the part of its body that the client had still to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_ms: Option<f64>,
    /// Milliseconds from then to the first byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// Of the endpoint's answer; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong, as in `x-aya-reason`; absent if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whose doing it was: `client`, `endpoint`, or `neither` where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What was done about it. It was sent again: `fresh-connection` (to the same endpoint), `next-endpoint`. It was not:
    /// `not-its-fault` (of the endpoint), `not-idempotent` (a method that may not be repeated, partly sent), `body-gone` (not
    /// kept for sending again), `answer-begun`, `no-attempt-left`, `no-other-endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// An endpoint of the pool that a request was meant for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct CandidateView {
    /// Host and port.
    #[schema(example = "10.0.0.1:8080")]
    pub endpoint: String,
    /// Why it took no traffic: `down`, `unchecked`, `ejected`, `drain`, `maintenance`, `no-address` or `weight-0`; `reserve` if more
    /// preferred endpoints sufficed, `subset` if other nodes are to use it; absent if it took traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
    /// What would have kept it out, if it took traffic all the same because too little was fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub despite: Option<String>,
    /// Which part of its share of traffic it got, in percent: less than 100 while it is new, or does worse than its peers.
    #[serde(default)]
    pub share_percent: u32,
    /// 0 takes traffic first; the next ones are its backup.
    #[serde(default)]
    pub tier: u8,
    /// What has put it out, if it still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// An endpoint at the time of asking.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, ToSchema)]
pub struct EndpointNow {
    /// Host and port.
    #[schema(example = "10.0.0.1:8080")]
    pub endpoint: String,
    /// As in the pool's view: `up`, `degraded`, `down`, …
    pub condition: String,
    /// Why, where it is not `up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Which part of its share of traffic it gets, in percent.
    pub share_percent: u32,
    /// 0 takes traffic first; the next ones are its backup.
    pub tier: u8,
    /// Where it is; absent if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Share of traffic relative to the others.
    pub weight: u32,
    /// Requests that it is working on.
    pub in_flight: u32,
    /// Milliseconds that its answers take to begin, of late; only where the balancer goes by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// What its machine has in use of what is scarcest, in percent; only where it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use_percent: Option<f64>,
}

/// Which requests are asked about. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// With this id.
    pub request_id: Option<String>,
    /// Failed, and not for something that the client alone can mend.
    pub failed: bool,
    /// Took more milliseconds.
    pub slower_than_ms: Option<u64>,
    /// Meant for this pool.
    pub pool: Option<String>,
    /// Taken by this route.
    pub route: Option<String>,
    /// Sent to this endpoint.
    pub endpoint: Option<String>,
    /// So many at most, the latest.
    pub limit: usize,
}
