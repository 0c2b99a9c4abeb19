//! A scenario worked out: what the engine runs. Times are nanoseconds from the beginning of the warm-up.

use std::time::Duration;

use base_model::model::PassiveCheck;

use crate::law::Law;
use crate::scenario::{Antagonist, ServerModel};

/// What the engine runs.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// When measuring begins.
    pub(crate) warm_up: u64,
    /// One after the other, from the warm-up to the end; not empty.
    pub(crate) phases: Vec<PhasePlan>,
    pub(crate) instances: usize,
    pub(crate) arrivals: ArrivalPlan,
    pub(crate) law: Law,
    pub(crate) servers: Vec<ServerPlan>,
    pub(crate) deadline: u64,
    pub(crate) attempts: u32,
    pub(crate) checks: Option<ChecksPlan>,
    pub(crate) sources: u64,
    pub(crate) faults: Vec<FaultPlan>,
}

/// Active checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChecksPlan {
    pub(crate) interval: u64,
    pub(crate) rise: u32,
    pub(crate) fall: u32,
}

/// What an instance makes of servers that fail or are slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PoolPlan {
    pub(crate) passive: PassiveCheck,
    /// Below this share of the weight that is fit, all servers get traffic.
    pub(crate) panic_below: f64,
    pub(crate) slow_start: Duration,
}

/// A level of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhasePlan {
    pub(crate) begins: u64,
    pub(crate) ends: u64,
    pub(crate) load: f64,
}

/// How requests come at load 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ArrivalPlan {
    /// At random, with this many nanoseconds between two on average.
    Poisson { gap: f64 },
    /// Evenly, with this many nanoseconds between two.
    Constant { gap: f64 },
    /// From so many clients, which think for this many nanoseconds on average.
    Closed { clients: u32, think: f64 },
}

/// One server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerPlan {
    pub(crate) model: ServerModel,
    pub(crate) speed: f64,
    pub(crate) slots: f64,
    pub(crate) weight: u32,
    pub(crate) antagonist: Option<Antagonist>,
}

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan {
    pub(crate) servers: Vec<usize>,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) effect: Effect,
}

/// What a fault does to a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effect {
    /// It refuses connections.
    Down,
    /// It takes so many times as long.
    Slow(f64),
    /// It does not answer.
    Silent,
    /// It answers this share of the requests with an error.
    Errors(f64),
}

impl Effect {
    /// The word in scenarios.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Slow(_) => "slow",
            Self::Silent => "silent",
            Self::Errors(_) => "errors",
        }
    }
}

impl Plan {
    /// When the simulation is over.
    pub(crate) fn end(&self) -> u64 {
        self.phases.last().map_or(self.warm_up, |phase| phase.ends)
    }

    /// The load that holds at a time; in the warm-up, that of the first phase.
    pub(crate) fn load_at(&self, now: u64) -> f64 {
        let phase = self.phases.iter().find(|phase| now < phase.ends).or(self.phases.last());
        phase.map_or(1.0, |phase| phase.load)
    }

    /// Requests per second of open arrivals at load 1.
    pub(crate) fn rate_per_second(&self) -> Option<f64> {
        match self.arrivals {
            ArrivalPlan::Poisson { gap } | ArrivalPlan::Constant { gap } => Some(1e9 / gap),
            ArrivalPlan::Closed { .. } => None,
        }
    }
}
