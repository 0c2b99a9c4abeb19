//! How much of its share an endpoint gets: less while it is new, and while it does worse than its peers.
//!
//! The balancer does not hear of it. Of the requests that it gives such an endpoint, only so many are left there, and the
//! others go to its next choice: that works around any balancer, and no table has to be made anew for each step.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use base_kit::Moment;

/// All of its share, in percent.
pub(crate) const FULL: u32 = 100;
/// What one begins with after it was taken out, in percent: of eight endpoints it gets less than one request in a hundred.
pub(crate) const TRICKLE: u32 = 5;
/// What a slow start begins with, in percent.
const COLD: u32 = 10;

/// Marks an endpoint that is not new.
const SETTLED: u64 = 0;
/// Marks one that is new since the moment when it is first looked at.
const NEW: u64 = u64::MAX;

/// Read for every pick, written when something changes.
#[derive(Debug)]
pub(super) struct Standing {
    share: AtomicU32,
    /// In nanoseconds.
    new_since: AtomicU64,
    /// How long what is new takes to get all of its share, in nanoseconds.
    slow_start: AtomicU64,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            share: AtomicU32::new(FULL),
            new_since: AtomicU64::new(SETTLED),
            slow_start: AtomicU64::new(0),
        }
    }
}

impl Standing {
    /// In percent, as comparison with its peers left it.
    pub(super) fn share(&self) -> u32 {
        self.share.load(Ordering::Relaxed)
    }

    pub(super) fn set_share(&self, percent: u32) {
        self.share.store(percent.min(FULL), Ordering::Relaxed);
    }

    pub(super) fn set_slow_start(&self, slow_start: Duration) {
        let nanos = u64::try_from(slow_start.as_nanos()).unwrap_or(u64::MAX);
        self.slow_start.store(nanos, Ordering::Relaxed);
    }

    /// It comes (back), cold.
    pub(super) fn begin_anew(&self) {
        self.new_since.store(NEW, Ordering::Relaxed);
    }

    /// All in all, in percent; at least 1.
    pub(super) fn percent(&self, now: Moment) -> u32 {
        let new_since = self.new_since.load(Ordering::Relaxed);
        if new_since == SETTLED {
            return self.share();
        }
        let risen = self.risen(new_since, now);
        (self.share() * risen / FULL).max(1)
    }

    #[cold]
    fn risen(&self, new_since: u64, now: Moment) -> u32 {
        let slow_start = Duration::from_nanos(self.slow_start.load(Ordering::Relaxed));
        let begun = match new_since {
            NEW => now.as_nanos().max(1),
            begun => begun,
        };
        let age = now.since(Moment::from_nanos(begun));
        let next = if age >= slow_start { SETTLED } else { begun };
        if next != new_since {
            // Whoever is first decides; another worker's clock is the same.
            let _ = self.new_since.compare_exchange(new_since, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        if next == SETTLED {
            return FULL;
        }
        let part = age.as_secs_f64() / slow_start.as_secs_f64();
        COLD + (part * f64::from(FULL - COLD)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_begins_with_a_tenth_and_rises_evenly() {
        let standing = Standing::default();
        standing.set_slow_start(Duration::from_secs(10));
        let at = |seconds: u64| Moment::ZERO + Duration::from_secs(100 + seconds);
        assert_eq!(standing.percent(at(0)), 100);
        standing.begin_anew();
        assert_eq!(standing.percent(at(0)), 10);
        assert_eq!(standing.percent(at(5)), 55);
        standing.set_share(50);
        assert_eq!(standing.percent(at(5)), 27, "both count");
        assert_eq!(standing.percent(at(10)), 50);
        standing.begin_anew();
        standing.set_slow_start(Duration::ZERO);
        assert_eq!(standing.percent(at(20)), 50, "without slow start all at once");
    }
}
