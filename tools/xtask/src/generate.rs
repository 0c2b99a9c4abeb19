//! The pages and files that `aya` writes about itself: made here, kept in the repository, checked by `test`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command;

/// Where they go.
const FOLDER: &str = "docs/reference";
/// The configuration's schema: file, and what `aya` is asked.
const SCHEMA: Generated = Generated { file: "config.schema.json", arguments: &["schema"] };
/// The pages: file, and what `aya` is asked.
const PAGES: &[Generated] = &[
    Generated { file: "configuration.md", arguments: &["reference", "configuration"] },
    Generated { file: "balancers.md", arguments: &["reference", "balancers"] },
    Generated { file: "health-checks.md", arguments: &["reference", "health-checks"] },
    Generated { file: "filters.md", arguments: &["reference", "filters"] },
    Generated { file: "metrics.md", arguments: &["reference", "metrics"] },
    Generated { file: "reasons.md", arguments: &["reference", "reasons"] },
    Generated { file: "access-log.md", arguments: &["reference", "access-log"] },
    Generated { file: "admin-api.md", arguments: &["reference", "admin-api"] },
    Generated { file: "openapi.json", arguments: &["reference", "openapi"] },
];

struct Generated {
    file: &'static str,
    arguments: &'static [&'static str],
}

/// Writes the schema, or checks that it is up to date.
pub(crate) fn schema(check: bool) -> Result<()> {
    let root = command::root()?;
    settle(&root, &generate(&build()?, &[SCHEMA])?, check, "cargo xtask schema")
}

/// Writes the pages, or checks that they are up to date.
pub(crate) fn docs(check: bool) -> Result<()> {
    let root = command::root()?;
    settle(&root, &generate(&build()?, PAGES)?, check, "cargo xtask docs")
}

/// Builds `aya` and gives its path. The whole workspace is built, so that the dependencies get the same features as in
/// the tests and are not built twice.
pub(crate) fn build() -> Result<PathBuf> {
    build_as("debug", &["build", "--quiet", "--workspace"])
}

/// Builds `aya` as it is shipped, and gives its path.
pub(crate) fn build_release() -> Result<PathBuf> {
    build_as("release", &["build", "--quiet", "--release", "-p", "app-cli"])
}

fn build_as(profile: &str, arguments: &[&str]) -> Result<PathBuf> {
    command::succeed(&mut command::cargo(arguments)?)?;
    let program = command::target_folder()?.join(profile).join("aya");
    if !program.is_file() {
        bail!("cargo built no program `aya`");
    }
    Ok(program)
}

fn generate(aya: &Path, wanted: &[Generated]) -> Result<Vec<(String, String)>> {
    let program = aya.to_str().context("the target folder's path is not UTF-8")?;
    let mut texts = Vec::new();
    for generated in wanted {
        let mut text = command::output(&mut command::command(program, generated.arguments)?)?;
        // One line end at the end, whether the program printed it or not.
        text.truncate(text.trim_end().len());
        text.push('\n');
        texts.push((format!("{FOLDER}/{}", generated.file), text));
    }
    Ok(texts)
}

/// Writes what differs; with `check`, fails instead and names the command that would write it.
fn settle(root: &Path, texts: &[(String, String)], check: bool, repair: &str) -> Result<()> {
    let mut stale = Vec::new();
    for (path, text) in texts {
        let place = root.join(path);
        if fs::read_to_string(&place).is_ok_and(|present| present == *text) {
            continue;
        }
        stale.push(path.as_str());
        if !check {
            let folder = place.parent().context("a file without a folder")?;
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder of {path}"))?;
            fs::write(&place, text).with_context(|| format!("cannot write {path}"))?;
            println!("wrote {path}");
        }
    }
    if check && !stale.is_empty() {
        bail!("not up to date: {}; run `{repair}` and commit what it writes", stale.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_files_fail_the_check_and_are_written_otherwise() {
        let root = std::env::temp_dir().join(format!("aya-xtask-{}", std::process::id()));
        let texts = [("docs/reference/x.md".to_owned(), "new\n".to_owned())];
        let error = settle(&root, &texts, true, "cargo xtask docs").unwrap_err();
        assert!(error.to_string().contains("docs/reference/x.md; run `cargo xtask docs`"), "{error}");
        assert!(!root.exists(), "a check writes nothing");
        settle(&root, &texts, false, "").unwrap();
        settle(&root, &texts, true, "").unwrap();
        fs::write(root.join("docs/reference/x.md"), "old\n").unwrap();
        assert!(settle(&root, &texts, true, "").is_err());
        fs::remove_dir_all(&root).unwrap();
    }
}
