//! How much of a machine's resources is in use, as its endpoint or an agent beside it says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base_kit::Moment;

/// The greatest utilisation that is told apart: four times of what the machine should do.
const MOST: f64 = 4.0;

/// Shares of a machine's resources in use: 1 is all of it, more is beyond a soft limit. `None` for what nobody told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// Of the processors.
    pub cpu: Option<f64>,
    /// Of the memory.
    pub memory: Option<f64>,
    /// Of the disks or the network.
    pub io: Option<f64>,
}

impl Resources {
    /// The same, with what is no share left out (NaN, below zero), and 400 % at most.
    #[must_use]
    pub fn sound(self) -> Self {
        // NaN compares with nothing.
        let sound = |share: Option<f64>| share.filter(|share| *share >= 0.0).map(|share| share.min(MOST));
        Self { cpu: sound(self.cpu), memory: sound(self.memory), io: sound(self.io) }
    }

    /// Whether nothing was told.
    pub const fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none() && self.io.is_none()
    }
}

/// What counts of a report: how much each resource weighs, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Counting {
    /// Weight of the processors.
    pub cpu: f64,
    /// Weight of the memory.
    pub memory: f64,
    /// Weight of disks and network.
    pub io: f64,
    /// For how long a reading counts in full. Then it counts less and less, for as long again.
    pub stale_after: Duration,
}

/// What was told last of each resource.
#[derive(Debug, Default)]
pub struct Utilisation {
    cpu: Reading,
    memory: Reading,
    io: Reading,
}

/// A share and when it was told.
#[derive(Debug, Default)]
struct Reading {
    /// The bits of an `f64`.
    share: AtomicU64,
    /// Nanoseconds; 0 before the first.
    at: AtomicU64,
}

impl Utilisation {
    /// Takes in what was told; what was not mentioned stays.
    pub fn report(&self, told: Resources, now: Moment) {
        let told = told.sound();
        let each = [(&self.cpu, told.cpu), (&self.memory, told.memory), (&self.io, told.io)];
        for (reading, share) in each {
            if let Some(share) = share {
                reading.share.store(share.to_bits(), Ordering::Relaxed);
                reading.at.store(now.as_nanos().max(1), Ordering::Relaxed);
            }
        }
    }

    /// The weighted share of the scarcest resource, and how far it is to be believed, 0 to 1, by its age. `None` if nothing counts
    /// that was told, or all of it is too old.
    pub fn scarcest(&self, counting: &Counting, now: Moment) -> Option<(f64, f64)> {
        let each = [(&self.cpu, counting.cpu), (&self.memory, counting.memory), (&self.io, counting.io)];
        let counted = each.into_iter().filter(|(_, weight)| *weight > 0.0);
        let known = counted.filter_map(|(reading, weight)| {
            let (share, age) = reading.last(now)?;
            let belief = 2.0 - age.as_secs_f64() / counting.stale_after.as_secs_f64().max(1e-9);
            (belief > 0.0).then(|| (share * weight, belief.min(1.0)))
        });
        known.max_by(|(one, _), (other, _)| one.total_cmp(other))
    }

    /// What was told last, whenever that was.
    pub fn last(&self, now: Moment) -> Resources {
        let share = |reading: &Reading| reading.last(now).map(|(share, _)| share);
        Resources { cpu: share(&self.cpu), memory: share(&self.memory), io: share(&self.io) }
    }
}

impl Reading {
    fn last(&self, now: Moment) -> Option<(f64, Duration)> {
        let at = self.at.load(Ordering::Relaxed);
        let age = Duration::from_nanos(now.as_nanos().saturating_sub(at));
        (at != 0).then(|| (f64::from_bits(self.share.load(Ordering::Relaxed)), age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTING: Counting =
        Counting { cpu: 1.0, memory: 0.5, io: 1.0, stale_after: Duration::from_secs(10) };

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(100 + seconds)
    }

    #[test]
    fn the_scarcest_resource_counts_by_its_weight() {
        let utilisation = Utilisation::default();
        assert_eq!(utilisation.scarcest(&COUNTING, at(0)), None);
        utilisation.report(Resources { memory: Some(0.9), ..Resources::default() }, at(0));
        assert_eq!(utilisation.scarcest(&COUNTING, at(0)), Some((0.45, 1.0)));
        utilisation.report(Resources { cpu: Some(0.3), ..Resources::default() }, at(0));
        assert_eq!(utilisation.scarcest(&COUNTING, at(0)), Some((0.45, 1.0)), "what is not mentioned stays");
        utilisation.report(Resources { cpu: Some(0.5), io: Some(0.2), memory: None }, at(0));
        assert_eq!(utilisation.scarcest(&COUNTING, at(0)), Some((0.5, 1.0)));
        let memory_only = Counting { cpu: 0.0, io: 0.0, ..COUNTING };
        assert_eq!(utilisation.scarcest(&memory_only, at(0)), Some((0.45, 1.0)));
        let told = Resources { cpu: Some(0.5), memory: Some(0.9), io: Some(0.2) };
        assert_eq!(utilisation.last(at(1_000)), told);
    }

    #[test]
    fn what_is_old_is_believed_less_and_then_not_at_all() {
        let utilisation = Utilisation::default();
        utilisation.report(Resources { cpu: Some(0.5), ..Resources::default() }, at(0));
        let belief = |seconds| utilisation.scarcest(&COUNTING, at(seconds)).map(|(_, belief)| belief);
        assert_eq!([belief(0), belief(10), belief(15), belief(20)], [Some(1.0), Some(1.0), Some(0.5), None]);
        utilisation.report(Resources { io: Some(0.1), ..Resources::default() }, at(20));
        assert_eq!(utilisation.scarcest(&COUNTING, at(20)), Some((0.1, 1.0)), "the old one does not hide it");
    }

    #[test]
    fn what_is_no_share_is_nothing() {
        let told = Resources { cpu: Some(-0.1), memory: Some(f64::NAN), io: Some(99.0) };
        assert_eq!(told.sound(), Resources { cpu: None, memory: None, io: Some(MOST) });
        assert!(Resources { io: None, ..told }.sound().is_empty());
    }
}
