//! Latency over time, one line for each policy.

use crate::report::{ChartLine, LineChart, Quantile};
use crate::simulation::{PolicyResult, Simulation};

/// The chart as an SVG document.
pub fn chart(simulation: &Simulation, results: &[PolicyResult], quantile: Quantile) -> String {
    let line = |result: &PolicyResult| ChartLine {
        name: result.policy.clone(),
        points: result
            .points
            .iter()
            .map(|point| (point.seconds, point.latency.map(|latency| quantile.of(&latency))))
            .collect(),
    };
    let chart = LineChart {
        title: simulation.describe(),
        across: "seconds after the warm-up".to_owned(),
        upward: format!("{} latency, ms", quantile.word()),
        lines: results.iter().map(line).collect(),
        width: simulation.measured_seconds(),
        is_logarithmic: false,
        // While something is wrong, and where each phase begins, with its load.
        shades: simulation.fault_marks(),
        marks: simulation.phase_marks(),
    };
    chart.svg()
}
