//! The contract between the request path and a balancer, and between a kind and the catalog.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base_kit::{KindInfo, Moment, Rng};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::endpoint::{EndpointId, EndpointState, ProbeAnswer};

/// Most endpoints of a pool when they are added through the API: far more than balancers in O(n) should look through.
pub const MAX_ENDPOINTS_PER_POOL: usize = 10_000;

/// An endpoint that may take traffic.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint's id.
    pub id: EndpointId,
    /// Its weight when the list was made, in relation to the others of the list and as agents want it; 1 to 65,535.
    pub weight: u32,
    /// All that is known about it.
    pub state: Arc<EndpointState>,
}

/// What a balancer may know about a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts {
    /// The client's address, as trusted proxies report it.
    pub client: IpAddr,
    /// A hash of what [`FactsNeeded::key`] names, made by [`hash_key`](crate::hash_key); `None` if the request does not have it.
    pub key: Option<u64>,
}

/// What in a request two requests must have in common to go to the same endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The first line of this field.
    Header(String),
    /// This cookie.
    Cookie(String),
    /// This parameter of the query.
    Query(String),
    /// The path, without query.
    Path,
    /// The host, without port.
    Host,
}

/// Which of the [`RequestFacts`], and what of answers, a balancer looks at. Others need not be worked out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactsNeeded {
    /// [`RequestFacts::client`].
    pub client: bool,
    /// What [`RequestFacts::key`] is made from.
    pub key: Option<KeySource>,
    /// What becomes of what an endpoint's answer tells of its load ([`LoadReport`](crate::LoadReport)).
    pub report: ReportUse,
}

/// What becomes of what an endpoint's answer tells of its load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportUse {
    /// It is not looked at.
    #[default]
    Ignored,
    /// It is learned, and the client does not get it.
    Taken,
    /// It is learned, and the client gets it, too.
    Forwarded,
}

/// How a balancer wants to ask endpoints, beside traffic, what they have to do: `GET` of a path, whose answer tells it in the field
/// [`LoadReport::FIELD`](crate::LoadReport::FIELD).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Of the request, with its query.
    pub path: String,
    /// When an answer comes too late to be of use.
    pub timeout: Duration,
}

/// What became of a request that a balancer placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// It is being sent.
    Started,
    /// The head of the final answer has come.
    FirstByte {
        /// Since the request was sent.
        latency: Duration,
        /// Other requests that were in flight at the endpoint when this one was placed.
        others: u32,
        /// Of the answer.
        status: u16,
        /// How long the endpoint asks to be spared (`Retry-After` of a 429 or 503).
        retry_after: Option<Duration>,
    },
    /// The answer is complete.
    Finished,
    /// There was no complete answer.
    Failed,
}

/// Chooses endpoints. One instance serves one pool on one worker.
pub trait Balancer {
    /// The members to choose from, from now on: only those that may take traffic. Called when the pool's epoch moved.
    /// What was learned about members that stay is kept.
    fn update(&mut self, members: &[Member]);

    /// Which facts [`Balancer::pick`] looks at; none, unless the kind says so.
    fn needs(&self) -> FactsNeeded {
        FactsNeeded::default()
    }

    /// The hash by which the request's endpoint is chosen, if it is by one. Requests that have it in common go to the same level of
    /// a pool as well. None, unless the kind says so.
    fn affinity(&self, request: &RequestFacts) -> Option<u64> {
        let _ = request;
        None
    }

    /// The index, in the members last given, of the next candidate that is not in `tried`; `None` when none is left.
    /// Repeated calls with a growing `tried` therefore name every member once, in the order that a retry should use.
    /// Does not allocate.
    fn pick(
        &mut self,
        request: &RequestFacts,
        tried: &[EndpointId],
        now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize>;

    /// Tells what became of a request. The endpoint may have left the members since.
    fn feedback(&mut self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        let _ = (endpoint, event, now);
    }

    /// How endpoints are to be asked beside traffic; not at all, unless the kind says so.
    fn probing(&self) -> Option<Probing> {
        None
    }

    /// The index, in the members last given, of the next endpoint to be asked now; `None` when none is, for now. To be called
    /// after picks and now and then between them, until it says `None`: it does so after a bounded number.
    fn next_probe(&mut self, now: Moment, rng: &mut dyn Rng) -> Option<usize> {
        let _ = (now, rng);
        None
    }

    /// Tells what an endpoint answered when it was asked. It may have left the members since.
    fn probed(&mut self, endpoint: &EndpointState, answer: ProbeAnswer, now: Moment) {
        let _ = (endpoint, answer, now);
    }

    /// Asserts that the inner state is sound; for tests and simulations.
    fn check_invariants(&self);
}

/// A way of balancing that an operator can choose.
pub trait BalancerKind: Sync {
    /// Its name card.
    fn info(&self) -> KindInfo;

    /// The JSON Schema of its settings: an object, without `kind`.
    fn schema(&self) -> schemars::Schema;

    /// A balancer with these settings (an object, or null for the defaults).
    ///
    /// # Errors
    /// When the settings are not what the schema and the kind's own rules ask for.
    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError>;
}

/// Settings that a kind does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("balancer `{kind}`: {problem}")]
pub struct SettingsError {
    /// The kind that was asked.
    pub kind: &'static str,
    /// What is wrong.
    pub problem: String,
}

/// The settings of a kind that has none.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads a kind's settings and asks `problem` what is wrong with them, if anything; see [`read_settings`].
///
/// # Errors
/// When the value does not fit the settings type, or has a problem.
pub fn read_sound_settings<S: DeserializeOwned>(
    kind: &'static str,
    settings: &serde_json::Value,
    problem: impl FnOnce(&S) -> Option<String>,
) -> Result<S, SettingsError> {
    let settings = read_settings(kind, settings)?;
    match problem(&settings) {
        Some(problem) => Err(SettingsError { kind, problem }),
        None => Ok(settings),
    }
}

/// Reads a kind's settings; null stands for the empty object.
///
/// # Errors
/// When the value does not fit the settings type.
pub fn read_settings<S: DeserializeOwned>(
    kind: &'static str,
    settings: &serde_json::Value,
) -> Result<S, SettingsError> {
    let empty = serde_json::Value::Object(serde_json::Map::new());
    let settings = if settings.is_null() { &empty } else { settings };
    // Serde would take a list for a struct as well.
    if !settings.is_object() {
        return Err(SettingsError { kind, problem: format!("settings are an object, not {settings}") });
    }
    S::deserialize(settings).map_err(|error| SettingsError { kind, problem: error.to_string() })
}
