//! Runs of the simulated world, seed after seed. `AYA_SEED=17` plays one of them and shows all of it.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use base_testkit::Evidence;
use simnet::{ClientFault, Counts, EndpointFault, INVARIANTS, Outcome, Scenario, Tally, Violation, play};
use tokio::runtime::{Builder, LocalOptions};

/// Seeds of the short form, and of the long one.
const SHORT: u64 = 240;
const LONG: u64 = 10_000;
/// Seeds that are played twice.
const REPEATED: u64 = 20;
/// Tries to make a failing run smaller.
const MOST_TRIES: usize = 100;

fn run(scenario: &Scenario, traced: bool) -> Outcome {
    let mut builder = Builder::new_current_thread();
    let runtime =
        builder.enable_time().start_paused(true).build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(play(scenario.clone(), traced))
}

/// What all runs together have shown.
#[derive(Default)]
struct Sum {
    tally: Tally,
    counts: Counts,
    failures: BTreeMap<u64, Violation>,
}

/// Plays so many seeds on all cores.
fn play_seeds(count: u64) -> Sum {
    let (next, sum) = (AtomicU64::new(0), Mutex::new(Sum::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return;
            }
            let outcome = run(&Scenario::of(seed), false);
            let mut sum = sum.lock().expect("no thread has panicked");
            sum.tally.add(&outcome.tally);
            sum.counts = sum.counts.plus(outcome.counts);
            if let Some(first) = outcome.violations.into_iter().next() {
                sum.failures.insert(seed, first);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    sum.into_inner().expect("no thread has panicked")
}

/// The smallest run that can be found in which the same invariant is broken.
fn shrink(scenario: Scenario, invariant: &str) -> Scenario {
    let mut smallest = scenario;
    let mut tries = 0;
    'again: loop {
        for smaller in smallest.smaller() {
            tries += 1;
            if tries > MOST_TRIES {
                return smallest;
            }
            if run(&smaller, false).violations.iter().any(|violation| violation.invariant == invariant) {
                smallest = smaller;
                continue 'again;
            }
        }
        return smallest;
    }
}

/// Plays one scenario and shows all of it.
fn show(scenario: &Scenario) -> Outcome {
    let outcome = run(scenario, true);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("{:#?}\n{:?}", outcome.tally, outcome.counts);
    outcome
}

fn complain(scenario: &Scenario, violation: &Violation) -> String {
    let Violation { invariant, what } = violation;
    let smallest = shrink(scenario.clone(), invariant);
    format!(
        "{invariant}: {what}\n  AYA_SEED={smallest} cargo nextest run -p simnet --no-capture -E 'test(every_seed_holds)'"
    )
}

#[test]
fn every_seed_holds() {
    if let Ok(one) = env::var("AYA_SEED") {
        let outcome = show(&one.parse().expect("a scenario, for instance 17"));
        assert_eq!(outcome.violations, [], "the first one is what to look at");
        return;
    }
    let seeds = if env::var_os("AYA_LONG").is_some() { LONG } else { SHORT };
    let sum = play_seeds(seeds);
    report(seeds, &sum);
    let complaints: Vec<_> = sum
        .failures
        .iter()
        .take(3)
        .map(|(seed, violation)| complain(&Scenario::of(*seed), violation))
        .collect();
    assert!(
        complaints.is_empty(),
        "{} of {seeds} seeds fail; the first ones:\n{}",
        sum.failures.len(),
        complaints.join("\n")
    );
    let never: Vec<_> = unmet(&sum.tally);
    assert!(never.is_empty(), "never met in {seeds} seeds: {never:?}");
}

/// Faults that no seed has met: a simulation that does not happen proves nothing.
fn unmet(tally: &Tally) -> Vec<String> {
    let clients = ClientFault::ALL.iter().map(|fault| format!("{fault:?}"));
    let clients = clients.filter(|fault| !tally.client_faults.contains_key(fault));
    let endpoints = EndpointFault::ALL.iter().map(|fault| format!("{fault:?}"));
    clients.chain(endpoints.filter(|fault| !tally.endpoint_faults.contains_key(fault))).collect()
}

fn report(seeds: u64, Sum { tally, counts, failures }: &Sum) {
    let mut evidence = Evidence::of("simulation", file!());
    let sum = |of: &BTreeMap<String, u64>| of.values().sum::<u64>();
    evidence.claim(
        "Every seed holds every invariant",
        failures.is_empty(),
        format!(
            "{seeds} seeds, {} failed; {} invariants, looked at {} times",
            failures.len(),
            INVARIANTS.len(),
            tally.checks
        ),
    );
    evidence.claim(
        "Requests under trouble: each has one answer and one record",
        failures.is_empty(),
        format!(
            "{} requests in {:.0} simulated hours, {} whole answers, {} sent again",
            tally.requests,
            tally.simulated.as_secs_f64() / 3600.0,
            tally.answers,
            tally.sent_again
        ),
    );
    evidence.claim(
        "Every kind of fault was met",
        unmet(tally).is_empty(),
        format!(
            "{} faults of clients of {} kinds, {} of endpoints of {} kinds, {} changes by the operator",
            sum(&tally.client_faults),
            tally.client_faults.len(),
            sum(&tally.endpoint_faults),
            tally.endpoint_faults.len(),
            sum(&tally.operations)
        ),
    );
    evidence.claim(
        "The network did its worst",
        counts.resets > 0 && counts.back_pressure > 0,
        format!(
            "{} deliveries, {} of them late; {} partial writes, {} partial reads, {} waits for room, {} resets",
            counts.events, counts.delays, counts.partial_writes, counts.partial_reads, counts.back_pressure, counts.resets
        ),
    );
    evidence.page("simulation", "Simulation", page(seeds, tally));
}

fn page(seeds: u64, tally: &Tally) -> String {
    let mut text =
        format!("What {seeds} seeds have met. How it works: [simulation](../../design/simulation.md).\n");
    let mut table = |title: &str, rows: Vec<(String, String)>| {
        let _ = write!(text, "\n| {title} | |\n|---|---|\n");
        for (name, value) in rows {
            let _ = writeln!(text, "| {name} | {value} |");
        }
    };
    let counted = |of: &BTreeMap<String, u64>| {
        of.iter().map(|(word, count)| (format!("`{word}`"), count.to_string())).collect()
    };
    table(
        "invariant",
        INVARIANTS.iter().map(|(name, what)| (format!("`{name}`"), (*what).to_owned())).collect(),
    );
    table("fault of a client", counted(&tally.client_faults));
    table("fault of an endpoint", counted(&tally.endpoint_faults));
    table("the operator", counted(&tally.operations));
    let reasons =
        tally.reasons.iter().map(|(word, count)| (format!("`{word}`"), count.to_string())).collect();
    table("reason that requests ended with", reasons);
    text
}

#[test]
fn a_seed_repeats_to_the_byte() {
    let mut lines = 0;
    for seed in 0..REPEATED {
        let (one, other) = (run(&Scenario::of(seed), true), run(&Scenario::of(seed), true));
        assert!(one.trace.len() > 10, "seed {seed}: there is something to compare");
        for (line, (a, b)) in one.trace.iter().zip(&other.trace).enumerate() {
            assert_eq!(a, b, "seed {seed}, line {line}");
        }
        assert_eq!(one.trace.len(), other.trace.len(), "seed {seed}");
        lines += one.trace.len();
    }
    let mut evidence = Evidence::of("simulation", file!());
    let seen = format!("{REPEATED} seeds played twice, {lines} lines of their traces compared");
    evidence.claim("The same seed gives the same run, to the byte", true, seen);
}
