//! The tables, a picture, and what was to be reached.

mod picture;
mod verdict;

use std::fmt::Write as _;

use crate::proxies::{Installed, Proxy};
use crate::results::{CaseResult, Latency, Pace, Results, Row, spread};

pub(crate) use picture::bars;
pub(crate) use verdict::publish;

/// Where and how it was measured.
pub(crate) struct Circumstances {
    pub(crate) machine: String,
    pub(crate) date: String,
    pub(crate) method: String,
}

/// The whole report in Markdown.
pub(crate) fn markdown(results: &Results, circumstances: &Circumstances, installed: &[Installed]) -> String {
    let versions: Vec<String> = installed
        .iter()
        .filter(|one| one.proxy != Proxy::Direct)
        .map(|one| format!("{} {}", one.name, one.version))
        .collect();
    let Circumstances { machine, date, method } = circumstances;
    let mut text = format!("{date}; {machine}; {}.\n{method}\n", versions.join(", "));
    if !results.cases.is_empty() {
        text.push_str(&cpu_table(&results.cases));
        text.push_str(&table(
            &results.cases,
            "Requests per second",
            |_| true,
            |row| number(row.rate_per_second(), 0),
        ));
        text.push_str(&latency_table(&results.cases));
        text.push_str(&table(&results.cases, "System calls per request", has_process, |row| {
            number(row.calls_per_request.unwrap_or(f64::NAN), 2)
        }));
    }
    text.push_str(&idle_table(results));
    if let Some(hosts) = &results.hosts {
        let _ = write!(text, "\nRoute look-up, Aya: {}.\n", hosts.summary());
    }
    let failures: Vec<String> =
        installed.iter().map(|one| format!("{} {}", one.name, results.failures(&one.name))).collect();
    let _ = write!(text, "\nFailed requests: {}.\n", failures.join(", "));
    text
}

fn has_process(row: &Row) -> bool {
    row.proxy != Proxy::Direct
}

/// With how far rounds are apart, and Aya compared with the floor and the best peer.
fn cpu_table(cases: &[CaseResult]) -> String {
    let mut text = heading("CPU µs per request", cases, has_process, &["Aya / relay", "Aya / best peer"]);
    for case in cases {
        let ratios = [case.cpu_ratio(|proxy| proxy == Proxy::Relay), case.cpu_ratio(Proxy::is_peer)];
        let cells = case.rows.iter().filter(|row| has_process(row));
        let cells =
            cells.map(|row| format!("{} ± {}", number(row.cpu_us(), 2), number(spread(&row.cpu_us), 2)));
        let ratios = ratios.map(|ratio| number(ratio.unwrap_or(f64::NAN), 2));
        let cells: Vec<String> = cells.chain(ratios).collect();
        let _ = writeln!(text, "| {} | {} |", case.title, cells.join(" | "));
    }
    text
}

/// What is added at each pace, and the rate.
fn latency_table(cases: &[CaseResult]) -> String {
    let measured: Vec<&CaseResult> = cases.iter().filter(|case| case.rows.iter().any(has_latency)).collect();
    let title = "Latency added, µs: p50 / p99 / p99 in the worst quarter of pieces (requests per second)";
    let mut text = heading(title, cases, has_process, &[]);
    for case in &measured {
        for pace in Pace::ALL {
            let cell = |row: &Row| row.latency(*pace).map_or_else(|| "–".to_owned(), latency_cell);
            let cells: Vec<String> = case.rows.iter().filter(|row| has_process(row)).map(cell).collect();
            let _ = writeln!(text, "| {}, {} | {} |", case.title, pace.words(), cells.join(" | "));
        }
    }
    if measured.is_empty() { String::new() } else { text }
}

fn latency_cell(latency: &Latency) -> String {
    let added = latency.added_us().map(|us| number(us, 0)).join(" / ");
    format!("{added} ({})", number(latency.rate_per_second, 0))
}

fn has_latency(row: &Row) -> bool {
    Pace::ALL.iter().any(|pace| row.latency(*pace).is_some())
}

fn table(cases: &[CaseResult], title: &str, wanted: fn(&Row) -> bool, cell: fn(&Row) -> String) -> String {
    let mut text = heading(title, cases, wanted, &[]);
    for case in cases {
        let cells: Vec<String> = case.rows.iter().filter(|row| wanted(row)).map(cell).collect();
        let _ = writeln!(text, "| {} | {} |", case.title, cells.join(" | "));
    }
    text
}

fn idle_table(results: &Results) -> String {
    let Some(first) = results.idle.first() else { return String::new() };
    let names: Vec<&str> = results.idle.iter().map(|idle| idle.name.as_str()).collect();
    let mut text = columns("Memory", &names);
    let each = results.idle.iter().map(|idle| number(idle.kib_per_client(), 2));
    let _ = writeln!(text, "| KiB for each of {} idle clients | {} |", first.clients, joined(each));
    let all = results.idle.iter().map(|idle| number(idle.after_kib as f64 / 1024.0, 1));
    let _ = writeln!(text, "| MiB in all, with them | {} |", joined(all));
    text
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(" | ")
}

/// The columns are those of the first case.
fn heading(title: &str, cases: &[CaseResult], wanted: fn(&Row) -> bool, more: &[&str]) -> String {
    let rows = cases.first().map(|case| case.rows.as_slice()).unwrap_or_default();
    let names = rows.iter().filter(|row| wanted(row)).map(|row| row.name.as_str());
    columns(title, &names.chain(more.iter().copied()).collect::<Vec<_>>())
}

fn columns(title: &str, names: &[&str]) -> String {
    format!("\n| {title} | {} |\n|---|{}\n", names.join(" | "), "--:|".repeat(names.len()))
}

fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "–".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(proxy: Proxy, name: &str, cpu_us: f64) -> Row {
        Row { cpu_us: vec![cpu_us], rates_per_second: vec![1.0], ..Row::new(proxy, name) }
    }

    #[test]
    fn aya_is_compared_with_the_floor_and_the_best_peer() {
        let rows = vec![
            Row::new(Proxy::Direct, "direct"),
            row(Proxy::Relay, "relay", 10.0),
            row(Proxy::Aya, "Aya", 11.0),
            row(Proxy::Haproxy, "HAProxy", 20.0),
            row(Proxy::Envoy, "Envoy", 22.0),
        ];
        let table = cpu_table(&[CaseResult { name: "small", title: "small", rows }]);
        assert!(table.contains("| CPU µs per request | relay | Aya | HAProxy | Envoy |"), "{table}");
        assert!(
            table.contains(
                "| small | 10.00 ± 0.00 | 11.00 ± 0.00 | 20.00 ± 0.00 | 22.00 ± 0.00 | 1.10 | 0.55 |"
            ),
            "{table}"
        );
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        assert_eq!(number(f64::NAN, 2), "–");
    }
}
