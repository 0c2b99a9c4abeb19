//! Running the fuzzer.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use fuzz::{Target, corpus};

/// Longer inputs reach nothing that these do not.
const MAX_INPUT_BYTES: &str = "-max_len=4096";
/// Those that are kept are to be read.
const MAX_KEPT_BYTES: &str = "-max_len=1024";
/// An input that takes so many seconds is a finding: what is read must cost in proportion to its length.
const TIMEOUT: &str = "-timeout=10";
/// The sanitizer takes most of it.
const MEMORY: &str = "-rss_limit_mb=2048";

/// The targets, built.
pub(crate) struct Fuzzer {
    /// What it works with; not kept.
    work: PathBuf,
}

/// What came of a target.
pub(crate) struct Outcome {
    /// That were tried.
    pub(crate) inputs: u64,
    /// Of the code that was built with the target.
    pub(crate) edges: u64,
    /// Inputs that cover these edges.
    pub(crate) kept: usize,
    /// What was found, if something was.
    pub(crate) finding: Option<String>,
}

impl Fuzzer {
    /// Builds all targets; what is missing on this machine, if that cannot be done.
    pub(crate) fn build() -> Result<Result<Self, String>> {
        if !succeeds(&["+nightly", "--version"]) {
            return Ok(Err("there is no nightly compiler (`rustup toolchain install nightly`)".to_owned()));
        }
        if !succeeds(&["fuzz", "--version"]) {
            return Ok(Err("cargo-fuzz is missing (`cargo install cargo-fuzz --locked`)".to_owned()));
        }
        let mut build = cargo_fuzz("build");
        let status = build.status().context("cannot start cargo fuzz")?;
        if !status.success() {
            bail!("the targets cannot be built ({status})");
        }
        Ok(Ok(Self { work: target_folder().join("fuzz") }))
    }

    /// Fuzzes one target, beginning with what is kept for it and what was found earlier.
    pub(crate) fn fuzz(&self, target: &Target, seconds: u32, keeps: bool) -> Result<Outcome> {
        let (found, seeds, findings) =
            (self.folder("found", target)?, self.folder("seeds", target)?, self.folder("findings", target)?);
        for (index, input) in corpus::load(target)?.into_iter().enumerate() {
            fs::write(seeds.join(index.to_string()), input)?;
        }
        let mut command = cargo_fuzz("run");
        command.arg(target.name).args([&found, &seeds]).arg("--");
        command.args([MAX_INPUT_BYTES, TIMEOUT, MEMORY, "-print_final_stats=1"]);
        command.arg(format!("-max_total_time={seconds}"));
        command.arg(joined("-artifact_prefix=", &findings.join("")));
        let dictionary = corpus::home().join(format!("dictionaries/{}.dict", target.name));
        command.arg(joined("-dict=", &dictionary));
        let log = self.work.join(format!("{}.log", target.name));
        let status = command.stdout(Stdio::null()).stderr(fs::File::create(&log)?).status();
        let status = status.context("cannot start cargo fuzz")?;
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let finding = (!status.success()).then(|| finding(target, &said, &log));
        if keeps && finding.is_none() {
            self.keep(target, &found, &seeds)?;
        }
        Ok(Outcome {
            inputs: number_after(&said, "stat::number_of_executed_units: ").unwrap_or(0),
            edges: number_after(&said, " cov: ").unwrap_or(0),
            kept: fs::read_dir(&found)?.count(),
            finding,
        })
    }

    /// Keeps the fewest short inputs that cover what all of them do.
    fn keep(&self, target: &Target, found: &Path, seeds: &Path) -> Result<()> {
        let kept = self.folder("kept", target)?;
        fs::remove_dir_all(&kept)?;
        fs::create_dir_all(&kept)?;
        let mut command = cargo_fuzz("run");
        command.arg(target.name).args([kept.as_path(), found, seeds]).arg("--");
        command.args(["-set_cover_merge=1", MAX_KEPT_BYTES, MEMORY]);
        if !command.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
            bail!("what was found for {} cannot be merged", target.name);
        }
        let files = fs::read_dir(&kept)?.map(|entry| Ok(fs::read(entry?.path())?));
        corpus::store(target, files.collect::<Result<_>>()?)
    }

    fn folder(&self, what: &str, target: &Target) -> Result<PathBuf> {
        let folder = self.work.join(what).join(target.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

fn cargo_fuzz(action: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz", action, "--fuzz-dir"]).arg(corpus::home().join("libfuzzer"));
    command.current_dir(corpus::home().join("libfuzzer")).env("CARGO_TARGET_DIR", target_folder());
    // Those of the stable compiler that runs this.
    for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command
}

/// Where everything that is built goes, the targets too.
fn target_folder() -> PathBuf {
    let given = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    given.unwrap_or_else(|| corpus::home().join("../../target"))
}

pub(crate) fn succeeds(arguments: &[&str]) -> bool {
    let mut command = Command::new("cargo");
    command.args(arguments).env_remove("RUSTUP_TOOLCHAIN").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut joined = OsString::from(option);
    joined.push(path);
    joined
}

/// The last number behind this text.
fn number_after(text: &str, before: &str) -> Option<u64> {
    let (_, behind) = text.rsplit_once(before)?;
    let digits = behind.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What broke, and where the input is.
fn finding(target: &Target, said: &str, log: &Path) -> String {
    let mut lines = said.lines();
    let telling = |line: &&str| line.contains("panicked at") || line.contains("ERROR: ");
    let what = lines.find(telling).unwrap_or("it ended without saying why");
    let more = lines.next().unwrap_or_default();
    format!("{}: {what} {more} (all of it: {})", target.name, log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_the_fuzzer_says() {
        let said =
            "#2 INITED cov: 7 ft: 8\n#9 DONE   cov: 4711 ft: 99\nstat::number_of_executed_units: 123456\n";
        assert_eq!(number_after(said, " cov: "), Some(4711));
        assert_eq!(number_after(said, "stat::number_of_executed_units: "), Some(123_456));
        assert_eq!(number_after(said, "nothing: "), None);
    }
}
