//! What a round of load found.

use std::collections::BTreeMap;
use std::time::Duration;

/// Why a request does not count as answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Any status but 2xx.
    Status,
    /// A head that cannot be read, no length, or not the body that was asked for.
    Body,
    /// Connection refused, reset or closed in the middle.
    Socket,
    /// No answer in time.
    Late,
}

/// How long one answer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// When its request was due, from the start of the round.
    pub(crate) due_nanos: u64,
    /// From then to the end of the answer.
    pub(crate) nanos: u64,
}

/// Answers, failures and latencies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Requests with a 2xx answer and its whole body.
    pub(crate) answered: u64,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// In the order of the answers. Open loop only.
    pub(crate) timings: Vec<Timing>,
    status: u64,
    body: u64,
    socket: u64,
    late: u64,
}

impl Tally {
    pub(crate) fn fail(&mut self, failure: Failure, count: u64) {
        *match failure {
            Failure::Status => &mut self.status,
            Failure::Body => &mut self.body,
            Failure::Socket => &mut self.socket,
            Failure::Late => &mut self.late,
        } += count;
    }

    /// All failures.
    pub(crate) fn failures(&self) -> u64 {
        self.status + self.body + self.socket + self.late
    }

    /// The failures in words.
    pub(crate) fn failure_text(&self) -> String {
        let kinds =
            [("status", self.status), ("body", self.body), ("socket", self.socket), ("late", self.late)];
        let parts: Vec<String> = kinds
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        parts.join(", ")
    }

    /// Answers per second.
    pub(crate) fn rate_per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// For each piece of the round of this length: the latencies that these shares of the requests due in it did not exceed, in microseconds.
    pub(crate) fn percentiles_us<const N: usize>(&self, piece: Duration, shares: [f64; N]) -> Vec<[f64; N]> {
        let mut pieces: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for timing in &self.timings {
            let number = timing.due_nanos / (piece.as_nanos() as u64).max(1);
            pieces.entry(number).or_default().push(timing.nanos);
        }
        let of = |mut nanos: Vec<u64>| {
            nanos.sort_unstable();
            shares.map(|share| nearest_rank(&nanos, share) / 1e3)
        };
        pieces.into_values().map(of).collect()
    }
}

/// The smallest value that is at least as large as this share of them.
fn nearest_rank(sorted: &[u64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |value| *value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let sorted: Vec<u64> = (1..=1000).collect();
        assert_eq!([0.5, 0.999, 1.0].map(|share| nearest_rank(&sorted, share)), [500.0, 999.0, 1000.0]);
        assert!(nearest_rank(&[], 0.5).is_nan());
    }

    /// Answers come in any order; a request belongs to the piece in which it was due.
    #[test]
    fn each_piece_of_a_round_has_percentiles_of_its_own() {
        let timing = |due_nanos, nanos| Timing { due_nanos, nanos };
        let timings = vec![timing(1_500, 9_000), timing(999, 2_000), timing(0, 1_000), timing(1_000, 4_000)];
        let tally = Tally { timings, ..Tally::default() };
        let pieces = tally.percentiles_us(Duration::from_micros(1), [0.5, 1.0]);
        assert_eq!(pieces, [[1.0, 2.0], [4.0, 9.0]]);
        assert!(Tally::default().percentiles_us(Duration::from_micros(1), [0.5]).is_empty());
    }

    #[test]
    fn failures_are_told_apart() {
        let mut tally = Tally::default();
        tally.fail(Failure::Status, 2);
        tally.fail(Failure::Late, 1);
        assert_eq!((tally.failures(), tally.failure_text().as_str()), (3, "2 status, 1 late"));
    }
}
