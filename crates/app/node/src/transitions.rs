//! What is done when an endpoint's state changes: a line in the log and a number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base_signal::{Registry, families};
use traffic_balance::{EndpointState, Transition};
use traffic_health::CheckSink;
use traffic_proxy::TransitionSink;

use crate::control::lock;

/// Why each endpoint is in the state it is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Causes(Arc<Mutex<HashMap<Named, String>>>);

/// Pool and endpoint.
type Named = (Arc<str>, Arc<str>);

impl Causes {
    /// Why an endpoint last changed its state; `None` if it never did.
    pub(crate) fn of(&self, endpoint: &EndpointState) -> Option<String> {
        lock(&self.0).get(&(endpoint.pool().into(), endpoint.name().into())).cloned()
    }

    /// Forgets endpoints that are gone.
    pub(crate) fn retain(&self, is_there: impl Fn(&str, &str) -> bool) {
        lock(&self.0).retain(|(pool, endpoint), _| is_there(pool, endpoint));
    }
}

/// Notes and counts. Whoever reports the change has logged it.
pub(crate) fn counting(metrics: &Registry, causes: &Causes) -> TransitionSink {
    let shard = metrics.shared_shard();
    let causes = causes.clone();
    Arc::new(move |transition: &Transition| {
        let Transition { pool, endpoint, to, cause, .. } = transition;
        // The kind of cause is its first words, up to what differs from case to case.
        let kind = cause.split([':', ',']).next().unwrap_or(cause);
        shard.counter(&families::ENDPOINT_TRANSITIONS, &[pool, to, kind]).increment();
        if transition.from == "ejected" && *to == "down" {
            // The ejection is over, and why it is down was said before.
            return;
        }
        lock(&causes.0).insert((Arc::clone(pool), Arc::clone(endpoint)), cause.clone());
    })
}

/// Logs, notes and counts.
pub(crate) fn reporting(counting: &TransitionSink) -> TransitionSink {
    let counting = Arc::clone(counting);
    Arc::new(move |transition: &Transition| traffic_health::publish(&counting, transition))
}

/// Counts health checks.
pub(crate) fn counting_checks(metrics: &Registry) -> CheckSink {
    let shard = metrics.shared_shard();
    Arc::new(move |pool: &str, passed: bool| {
        let result = if passed { "pass" } else { "fail" };
        shard.counter(&families::HEALTH_CHECKS, &[pool, result]).increment();
    })
}
