//! Every check there is, in the order in which a mistake shows soonest.

mod needs;

use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use anyhow::{Context, Result, bail};
use base_kit::{Clock, MonotonicClock};

use crate::{command, generate, prove, tidy};

/// The end-to-end plays; they need other programs and run by themselves.
const SCENARIOS: &str = "scenarios";

/// One check.
struct Step {
    heading: &'static str,
    /// Whether `--quick` runs it too.
    is_quick: bool,
    run: fn() -> Result<Outcome>,
}

/// How a check that did not fail ended.
enum Outcome {
    Passed,
    /// With what was left out and why.
    PassedInPart(String),
    Skipped(String),
}

const STEPS: &[Step] = &[
    Step { heading: "format", is_quick: true, run: format },
    Step { heading: "tidy", is_quick: true, run: rules },
    Step { heading: "dependencies and licences (cargo deny)", is_quick: false, run: deny },
    Step { heading: "lints (clippy)", is_quick: true, run: lints },
    Step { heading: "documentation (rustdoc)", is_quick: false, run: rustdoc },
    Step { heading: "unit and conformance tests", is_quick: true, run: unit_tests },
    Step { heading: "documentation tests", is_quick: false, run: doc_tests },
    Step { heading: "generated references", is_quick: true, run: references },
    Step { heading: "scenarios", is_quick: false, run: scenarios },
    Step { heading: "proofs", is_quick: false, run: proofs },
];

/// Runs the steps until one fails.
pub(crate) fn run(quick: bool) -> Result<()> {
    if !quick {
        needs::check(&command::python_packages()?, is_ci())?;
        prove::forget()?;
    }
    let steps = STEPS.iter().filter(|step| step.is_quick || !quick);
    let count = steps.clone().count();
    let begin = MonotonicClock.now();
    let mut remarks = String::new();
    for (index, step) in steps.enumerate() {
        say(&format!("\n=== {}/{count} {} ===", index + 1, step.heading));
        let start = MonotonicClock.now();
        let outcome = (step.run)().with_context(|| format!("step `{}` failed", step.heading))?;
        let seconds = MonotonicClock.now().since(start).as_secs_f64();
        let (word, remark) = match outcome {
            Outcome::Passed => ("passed", None),
            Outcome::PassedInPart(remark) => ("passed in part", Some(remark)),
            Outcome::Skipped(remark) => ("skipped", Some(remark)),
        };
        say(&format!("--- {}: {word} in {seconds:.1} s ---", step.heading));
        if let Some(remark) = remark {
            let _ = write!(remarks, "\n  {}: {word}: {remark}", step.heading);
        }
    }
    let kind = if quick { "the quick checks" } else { "all checks" };
    let seconds = MonotonicClock.now().since(begin).as_secs_f64();
    let but = if remarks.is_empty() { "" } else { ", but not all of them in full:" };
    say(&format!("\n{kind} passed in {seconds:.0} s{but}{remarks}"));
    Ok(())
}

/// Prints at once, so that it stands before what the next program prints.
fn say(text: &str) {
    println!("{text}");
    let _ = std::io::stdout().flush();
}

fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// Cargo, building: silent in CI, whose record should hold what is found, not where things lie on its machine.
fn building(arguments: &[&str]) -> Result<Command> {
    let mut command = command::cargo(arguments)?;
    if is_ci() {
        command.arg("--quiet");
    }
    Ok(command)
}

fn pass(command: &mut Command) -> Result<Outcome> {
    command::succeed(command).map(|()| Outcome::Passed)
}

fn format() -> Result<Outcome> {
    pass(&mut command::cargo(&["fmt", "--all", "--check"])?)
}

fn rules() -> Result<Outcome> {
    tidy::run(&[]).map(|()| Outcome::Passed)
}

fn deny() -> Result<Outcome> {
    if !command::quietly(&mut command::cargo(&["deny", "--version"])?) {
        if is_ci() {
            bail!("cargo-deny is missing; install it with `cargo install cargo-deny --locked`");
        }
        return Ok(Outcome::Skipped("cargo-deny is missing: `cargo install cargo-deny --locked`".to_owned()));
    }
    let check = ["deny", "--all-features", "check", "--hide-inclusion-graph"];
    command::succeed(command::cargo(&check)?.args(["bans", "licenses", "sources"]))?;
    // The advisories come from a repository that must be fetched, which not every machine may do.
    let fetched = command::quietly(&mut command::cargo(&["deny", "fetch", "db"])?);
    if !fetched {
        let remark = "the advisory database cannot be reached: known vulnerabilities were NOT checked";
        return Ok(Outcome::PassedInPart(remark.to_owned()));
    }
    pass(command::cargo(&check)?.args(["--disable-fetch", "advisories"]))
}

fn lints() -> Result<Outcome> {
    pass(building(&["clippy", "--workspace", "--all-targets"])?.args(["--", "-D", "warnings"]))
}

fn rustdoc() -> Result<Outcome> {
    pass(building(&["doc", "--workspace", "--no-deps"])?.env("RUSTDOCFLAGS", "-D warnings"))
}

fn unit_tests() -> Result<Outcome> {
    if has_nextest()? {
        return pass(proving(&mut nextest(&format!("not package({SCENARIOS})"))?)?);
    }
    let mut tests = building(&["test", "--workspace", "--exclude", SCENARIOS])?;
    pass(proving(tests.args(["--lib", "--bins", "--tests"]))?)
}

fn doc_tests() -> Result<Outcome> {
    pass(&mut command::cargo(&["test", "--workspace", "--exclude", SCENARIOS, "--doc", "--quiet"])?)
}

fn references() -> Result<Outcome> {
    generate::schema(true)?;
    generate::docs(true)?;
    Ok(Outcome::Passed)
}

fn scenarios() -> Result<Outcome> {
    let aya = generate::build()?;
    let mut plays = match has_nextest()? {
        true => nextest(&format!("package({SCENARIOS})"))?,
        // One at a time: plays measure memory and put the machine under load.
        false => {
            let mut plays = building(&["test", "--package", SCENARIOS])?;
            plays.args(["--", "--test-threads", "1"]);
            plays
        }
    };
    pass(proving(&mut plays)?.env("AYA_BIN", aya).env("AYA_PYTHON_PACKAGES", command::python_packages()?))
}

/// Has harnesses among the tests write down what they find.
fn proving(tests: &mut Command) -> Result<&mut Command> {
    Ok(tests.env("AYA_PROVE", prove::evidence_folder()?))
}

/// What the tests have found is there already.
fn proofs() -> Result<Outcome> {
    prove::finish_short().map(|()| Outcome::Passed)
}

fn has_nextest() -> Result<bool> {
    Ok(command::quietly(&mut command::cargo(&["nextest", "--version"])?))
}

/// All packages are built in one go whatever the filter, so that dependencies are built with one set of features only.
fn nextest(filter: &str) -> Result<Command> {
    let mut nextest = command::cargo(&["nextest", "run", "--workspace", "--filterset", filter])?;
    if is_ci() {
        nextest.args(["--profile", "ci", "--cargo-quiet"]);
    }
    Ok(nextest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_leaves_out_what_needs_other_programs() {
        let quick: Vec<_> = STEPS.iter().filter(|step| step.is_quick).map(|step| step.heading).collect();
        assert!(!quick.contains(&"scenarios") && quick.contains(&"tidy"), "{quick:?}");
    }
}
