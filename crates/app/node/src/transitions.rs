//! What is done when an endpoint's state changes: a line in the log and a number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base_kit::WallClock;
use base_signal::{Registry, families};
use traffic_balance::{EndpointState, PoolState, Transition};
use traffic_health::{CheckResult, CheckSinks};
use traffic_proxy::TransitionSink;

use crate::control::lock;

/// Why each endpoint is in the state it is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Causes(Arc<Mutex<HashMap<Named, Cause>>>);

/// Pool and endpoint.
type Named = (Arc<str>, Arc<str>);

/// Why an endpoint is in its state.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    /// In words for people.
    pub(crate) what: String,
    /// When it was found, since 1970-01-01 UTC.
    pub(crate) at: Duration,
}

impl Causes {
    /// Why an endpoint last changed its state; `None` if it never did.
    pub(crate) fn of(&self, endpoint: &EndpointState) -> Option<Cause> {
        lock(&self.0).get(&(endpoint.pool().into(), endpoint.name().into())).cloned()
    }

    /// Why a pool is in panic; `None` if it is not.
    pub(crate) fn of_panic(&self, pool: &PoolState) -> Option<Cause> {
        let named = (pool.name().into(), Transition::WHOLE_POOL.into());
        lock(&self.0).get(&named).filter(|_| pool.is_in_panic()).cloned()
    }

    /// Forgets endpoints that are gone. What is known of a pool is shown only while it is true, and is one entry.
    pub(crate) fn retain(&self, is_there: impl Fn(&str, &str) -> bool) {
        let stays =
            |pool: &str, endpoint: &str| endpoint == Transition::WHOLE_POOL || is_there(pool, endpoint);
        lock(&self.0).retain(|(pool, endpoint), _| stays(pool, endpoint));
    }
}

/// Notes and counts. Whoever reports the change has logged it.
pub(crate) fn counting(metrics: &Registry, causes: &Causes) -> TransitionSink {
    let shard = metrics.shared_shard();
    let causes = causes.clone();
    Arc::new(move |transition: &Transition| {
        let Transition { pool, endpoint, from, to, kind, cause } = transition;
        if from != to {
            shard.counter(&families::ENDPOINT_TRANSITIONS, &[pool, to, kind.word()]).increment();
        }
        let cause = Cause { what: cause.clone(), at: WallClock.since_epoch() };
        lock(&causes.0).insert((Arc::clone(pool), Arc::clone(endpoint)), cause);
    })
}

/// Logs, notes and counts.
pub(crate) fn reporting(counting: &TransitionSink) -> TransitionSink {
    let counting = Arc::clone(counting);
    Arc::new(move |transition: &Transition| traffic_health::publish(&counting, transition))
}

/// Counts health checks.
pub(crate) fn counting_checks(metrics: &Registry) -> CheckSinks {
    let shard = Arc::new(metrics.shared_shard());
    Arc::new(move |pool: &str| {
        let (shard, pool) = (Arc::clone(&shard), pool.to_owned());
        // Series appear with the first result of their kind; from then on nothing is looked for.
        let counters = [const { OnceLock::new() }; CheckResult::ALL.len()];
        Arc::new(move |result: CheckResult| {
            let counter = || shard.counter(&families::HEALTH_CHECKS, &[&pool, result.word()]);
            if let Some(known) = counters.get(result as usize) {
                known.get_or_init(counter).increment();
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use traffic_balance::CauseKind;

    use super::*;

    #[test]
    fn the_metric_names_kinds_of_causes_and_the_api_the_cause() {
        for kind in CauseKind::ALL {
            let word = kind.word();
            assert!(families::ENDPOINT_TRANSITIONS.help.contains(word), "{word} is to be documented");
        }
        let metrics = Registry::new();
        let sink = counting(&metrics, &Causes::default());
        for late in 0..100 {
            sink(&Transition {
                pool: "p".into(),
                endpoint: "10.0.0.1:80".into(),
                from: "up",
                to: "down",
                kind: CauseKind::TcpCheck,
                cause: format!("timed out after {late}ms"),
            });
        }
        let count = metrics.counter_total(&families::ENDPOINT_TRANSITIONS, &["p", "down", "tcp-check"]);
        assert_eq!(count, 100, "one series, whatever the cause says");
    }
}
