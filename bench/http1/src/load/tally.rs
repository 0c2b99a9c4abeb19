//! What a round of load found.

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

/// Answers, failures and latencies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Requests with a 2xx answer and its whole body.
    pub(crate) answered: u64,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Sorted; from when a request was due to the end of its answer. Open loop only.
    pub(crate) latencies_nanos: Vec<u64>,
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

    /// The latency that this share of the requests did not exceed, in microseconds.
    pub(crate) fn percentile_us(&self, share: f64) -> f64 {
        let rank = (self.latencies_nanos.len() as f64 * share).ceil() as usize;
        self.latencies_nanos.get(rank.saturating_sub(1)).map_or(f64::NAN, |nanos| *nanos as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let tally = Tally { latencies_nanos: (1..=1000).map(|us| us * 1000).collect(), ..Tally::default() };
        assert_eq!(tally.percentile_us(0.5), 500.0);
        assert_eq!(tally.percentile_us(0.999), 999.0);
        assert!(Tally::default().percentile_us(0.5).is_nan());
    }

    #[test]
    fn failures_are_told_apart() {
        let mut tally = Tally::default();
        tally.fail(Failure::Status, 2);
        tally.fail(Failure::Late, 1);
        assert_eq!((tally.failures(), tally.failure_text().as_str()), (3, "2 status, 1 late"));
    }
}
