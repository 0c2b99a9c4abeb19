//! The simulator against queueing theory, and against itself. Every run also asserts that no request is lost and that
//! Little's law holds to the nanosecond.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says why"
)]

use base_kit::TimeSpan;
use base_testkit::TempFolder;
use sim::{Overrides, PolicyResult, load};

/// Runs a scenario, of which only the middle is given.
fn run(text: &str) -> Vec<PolicyResult> {
    let folder = TempFolder::new();
    let file = folder.write("scenario.yaml", format!("name: test\n{text}"));
    let simulation = load(&file, &Overrides::default()).unwrap_or_else(|error| panic!("{error}"));
    simulation.run().unwrap()
}

/// The mean latency of the only policy, in service times of 10 ms.
fn mean(text: &str) -> f64 {
    run(text)[0].figures.latency.unwrap().mean_ms / 10.0
}

/// Random arrivals over servers that a random choice makes independent of each other.
fn independent(load: f64, service: &str, server: &str) -> String {
    format!(
        "seed: 7\nduration: 60s\nwarm-up: 10s\npolicies: [random]\narrivals: {{kind: poisson, load: {load}}}\n\
         service: {{{service}}}\nservers: {{count: 100, {server}}}\n"
    )
}

const EXPONENTIAL: &str = "kind: exponential, mean: 10ms";
const CONSTANT: &str = "kind: constant, time: 10ms";
const FIFO: &str = "model: fifo, slots: 1";
const SHARING: &str = "model: processor-sharing, slots: 1";

/// Fails unless the value is what theory says, give or take four standard errors, which are given relative to it.
fn assert_near(found: f64, theory: f64, standard_error: f64) {
    let margin = 4.0 * standard_error * theory;
    assert!((found - theory).abs() < margin, "{found} is not {theory} ± {margin}");
}

/// M/M/1: 1 / (1 − ρ). The number in the system has, over a time of T service times, a variance of 2ρ(1 + ρ)/(1 − ρ)⁴/T
/// (Whitt 1989, "Planning queueing simulations"): here T is 600,000 and the standard error 2.7 %.
#[test]
fn one_queue_each() {
    assert_near(mean(&independent(0.9, EXPONENTIAL, FIFO)), 10.0, 0.027);
    assert_near(mean(&independent(0.5, EXPONENTIAL, FIFO)), 2.0, 0.006);
}

/// Processor sharing: 1 / (1 − ρ) whatever the law of service times.
#[test]
fn sharing_depends_on_the_mean_alone() {
    assert_near(mean(&independent(0.7, EXPONENTIAL, SHARING)), 1.0 / 0.3, 0.012);
    assert_near(mean(&independent(0.7, CONSTANT, SHARING)), 1.0 / 0.3, 0.012);
    let pareto = "kind: pareto, shape: 1.5, min: 4ms, max: 200ms";
    let service_time = 4.0_f64.powf(1.5) / (1.0 - 0.02_f64.powf(1.5)) * 3.0 * (0.5 - 200.0_f64.powf(-0.5));
    assert_near(mean(&independent(0.5, pareto, SHARING)), 2.0 * service_time / 10.0, 0.012);
}

/// M/D/1: 1 + ρ / (2(1 − ρ)), by Pollaczek and Khinchine. M/M/2: 1 / (1 − ρ²).
#[test]
fn queues_of_other_sorts() {
    assert_near(mean(&independent(0.8, CONSTANT, FIFO)), 3.0, 0.012);
    assert_near(mean(&independent(0.8, EXPONENTIAL, "slots: 2")), 1.0 / 0.36, 0.012);
}

/// Mitzenmacher 2001, "The power of two choices in randomized load balancing": 2.61 service times at a load of 0.9 for
/// servers without number, a little more for 200. Who looks at all queues does better.
#[test]
fn two_choices_are_far_better_than_one() {
    let text = independent(0.9, EXPONENTIAL, FIFO).replace("100", "200").replace("60s", "20s");
    let results = run(&text.replace("[random]", "[power-of-two, least-connections]"));
    let means: Vec<f64> =
        results.iter().map(|result| result.figures.latency.unwrap().mean_ms / 10.0).collect();
    assert!((2.55..2.75).contains(&means[0]), "{means:?}");
    assert!((1.0..means[0]).contains(&means[1]), "{means:?}");
}

