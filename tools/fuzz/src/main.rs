//! Fuzzes all targets, or some, for a time each, and says what came of it.

mod fuzzer;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fmt::Write as _, process::ExitCode, thread};

use anyhow::{Result, bail};
use base_testkit::Evidence;
use clap::Parser;
use fuzz::{TARGETS, Target};

use fuzzer::{Fuzzer, Outcome, succeeds};

/// Looks for inputs that break what must hold.
#[derive(Parser)]
struct Arguments {
    /// For each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Targets at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Keeps what was found worth keeping in `corpus/`.
    #[arg(long)]
    keep: bool,
    /// Targets by name; all, if there are none.
    targets: Vec<String>,
}

const CLAIM: &str = "No target finds an input for which what it asserts does not hold";
const MEMORY: &str = "No input makes the code that reads it, or what that is built from, touch memory that is not its own (address \
                      sanitizer); the sockets' io_uring is not among the targets";
const MIRI: &str = "The pure crates run under Miri without undefined behaviour";

const UNSAFE: &str = "`unsafe` is denied in the whole workspace (rustc's lint `unsafe_code`, and `cargo xtask tidy`) but for two places: the sockets' \
                      io_uring (`crates/traffic/net/src/ring`), and a test that counts allocations";

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut evidence = Evidence::of("fuzz", file!());
    evidence.not_run(MIRI, format!("{}; {UNSAFE}", why_without_miri()));
    let targets = choose(&arguments.targets)?;
    let fuzzer = match Fuzzer::build()? {
        Ok(fuzzer) => fuzzer,
        Err(missing) => {
            println!("nothing was fuzzed: {missing}");
            evidence.not_run(CLAIM, &missing);
            evidence.not_run(MEMORY, missing);
            return Ok(());
        }
    };
    let outcomes = fuzz_all(&fuzzer, &targets, arguments)?;
    let findings: Vec<String> = outcomes.iter().filter_map(|(_, outcome)| outcome.finding.clone()).collect();
    let inputs: u64 = outcomes.iter().map(|(_, outcome)| outcome.inputs).sum();
    let seen = format!(
        "{} targets, {} s each: {} inputs, {} findings",
        outcomes.len(),
        arguments.seconds,
        thousands(inputs),
        findings.len()
    );
    evidence.claim(CLAIM, findings.is_empty(), &seen);
    let is_safe = !findings.iter().any(|finding| finding.contains("AddressSanitizer"));
    evidence.claim(MEMORY, is_safe, &seen);
    evidence.page("fuzz", "Fuzzing", page(&outcomes, arguments.seconds));
    println!("{seen}");
    if findings.is_empty() { Ok(()) } else { bail!("{}", findings.join("\n")) }
}

fn why_without_miri() -> &'static str {
    if succeeds(&["+nightly", "miri", "--version"]) {
        "this harness does not use it yet"
    } else {
        "the nightly compiler here has no component `miri`"
    }
}

fn choose(names: &[String]) -> Result<Vec<Target>> {
    if let Some(stranger) = names.iter().find(|name| !TARGETS.iter().any(|target| target.name == **name)) {
        bail!("there is no target `{stranger}`");
    }
    let wanted = |target: &&Target| names.is_empty() || names.iter().any(|name| name == target.name);
    Ok(TARGETS.iter().filter(wanted).copied().collect())
}

/// Some at a time, each as long as the others.
fn fuzz_all(fuzzer: &Fuzzer, targets: &[Target], arguments: &Arguments) -> Result<Vec<(Target, Outcome)>> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.clamp(1, targets.len().max(1)) {
            scope.spawn(|| {
                while let Some((index, target)) = take(&next, targets) {
                    let outcome = fuzzer.fuzz(target, arguments.seconds, arguments.keep);
                    if let Ok(outcome) = &outcome {
                        println!("{}", line(target, outcome));
                    }
                    let mut all = outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    all.push((index, outcome.map(|outcome| (*target, outcome))));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn take<'a>(next: &AtomicUsize, targets: &'a [Target]) -> Option<(usize, &'a Target)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, targets.get(index)?))
}

fn line(target: &Target, outcome: &Outcome) -> String {
    let found = outcome.finding.as_deref().unwrap_or("nothing");
    let Outcome { inputs, edges, kept, .. } = outcome;
    format!("{}: {inputs} inputs, {edges} edges covered by {kept} of them; found: {found}", target.name)
}

fn page(outcomes: &[(Target, Outcome)], seconds: u32) -> String {
    let mut page = format!(
        "libFuzzer with an address sanitizer, {seconds} s for each target, starting from the inputs kept in `tools/fuzz/corpus/`. \
         An edge is a step from one piece of code to another, in all code that was built with the target.\n\n\
         | target | what must hold | inputs | edges covered | found |\n|---|---|---:|---:|---|\n"
    );
    for (target, outcome) in outcomes {
        let found = outcome.finding.as_deref().unwrap_or("nothing").replace('|', "\\|").replace('\n', " ");
        let (inputs, edges) = (thousands(outcome.inputs), thousands(outcome.edges));
        let _ = writeln!(page, "| `{}` | {} | {inputs} | {edges} | {found} |", target.name, target.claim);
    }
    page
}

/// With a comma at every third digit.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
