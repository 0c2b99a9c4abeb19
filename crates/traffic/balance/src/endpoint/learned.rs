//! What an endpoint's answers have shown, and what it tells of itself, for the kinds that choose by it.
//!
//! Shared by all workers and kept over reloads, as the rest of an endpoint's state. Workers write without a lock: where two
//! write at once, one sample is lost, which an average does not mind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base_kit::Moment;

use super::utilisation::Utilisation;

/// What an endpoint's answers have shown, and what it tells of itself.
#[derive(Debug, Default)]
pub struct Learned {
    /// Time to the first byte of the answer.
    pub latency: Average,
    /// The same, by how much there was to do.
    pub latency_at: ByLoad,
    /// How much it is avoided, because it asked to be spared or failed.
    pub penalty: Penalty,
    /// How many of its answers were failures, of late.
    pub failures: Share,
    /// What its machine has in use.
    pub utilisation: Utilisation,
}

/// A moving average of times: a sample counts the less the older it is.
#[derive(Debug, Default)]
pub struct Average {
    /// The bits of an `f64`, in nanoseconds.
    value: AtomicU64,
    /// Nanoseconds of the last sample's moment; 0 before the first.
    at: AtomicU64,
}

impl Average {
    /// Takes in a sample. One that is as old as `decay` counts 1/e of a new one.
    pub fn observe(&self, sample: Duration, decay: Duration, now: Moment) {
        let sample = nanos(sample);
        self.update(now, |value, age| blend(value, age, sample, decay));
    }

    /// The same, but a sample above the average becomes the average: what grows slow is noticed at once, what has grown
    /// fast again is believed slowly.
    pub fn observe_peak(&self, sample: Duration, decay: Duration, now: Moment) {
        let sample = nanos(sample);
        self.update(now, |value, age| if sample > value { sample } else { blend(value, age, sample, decay) });
    }

    fn update(&self, now: Moment, next: impl Fn(f64, f64) -> f64) {
        let stamp = now.as_nanos().max(1);
        let last = self.at.swap(stamp, Ordering::Relaxed);
        let age = stamp.saturating_sub(last) as f64;
        let value = f64::from_bits(self.value.load(Ordering::Relaxed));
        // The first sample is all there is.
        let value = if last == 0 { next(0.0, f64::INFINITY) } else { next(value, age) };
        self.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The average in nanoseconds, half of it after `half_life` without a sample and less and less from then on, so that what is
    /// slow is tried again some day; `None` before the first sample.
    ///
    /// Falls as 1/(1 + t) does, because that costs one division where an exponential costs twenty times as much.
    #[inline]
    pub fn value_nanos(&self, half_life: Duration, now: Moment) -> Option<f64> {
        let at = self.at.load(Ordering::Relaxed);
        let age = now.as_nanos().saturating_sub(at) as f64;
        let half_life = nanos(half_life);
        (at != 0).then(|| f64::from_bits(self.value.load(Ordering::Relaxed)) * half_life / (half_life + age))
    }
}

/// Averages by the requests in flight at the time, in steps that double: how long an answer takes depends on them first of all.
#[derive(Debug, Default)]
pub struct ByLoad([Average; 10]);

impl ByLoad {
    const fn step(in_flight: u32) -> usize {
        let step = (u32::BITS - in_flight.leading_zeros()) as usize;
        if step < 9 { step } else { 9 }
    }

    /// Takes in the time of an answer; so many requests were in flight, that one not counted.
    pub fn observe(&self, sample: Duration, in_flight: u32, decay: Duration, now: Moment) {
        if let Some(average) = self.0.get(Self::step(in_flight)) {
            average.observe(sample, decay, now);
        }
    }

    /// What is known, in nanoseconds, of the step of so many requests in flight, or else of the nearest one, the lower of two;
    /// `None` before the first sample. What is old counts less, as for [`Average::value_nanos`].
    pub fn value_nanos(&self, in_flight: u32, half_life: Duration, now: Moment) -> Option<f64> {
        let step = Self::step(in_flight);
        let value = |step: usize| self.0.get(step)?.value_nanos(half_life, now);
        value(step).or_else(|| {
            (1..self.0.len())
                .find_map(|away| step.checked_sub(away).and_then(value).or_else(|| value(step + away)))
        })
    }
}

/// A share of what there was of late: what is older counts less.
#[derive(Debug, Default)]
pub struct Share(Average);

/// What a single one counts at most, however long there was nothing: one failure after a pause does not make all of them failures.
const MOST_OF_ONE: f64 = 0.2;
/// The unit in which the average of yes and no is kept.
const WHOLE: f64 = 1e9;

impl Share {
    /// Takes in one more.
    pub fn observe(&self, yes: bool, decay: Duration, now: Moment) {
        // The line stays shared between workers, and nothing is computed, while all goes well.
        if !yes && self.is_zero() {
            return;
        }
        let sample = if yes { WHOLE } else { 0.0 };
        self.0.update(now, |value, age| {
            let weight = (1.0 - (-age / nanos(decay)).exp()).min(MOST_OF_ONE);
            value + (sample - value) * weight
        });
    }

    /// The share, 0 to 1; half of it after `half_life` without another one, as for [`Average::value_nanos`].
    #[inline]
    pub fn value(&self, half_life: Duration, now: Moment) -> f64 {
        if self.is_zero() {
            return 0.0;
        }
        (self.0.value_nanos(half_life, now).unwrap_or_default() / WHOLE).clamp(0.0, 1.0)
    }