/// Servers that are overloaded for good end the run with a message instead of filling the memory.
#[test]
fn endless_overload_is_said() {
    let folder = TempFolder::new();
    let text = "name: test\nduration: 1000s\npolicies: [random]\narrivals: {kind: constant, rate-per-second: 100000}\n\
        service: {kind: constant, time: 10s}\nservers: 1\n";
    let simulation = load(&folder.write("scenario.yaml", text), &Overrides::default()).unwrap();
    let error = simulation.run().unwrap_err().to_string();
    assert!(error.contains("with `random`") && error.contains("lower the load"), "{error}");
}

/// Twice as fast: half of the time. Three times as slow for a while: as said.
#[test]
fn speed_and_slowness_count() {
    let alone = "duration: 10s\npolicies: [random]\narrivals: {kind: constant, rate-per-second: 10}\nservice: {kind: constant, time: 10ms}\n";
    assert_near(mean(&format!("{alone}servers: {{speed: 2}}\n")), 0.5, 1e-6);
    let slow = "faults: [{kind: slow, servers: 0, factor: 3, from: 5s, to: 10s}]\n";
    assert_near(mean(&format!("{alone}servers: 1\n{slow}")), 2.0, 0.01);
    // Half of the time half of the capacity is gone; requests are short beside that.
    let antagonist = "servers: {antagonist: {share: 0.5, on: 100ms, off: 100ms}}\n";
    let found = mean(&format!("{alone}{antagonist}").replace("10s", "1000s"));
    assert!((1.3..1.6).contains(&found), "{found}");
}

/// The interactive law: clients = throughput × (latency + thinking).
#[test]
fn clients_ask_wait_and_think() {
    for (think, servers) in [("0s", "1"), ("50ms", "4"), ("200ms", "{model: processor-sharing, slots: 2}")] {
        let results = run(&format!(
            "duration: 200s\nwarm-up: 10s\npolicies: [least-connections, round-robin]\n\
             arrivals: {{kind: closed, clients: 16, think: {think}}}\n\
             service: {{kind: exponential, mean: 10ms}}\nservers: {servers}\n"
        ));
        let seconds = think.trim_end_matches("ms").parse().unwrap_or(0.0) / 1e3;
        for result in results {
            let latency = result.figures.latency.unwrap().mean_ms / 1e3;
            assert_near(result.figures.throughput_rps * (latency + seconds), 16.0, 0.01);
        }
    }
}

/// The same seed gives the same figures for every balancer there is; another one gives others.
#[test]
fn a_run_repeats_itself() {
    let folder = TempFolder::new();
    let file = folder.write("scenario.yaml", format!("name: test\n{}", independent(0.8, EXPONENTIAL, FIFO)));
    let run = |seed| {
        let (policies, duration) = (vec!["all".to_owned()], Some(TimeSpan::from_secs(1)));
        load(&file, &Overrides { policies, seed, duration }).unwrap().run().unwrap()
    };
    let first = run(None);
    assert_eq!(first, run(Some(7)));
    assert_ne!(first, run(Some(8)));
    let arrived = first[0].account.arrived;
    assert!(first.iter().all(|result| result.account.arrived == arrived), "all see the same requests");
}

