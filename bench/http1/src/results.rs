//! The figures.

use crate::proxies::Proxy;

/// Of what a proxy can do; beyond, requests pile up and their latency says nothing.
const MOST_SHARE: f64 = 0.8;

/// What one proxy did in one case; a figure for each round.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) proxy: Proxy,
    pub(crate) name: String,
    /// Processor time of the proxy for each request; empty for what is no proxy.
    pub(crate) cpu_us: Vec<f64>,
    pub(crate) rates_per_second: Vec<f64>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) calls_per_request: Option<f64>,
    pub(crate) failures: u64,
}

/// How the rate at which latency is measured is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// This share of what the proxy itself can do.
    OfItsOwn(f64),
    /// This share of what the peer can do that can do most: the same rate for all.
    OfBestPeer(f64),
}

/// Latency at a fixed rate: p50 and p99 of each piece of each round.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    pub(crate) pace: Pace,
    pub(crate) rate_per_second: f64,
    /// Through the proxy.
    pub(crate) with_us: Vec<[f64; 2]>,
    /// Straight to the backend.
    pub(crate) without_us: Vec<[f64; 2]>,
}

/// All proxies in one case.
pub(crate) struct CaseResult {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// Memory of idle clients.
pub(crate) struct IdleResult {
    pub(crate) proxy: Proxy,
    pub(crate) name: String,
    pub(crate) clients: usize,
    pub(crate) before_kib: u64,
    pub(crate) after_kib: u64,
    pub(crate) failures: u64,
}

/// Few and many hosts.
pub(crate) struct HostsResult {
    pub(crate) hosts: [u64; 2],
    pub(crate) few: Row,
    pub(crate) many: Row,
}

/// Everything that was measured.
pub(crate) struct Results {
    pub(crate) cases: Vec<CaseResult>,
    pub(crate) idle: Vec<IdleResult>,
    pub(crate) hosts: Option<HostsResult>,
}

impl Row {
    pub(crate) fn new(proxy: Proxy, name: &str) -> Self {
        Self {
            proxy,
            name: name.to_owned(),
            cpu_us: Vec::new(),
            rates_per_second: Vec::new(),
            latencies: Vec::new(),
            calls_per_request: None,
            failures: 0,
        }
    }

    pub(crate) fn cpu_us(&self) -> f64 {
        median(self.cpu_us.iter().copied())
    }

    pub(crate) fn rate_per_second(&self) -> f64 {
        median(self.rates_per_second.iter().copied())
    }

    /// What was measured at this pace.
    pub(crate) fn latency(&self, pace: Pace) -> Option<&Latency> {
        self.latencies.iter().find(|latency| latency.pace == pace && !latency.with_us.is_empty())
    }

    /// One line while the bench runs.
    pub(crate) fn summary(&self) -> String {
        let added = self.latency(Pace::OfItsOwn(0.5)).map(Latency::added_us);
        let shown = |[p50, p99, _]: [f64; 3]| format!(" at half of it p50 {p50:+.0} p99 {p99:+.0} µs,");
        let added = added.map(shown).unwrap_or_default();
        format!(
            "{:14} {:8.2} µs CPU/request, {:7.0} requests/s,{added} {:.2} calls/request, {} failed",
            self.name,
            self.cpu_us(),
            self.rate_per_second(),
            self.calls_per_request.unwrap_or(f64::NAN),
            self.failures,
        )
    }
}

impl Pace {
    /// The paces at which each proxy is measured.
    pub(crate) const ALL: &[Self] =
        &[Self::OfItsOwn(0.25), Self::OfItsOwn(0.5), Self::OfItsOwn(0.75), Self::OfBestPeer(0.5)];

    /// Requests a second, by what the proxy and the best peer can do. `None` where a proxy could not keep up.
    pub(crate) fn rate_per_second(self, own: f64, best_peer: f64) -> Option<f64> {
        let rate = match self {
            Self::OfItsOwn(share) => share * own,
            Self::OfBestPeer(share) => share * best_peer,
        };
        (rate <= MOST_SHARE * own).then_some(rate)
    }

    /// Whether Aya is held to what it adds at this pace.
    pub(crate) fn is_judged(self) -> bool {
        matches!(self, Self::OfItsOwn(0.5) | Self::OfBestPeer(0.5))
    }

    /// In words, for a table.
    pub(crate) fn words(self) -> String {
        match self {
            Self::OfItsOwn(share) => format!("at {:.0} %", share * 100.0),
            Self::OfBestPeer(share) => format!("all at {:.0} % of the best peer's", share * 100.0),
        }
    }
}

impl Latency {
    /// None measured yet.
    pub(crate) const fn at(pace: Pace, rate_per_second: f64) -> Self {
        Self { pace, rate_per_second, with_us: Vec::new(), without_us: Vec::new() }
    }

