//! Proofs: harnesses are run, what they found is kept, and the page that shows it is made from that.
//!
//! `docs/reference/conformance/records/NAME.json` is what the long form of a harness found when it ran last; `docs/reference/conformance.md`
//! is made from these files alone. The short form, which `cargo xtask test` runs, keeps nothing there: it must hold, and must not
//! claim what the page does not.

mod harness;
mod harnesses;
mod mutants;
mod page;
mod record;

use std::cell::OnceCell;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command;
use crate::generate;
use harness::{Harness, Run};
use record::{Claim, Finding, Record};

/// Where the page's sources lie, and pages that show a harness in full.
const FOLDER: &str = "docs/reference/conformance";
const PAGE: &str = "docs/reference/conformance.md";

/// What to run.
pub(crate) struct Options {
    pub(crate) is_long: bool,
    /// Harnesses by name; all, if empty.
    pub(crate) only: Vec<String>,
    pub(crate) with_mutants: bool,
    /// Whether experiments are run, or only what is known is shown.
    pub(crate) with_runs: bool,
}

/// Runs harnesses, keeps what the long form finds, and makes the page anew.
pub(crate) fn run(options: &Options) -> Result<()> {
    let chosen = choose(&options.only)?;
    let surroundings = Surroundings::find(options.is_long)?;
    let mut failed = Vec::new();
    for harness in chosen {
        let Some(record) = options.update(&surroundings, harness)? else { continue };
        failed.extend(record.failures().map(|failure| format!("{}: {failure}", harness.title)));
        record.store(&surroundings.kept, harness)?;
    }
    surroundings.write_page()?;
    settle(&failed)
}

impl Options {
    /// What is known of a harness, with what is found now in place of what was; `None` if it was never run.
    fn update(&self, surroundings: &Surroundings, harness: &Harness) -> Result<Option<Record>> {
        let mut known = Record::load(&surroundings.kept, harness)?;
        if self.with_runs {
            clear(&surroundings.evidence.join(harness.name))?;
            let mishaps = surroundings.run_all(harness, |_| true)?;
            let mutants = known.map(|known| known.mutants).unwrap_or_default();
            known = Some(Record { mutants, ..surroundings.read(harness, mishaps)? });
        }
        if let Some(record) = known.as_mut().filter(|_| self.with_mutants) {
            record.mutants = mutants::run(harness, &surroundings.commit)?;
        }
        Ok(known)
    }
}

/// What `cargo xtask test` adds to the tests that it has run: the other runs of all harnesses, in their short form; and the
/// page must be made of what is kept, and claim no less than what was found now.
pub(crate) fn finish_short() -> Result<()> {
    let surroundings = Surroundings::find(false)?;
    let root = command::root()?;
    let mut failed = Vec::new();
    for harness in harnesses::ALL {
        let mishaps = surroundings.run_all(harness, |run| matches!(run, Run::Command { .. }))?;
        let record = surroundings.read(harness, mishaps)?;
        failed.extend(record.failures().map(|failure| format!("{}: {failure}", harness.title)));
        failed.extend(unknown_claims(&root, harness, &record)?);
        record.store(&surroundings.kept, harness)?;
    }
    surroundings.write_page()?;
    if fs::read_to_string(root.join(PAGE)).ok() != Some(page::render(&root.join(FOLDER))?) {
        failed.push(format!("{PAGE} is not what {FOLDER} says: run `cargo xtask prove --page`"));
    }
    settle(&failed)
}

/// Claims that the short form makes and the page does not, although the long form was run.
fn unknown_claims(root: &Path, harness: &Harness, record: &Record) -> Result<Vec<String>> {
    let Some(kept) = Record::load(&root.join(FOLDER), harness)? else { return Ok(Vec::new()) };
    let known = |claim: &Claim| kept.claims().any(|other| other.claim == claim.claim);
    let unknown = record.claims().filter(|claim| !known(claim));
    let name = harness.name;
    Ok(unknown
        .map(|claim| {
            format!("the page does not know {:?}: run `cargo xtask prove --only {name}`", claim.claim)
        })
        .collect())
}

fn settle(failed: &[String]) -> Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    bail!("what was to be proved does not hold:\n  {}", failed.join("\n  "))
}

