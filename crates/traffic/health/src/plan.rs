//! What is asked, and how often: each check once, however many pools have it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Rng, SeededRng};
use base_model::model::{ActiveCheck, CheckKind};
use tokio::time::timeout;

use crate::kinds;
use crate::line::Line;
use crate::probe::{Passed, Probe, ProbeFailure, Target};

/// A configured check with its probe.
pub(crate) struct CheckPlan {
    pub(crate) check: ActiveCheck,
    pub(crate) kind: &'static str,
    pub(crate) probe: Arc<dyn Probe>,
}

/// Checks that are due begin together, once in such a time: what wakes the thread for one of them wakes it for all, here and where
/// one machine serves many endpoints.
const LONGEST_TURN: Duration = Duration::from_millis(10);

/// Checks that are made more often have shorter turns, so that they are late by at most so much of their interval.
const TURNS_PER_INTERVAL: u32 = 50;

impl CheckPlan {
    fn new(check: &ActiveCheck) -> Self {
        let (kind, probe) = kinds::probe(check);
        Self { check: check.clone(), kind, probe }
    }

    pub(crate) async fn ask(&self, target: &Target, line: &mut Line) -> Result<Passed, ProbeFailure> {
        let limit = self.check.timeout;
        let left = limit.saturating_sub(line.waited());
        timeout(left, self.probe.run_on(target, line)).await.unwrap_or(Err(ProbeFailure::TimedOut(limit)))
    }

    pub(crate) fn pause(&self, rng: &mut SeededRng) -> Duration {
        varied(self.check.interval, self.check.jitter, rng)
    }

    /// The time from turn to turn.
    pub(crate) fn turn(&self) -> Duration {
        LONGEST_TURN.min(self.check.interval / TURNS_PER_INTERVAL)
    }
}

/// The plans in use. Pools whose checks are the same share them: a probe is built once, and stays in the processor's cache from one
/// check to the next.
#[derive(Default)]
pub(crate) struct Plans(HashMap<CheckKind, Vec<Arc<CheckPlan>>>);

impl Plans {
    /// The plan of this check.
    pub(crate) fn of(&mut self, check: &ActiveCheck) -> Arc<CheckPlan> {
        self.known_or(check, || Arc::new(CheckPlan::new(check)))
    }

    /// Takes up a plan, so that it is the one of its check.
    pub(crate) fn add(&mut self, plan: &Arc<CheckPlan>) {
        self.known_or(&plan.check, || Arc::clone(plan));
    }

    fn known_or(&mut self, check: &ActiveCheck, new: impl FnOnce() -> Arc<CheckPlan>) -> Arc<CheckPlan> {
        let alike = self.0.entry(check.kind.clone()).or_default();
        if let Some(known) = alike.iter().find(|plan| plan.check == *check) {
            return Arc::clone(known);
        }
        let plan = new();
        alike.push(Arc::clone(&plan));
        plan
    }
}

/// A time, more or less by at most this share of it.
pub(crate) fn varied(time: Duration, share: f64, rng: &mut dyn Rng) -> Duration {
    // Outside of 0 to 1, or not a number: no checked configuration holds it, and no time may become negative.
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    time.mul_f64(1.0 + share * (2.0 * rng.unit() - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_check_has_the_same_plan() {
        let check = |seconds| ActiveCheck {
            kind: CheckKind::Tcp,
            interval: Duration::from_secs(seconds),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 1,
            jitter: 0.0,
            port: None,
            tls: None,
            proxy_protocol: None,
        };
        let mut plans = Plans::default();
        let [two, three, again] = [2, 3, 2].map(|seconds| plans.of(&check(seconds)));
        assert!(Arc::ptr_eq(&two, &again) && !Arc::ptr_eq(&two, &three));
        let mut later = Plans::default();
        later.add(&three);
        assert!(Arc::ptr_eq(&later.of(&check(3)), &three) && !Arc::ptr_eq(&later.of(&check(2)), &two));
    }

    #[test]
    fn times_vary_by_their_share_and_no_more() {
        let mut rng = SeededRng::new(1);
        let second = Duration::from_secs(1);
        let times: Vec<Duration> = (0..1_000).map(|_| varied(second, 0.1, &mut rng)).collect();
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!((900..910).contains(&least.as_millis()) && (1_090..=1_100).contains(&most.as_millis()));
        assert_eq!(varied(second, 0.0, &mut rng), second);
        assert_eq!(varied(second, f64::NAN, &mut rng), second);
        assert!(varied(second, 99.0, &mut rng) <= 2 * second);
    }
}
