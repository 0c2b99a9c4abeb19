//! How a change of an endpoint's state is told.

use std::sync::Arc;

use traffic_balance::Transition;

/// Takes every change of state, for instance to count it. Called on the thread of the checks or on a worker: must not
/// wait, nor call the monitor.
pub type TransitionSink = Arc<dyn Fn(&Transition) + Send + Sync>;

/// What came of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// The endpoint is well.
    Pass,
    /// It is not.
    Fail,
    /// Nobody said so or so: an agent that was silent or not understood.
    Silent,
}

impl CheckResult {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Fail, Self::Silent];

    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Silent => "silent",
        }
    }
}

/// Told the result of every check of a pool. Must not wait.
pub type CheckSink = Arc<dyn Fn(CheckResult) + Send + Sync>;

/// Gives whom to tell of a pool's checks.
pub type CheckSinks = Arc<dyn Fn(&str) -> CheckSink + Send + Sync>;

/// Logs a change of state and hands it on.
pub fn publish(sink: &TransitionSink, transition: &Transition) {
    let Transition { pool, endpoint, from, to, cause, kind: _ } = transition;
    let is = if from == to { format!("still {}", in_a_sentence(to)) } else { in_a_sentence(to).to_owned() };
    let who = if &**endpoint == Transition::WHOLE_POOL { "pool" } else { "endpoint" };
    if (*from, *to) == ("degraded", "degraded") {
        // Its share may change every second for as long as it is slow.
        tracing::debug!(target: "aya::health", %pool, %endpoint, from, to, %cause, "{who} is {is}");
    } else if matches!(*to, "down" | "ejected" | "degraded" | "panic") {
        tracing::warn!(target: "aya::health", %pool, %endpoint, from, to, %cause, "{who} is {is}");
    } else {
        tracing::info!(target: "aya::health", %pool, %endpoint, from, to, %cause, "{who} is {is}");
    }
    sink(transition);
}

/// A state's word as people say it of an endpoint.
fn in_a_sentence(state: &'static str) -> &'static str {
    match state {
        "drain" => "draining",
        "maintenance" => "in maintenance",
        "panic" => "in panic",
        "calm" => "out of panic",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_make_a_sentence() {
        let words = ["drain", "maintenance", "up", "panic", "calm"].map(in_a_sentence);
        assert_eq!(words, ["draining", "in maintenance", "up", "in panic", "out of panic"]);
    }
}
