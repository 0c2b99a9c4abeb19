//! Faults put into Aya on purpose: each in a copy of the checkout, where the tests that it names must fail, or the claims of a command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::prove::harness::{Harness, Mutant, Run, Tests};
use crate::prove::record::{self, Caught, Finding, Outcome};

/// Tries all mutants of a harness.
pub(crate) fn run(harness: &Harness, commit: &str) -> Result<Vec<Caught>> {
    if harness.mutants.is_empty() {
        return Ok(Vec::new());
    }
    let tried = format!("{}, commit {commit}", record::today()?);
    let copy = Copy::make()?;
    let mut sound = Vec::new();
    let mut all = Vec::new();
    for mutant in harness.mutants {
        let first_failure = |copy: &Copy| match mutant.caught_by {
            Run::Tests(tests) => copy.first_failed_test(tests),
            Run::Command { short, .. } => copy.first_failed_claim(harness, short),
        };
        // What fails anyway notices nothing.
        let command = mutant.caught_by.shown(false);
        if !sound.contains(&command) {
            if let Some(failed) = first_failure(&copy)? {
                bail!("{failed:?} fails without any fault");
            }
            sound.push(command);
        }
        let by = copy.with(mutant, first_failure)?;
        println!("fault {:?}: noticed by {}", mutant.fault, by.as_deref().unwrap_or("NOTHING"));
        all.push(Caught {
            fault: mutant.fault.to_owned(),
            file: mutant.file.to_owned(),
            by,
            tried: tried.clone(),
        });
    }
    Ok(all)
}

/// A copy of the checkout, with a target folder of its own.
struct Copy {
    folder: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Brings the copy up to date. What has not changed is not touched, so that it is not built again.
    fn make() -> Result<Self> {
        let place = command::target_folder()?.join("prove").join("mutants");
        let copy = Self { folder: place.join("checkout"), target: place.join("target") };
        let root = command::root()?;
        let list =
            command::output(&mut command::git(&["ls-files", "-co", "--exclude-standard", "--deduplicate"])?)?;
        let files: Vec<&str> = list.lines().filter(|file| root.join(file).is_file()).collect();
        for file in &files {
            let bytes = fs::read(root.join(file)).with_context(|| format!("cannot read {file}"))?;
            copy.put(file, &bytes)?;
        }
        copy.drop_others(&copy.folder, &files)?;
        Ok(copy)
    }

    fn put(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(file);
        if fs::read(&path).is_ok_and(|present| present == bytes) {
            return Ok(());
        }
        let folder = path.parent().context("a file without a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder of {file}"))?;
        fs::write(&path, bytes).with_context(|| format!("cannot copy {file}"))
    }

    /// Takes away what the checkout does not have any more.
    fn drop_others(&self, folder: &Path, files: &[&str]) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.drop_others(&path, files)?;
            } else if !path
                .strip_prefix(&self.folder)
                .is_ok_and(|file| files.iter().any(|known| file == Path::new(known)))
            {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Does something while the fault is there.
    fn with<T>(&self, mutant: &Mutant, act: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let path = self.folder.join(mutant.file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", mutant.file))?;
        if text.matches(mutant.before).count() != 1 {
            bail!("{}: its text is not in {} exactly once", mutant.fault, mutant.file);
        }
        fs::write(&path, text.replace(mutant.before, mutant.after))?;
        let outcome = act(self);
        fs::write(&path, text)?;
        outcome
    }

    /// The first of the tests that fails.
    fn first_failed_test(&self, tests: Tests) -> Result<Option<String>> {
        // What does not compile is no fault that a test could notice.
        command::succeed(&mut self.nextest(tests, &["--no-run"])?)
            .with_context(|| format!("{} cannot be built", tests.shown()))?;
        let output = self
            .nextest(tests, &["--max-fail", "1", "--color", "never", "--status-level", "fail"])?
            .output()
            .context("cannot start cargo nextest")?;
        if output.status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let failed = said.lines().find_map(failed_test);
        // Anything else, such as a filter that fits no test, is a fault of the harness.
        failed.map(Some).with_context(|| format!("{} did not run:\n{said}", tests.shown()))
    }

    /// The first claim of a command about the program as it is shipped that does not hold.
    fn first_failed_claim(&self, harness: &Harness, words: &[&str]) -> Result<Option<String>> {
        command::succeed(&mut self.cargo(&["build", "--quiet", "--release", "-p", "app-cli"])?)?;
        let evidence = self.target.join("evidence");
        super::clear(&evidence)?;
        // It may say that it failed; what counts is what it claims.
        let status = self.cargo(words)?.env("AYA_PROVE", &evidence).status().context("cannot start cargo")?;
        let found = Finding::read_all(&evidence.join(harness.name))?;
        if found.is_empty() {
            bail!("cargo {} claims nothing, and ended with {status}", words.join(" "));
        }
        let mut claims = found.into_iter().flat_map(|finding| finding.claims);
        Ok(claims.find(|claim| claim.outcome == Outcome::Failed).map(|claim| claim.claim))
    }

    fn nextest(&self, tests: Tests, more: &[&str]) -> Result<Command> {
        let mut nextest = self.cargo(&["nextest", "run", "-p", tests.package, "-E", tests.filter])?;
        nextest.args(more);
        Ok(nextest)
    }

    fn cargo(&self, words: &[&str]) -> Result<Command> {
        let mut cargo = command::cargo(words)?;
        cargo.current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.target);
        cargo.env("AYA_PYTHON_PACKAGES", command::python_packages()?);
        let data = command::root()?.join("../shared/data");
        cargo.env("AYA_DATA", data).env_remove("AYA_LONG").env_remove("AYA_BIN").env_remove("AYA_PROVE");
        Ok(cargo)
    }
}

/// The test of a line that says that one failed, ran out of time or crashed.
fn failed_test(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let first = *words.first()?;
    let has_failed = matches!(first, "FAIL" | "TIMEOUT" | "ABORT" | "TRY") || first.starts_with("SIG");
    (has_failed && line.contains('[')).then(|| words.last().map(|test| (*test).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_tests_are_read_from_what_nextest_says() {
        let line = "        FAIL [   0.005s] (1/3) traffic-http::corpus bare_line_feeds_are_refused";
        assert_eq!(failed_test(line).as_deref(), Some("bare_line_feeds_are_refused"));
        assert_eq!(failed_test("     SIGABRT [   0.1s] ( 1/1) sim a::b").as_deref(), Some("a::b"));
        assert_eq!(failed_test("     Summary [   0.1s] 1 test run: 0 passed, 1 failed"), None);
    }
}