    /// What is added to the p50 and the p99, in the quiet quarter of the pieces of rounds, and to the p99 in the worst. A stall of the machine only ever adds,
    /// and spoils up to a half of the pieces, so that in the middle a percentile is now of one with a stall and now of one without.
    pub(crate) fn added_us(&self) -> [f64; 3] {
        let of = |pick: fn(&[f64; 2]) -> f64, share| {
            let quartile = |pieces: &[[f64; 2]]| quantile(pieces.iter().map(pick), share);
            quartile(&self.with_us) - quartile(&self.without_us)
        };
        [of(|[p50, _]| *p50, 0.25), of(|[_, p99]| *p99, 0.25), of(|[_, p99]| *p99, 0.75)]
    }
}

impl CaseResult {
    /// What Aya needs, compared with those whom `others` picks: the best of them counts. The median of what each round gives, in which both had
    /// the same machine: from one round to the next its pace changes by more than what is compared.
    pub(crate) fn cpu_ratio(&self, others: fn(Proxy) -> bool) -> Option<f64> {
        let best = |wanted: &dyn Fn(Proxy) -> bool| {
            let rows = self.rows.iter().filter(|row| wanted(row.proxy) && !row.cpu_us.is_empty());
            rows.min_by(|one, other| one.cpu_us().total_cmp(&other.cpu_us()))
        };
        let (aya, other) = (best(&|proxy| proxy == Proxy::Aya)?, best(&others)?);
        let ratio = median(aya.cpu_us.iter().zip(&other.cpu_us).map(|(aya, other)| aya / other));
        ratio.is_finite().then_some(ratio)
    }

    /// The row of Aya itself.
    pub(crate) fn aya(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.proxy == Proxy::Aya)
    }
}

impl IdleResult {
    pub(crate) fn kib_per_client(&self) -> f64 {
        self.after_kib.saturating_sub(self.before_kib) as f64 / self.clients.max(1) as f64
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "{}: {} → {} KiB with {} clients, {:.2} KiB each, {} failed",
            self.name,
            self.before_kib,
            self.after_kib,
            self.clients,
            self.kib_per_client(),
            self.failures
        )
    }
}

impl HostsResult {
    pub(crate) fn ratio(&self) -> f64 {
        self.many.cpu_us() / self.few.cpu_us()
    }

    pub(crate) fn summary(&self) -> String {
        let [few, many] = self.hosts;
        format!(
            "{few} hosts {:.2} µs, {many} hosts {:.2} µs CPU/request, ratio {:.3}, {} failed",
            self.few.cpu_us(),
            self.many.cpu_us(),
            self.ratio(),
            self.few.failures + self.many.failures
        )
    }
}

impl Results {
    /// Requests that failed through what has this name in the tables, in all cases.
    pub(crate) fn failures(&self, name: &str) -> u64 {
        let traffic = self.cases.iter().flat_map(|case| &case.rows).filter(|row| row.name == name);
        let idle = self.idle.iter().filter(|idle| idle.name == name);
        let hosts = self.hosts.iter().filter(|hosts| hosts.few.name == name);
        traffic.map(|row| row.failures).sum::<u64>()
            + idle.map(|idle| idle.failures).sum::<u64>()
            + hosts.map(|hosts| hosts.few.failures + hosts.many.failures).sum::<u64>()
    }

    /// The case of this name.
    pub(crate) fn case(&self, name: &str) -> Option<&CaseResult> {
        self.cases.iter().find(|case| case.name == name)
    }
}

/// The middle value; of two middle ones, their mean.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// Half of the distance between the quartiles: how far rounds are apart.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let at = |share| quantile(values.iter().copied(), share);
    (at(0.75) - at(0.25)) / 2.0
}

/// Between the two values that are nearest, in proportion.
fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let place = sorted.len().saturating_sub(1) as f64 * share;
    let of = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (of(place.floor()), of(place.ceil()));
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ignore_outliers() {
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 2.0].into_iter()), 3.0);
        assert!(median(std::iter::empty()).is_nan());
        assert_eq!(spread(&[1.0, 2.0, 3.0, 4.0, 100.0]), 1.0);
    }

    #[test]
    fn ratios_are_those_of_single_rounds() {
        let row = |proxy, cpu_us: [f64; 3]| Row { cpu_us: cpu_us.to_vec(), ..Row::new(proxy, "") };
        // The machine slows down in the middle: the ratio of the medians would be 1.6.
        let rows = vec![
            row(Proxy::Relay, [10.0, 10.0, 20.0]),
            row(Proxy::Aya, [11.0, 16.0, 22.0]),
            row(Proxy::Nginx, [30.0, 20.0, 20.0]),
            row(Proxy::Haproxy, [12.0, 24.0, 30.0]),
        ];
        let case = CaseResult { name: "small", title: "small", rows };
        assert_eq!(case.cpu_ratio(|proxy| proxy == Proxy::Relay), Some(1.1));
        assert_eq!(case.cpu_ratio(Proxy::is_peer), Some(0.8), "of nginx, whose median is the least");
        assert_eq!(case.cpu_ratio(|proxy| proxy == Proxy::Envoy), None);
    }

    #[test]
    fn what_is_added_is_the_difference_of_quartiles() {
        let mut latency = Latency::at(Pace::OfItsOwn(0.5), 500.0);
        let stalled = [900.0, 9_000.0];
        latency.with_us = vec![stalled, [32.0, 60.0], stalled, [30.0, 50.0], stalled];
        latency.without_us = vec![[20.0, 40.0]];
        assert_eq!(latency.added_us(), [12.0, 20.0, 8_960.0]);
    }
}
