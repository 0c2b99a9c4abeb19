//! How a change of an endpoint's state is told.

use std::sync::Arc;

use traffic_balance::Transition;

/// Takes every change of state, for instance to count it. Called on the control runtime or on a worker: must not
/// wait, nor call the monitor.
pub type TransitionSink = Arc<dyn Fn(&Transition) + Send + Sync>;

/// Told the pool and the result of every check. Must not wait.
pub type CheckSink = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// Logs a change of state and hands it on.
pub fn publish(sink: &TransitionSink, transition: &Transition) {
    let Transition { pool, endpoint, from, to, cause } = transition;
    if matches!(*to, "down" | "ejected") {
        tracing::warn!(target: "aya::health", %pool, %endpoint, from, to, %cause, "endpoint is {to}");
    } else {
        tracing::info!(target: "aya::health", %pool, %endpoint, from, to, %cause, "endpoint is {to}");
    }
    sink(transition);
}
