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
repeats it; `cargo xtask prove` runs them all, which takes some hours, `cargo xtask test` a short form of each. Harnesses are held to
account as well: faults that are put into Aya on purpose, one at a time, must make them fail. The table says for which that was shown. Sockets are driven
by io_uring unless `AYA_IO` says otherwise.
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
    let tried: Vec<_> = harness.mutants.iter().filter_map(|mutant| record.caught(mutant)).collect();
    let noticed = tried.iter().filter(|caught| caught.by.is_some()).count();
    let noticed = match (harness.mutants.len(), tried.len()) {
        (0, _) => "none".to_owned(),
        (_, 0) => "not tried".to_owned(),
        (all, _) => format!("{noticed} of {all}"),
    };
    let (held, failed, not_run) = (count(Outcome::Held), count(Outcome::Failed), count(Outcome::NotRun));
    format!("| {link} | {held} | {failed} | {not_run} | {noticed} | {} |", record.date)
}

fn section(harness: &Harness, record: Option<&Record>) -> String {
    let mut text = format!("\n## {}\n\n{}\n", harness.title, harness.about);
    let Some(record) = record else {
        let _ = writeln!(text, "\nNot run yet; to be run with:\n");
        commands(&mut text, &harness.runs.iter().map(|run| run.shown(true)).collect::<Vec<_>>());
        return text;
    };
    let _ = writeln!(text, "\n{}, commit {}:\n", record.date, record.commit);
    commands(&mut text, &record.commands);
    text.push_str("\n| claim | | seen | by |\n|---|---|---|---|\n");
    for finding in &record.found {
        rows(&mut text, finding);
    }
    let links: Vec<_> =
        record.details.iter().map(|page| format!("[{}](conformance/{}.md)", page.title, page.name)).collect();
    if !links.is_empty() {
        let _ = writeln!(text, "\nMore: {}.", links.join(", "));
    }
    faults(&mut text, harness, record);
    text
}

fn commands(text: &mut String, commands: &[String]) {
    let _ = writeln!(text, "```sh\n{}\n```", commands.join("\n"));
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

fn faults(text: &mut String, harness: &Harness, record: &Record) {
    if harness.mutants.is_empty() {
        return;
    }
    text.push_str("\n| fault put in on purpose | into | noticed by | tried |\n|---|---|---|---|\n");
    for mutant in harness.mutants {
        let name = mutant.file.rsplit('/').next().unwrap_or(mutant.file);
        let caught = record.caught(mutant);
        let by = match caught.map(|caught| &caught.by) {
            Some(Some(test)) => format!("`{test}`"),
            Some(None) => "**nothing**".to_owned(),
            None => String::new(),
        };
        let tried = caught.map_or("not yet", |caught| &caught.tried);
        let _ =
            writeln!(text, "| {} | [{name}](../../{}) | {by} | {tried} |", cell(mutant.fault), mutant.file);
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
    use crate::prove::harness::{Mutant, Run, Tests};
    use crate::prove::record::{Caught, Claim, Detail};

    const TESTS: Tests = Tests { package: "x", filter: "all()" };

    const fn mutant(fault: &'static str) -> Mutant {
        Mutant { fault, file: "a/b.rs", before: "", after: "", caught_by: Run::Tests(TESTS) }
    }

    const HARNESS: Harness = Harness {
        name: "x",
        title: "HTTP/1 corpus",
        about: "About.",
        runs: &[Run::Tests(TESTS)],
        mutants: &[mutant("f"), mutant("g"), mutant("h")],
    };

    #[test]
    fn a_section_shows_claims_faults_and_what_was_not_run() {
        let claims = vec![
            Claim { claim: "a | b".to_owned(), outcome: Outcome::Held, seen: "12 of 12".to_owned() },
            Claim { claim: "c".to_owned(), outcome: Outcome::NotRun, seen: "no nightly".to_owned() },
        ];
        let found = vec![Finding { by: "tests/tests/x.rs".to_owned(), claims, pages: Vec::new() }];
        let caught = |fault: &str, by: Option<&str>| Caught {
            fault: fault.to_owned(),
            file: "a/b.rs".to_owned(),
            by: by.map(str::to_owned),
            tried: "2026-11-20, commit c".to_owned(),
        };
        // The last one is no longer among the faults that the harness names.
        let mutants = vec![caught("f", None), caught("g", Some("t::u")), caught("gone", Some("t::u"))];
        let details = vec![Detail { name: "corpus".to_owned(), title: "The corpus".to_owned() }];
        let record = Record {
            date: "2026-11-21".to_owned(),
            commands: vec!["cargo x".to_owned()],
            found,
            details,
            mutants,
            ..Record::default()
        };
        let text = section(&HARNESS, Some(&record));
        assert!(text.contains("| a \\| b | held | 12 of 12 | [x.rs](../../tests/tests/x.rs) |\n"), "{text}");
        assert!(text.contains("| c | not run | no nightly |"), "{text}");
        assert!(text.contains("| f | [b.rs](../../a/b.rs) | **nothing** | 2026-11-20, commit c |"), "{text}");
        assert!(text.contains("| g | [b.rs](../../a/b.rs) | `t::u` |"), "{text}");
        assert!(text.contains("| h | [b.rs](../../a/b.rs) |  | not yet |"), "{text}");
        assert!(text.contains("More: [The corpus](conformance/corpus.md)."), "{text}");
        assert!(overview(&HARNESS, Some(&record)).contains("| 1 of 3 |"));
        assert!(text.contains("```sh\ncargo x\n```"), "{text}");
        assert!(section(&HARNESS, None).contains("AYA_LONG=1 cargo nextest run -p x"));
        assert_eq!(anchor(HARNESS.title), "http1-corpus");
        assert_eq!(record.failures().count(), 1);
    }
}