fn choose(only: &[String]) -> Result<Vec<&'static Harness>> {
    let known = harnesses::ALL;
    if let Some(stranger) = only.iter().find(|name| !known.iter().any(|harness| harness.name == **name)) {
        let names: Vec<_> = known.iter().map(|harness| harness.name).collect();
        bail!("there is no harness {stranger:?}; there are: {}", names.join(", "));
    }
    let wanted = |harness: &&&Harness| only.is_empty() || only.iter().any(|name| name == harness.name);
    Ok(known.iter().filter(wanted).copied().collect())
}

/// The folder to which harnesses write what they find: `AYA_PROVE`.
pub(crate) fn evidence_folder() -> Result<PathBuf> {
    Ok(command::target_folder()?.join("prove").join("evidence"))
}

/// Takes away what was found before.
pub(crate) fn forget() -> Result<()> {
    clear(&evidence_folder()?)
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    Ok(())
}

/// What runs need, and where things go.
struct Surroundings {
    is_long: bool,
    /// What is tried, as it is before anything runs.
    commit: String,
    /// What experiments write.
    evidence: PathBuf,
    /// What is made of it.
    kept: PathBuf,
    /// The program that is tried, once it is built.
    aya: OnceCell<PathBuf>,
}

impl Surroundings {
    fn find(is_long: bool) -> Result<Self> {
        let short = command::target_folder()?.join("prove").join("conformance");
        let kept = if is_long { command::root()?.join(FOLDER) } else { short };
        fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
        let commit = record::commit()?;
        Ok(Self { is_long, commit, evidence: evidence_folder()?, kept, aya: OnceCell::new() })
    }

    /// Runs what is wanted, and tells of runs that did not end well: what they had to say may be missing.
    fn run_all(&self, harness: &Harness, wanted: impl Fn(&Run) -> bool) -> Result<Vec<Claim>> {
        let mut mishaps = Vec::new();
        for run in harness.runs.iter().filter(|run| wanted(run)) {
            println!("\n=== {}: {} ===", harness.title, run.shown(self.is_long));
            if let Err(error) = self.run_one(run) {
                mishaps.push(Claim::failed("every run ends well", &format!("{error:#}")));
            }
        }
        Ok(mishaps)
    }

    fn run_one(&self, run: &Run) -> Result<()> {
        let mut process = match run {
            Run::Tests(tests) => {
                command::cargo(&["nextest", "run", "-p", tests.package, "-E", tests.filter])?
            }
            Run::Command { short, long } => command::cargo(if self.is_long { long } else { short })?,
        };
        process.env("AYA_PROVE", &self.evidence).env("AYA_BIN", self.aya()?);
        process.env("AYA_PYTHON_PACKAGES", command::python_packages()?).env("AYA_PEERS", command::peers()?);
        if self.is_long {
            process.env("AYA_LONG", "1");
        }
        command::succeed(&mut process)
    }

    /// The long form is about the program that is shipped.
    fn aya(&self) -> Result<&Path> {
        if self.aya.get().is_none() {
            let built = if self.is_long { generate::build_release()? } else { generate::build()? };
            // Nobody else fills it: there is one thread.
            let _ = self.aya.set(built);
        }
        self.aya.get().map(PathBuf::as_path).context("the program was just built")
    }

    /// What the runs of a harness found.
    fn read(&self, harness: &Harness, mishaps: Vec<Claim>) -> Result<Record> {
        let mut found = Finding::read_all(&self.evidence.join(harness.name))?;
        if !mishaps.is_empty() {
            found.push(Finding { by: String::new(), claims: mishaps, pages: Vec::new() });
        }
        let driver = env::var("AYA_IO").map_or_else(|_| String::new(), |driver| format!("AYA_IO={driver} "));
        let commands =
            harness.runs.iter().map(|run| format!("{driver}{}", run.shown(self.is_long))).collect();
        Record::new(&self.commit, commands, found)
    }

    /// Makes the page of what is kept.
    fn write_page(&self) -> Result<()> {
        let place = self.kept.with_extension("md");
        fs::write(&place, page::render(&self.kept)?)
            .with_context(|| format!("cannot write {}", place.display()))?;
        println!("wrote {}", place.display());
        Ok(())
    }
}
