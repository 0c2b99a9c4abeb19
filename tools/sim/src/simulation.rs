//! A scenario that can be run, and what came out.

use std::num::NonZeroUsize;
use std::thread;

use serde_json::Value as Json;
use traffic_balance::{Selector, SettingsError, kinds};

use crate::engine::{Account, Engine, RunError};
use crate::plan::{ArrivalPlan, Plan, PoolPlan};
use crate::record::{Figures, PhaseFigures, Point};

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub(crate) name: String,
    pub(crate) plan: Plan,
    pub(crate) policies: Vec<Policy>,
}

/// A balancer with its settings, and the pool around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policy {
    /// How results call it.
    pub(crate) label: String,
    pub(crate) kind: String,
    /// An object, without `kind`.
    pub(crate) settings: Json,
    pub(crate) pool: PoolPlan,
}

/// What came out of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyResult {
    /// The policy's name; with its settings where the scenario has several of that name.
    pub policy: String,
    /// Over all the time that was measured.
    pub figures: Figures,
    /// For each phase, if the scenario has phases.
    pub phases: Vec<PhaseFigures>,
    /// The latency over time.
    pub points: Vec<Point>,
    /// Where all requests are, warm-up included.
    pub account: Account,
}

impl Simulation {
    /// Runs every policy over the same arrivals, work, antagonists and faults; several at a time where there are several cores.
    /// The results are in the order of the policies and depend on the seed alone.
    ///
    /// # Errors
    /// When a policy lets more requests pile up than can be kept.
    pub fn run(&self) -> Result<Vec<PolicyResult>, RunError> {
        let at_once = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut results = Vec::with_capacity(self.policies.len());
        for policies in self.policies.chunks(at_once) {
            let ended: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> =
                    policies.iter().map(|policy| scope.spawn(|| self.run_policy(policy))).collect();
                threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
            });
            for result in ended {
                results.push(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
        }
        Ok(results)
    }

    fn run_policy(&self, policy: &Policy) -> Result<PolicyResult, RunError> {
        let unknown =
            || SettingsError { kind: kinds::DEFAULT, problem: format!("there is no `{}`", policy.kind) };
        let kind = kinds::find(&policy.kind).ok_or_else(unknown)?;
        let select = || Selector::new(kind, policy.settings.clone());
        let mut engine = Engine::new(&self.plan, &policy.pool, select)?;
        if !engine.run() {
            return Err(RunError::Overloaded { policy: policy.label.clone() });
        }
        engine.check_invariants();
        let account = engine.account();
        let (figures, mut phases, points) = engine.into_recorder().finish();
        if phases.len() == 1 {
            phases.clear();
        }
        Ok(PolicyResult { policy: policy.label.clone(), figures, phases, points, account })
    }

    /// What is simulated, in one line.
    pub fn describe(&self) -> String {
        let Plan { servers, instances, warm_up, .. } = &self.plan;
        let arrivals = match self.plan.arrivals {
            ArrivalPlan::Closed { clients, .. } => counted(clients as usize, "client"),
            _ => {
                let rate = self.plan.rate_per_second().unwrap_or_default();
                match self.plan.phases.as_slice() {
                    [only] => format!("{} requests/s", rounded(rate * only.load)),
                    _ => format!("{} requests/s at load 1", rounded(rate)),
                }
            }
        };
        let seconds = |nanos: u64| rounded(nanos as f64 / 1e9);
        format!(
            "{}: {}, {}, {arrivals}; {} s after {} s of warm-up, seed {}",
            self.name,
            counted(servers.len(), "server"),
            counted(*instances, "instance"),
            seconds(self.plan.end() - warm_up),
            seconds(*warm_up),
            self.plan.seed,
        )
    }

    /// When each phase begins, in seconds from the end of the warm-up, and its load; empty without phases.
    pub(crate) fn phase_marks(&self) -> Vec<(f64, f64)> {
        if self.plan.phases.len() == 1 {
            return Vec::new();
        }
        let since = |at: u64| (at - self.plan.warm_up) as f64 / 1e9;
        self.plan.phases.iter().map(|phase| (since(phase.begins), phase.load)).collect()
    }

    /// When each fault begins and ends, in seconds from the end of the warm-up, and the word for it.
    pub(crate) fn fault_marks(&self) -> Vec<(f64, f64, &'static str)> {
        let since = |at: u64| (at as f64 - self.plan.warm_up as f64) / 1e9;
        let faults = self.plan.faults.iter();
        faults.map(|fault| (since(fault.from), since(fault.to), fault.effect.word())).collect()
    }

    /// How long is measured, in seconds.
    pub(crate) fn measured_seconds(&self) -> f64 {
        (self.plan.end() - self.plan.warm_up) as f64 / 1e9
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// At most three digits behind the point, of large numbers one, and no zeros at the end.
fn rounded(number: f64) -> String {
    let text = if number < 100.0 { format!("{number:.3}") } else { format!("{number:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
