//! What a harness found, as it is kept.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::command;
use crate::prove::harness::{Harness, Mutant};

/// Where records lie in the folder of what is kept.
const RECORDS: &str = "records";

/// All that is known about a harness' last run.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The day, as `2026-11-21`.
    pub(crate) date: String,
    /// The commit that was tried, shortened.
    pub(crate) commit: String,
    /// How to repeat it.
    pub(crate) commands: Vec<String>,
    /// One for each test or program that had something to say.
    pub(crate) found: Vec<Finding>,
    /// Pages of its own.
    #[serde(default)]
    pub(crate) details: Vec<Detail>,
    /// What became of deliberate faults.
    #[serde(default)]
    pub(crate) mutants: Vec<Caught>,
}

/// A page beside the one that shows all harnesses.
#[derive(Serialize, Deserialize)]
pub(crate) struct Detail {
    pub(crate) name: String,
    pub(crate) title: String,
}

/// What one test or program found, as `base_testkit::Evidence` writes it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Finding {
    /// The file that says so.
    pub(crate) by: String,
    pub(crate) claims: Vec<Claim>,
    /// Kept as files of their own.
    #[serde(default, skip_serializing)]
    pub(crate) pages: Vec<Page>,
}

/// One statement about Aya, and what was seen.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) claim: String,
    pub(crate) outcome: Outcome,
    pub(crate) seen: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Held,
    Failed,
    NotRun,
}

/// Such a page, with what stands on it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) text: String,
}

/// What became of a deliberate fault.
#[derive(Serialize, Deserialize)]
pub(crate) struct Caught {
    pub(crate) fault: String,
    pub(crate) file: String,
    /// The first test that failed; none if all passed.
    pub(crate) by: Option<String>,
    /// The day and the commit.
    #[serde(default)]
    pub(crate) tried: String,
}

impl Caught {
    pub(crate) fn is_of(&self, mutant: &Mutant) -> bool {
        self.fault == mutant.fault && self.file == mutant.file
    }
}

impl Claim {
    pub(crate) fn failed(claim: &str, seen: &str) -> Self {
        Self { claim: claim.to_owned(), outcome: Outcome::Failed, seen: seen.to_owned() }
    }
}

impl Finding {
    /// All that lie in a folder, in the order of their names; none if it is not there.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Self>> {
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        paths.iter().map(|path| parse(path)).collect()
    }
}

impl Record {
    /// What was found of this commit.
    pub(crate) fn new(commit: &str, commands: Vec<String>, found: Vec<Finding>) -> Result<Self> {
        let pages = found.iter().flat_map(|finding| &finding.pages);
        let detail = |page: &Page| Detail { name: page.name.clone(), title: page.title.clone() };
        let details = pages.map(detail).collect();
        Ok(Self { date: today()?, commit: commit.to_owned(), commands, found, details, mutants: Vec::new() })
    }

    /// The one that is kept in a folder, if there is one.
    pub(crate) fn load(folder: &Path, harness: &Harness) -> Result<Option<Self>> {
        let path = folder.join(RECORDS).join(harness.name).with_extension("json");
        if path.exists() { parse(&path).map(Some) } else { Ok(None) }
    }

    /// Keeps it, and its pages.
    pub(crate) fn store(&self, folder: &Path, harness: &Harness) -> Result<()> {
        let write = |name: String, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        let records = folder.join(RECORDS);
        fs::create_dir_all(&records).with_context(|| format!("cannot make {}", records.display()))?;
        write(
            format!("{RECORDS}/{}.json", harness.name),
            format!("{}\n", serde_json::to_string_pretty(self)?),
        )?;
        for page in self.found.iter().flat_map(|finding| &finding.pages) {
            let Page { name, title, text } = page;
            let head = format!("# {title}\n\n<!-- Made by `cargo xtask prove`; do not edit. -->\n");
            write(format!("{name}.md"), format!("{head}\n{}\n", text.trim()))?;
        }
        Ok(())
    }

    pub(crate) fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.found.iter().flat_map(|finding| &finding.claims)
    }

    /// What became of a deliberate fault, if it was tried.
    pub(crate) fn caught(&self, mutant: &Mutant) -> Option<&Caught> {
        self.mutants.iter().find(|caught| caught.is_of(mutant))
    }

    /// How many claims ended so.
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        self.claims().filter(|claim| claim.outcome == outcome).count()
    }

    /// What does not hold, and faults that nothing noticed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        let failed = self.claims().filter(|claim| claim.outcome == Outcome::Failed);
        let missed = self.mutants.iter().filter(|mutant| mutant.by.is_none());
        let claims = failed.map(|claim| format!("{}: {}", claim.claim, claim.seen));
        claims.chain(missed.map(|mutant| format!("nothing noticed this fault: {}", mutant.fault)))
    }
}

/// The day, as `2026-11-21`.
pub(crate) fn today() -> Result<String> {
    Ok(command::output(&mut command::command("date", &["-u", "+%F"])?)?.trim().to_owned())
}

/// The commit of the checkout, shortened, and whether anything but what runs bring about is different there.
pub(crate) fn commit() -> Result<String> {
    let said = |words: &[&str]| command::output(&mut command::git(words)?);
    let commit = said(&["rev-parse", "--short=10", "HEAD"])?.trim().to_owned();
    let changed = said(&["status", "--porcelain", "--", ".", ":!docs/reference"])?;
    Ok(if changed.trim().is_empty() { commit } else { format!("{commit}, with changes") })
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what was expected", path.display()))
}
