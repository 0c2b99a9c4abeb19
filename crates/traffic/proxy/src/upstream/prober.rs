//! What a pool and a worker hold to ask endpoints what they have to do.

use std::cell::Cell;

use base_signal::{Counter, Shard, families};
use tokio::sync::Notify;
use traffic_balance::Probing;

/// Tells the task that sends a worker's probes that some may be due.
#[derive(Default)]
pub(crate) struct Bell {
    due: Notify,
    /// Probes of the worker that are under way.
    pub(crate) under_way: Cell<usize>,
}

impl Bell {
    /// Has the balancers asked whom they want to ask. Costs next to nothing.
    pub(crate) fn ring(&self) {
        self.due.notify_one();
    }

    /// Waits until it rings, or has rung since the last time.
    pub(crate) async fn rung(&self) {
        self.due.notified().await;
    }
}

/// How a pool's endpoints are asked, and what came of it.
pub(crate) struct Prober {
    pub(crate) probing: Probing,
    pub(crate) answered: Counter,
    pub(crate) silent: Counter,
    pub(crate) failed: Counter,
}

impl Prober {
    pub(crate) fn new(probing: Probing, shard: &Shard, pool: &str) -> Self {
        let counter = |result| shard.counter(&families::UPSTREAM_PROBES, &[pool, result]);
        let (answered, silent, failed) = (counter("answered"), counter("silent"), counter("failed"));
        Self { probing, answered, silent, failed }
    }
}
