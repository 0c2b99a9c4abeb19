//! Results for people.

use crate::record::Figures;
use crate::simulation::{PolicyResult, Simulation};

const COLUMNS: [&str; 8] =
    ["policy", "requests/s", "errors", "mean ms", "p50 ms", "p99 ms", "p99.9 ms", "degraded"];

/// One line for each policy, and below, one for each policy and phase.
pub fn table(simulation: &Simulation, results: &[PolicyResult]) -> String {
    let mut out = format!("{}\n\n", simulation.describe());
    let rows = results.iter().map(|result| row(&result.policy, &result.figures));
    out.push_str(&aligned(COLUMNS, rows));
    let phases = results.iter().map(|result| result.phases.len()).max().unwrap_or_default();
    for index in 0..phases {
        let in_phase =
            |result: &PolicyResult| Some((result.policy.clone(), result.phases.get(index)?.clone()));
        let figures: Vec<_> = results.iter().filter_map(in_phase).collect();
        let Some((_, first)) = figures.first() else { continue };
        out.push_str(&format!("\nload {}\n", first.load));
        out.push_str(&aligned(COLUMNS, figures.iter().map(|(policy, phase)| row(policy, &phase.figures))));
    }
    out
}

fn row(policy: &str, figures: &Figures) -> [String; 8] {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), milliseconds);
    let latency = figures.latency;
    [
        policy.to_owned(),
        format!("{:.1}", figures.throughput_rps),
        errors(figures),
        ms(latency.map(|latency| latency.mean_ms)),
        ms(latency.map(|latency| latency.p50_ms)),
        ms(latency.map(|latency| latency.p99_ms)),
        ms(latency.map(|latency| latency.p999_ms)),
        degraded(figures.degraded_share),
    ]
}

/// How many, and their share where there are any.
fn errors(figures: &Figures) -> String {
    if figures.errors == 0 {
        return "0".to_owned();
    }
    let share = 100.0 * figures.errors as f64 / figures.requests as f64;
    // What is there is not called nothing.
    if share < 0.01 {
        format!("{} (<0.01 %)", figures.errors)
    } else {
        format!("{} ({share:.2} %)", figures.errors)
    }
}

/// Of the servers' time, in percent.
fn degraded(share: f64) -> String {
    // What is there is not called nothing.
    match share * 100.0 {
        0.0 => "0".to_owned(),
        percent if percent < 0.01 => "<0.01 %".to_owned(),
        percent => format!("{percent:.2} %"),
    }
}

/// As many digits as are worth reading.
fn milliseconds(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.3}"),
        value if value < 100.0 => format!("{value:.2}"),
        _ => format!("{value:.1}"),
    }
}

/// The first column to the left, the others to the right.
fn aligned(head: [&str; 8], rows: impl Iterator<Item = [String; 8]>) -> String {
    let rows: Vec<[String; 8]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match index {
                0 => out.push_str(&format!("{cell:<width$}")),
                _ => out.push_str(&format!("  {cell:>width$}")),
            }
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}