    /// Whether there never was one, which is so at most endpoints.
    #[inline]
    fn is_zero(&self) -> bool {
        self.0.value.load(Ordering::Relaxed) == 0
    }
}

/// A time that is added to an endpoint's latency when it is compared, and that fades.
#[derive(Debug, Default)]
pub struct Penalty {
    /// Nanoseconds.
    size: AtomicU64,
    /// From when on it fades, in nanoseconds.
    fades_from: AtomicU64,
}

impl Penalty {
    /// Sets it to `size`. It stays so for `hold`, then fades. A smaller one does not take the place of one that is held.
    pub fn set(&self, size: Duration, hold: Duration, now: Moment) {
        let from = (now + hold).as_nanos();
        if from >= self.fades_from.load(Ordering::Relaxed) {
            self.size.store(size.as_nanos() as u64, Ordering::Relaxed);
            self.fades_from.store(from, Ordering::Relaxed);
        }
    }

    /// What is left of it, in nanoseconds: 1/e after `decay`.
    pub fn value_nanos(&self, decay: Duration, now: Moment) -> f64 {
        let size = self.size.load(Ordering::Relaxed);
        // The line stays shared between workers, and nothing is computed, while all goes well.
        if size == 0 {
            return 0.0;
        }
        let age = now.as_nanos().saturating_sub(self.fades_from.load(Ordering::Relaxed)) as f64;
        size as f64 * (-age / nanos(decay)).exp()
    }
}

/// An average of this age, in nanoseconds, with a new sample.
fn blend(average: f64, age: f64, sample: f64, decay: Duration) -> f64 {
    sample + (average - sample) * (-age / nanos(decay)).exp()
}

/// A span as nanoseconds, never zero: it divides.
fn nanos(span: Duration) -> f64 {
    (span.as_nanos() as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(100 + seconds)
    }

    fn millis(average: &Average, now: Moment) -> f64 {
        average.value_nanos(Duration::from_secs(1_000_000), now).unwrap() / 1e6
    }

    #[test]
    fn the_first_sample_is_the_average_and_old_ones_fade() {
        let average = Average::default();
        assert_eq!(average.value_nanos(SECOND, at(0)), None);
        average.observe(Duration::from_millis(10), SECOND, at(0));
        assert!((millis(&average, at(0)) - 10.0).abs() < 0.01);
        average.observe(Duration::from_millis(20), SECOND, at(1));
        let expected = 20.0 - 10.0 / std::f64::consts::E;
        assert!((millis(&average, at(1)) - expected).abs() < 0.01);
    }

    #[test]
    fn a_peak_is_taken_at_once_and_forgotten_slowly() {
        let average = Average::default();
        average.observe_peak(Duration::from_millis(10), SECOND, at(0));
        average.observe_peak(Duration::from_millis(500), SECOND, at(0));
        assert!((millis(&average, at(0)) - 500.0).abs() < 0.01);
        average.observe_peak(Duration::from_millis(10), SECOND, at(1));
        assert!((millis(&average, at(1)) - (10.0 + 490.0 / std::f64::consts::E)).abs() < 0.1);
    }

    #[test]
    fn what_is_not_asked_is_forgiven() {
        let average = Average::default();
        average.observe(Duration::from_millis(100), SECOND, at(0));
        let left = average.value_nanos(Duration::from_secs(10), at(10)).unwrap();
        assert!((left / 1e6 - 50.0).abs() < 0.01, "half is left after the half-life: {left}");
    }

    #[test]
    fn times_are_known_by_load() {
        let by_load = ByLoad::default();
        assert_eq!(by_load.value_nanos(0, SECOND, at(0)), None);
        by_load.observe(Duration::from_millis(10), 0, SECOND, at(0));
        by_load.observe(Duration::from_millis(80), 7, SECOND, at(0));
        for (in_flight, millis) in
            [(0, 10.0), (1, 10.0), (2, 80.0), (4, 80.0), (7, 80.0), (8, 80.0), (u32::MAX, 80.0)]
        {
            let value = by_load.value_nanos(in_flight, SECOND, at(0)).unwrap() / 1e6;
            assert!((value - millis).abs() < 0.01, "{in_flight}: {value}");
        }
    }

    #[test]
    fn a_share_is_that_of_late_and_is_forgiven() {
        let share = Share::default();
        assert_eq!(share.value(SECOND, at(0)), 0.0);
        share.observe(true, SECOND, at(0));
        assert!((share.value(SECOND, at(0)) - MOST_OF_ONE).abs() < 1e-9, "one is not all of them");
        let millis = |number| at(0) + Duration::from_millis(number);
        (0..5_000).for_each(|number| share.observe(number % 4 == 0, SECOND, millis(number)));
        let found = share.value(SECOND, millis(5_000));
        assert!((found - 0.25).abs() < 0.01, "{found}");
        let left = share.value(SECOND, millis(5_999));
        assert!((left - found / 2.0).abs() < 0.01, "{left}");
    }

    #[test]
    fn a_penalty_holds_then_fades() {
        let penalty = Penalty::default();
        assert_eq!(penalty.value_nanos(SECOND, at(0)), 0.0);
        penalty.set(SECOND, Duration::from_secs(5), at(0));
        assert_eq!(penalty.value_nanos(SECOND, at(5)), 1e9);
        assert!((penalty.value_nanos(SECOND, at(6)) - 1e9 / std::f64::consts::E).abs() < 1.0);
        penalty.set(Duration::from_millis(1), Duration::ZERO, at(3));
        assert_eq!(penalty.value_nanos(SECOND, at(5)), 1e9, "a smaller one does not end it");
    }
}
