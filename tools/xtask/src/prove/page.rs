//! The page that shows all harnesses, made from what is kept of them.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::prove::harness::Harness;
use crate::prove::harnesses;
use crate::prove::record::{Finding, Outcome, Record};

const HEAD: &str = "\
# Conformance

<!-- Made by `cargo xtask prove`; do not edit. -->

What is claimed of Aya's engine, and the experiments behind it. Every row names the file that produces it, every section the command that
repeats it; `cargo xtask prove` runs them all, which takes some hours, `cargo xtask test` a short form of each. Each harness is held to
account as well: faults that were put into Aya on purpose, one at a time, must make it fail.
";

/// The page, from the records in a folder.
pub(crate) fn render(folder: &Path) -> Result<String> {
    let mut text = HEAD.to_owned();
    let mut sections = String::new();
    text.push_str(
        "\n| harness | held | failed | not run | faults noticed | last run |\n|---|--:|--:|--:|--:|---|\n",
    );
    for harness in harnesses::ALL {
        let record = Record::load(folder, harness)?;
        let _ = writeln!(text, "{}", overview(harness, record.as_ref()));
        sections.push_str(&section(harness, record.as_ref()));
    }
    text.push_str(&sections);
    Ok(text)
}

fn overview(harness: &Harness, record: Option<&Record>) -> String {
    let link = format!("[{}](#{})", harness.title, anchor(harness.title));
    let Some(record) = record else { return format!("| {link} | | | all | | never |") };
    let count = |outcome| record.count(outcome);
    let noticed = record.mutants.iter().filter(|mutant| mutant.by.is_some()).count();
    let noticed = match (harness.mutants.len(), record.mutants.len()) {
        (0, _) => String::new(),
        (_, 0) => "not tried".to_owned(),
        (all, _) => format!("{noticed} of {all}"),
    };
    let (held, failed, not_run) = (count(Outcome::Held), count(Outcome::Failed), count(Outcome::NotRun));
    format!("| {link} | {held} | {failed} | {not_run} | {noticed} | {} |", record.date)
}

fn section(harness: &Harness, record: Option<&Record>) -> String {
    let mut text = format!("\n## {}\n\n{}\n", harness.title, harness.about);
    let Some(record) = record else {
        let _ = writeln!(text, "\nNot run yet.");
        return text;
    };
    let _ = writeln!(text, "\n{}, commit {}:\n\n```sh", record.date, record.commit);
    for command in &record.commands {
        let _ = writeln!(text, "{command}");
    }
    text.push_str("```\n\n| claim | | seen | by |\n|---|---|---|---|\n");
    for finding in &record.found {
        rows(&mut text, finding);
    }
    faults(&mut text, record);
    text
}

fn rows(text: &mut String, finding: &Finding) {
    let by = match finding.by.rsplit('/').next() {
        Some(name) if !name.is_empty() => format!("[{name}](../../{})", finding.by),
        _ => String::new(),
    };
    for claim in &finding.claims {
        let outcome = match claim.outcome {
            Outcome::Held => "held",
            Outcome::Failed => "**failed**",
            Outcome::NotRun => "not run",
        };
        let _ = writeln!(text, "| {} | {outcome} | {} | {by} |", cell(&claim.claim), cell(&claim.seen));
    }
}

fn faults(text: &mut String, record: &Record) {
    if record.mutants.is_empty() {
        return;
    }
    text.push_str("\n| fault put in on purpose | into | noticed by |\n|---|---|---|\n");
    for mutant in &record.mutants {
        let name = mutant.file.rsplit('/').next().unwrap_or(&mutant.file);
        let by = mutant.by.as_ref().map_or("**nothing**".to_owned(), |test| format!("`{test}`"));
        let _ = writeln!(text, "| {} | [{name}](../../{}) | {by} |", cell(&mutant.fault), mutant.file);
    }
}

/// What stands in a table must not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// As links to headings are written.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::record::{Caught, Claim};

    const HARNESS: Harness =
        Harness { name: "x", title: "HTTP/1 corpus", about: "About.", runs: &[], mutants: &[] };

    #[test]
    fn a_section_shows_claims_faults_and_what_was_not_run() {
        let claims = vec![
            Claim { claim: "a | b".to_owned(), outcome: Outcome::Held, seen: "12 of 12".to_owned() },
            Claim { claim: "c".to_owned(), outcome: Outcome::NotRun, seen: "no nightly".to_owned() },
        ];
        let found = vec![Finding { by: "tests/tests/x.rs".to_owned(), claims, pages: Vec::new() }];
        let missed = Caught { fault: "f".to_owned(), file: "a/b.rs".to_owned(), by: None };
        let record = Record {
            date: "2026-11-21".to_owned(),
            commands: vec!["cargo x".to_owned()],
            found,
            mutants: vec![missed],
            ..Record::default()
        };
        let text = section(&HARNESS, Some(&record));
        assert!(text.contains("| a \\| b | held | 12 of 12 | [x.rs](../../tests/tests/x.rs) |\n"), "{text}");
        assert!(text.contains("| c | not run | no nightly |"), "{text}");
        assert!(text.contains("| f | [b.rs](../../a/b.rs) | **nothing** |"), "{text}");
        assert!(text.contains("```sh\ncargo x\n```"), "{text}");
        assert!(section(&HARNESS, None).contains("Not run yet."));
        assert_eq!(anchor(HARNESS.title), "http1-corpus");
        assert_eq!(record.failures().count(), 1);
    }
}
