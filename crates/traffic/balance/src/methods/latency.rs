//! How long requests would take at an endpoint: what the kinds share that choose by answer times.

use std::sync::Arc;
use std::time::Duration;

use base_kit::{Moment, TimeSpan};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::balancer::{Feedback, Member};
use crate::endpoint::{EndpointState, Learned};

/// Longest `Retry-After` that is honoured: an endpoint must not take itself out for good.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How answer times are judged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Settings {
    /// For how long an answer time counts: one of this age weighs 1/e of a new one. An endpoint that was not asked for so long
    /// is believed to be twice as fast as it was, and so is tried again.
    decay: TimeSpan,
    /// What an endpoint that failed, or answered 429 or 503, is believed to take longer. After a `Retry-After` (60 s at most) it
    /// begins to fade.
    penalty: TimeSpan,
    /// How fast the penalty fades: to 1/e in this time.
    penalty_decay: TimeSpan,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            decay: TimeSpan::from_secs(10),
            penalty: TimeSpan::from_secs(1),
            penalty_decay: TimeSpan::from_secs(5),
        }
    }
}

impl Settings {
    pub(crate) const fn new(decay: TimeSpan, penalty: TimeSpan, penalty_decay: TimeSpan) -> Self {
        Self { decay, penalty, penalty_decay }
    }

    /// What is wrong with them, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        (self.decay.is_zero() || self.penalty_decay.is_zero())
            .then(|| "`decay` and `penalty-decay` are longer than zero".to_owned())
    }

    /// Takes in what became of a request; the time of its answer, if it says anything, goes to `observe`.
    pub(crate) fn learn(
        &self,
        endpoint: &EndpointState,
        event: Feedback,
        now: Moment,
        observe: impl Fn(&Learned, Sample),
    ) {
        let learned = endpoint.learned();
        if let Some(failed) = has_failed(event) {
            learned.failures.observe(failed, self.penalty_decay.duration(), now);
        }
        match event {
            Feedback::Failed => learned.penalty.set(self.penalty.duration(), Duration::ZERO, now),
            // Refusing is quick: that must not make an endpoint look fast.
            Feedback::FirstByte { status: 429 | 503, retry_after, .. } => {
                let hold = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
                learned.penalty.set(self.penalty.duration(), hold, now);
            }
            Feedback::FirstByte { status: ..=499, latency, others, .. } => {
                observe(learned, Sample { latency, others, decay: self.decay.duration() });
            }
            // So may other failures be.
            Feedback::FirstByte { .. } | Feedback::Started | Feedback::Finished => {}
        }
    }
}

/// Whether a request failed at its endpoint; `None` while that is open.
const fn has_failed(event: Feedback) -> Option<bool> {
    match event {
        Feedback::FirstByte { status, .. } => Some(status == 429 || status >= 500),
        Feedback::Failed => Some(true),
        Feedback::Started | Feedback::Finished => None,
    }
}

/// The time of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) latency: Duration,
    /// Other requests in flight when the request was placed.
    pub(crate) others: u32,
    /// For how long it counts.
    pub(crate) decay: Duration,
}

/// A member as these kinds see it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// One by its weight.
    share: f64,
    state: Arc<EndpointState>,
}

impl From<&Member> for Entry {
    fn from(member: &Member) -> Self {
        Self { share: 1.0 / f64::from(member.weight), state: Arc::clone(&member.state) }
    }
}

impl Entry {
    /// The time of an answer there, in nanoseconds; `None` while there was none.
    pub(crate) fn latency(&self, settings: &Settings, now: Moment) -> Option<f64> {
        self.state.learned().latency.value_nanos(settings.decay.duration(), now)
    }

    /// How much longer it is believed to take, in nanoseconds.
    pub(crate) fn penalty(&self, settings: &Settings, now: Moment) -> f64 {
        self.state.learned().penalty.value_nanos(settings.penalty_decay.duration(), now)
    }

    /// The time of an answer there with so many requests in flight, in nanoseconds; `None` while there was none.
    pub(crate) fn latency_with(&self, in_flight: u32, settings: &Settings, now: Moment) -> Option<f64> {
        self.state.learned().latency_at.value_nanos(in_flight, settings.decay.duration(), now)
    }

    /// Requests that it takes to get a good answer there, as things went of late: a share of failures of 99 % makes it a hundred.
    pub(crate) fn requests_per_answer(&self, settings: &Settings, now: Moment) -> f64 {
        const MOST: f64 = 0.99;
        let failures = self.state.learned().failures.value(settings.penalty_decay.duration(), now);
        if failures == 0.0 { 1.0 } else { 1.0 / (1.0 - failures.min(MOST)) }
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.state.in_flight()
    }

    /// What one request adds to the load.
    pub(crate) const fn share(&self) -> f64 {
        self.share
    }

    /// What one more request would cost: the time of a good answer, once for each that is in flight then, by weight.
    pub(crate) fn cost(&self, latency: f64, settings: &Settings, now: Moment) -> f64 {
        let penalty = self.penalty(settings, now);
        let repeated = self.requests_per_answer(settings, now);
        // Endpoints that answer within the clock's grain still differ in what they have to do.
        (latency.max(1.0) * repeated + penalty) * (f64::from(self.state.in_flight()) + 1.0) * self.share
    }
}
