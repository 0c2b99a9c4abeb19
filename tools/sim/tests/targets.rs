//! What balancers have to reach on the shipped scenarios. Shorter than shipped; `AYA_LONG=1` takes them as they are.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says why")]

use std::path::Path;

use base_kit::TimeSpan;
use sim::{Overrides, PolicyResult, load};

fn is_long() -> bool {
    std::env::var_os("AYA_LONG").is_some()
}

/// Runs these policies on a shipped scenario, for this time unless all of it is wanted.
fn run(scenario: &str, policies: &[&str], short: TimeSpan) -> Vec<PolicyResult> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/simulations").join(scenario);
    let policies = policies.iter().map(|name| (*name).to_owned()).collect();
    let duration = (!is_long()).then_some(short);
    let simulation = load(&path, &Overrides { policies, seed: None, duration });
    simulation.unwrap_or_else(|error| panic!("{error}")).run().unwrap()
}

fn p99(result: &PolicyResult) -> f64 {
    result.figures.latency.unwrap().p99_ms
}

/// The whole of the paper's claim, small: slow servers show in latency before they show in one's own requests in flight.
#[test]
fn slow_servers_cost_a_fifth_of_what_they_cost_least_connections() {
    let policies = ["least-connections", "peak-ewma", "prequal"];
    let results = run("slow-servers.yaml", &policies, TimeSpan::from_secs(12));
    assert_eq!(results.len(), 4, "prequal with probes and without");
    for result in &results[1..] {
        assert_eq!(result.figures.errors, 0, "{}", result.policy);
        assert!(p99(result) <= p99(&results[0]) / 5.0, "{}: {}", result.policy, p99(result));
    }
}

/// Where there is nothing to gain, nothing is lost.
#[test]
fn equal_servers_do_as_much_as_with_rotation() {
    let policies = ["round-robin", "prequal", "peak-ewma", "power-of-two"];
    let results = run("equal-servers.yaml", &policies, TimeSpan::from_secs(30));
    let rotation = results[0].figures.throughput_rps;
    for result in &results[1..] {
        let throughput = result.figures.throughput_rps;
        assert!(throughput >= 0.97 * rotation, "{}: {throughput}, not {rotation}", result.policy);
    }
}

/// The paper's testbed: rotation by weight runs into the deadline when the load passes the allotment, probes carry it to
/// 1.74 times of that without an error.
#[test]
fn probes_find_what_the_neighbours_leave() {
    let policies = ["weighted-round-robin", "prequal", "prequal(probe=/load)"];
    let results = run("antagonists.yaml", &policies, TimeSpan::from_secs(108));
    let [rotation, .., probed] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!(probed.policy, "prequal(probe=/load)");
    assert_eq!(probed.figures.errors, 0);
    assert!(probed.phases.iter().any(|phase| phase.load > 1.7 && phase.figures.requests > 1_000));
    assert!(p99(probed) < 2_000.0, "{}", p99(probed));
    for phase in &rotation.phases {
        // Shorter phases end before a queue of 5 s is there.
        let expected = phase.load > 1.0 && is_long() || phase.load > 1.3;
        assert!(!expected || phase.figures.errors > 0, "at load {}", phase.load);
    }
    assert!(probed.figures.throughput_rps > 1.03 * rotation.figures.throughput_rps);
}

/// Failing is quick and leaves a server idle: who goes by that alone gives it more than its share.
#[test]
fn servers_that_fail_fast_get_less_by_their_failures() {
    let policies = ["power-of-two", "prequal"];
    let results = run("gray-failures.yaml", &policies, TimeSpan::from_secs(30));
    let errors: Vec<u64> = results.iter().map(|result| result.figures.errors).collect();
    assert!(
        errors[0] > 100 && errors[1..].iter().all(|errors_here| 10 * errors_here < 8 * errors[0]),
        "{errors:?}"
    );
}
