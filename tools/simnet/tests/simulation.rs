//! Runs of the simulated world, seed after seed.

use simnet::{Outcome, Scenario, play};
use tokio::runtime::{Builder, LocalOptions};

fn run(scenario: &Scenario, traced: bool) -> Outcome {
    let mut builder = Builder::new_current_thread();
    let runtime =
        builder.enable_time().start_paused(true).build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(play(scenario.clone(), traced))
}

#[test]
fn one() {
    let scenario: Scenario = std::env::var("AYA_SEED").unwrap_or("1".into()).parse().expect("a scenario");
    let outcome = run(&scenario, true);
    for line in &outcome.trace {
        println!("{line}");
    }
    println!("{:#?} {:?} {:#?}", outcome.tally, outcome.counts, outcome.violations);
}

#[test]
fn many() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (first, count) = (number("AYA_FIRST", 0), number("AYA_COUNT", 200));
    let begun = std::time::Instant::now();
    let mut tally = simnet::Tally::default();
    let mut counts = simnet::Counts::default();
    let mut failed = 0;
    for seed in first..first + count {
        let outcome = run(&Scenario::of(seed), false);
        tally.add(&outcome.tally);
        counts = counts.plus(outcome.counts);
        if let Some(violation) = outcome.violations.first() {
            failed += 1;
            println!("SEED {seed}: {} {}", violation.invariant, violation.what);
        }
    }
    println!("{failed} of {count} failed in {:?}\n{tally:#?}\n{counts:?}", begun.elapsed());
}
