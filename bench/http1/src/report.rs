//! The figures, and the tables made of them.

use std::fmt::Write as _;

use crate::proxies::{Installed, Proxy};

/// What one proxy did in one case; a figure for each round.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) proxy: Proxy,
    pub(crate) cpu_us: Vec<f64>,
    pub(crate) rates_per_second: Vec<f64>,
    /// p50, p99 and p99.9 at the fixed rate.
    pub(crate) latencies_us: Vec<[f64; 3]>,
    pub(crate) calls_per_request: Option<f64>,
    pub(crate) failures: u64,
}

/// All proxies in one case.
pub(crate) struct CaseResult {
    pub(crate) title: &'static str,
    pub(crate) fixed_rate_per_second: f64,
    pub(crate) rows: Vec<Row>,
}

/// Memory of idle clients.
pub(crate) struct IdleResult {
    pub(crate) proxy: Proxy,
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

/// Where and how it was measured.
pub(crate) struct Circumstances {
    pub(crate) machine: String,
    pub(crate) date: String,
    pub(crate) method: String,
}

impl Row {
    pub(crate) fn new(proxy: Proxy) -> Self {
        Self {
            proxy,
            cpu_us: Vec::new(),
            rates_per_second: Vec::new(),
            latencies_us: Vec::new(),
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

    fn latency_us(&self) -> [f64; 3] {
        let of = |pick: fn(&[f64; 3]) -> f64| median(self.latencies_us.iter().map(pick));
        [of(|[p50, _, _]| *p50), of(|[_, p99, _]| *p99), of(|[_, _, p999]| *p999)]
    }

    /// One line while the bench runs.
    pub(crate) fn summary(&self) -> String {
        let [p50, p99, p999] = self.latency_us();
        format!(
            "{:10} {:8.2} µs CPU/request, {:7.0} requests/s, p50 {p50:.0} p99 {p99:.0} p99.9 {p999:.0} µs, {} calls/request, {} failed",
            self.proxy.name(),
            self.cpu_us(),
            self.rate_per_second(),
            number(self.calls_per_request.unwrap_or(f64::NAN), 2),
            self.failures,
        )
    }
}

impl IdleResult {
    fn kib_per_client(&self) -> f64 {
        self.after_kib.saturating_sub(self.before_kib) as f64 / self.clients.max(1) as f64
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "{}: {} → {} KiB with {} clients, {:.2} KiB each, {} failed",
            self.proxy.name(),
            self.before_kib,
            self.after_kib,
            self.clients,
            self.kib_per_client(),
            self.failures
        )
    }
}

impl HostsResult {
    fn ratio(&self) -> f64 {
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
    /// Requests that failed through this proxy, in all cases.
    pub(crate) fn failures(&self, proxy: Proxy) -> u64 {
        let traffic = self.cases.iter().flat_map(|case| &case.rows).filter(|row| row.proxy == proxy);
        let idle = self.idle.iter().filter(|idle| idle.proxy == proxy);
        let hosts = self.hosts.iter().filter(|_| proxy == Proxy::Aya);
        traffic.map(|row| row.failures).sum::<u64>()
            + idle.map(|idle| idle.failures).sum::<u64>()
            + hosts.map(|hosts| hosts.few.failures + hosts.many.failures).sum::<u64>()
    }

    /// The whole report in Markdown.
    pub(crate) fn markdown(&self, circumstances: &Circumstances, installed: &[Installed]) -> String {
        let proxies: Vec<Proxy> = installed.iter().map(|installed| installed.proxy).collect();
        let versions: Vec<String> =
            installed.iter().map(|one| format!("{} {}", one.proxy.name(), one.version)).collect();
        let Circumstances { machine, date, method } = circumstances;
        let mut text = format!("{date}; {machine}; {}.\n{method}\n", versions.join(", "));
        if !self.cases.is_empty() {
            text.push_str(&self.cpu_table(&proxies));
            text.push_str(
                &self.table("Requests per second", &proxies, |row, _| number(row.rate_per_second(), 0)),
            );
            text.push_str(&self.table(
                "Latency in µs at a fixed rate: p50 / p99 / p99.9",
                &proxies,
                |row, _| row.latency_us().map(|us| number(us, 0)).join(" / "),
            ));
            text.push_str(&self.table("System calls per request", &proxies, |row, _| {
                number(row.calls_per_request.unwrap_or(f64::NAN), 2)
            }));
        }
        text.push_str(&self.idle_table());
        if let Some(hosts) = &self.hosts {
            let _ = write!(text, "\nRoute look-up, Aya: {}.\n", hosts.summary());
        }
        let failures: Vec<String> =
            proxies.iter().map(|proxy| format!("{} {}", proxy.name(), self.failures(*proxy))).collect();
        let _ = write!(text, "\nFailed requests: {}.\n", failures.join(", "));
        text
    }

    fn cpu_table(&self, proxies: &[Proxy]) -> String {
        let mut text = heading("CPU µs per request", proxies, &["Aya / relay", "Aya / best peer"]);
        for case in &self.cases {
            let of = |wanted: fn(Proxy) -> bool| {
                case.rows.iter().filter(|row| wanted(row.proxy)).map(Row::cpu_us).fold(f64::NAN, f64::min)
            };
            let aya = of(|proxy| proxy == Proxy::Aya);
            let ratios = [aya / of(|proxy| proxy == Proxy::Relay), aya / of(Proxy::is_peer)];
            let cells = case.rows.iter().map(|row| number(row.cpu_us(), 2));
            let cells: Vec<String> = cells.chain(ratios.map(|ratio| number(ratio, 2))).collect();
            let _ = writeln!(text, "| {} | {} |", case.title, cells.join(" | "));
        }
        text
    }

    fn table(&self, title: &str, proxies: &[Proxy], cell: fn(&Row, &CaseResult) -> String) -> String {
        let is_latency = title.starts_with("Latency");
        let mut text = heading(title, proxies, if is_latency { &["requests/s"] } else { &[] });
        for case in &self.cases {
            let mut cells: Vec<String> = case.rows.iter().map(|row| cell(row, case)).collect();
            if is_latency {
                cells.push(number(case.fixed_rate_per_second, 0));
            }
            let _ = writeln!(text, "| {} | {} |", case.title, cells.join(" | "));
        }
        text
    }

    fn idle_table(&self) -> String {
        let mut text = String::new();
        if let Some(first) = self.idle.first() {
            let proxies: Vec<Proxy> = self.idle.iter().map(|idle| idle.proxy).collect();
            text.push_str(&heading("Memory", &proxies, &[]));
            let row =
                |cell: fn(&IdleResult) -> String| self.idle.iter().map(cell).collect::<Vec<_>>().join(" | ");
            let each = row(|idle| number(idle.kib_per_client(), 2));
            let _ = writeln!(text, "| KiB for each of {} idle clients | {each} |", first.clients);
            let all = row(|idle| number(idle.after_kib as f64 / 1024.0, 1));
            let _ = writeln!(text, "| MiB in all, with them | {all} |");
        }
        text
    }
}

fn heading(title: &str, proxies: &[Proxy], more: &[&str]) -> String {
    let names: Vec<&str> = proxies.iter().map(|proxy| proxy.name()).chain(more.iter().copied()).collect();
    format!("\n| {title} | {} |\n|---|{}\n", names.join(" | "), "--:|".repeat(names.len()))
}

fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "–".to_owned() }
}

/// The middle value; of two middle ones, their mean.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = sorted.len().checked_sub(2).and_then(|_| sorted.get(sorted.len() / 2 - 1)).copied();
    lower.map_or(f64::NAN, |lower| f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(proxy: Proxy, cpu_us: f64) -> Row {
        Row { cpu_us: vec![cpu_us], rates_per_second: vec![1.0], ..Row::new(proxy) }
    }

    #[test]
    fn medians_ignore_outliers() {
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 2.0].into_iter()), 3.0);
        assert!(median(std::iter::empty()).is_nan());
    }

    #[test]
    fn aya_is_compared_with_the_floor_and_the_better_peer() {
        let rows = vec![
            row(Proxy::Relay, 10.0),
            row(Proxy::Aya, 11.0),
            row(Proxy::Haproxy, 20.0),
            row(Proxy::Nginx, 22.0),
        ];
        let case = CaseResult { title: "small", fixed_rate_per_second: 1.0, rows };
        let results = Results { cases: vec![case], idle: Vec::new(), hosts: None };
        let table = results.cpu_table(&[Proxy::Relay, Proxy::Aya, Proxy::Haproxy, Proxy::Nginx]);
        assert!(table.contains("| small | 10.00 | 11.00 | 20.00 | 22.00 | 1.10 | 0.55 |"), "{table}");
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        assert_eq!(number(f64::NAN, 2), "–");
    }
}
