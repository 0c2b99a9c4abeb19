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
    let Transition { pool, endpoint, from, to, cause, kind: _ } = transition;
    let is = in_a_sentence(to);
    if matches!(*to, "down" | "ejected") {
        tracing::warn!(target: "aya::health", %pool, %endpoint, from, to, %cause, "endpoint is {is}");
    } else {
        tracing::info!(target: "aya::health", %pool, %endpoint, from, to, %cause, "endpoint is {is}");
    }
    sink(transition);
}

/// A state's word as people say it of an endpoint.
fn in_a_sentence(state: &'static str) -> &'static str {
    match state {
        "drain" => "draining",
        "maintenance" => "in maintenance",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_make_a_sentence() {
        assert_eq!(["drain", "maintenance", "up"].map(in_a_sentence), ["draining", "in maintenance", "up"]);
    }
}
