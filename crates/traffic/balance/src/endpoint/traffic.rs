//! What requests leave behind at an endpoint: how many are in flight, and sums of how they went, for comparing endpoints.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Written per request by all workers.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) in_flight: AtomicU32,
    /// Those of them whose answer has not begun.
    waiting: AtomicU32,
    answered: AtomicU64,
    /// Failed without an answer.
    unanswered: AtomicU64,
    /// Failed in any way.
    failed: AtomicU64,
    /// Microseconds to the first byte.
    times: AtomicU64,
    /// Squares of the same in units of [`SQUARED_UNIT_MICROS`].
    squares: AtomicU64,
}

/// Squares are summed in this unit, so that a million answers of the longest time fit.
const SQUARED_UNIT_MICROS: u64 = 16;
/// Longer ones count as this; they are slow whatever else.
const LONGEST_MICROS: u64 = 60_000_000;
const _: () = assert!((LONGEST_MICROS / SQUARED_UNIT_MICROS).pow(2) < u64::MAX / 1_000_000);

impl Traffic {
    pub(super) fn begin_waiting(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_waiting(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes in an answer's time to its first byte.
    pub(super) fn observe_answer(&self, latency: Duration) {
        let micros = micros(latency);
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.times.fetch_add(micros, Ordering::Relaxed);
        self.squares.fetch_add((micros / SQUARED_UNIT_MICROS).pow(2), Ordering::Relaxed);
    }

    /// Counts a failure. Whether it was answered, too, is told apart from that.
    pub(super) fn observe_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failure without an answer.
    pub(super) fn observe_no_answer(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.observe_failure();
    }

    /// The sums since the endpoint is known. Not all of one moment: a request may be in one and not yet in the other.
    pub(super) fn totals(&self) -> Totals {
        let sum = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            waiting: self.waiting.load(Ordering::Relaxed),
            answered: sum(&self.answered),
            unanswered: sum(&self.unanswered),
            failed: sum(&self.failed),
            times: sum(&self.times),
            squares: sum(&self.squares),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).map_or(LONGEST_MICROS, |micros| micros.min(LONGEST_MICROS))
}

/// Sums of how requests went. They wrap, and are only compared with earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Requests that now wait for their answer to begin.
    pub(crate) waiting: u32,
    answered: u64,
    unanswered: u64,
    /// With a status of 5xx, or without a complete answer.
    pub(crate) failed: u64,
    times: u64,
    squares: u64,
}

impl Totals {
    /// What came since then.
    pub(crate) const fn since(&self, earlier: &Self) -> Self {
        Self {
            waiting: self.waiting,
            answered: self.answered.wrapping_sub(earlier.answered),
            unanswered: self.unanswered.wrapping_sub(earlier.unanswered),
            failed: self.failed.wrapping_sub(earlier.failed),
            times: self.times.wrapping_sub(earlier.times),
            squares: self.squares.wrapping_sub(earlier.squares),
        }
    }

    /// Adds requests that have waited for so long and go on waiting.
    pub(crate) fn add_waiting(&mut self, requests: u64, time: Duration) {
        let micros = micros(time);
        self.answered = self.answered.wrapping_add(requests);
        self.times = self.times.wrapping_add(requests.wrapping_mul(micros));
        self.squares =
            self.squares.wrapping_add(requests.wrapping_mul((micros / SQUARED_UNIT_MICROS).pow(2)));
    }

    /// Requests of which is known how they went.
    pub(crate) const fn ended(&self) -> u64 {
        self.answered.wrapping_add(self.unanswered)
    }

    /// The mean time to the first byte and its standard error, in seconds; of nothing they are 0.
    pub(crate) fn mean_and_error(&self) -> (f64, f64) {
        let count = self.answered.max(1) as f64;
        let unit = SQUARED_UNIT_MICROS as f64;
        let mean = self.times as f64 / count;
        let square = self.squares as f64 * unit * unit / count;
        let variance = (square - mean * mean).max(0.0);
        (mean / 1e6, (variance / count).sqrt() / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_tell_mean_and_standard_error() {
        let traffic = Traffic::default();
        let before = traffic.totals();
        for millis in [10, 20, 30, 40] {
            traffic.observe_answer(Duration::from_millis(millis));
        }
        traffic.observe_failure();
        traffic.observe_no_answer();
        let sums = traffic.totals().since(&before);
        assert_eq!((sums.ended(), sums.failed), (5, 2));
        let (mean, error) = sums.mean_and_error();
        assert!((mean - 0.025).abs() < 1e-6, "{mean}");
        assert!((error - 0.011_18 / 2.0).abs() < 1e-4, "{error}");
        traffic.observe_answer(Duration::MAX);
        assert!(traffic.totals().mean_and_error().0 < 60.0);
    }
}
