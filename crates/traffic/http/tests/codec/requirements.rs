//! What RFC 9110 and RFC 9112 ask of a gateway and of who parses messages, and the tests that show it.

mod rfc9110;
mod rfc9112;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base_testkit::Evidence;

/// How much it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Must,
    MustNot,
    Should,
    ShouldNot,
    May,
}

impl Level {
    fn words(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::May => "MAY",
        }
    }
}

/// One thing that is asked. Of what must not be, the text says what it is.
struct Requirement {
    section: &'static str,
    level: Level,
    text: &'static str,
    /// Why Aya does otherwise, if it does.
    reason: Option<&'static str>,
    /// Tests that show what it does: `FILE::NAME`, with the file from one of [`PLACES`].
    tests: &'static [&'static str],
}

const fn held(
    section: &'static str,
    level: Level,
    text: &'static str,
    tests: &'static [&'static str],
) -> Requirement {
    Requirement { section, level, text, reason: None, tests }
}

const fn otherwise(
    section: &'static str,
    level: Level,
    text: &'static str,
    reason: &'static str,
    tests: &'static [&'static str],
) -> Requirement {
    Requirement { section, level, text, reason: Some(reason), tests }
}

/// Where tests are, from the root of the checkout.
const PLACES: &[&str] = &["crates/traffic/http/src", "crates/traffic/http/tests", "tests/tests"];

fn all() -> impl Iterator<Item = &'static Requirement> {
    rfc9112::REQUIREMENTS.iter().chain(rfc9110::REQUIREMENTS)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// The file of a test, if there is a test of that name in it.
fn place_of(test: &str) -> Option<String> {
    let (file, name) = test.split_once("::")?;
    let place =
        PLACES.iter().map(|place| format!("{place}/{file}")).find(|place| root().join(place).is_file())?;
    let text = fs::read_to_string(root().join(&place)).ok()?;
    let (before, _) = text.split_once(&format!("fn {name}() {{"))?;
    // Attributes stand between the mark of a test and its name.
    before.rsplit("\n\n").next()?.contains("#[test]").then_some(place)
}

#[test]
fn each_has_tests_that_are_there() {
    let missing: Vec<_> = all()
        .flat_map(|requirement| requirement.tests.iter().map(|test| (requirement.section, *test)))
        .filter(|(_, test)| place_of(test).is_none())
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(all().all(|requirement| !requirement.tests.is_empty()));
    publish();
}

fn publish() {
    let tests: BTreeSet<_> = all().flat_map(|requirement| requirement.tests).collect();
    let others = all().filter(|requirement| requirement.reason.is_some()).count();
    let binding = all().filter(|requirement| matches!(requirement.level, Level::Must | Level::MustNot));
    let (must, broken) = binding.fold((0, 0), |(must, broken), requirement| {
        (must + 1, broken + usize::from(requirement.reason.is_some()))
    });
    let mut evidence = Evidence::of("requirements", file!());
    evidence.claim(
        "What RFC 9110 and RFC 9112 ask of gateways and of who parses messages has tests that show what Aya does",
        true,
        format!("{} requirements, {} tests", all().count(), tests.len()),
    );
    evidence.claim(
        "What they call MUST and MUST NOT is held, but for what is done otherwise on purpose, each with its reason",
        true,
        format!("{} of {must} held, {broken} otherwise; {others} otherwise of all levels", must - broken),
    );
    evidence.page("requirements", "What the standards ask", page());
}

fn page() -> String {
    let mut page = String::from(
        "[RFC 9110](https://www.rfc-editor.org/rfc/rfc9110) and [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112), as far as they bind a gateway or \
         who parses messages. After MUST NOT and SHOULD NOT stands what is not to happen. Each test is run by `cargo xtask test`.\n\n\
         | section | | what is asked | | shown by |\n|---|---|---|---|---|\n",
    );
    for Requirement { section, level, text, reason, tests } in all() {
        let outcome = reason.map_or_else(|| "held".to_owned(), |reason| format!("**otherwise:** {reason}"));
        let links: Vec<_> = tests.iter().map(|test| link(test)).collect();
        let text = text.replace('|', "\\|");
        let _ =
            writeln!(page, "| {section} | {} | {text} | {outcome} | {} |", level.words(), links.join(", "));
    }
    page
}

fn link(test: &str) -> String {
    let name = test.rsplit("::").next().unwrap_or_default();
    format!("[{}](../../../{})", name.replace('_', " "), place_of(test).unwrap_or_default())
}