/// Everything at once, for every balancer there is: what is asserted at the end of each run holds.
#[test]
fn no_request_is_lost_whatever_happens() {
    let folder = TempFolder::new();
    let text = "name: storm\nwarm-up: 1s\nphases: [{duration: 2s, load: 0.5}, {duration: 2s, load: 1.5}, {duration: 1s, load: 0}, {duration: 1s, load: 1}]\n\
        instances: 3\npolicies: [random]\ndeadline: 300ms\n\
        arrivals: ARRIVALS\n\
        service: {kind: truncated-normal, mean: 10ms, deviation: 10ms}\n\
        servers: [{count: 4, antagonist: {share: 1, on: 200ms, off: 1s}}, {count: 4, model: processor-sharing, slots: 1.5, speed: 0.5, weight: 2}]\n\
        faults:\n  - {kind: down, servers: [0, 5], from: 0s, to: 2500ms}\n  - {kind: down, servers: [0, 1, 2, 3, 4, 5, 6, 7], from: 3s, to: 3100ms}\n  \
          - {kind: slow, servers: 6, factor: 20, from: 1s, to: 5s}\n  - {kind: errors, servers: [2, 7], share: 0.3, from: 1s, to: 5s}\n";
    for arrivals in ["{kind: poisson, load: 1}", "{kind: constant, load: 1}", "{kind: closed, clients: 60}"] {
        let file = folder.write("storm.yaml", text.replace("ARRIVALS", arrivals));
        let overrides = Overrides { policies: vec!["all".to_owned()], ..Overrides::default() };
        let results = load(&file, &overrides).unwrap_or_else(|error| panic!("{error}")).run().unwrap();
        assert!(results.len() >= 5);
        for result in results {
            assert!(result.account.arrived > 1_000, "{result:?}");
            assert!(result.account.errors > 0 && result.account.answered > 500, "{result:?}");
            assert_eq!(result.phases.len(), 4);
            let counted: u64 = result.phases.iter().map(|phase| phase.figures.requests).sum();
            assert_eq!(counted, result.figures.requests);
        }
    }
}

/// A server that refuses connections costs nobody an answer while others are there, and is left alone after a few refusals.
#[test]
fn refused_requests_go_elsewhere() {
    let text = "duration: 10s\npolicies: [round-robin, random]\narrivals: {kind: poisson, load: 0.3}\n\
        service: {kind: exponential, mean: 10ms}\nservers: 4\nfaults: [{kind: down, servers: 2, from: 2s, to: 8s}]\n";
    for result in run(text) {
        assert_eq!(result.figures.errors, 0, "{result:?}");
    }
    let all_down = text.replace("servers: 2,", "servers: [0, 1, 2, 3],");
    for result in run(&all_down) {
        let share = result.figures.errors as f64 / result.figures.requests as f64;
        assert!((0.55..0.65).contains(&share), "{share}");
    }
}

/// A server that answers with errors at once: whoever counts requests in flight runs into it.
#[test]
fn a_fast_failure_attracts_traffic() {
    let text = "duration: 20s\npolicies: [random, least-connections]\narrivals: {kind: poisson, load: 0.8}\n\
        service: {kind: exponential, mean: 10ms}\nservers: 10\nfaults: [{kind: errors, servers: 3, share: 1, from: 0s, to: 20s}]\nejection: off\n";
    let results = run(text);
    let share = |index: usize| {
        let result: &PolicyResult = &results[index];
        result.figures.errors as f64 / result.figures.requests as f64
    };
    assert!((share(0) - 0.1).abs() < 0.02, "{}", share(0));
    assert!(share(1) > 2.0 * share(0), "{}", share(1));
}

/// An instance that sees only its own requests chooses worse than one that sees all.
#[test]
fn many_instances_know_less() {
    let text = |instances: u32| {
        format!(
            "duration: 20s\nwarm-up: 5s\ninstances: {instances}\npolicies: [least-connections]\n\
             arrivals: {{kind: poisson, load: 0.9}}\nservice: {{kind: exponential, mean: 10ms}}\nservers: 20\n"
        )
    };
    let (one, many) = (mean(&text(1)), mean(&text(40)));
    assert!(many > 1.5 * one, "{one} {many}");
}

/// Requests that would take longer than the deadline end there, and count with it.
#[test]
fn the_deadline_ends_requests() {
    let text = "duration: 10s\npolicies: [random]\narrivals: {kind: constant, rate-per-second: 50}\ndeadline: 30ms\n\
        service: {kind: replay, times: [10ms, 50ms]}\nservers: 100\nejection: off\n";
    let result = &run(text)[0];
    let latency = result.figures.latency.unwrap();
    assert_near(result.figures.errors as f64 / result.figures.requests as f64, 0.5, 0.01);
    assert_near(latency.p99_ms, 30.0, 0.001);
    assert_near(latency.mean_ms, 20.0, 0.01);
}
