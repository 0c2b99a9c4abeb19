//! What was counted, in one piece for those that watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base_kit::{Clock, MonotonicClock, WallClock};
use base_signal::{DURATION_BOUNDS_NANOS, Distribution, Labels, families};
use control_api::{Answers, Durations, EndpointStats, FailureCount, PoolStats, Stats};
use traffic_balance::EndpointState;

use crate::admin::{millis, told};
use crate::control::lock;
use crate::node::Node;

/// Counts by their labels, so that each family is read once however many pools there are.
struct Counted {
    retries: HashMap<Labels, i64>,
    connections: HashMap<Labels, i64>,
    pools: HashMap<Labels, Distribution>,
    endpoints: HashMap<Labels, Distribution>,
    attempts: HashMap<Labels, i64>,
}

impl Node {
    /// Everything that was counted, and every endpoint as it is now.
    pub(crate) fn collect_stats(&self) -> Stats {
        let (generation, model) = {
            let current = lock(&self.0.current);
            (current.snapshot.generation, Arc::clone(&current.snapshot.model))
        };
        let metrics = &self.0.metrics;
        let (mut answers, mut unanswered) = (Answers::default(), 0);
        for (labels, count) in metrics.numbers(&families::REQUESTS) {
            match label(&labels, 1) {
                "none" => unanswered += count.cast_unsigned(),
                class => answers.add(class, count.cast_unsigned()),
            }
        }
        let mut all_durations = Distribution::default();
        metrics
            .distributions(&families::REQUEST_DURATION)
            .iter()
            .for_each(|(_, more)| all_durations.add(more));
        let counted = Counted {
            retries: metrics.numbers(&families::UPSTREAM_RETRIES).into_iter().collect(),
            connections: metrics.numbers(&families::UPSTREAM_CONNECTIONS_OPEN).into_iter().collect(),
            pools: metrics.distributions(&families::UPSTREAM_FIRST_BYTE).into_iter().collect(),
            endpoints: metrics.distributions(&families::ENDPOINT_FIRST_BYTE).into_iter().collect(),
            attempts: metrics.numbers(&families::UPSTREAM_REQUESTS).into_iter().collect(),
        };
        let pools =
            model.pools.iter().filter_map(|pool| self.pool_stats(&pool.name, &pool.balance.name, &counted));
        let connections = metrics.numbers(&families::CONNECTIONS_OPEN).iter().map(|(_, open)| open).sum();
        Stats {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation,
            workers: u32::try_from(self.0.workers.count()).unwrap_or(u32::MAX),
            draining: self.0.draining.load(Ordering::Relaxed),
            started_ms: millis(self.0.started),
            now_ms: millis(WallClock.since_epoch()),
            clock_us: MonotonicClock.now().as_nanos() / 1_000,
            connections: level(connections),
            answers,
            unanswered,
            failures: failures(&metrics.numbers(&families::FAILURES)),
            bounds_us: DURATION_BOUNDS_NANOS.iter().map(|nanos| nanos / 1_000).collect(),
            durations: durations(&all_durations),
            pools: pools.collect(),
        }
    }

    fn pool_stats(&self, name: &str, balance: &str, counted: &Counted) -> Option<PoolStats> {
        let state = self.pool_now(name)?;
        let key = key(&[name]);
        let (panic_cause, panic_since_ms) = told(self.0.causes.of_panic(&state));
        let number = |of: &HashMap<Labels, i64>| level(of.get(&key).copied().unwrap_or_default());
        Some(PoolStats {
            name: name.to_owned(),
            balance: balance.to_owned(),
            retries: number(&counted.retries),
            connections: number(&counted.connections),
            waiting: state.waiting().len(),
            panic: state.is_in_panic(),
            panic_cause,
            panic_since_ms,
            first_byte: counted.pools.get(&key).map(durations).unwrap_or_default(),
            endpoints: state
                .endpoints()
                .iter()
                .map(|endpoint| self.endpoint_stats(endpoint, counted))
                .collect(),
        })
    }

    fn endpoint_stats(&self, endpoint: &EndpointState, counted: &Counted) -> EndpointStats {
        let (pool, name) = (endpoint.pool(), endpoint.name());
        let mut answers = Answers::default();
        for class in ["1xx", "2xx", "3xx", "4xx", "5xx"] {
            let count = counted.attempts.get(&key(&[pool, name, class])).copied().unwrap_or_default();
            answers.add(class, count.cast_unsigned());
        }
        EndpointStats {
            endpoint: self.endpoint_view(endpoint),
            answers,
            first_byte: counted.endpoints.get(&key(&[pool, name])).map(durations).unwrap_or_default(),
        }
    }
}

/// Reasons that have happened.
fn failures(counts: &[(Labels, i64)]) -> Vec<FailureCount> {
    let happened = counts.iter().filter(|(_, count)| *count != 0);
    let failure = |(labels, count): &(Labels, i64)| FailureCount {
        reason: label(labels, 0).to_owned(),
        blame: label(labels, 1).to_owned(),
        count: count.cast_unsigned(),
    };
    happened.map(failure).collect()
}

fn durations(counted: &Distribution) -> Durations {
    if counted.buckets.iter().all(|count| *count == 0) {
        return Durations::default();
    }
    Durations { buckets: counted.buckets.to_vec(), sum_us: counted.sum_nanos / 1_000 }
}

fn label(labels: &Labels, place: usize) -> &str {
    labels.get(place).map(AsRef::as_ref).unwrap_or_default()
}

fn key(labels: &[&str]) -> Labels {
    labels.iter().map(|&label| label.into()).collect()
}

/// Workers keep their parts of a level one after the other: for an instant their sum may be below zero.
fn level(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
