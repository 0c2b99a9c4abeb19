//! Results for programs.

use serde_json::{Map, Value, json as object};

use crate::simulation::PolicyResult;

/// `{"policies": {NAME: {throughput_rps, errors, mean_ms, p50_ms, p99_ms, p999_ms}}}`; latencies are null where there are none.
pub fn json(results: &[PolicyResult]) -> Value {
    let one = |result: &PolicyResult| {
        let figures = &result.figures;
        let latency = figures.latency;
        let value = object!({
            "throughput_rps": figures.throughput_rps,
            "errors": figures.errors,
            "mean_ms": latency.map(|latency| latency.mean_ms),
            "p50_ms": latency.map(|latency| latency.p50_ms),
            "p99_ms": latency.map(|latency| latency.p99_ms),
            "p999_ms": latency.map(|latency| latency.p999_ms),
        });
        (result.policy.clone(), value)
    };
    object!({ "policies": results.iter().map(one).collect::<Map<_, _>>() })
}
