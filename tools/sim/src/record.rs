//! What is measured: counts, latencies, and how they change over time.

use crate::limits::POINTS;
use crate::plan::Plan;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With an answer.
    Answered,
    /// With an error that says nothing about latency.
    Refused,
    /// At its deadline.
    Expired,
}

/// The figures of a policy, or of one phase of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Answers per second.
    pub throughput_rps: f64,
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that ended without a good answer.
    pub errors: u64,
    /// The latencies; `None` when there are none.
    pub latency: Option<Latency>,
    /// Share (0 to 1) of the servers' time, over all instances, in which a server was out or got less than its share of the
    /// traffic.
    pub degraded_share: f64,
}

/// Latencies in milliseconds, within 0.1 %. A request that ran into its deadline counts with the deadline; one that was
/// refused or answered with an error does not count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Mean (exact).
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// Of a hundred requests, 99 are not slower.
    pub p99_ms: f64,
    /// Of a thousand requests, 999 are not slower.
    pub p999_ms: f64,
}

/// The figures of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseFigures {
    /// Its load.
    pub load: f64,
    /// What was measured in it: requests count where they end.
    pub figures: Figures,
}

/// A point of the line over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The middle of the interval, in seconds from the end of the warm-up.
    pub seconds: f64,
    /// Of the requests that ended in the interval; `None` when there were none.
    pub latency: Option<Latency>,
}

/// Collects what is measured. Time only goes forward.
#[derive(Debug)]
pub(crate) struct Recorder {
    warm_up: u64,
    total: Tally,
    phase: Tally,
    /// What is left of the phases: when they begin and end, and their load.
    phases_left: std::collections::VecDeque<(u64, u64, f64)>,
    phases: Vec<PhaseFigures>,
    bin: Tally,
    bin_nanos: u64,
    bin_begins: u64,
    points: Vec<Point>,
    end: u64,
}

impl Recorder {
    pub(crate) fn new(plan: &Plan) -> Self {
        let measured = plan.end() - plan.warm_up;
        Self {
            warm_up: plan.warm_up,
            total: Tally::default(),
            phase: Tally::default(),
            phases_left: plan.phases.iter().map(|phase| (phase.begins, phase.ends, phase.load)).collect(),
            phases: Vec::new(),
            bin: Tally::default(),
            bin_nanos: measured.div_ceil(POINTS).max(1),
            bin_begins: plan.warm_up,
            points: Vec::new(),
            end: plan.end(),
        }
    }

    /// A request ended.
    pub(crate) fn record(&mut self, ended: Ended, latency: u64, now: u64) {
        if now < self.warm_up {
            return;
        }
        self.close_until(now);
        for tally in [&mut self.total, &mut self.phase, &mut self.bin] {
            tally.record(ended, latency);
        }
    }

    /// An instance holds so many of so many servers off.
    pub(crate) fn record_standing(&mut self, degraded: usize, servers: usize, now: u64) {
        if now < self.warm_up {
            return;
        }
        self.close_until(now);
        for tally in [&mut self.total, &mut self.phase] {
            tally.degraded += degraded as u64;
            tally.looked_at += servers as u64;
        }
    }

    /// Closes phases and intervals that are over.
    fn close_until(&mut self, now: u64) {
        while let Some((begins, ends, load)) = self.phases_left.front().copied()
            && ends <= now
        {
            let figures = self.phase.figures(ends - begins);
            self.phases.push(PhaseFigures { load, figures });
            self.phase.clear();
            self.phases_left.pop_front();
        }
        while self.bin_begins + self.bin_nanos <= now {
            self.close_bin();
        }
    }

    fn close_bin(&mut self) {
        let middle = self.bin_begins + self.bin_nanos / 2 - self.warm_up;
        self.points.push(Point { seconds: middle as f64 / 1e9, latency: self.bin.latency() });
        self.bin.clear();
        self.bin_begins += self.bin_nanos;
    }

