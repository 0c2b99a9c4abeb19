//! What balancers have to reach on the shipped scenarios. Shorter than shipped; `AYA_LONG=1` takes them as they are.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says why")]

use std::path::Path;

use base_kit::TimeSpan;
use base_testkit::TempFolder;
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

/// What health checks do not see, comparison with peers does: even with a balancer that looks at nothing.
#[test]
fn comparison_with_peers_finds_gray_failures() {
    let results = run("gray-failures.yaml", &["round-robin"], TimeSpan::from_secs(100));
    let [compared, alone] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!([&*compared.policy, &*alone.policy], ["round-robin, compared", "round-robin, ejection off"]);
    assert!(4 * compared.figures.errors < alone.figures.errors, "{results:?}");
    assert!(4.0 * p99(compared) < p99(alone), "{} {}", p99(compared), p99(alone));
    assert_eq!(alone.figures.degraded_share, 0.0);
    // Each of three servers is bad for a fifth of the time, and then held off until it has shown that it is well.
    assert!((0.05..0.2).contains(&compared.figures.degraded_share), "{}", compared.figures.degraded_share);
}

/// Of servers that are alike, hardly one is ever held off: with service times of a heavy tail, in small pools, with little traffic,
/// and where queues come and go because the load is high and the balancer looks at nothing.
#[test]
fn servers_that_are_alike_are_left_in_peace() {
    let pareto = "{kind: pareto, shape: 1.1, min: 2ms, max: 10s}";
    let mild = "{kind: pareto, shape: 1.5, min: 4ms, max: 400ms}";
    let exponential = "{kind: exponential, mean: 20ms}";
    let cases = [
        ("{count: 8, model: processor-sharing, slots: 4}", pareto, "load: 0.5"),
        ("{count: 2, model: processor-sharing, slots: 4}", pareto, "load: 0.5"),
        ("{count: 3, model: processor-sharing, slots: 4}", pareto, "rate-per-second: 5"),
        ("{count: 8, model: processor-sharing, slots: 4}", mild, "load: 0.9"),
        ("{count: 3, slots: 2}", mild, "load: 0.85"),
        ("8", exponential, "load: 0.9"),
    ];
    let folder = TempFolder::new();
    for (servers, service, load) in cases {
        let text = format!(
            "name: alike\nwarm-up: 10s\nduration: 200s\narrivals: {{kind: poisson, {load}}}\nservice: {service}\n\
             servers: {servers}\npolicies: [round-robin, random]\n"
        );
        let file = folder.write("alike.yaml", text);
        let shares = (1..=3).flat_map(|seed| {
            let overrides = Overrides { seed: Some(seed), ..Overrides::default() };
            let results =
                sim::load(&file, &overrides).unwrap_or_else(|error| panic!("{error}")).run().unwrap();
            results.into_iter().map(|result| result.figures.degraded_share)
        });
        let shares: Vec<f64> = shares.collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!(mean < 0.002, "{servers}, {service}, {load}: {shares:?}");
    }
}

/// Failing is quick and leaves a server idle: who goes by that alone gives it more than its share.
#[test]
fn servers_that_fail_fast_get_less_by_their_failures() {
    let text = "name: fast failures\nduration: 30s\ninstances: 4\narrivals: {kind: poisson, load: 0.6}\n\
        service: {kind: pareto, shape: 1.5, min: 4ms, max: 400ms}\n\
        servers: {count: 20, model: processor-sharing, slots: 2}\n\
        faults: [{kind: errors, servers: 0, share: 0.5, from: 5s, to: 25s}]\n\
        ejection: off\npolicies: [power-of-two, prequal]\n";
    let folder = TempFolder::new();
    let simulation = load(&folder.write("fast.yaml", text), &Overrides::default()).unwrap();
    let errors: Vec<u64> = simulation.run().unwrap().iter().map(|result| result.figures.errors).collect();
    assert!(errors[0] > 100 && 10 * errors[1] < 8 * errors[0], "{errors:?}");
}