    /// The figures of all, of each phase, and the line over time.
    pub(crate) fn finish(mut self) -> (Figures, Vec<PhaseFigures>, Vec<Point>) {
        self.close_until(self.end);
        if self.bin_begins < self.end {
            self.close_bin();
        }
        (self.total.figures(self.end - self.warm_up), self.phases, self.points)
    }
}

/// Counts of one span of time.
#[derive(Debug, Default)]
struct Tally {
    histogram: Histogram,
    latency_sum: u128,
    answered: u64,
    errors: u64,
    /// Servers that an instance held off, of those that were looked at, over all looks.
    degraded: u64,
    looked_at: u64,
}

impl Tally {
    fn record(&mut self, ended: Ended, latency: u64) {
        match ended {
            Ended::Answered => self.answered += 1,
            Ended::Refused | Ended::Expired => self.errors += 1,
        }
        if ended != Ended::Refused {
            self.histogram.record(latency);
            self.latency_sum += u128::from(latency);
        }
    }

    fn figures(&self, nanos: u64) -> Figures {
        Figures {
            throughput_rps: self.answered as f64 * 1e9 / nanos.max(1) as f64,
            requests: self.answered + self.errors,
            errors: self.errors,
            latency: self.latency(),
            degraded_share: self.degraded as f64 / self.looked_at.max(1) as f64,
        }
    }

    fn latency(&self) -> Option<Latency> {
        let count = self.histogram.count;
        let quantile = |share| self.histogram.quantile(share) / 1e6;
        (count > 0).then(|| Latency {
            mean_ms: self.latency_sum as f64 / count as f64 / 1e6,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
        })
    }

    fn clear(&mut self) {
        self.histogram.clear();
        (self.latency_sum, self.answered, self.errors) = (0, 0, 0);
        (self.degraded, self.looked_at) = (0, 0);
    }
}

/// Counts of values in buckets that are a 512th as wide as their values are large.
#[derive(Debug, Default)]
struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    greatest: u64,
}

/// Bits behind the first one that tell buckets apart.
const PRECISION: u32 = 9;

impl Histogram {
    fn record(&mut self, value: u64) {
        let index = bucket(value);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(index) {
            *count += 1;
        }
        self.count += 1;
        self.greatest = self.greatest.max(value);
    }

    /// The value that this share of the values does not exceed: the middle of its bucket, but no more than there was.
    fn quantile(&self, share: f64) -> f64 {
        let rank = ((share * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(index).min(self.greatest as f64);
            }
        }
        0.0
    }

    fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.greatest) = (0, 0);
    }
}

/// The bucket of a value: small values have one each.
const fn bucket(value: u64) -> usize {
    let log = u64::BITS - (value | 1).leading_zeros() - 1;
    if log < PRECISION {
        return value as usize;
    }
    let shift = log - PRECISION;
    ((shift as usize) << PRECISION) + (value >> shift) as usize
}

/// The middle of a bucket.
fn middle(index: usize) -> f64 {
    let low_bits = 1_usize << PRECISION;
    if index < 2 * low_bits {
        return index as f64;
    }
    let shift = (index >> PRECISION) - 1;
    let lowest = (index - (shift << PRECISION)) as f64;
    (lowest + 0.5) * 2.0_f64.powi(i32::try_from(shift).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        let mut last = 0;
        for value in (0..3_000).chain((12..60).map(|bit| (1 << bit) + 12_345)) {
            let index = bucket(value);
            assert!(index >= last, "{value}");
            last = index;
            let error = (middle(index) - value as f64).abs();
            assert!(error <= value as f64 / 1_000.0, "{value}: {}", middle(index));
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        (1..=1_000_u64).rev().for_each(|value| histogram.record(value * 1_000));
        for (share, value) in [(0.5, 500_000.0), (0.99, 990_000.0), (0.999, 999_000.0), (0.0, 1_000.0)] {
            assert!((histogram.quantile(share) / value - 1.0).abs() < 0.001, "{share}");
        }
        let mut single = Histogram::default();
        single.record(5_000_000_000);
        assert!(middle(bucket(5_000_000_000)) > 5e9 && single.quantile(0.99) <= 5e9, "nothing was greater");
    }
}
