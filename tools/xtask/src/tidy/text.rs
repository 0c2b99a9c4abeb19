//! What any text file must not hold, and links that lead somewhere.

use std::collections::BTreeSet;

use crate::tidy::finding::Finding;
use crate::tidy::tree::{TextFile, Tree};

/// Paths and places that exist on one machine only. Written in two halves, so that this file passes its own check.
const MACHINE_WORDS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tm", "p/t-"),
    concat!("/arti", "factory/"),
    concat!("--index", "-url"),
    concat!("replace", "-with ="),
    concat!("/opt/car", "go-tools"),
];

/// The registry that every dependency comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        findings.extend(check_machine_words(file));
        if file.name() == "Cargo.lock" {
            findings.extend(check_sources(file));
        }
        if file.path.ends_with(".md") {
            findings.extend(check_links(tree, file));
        }
    }
    findings
}

fn check_machine_words(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for word in MACHINE_WORDS.iter().filter(|word| line.contains(**word)) {
            let message = format!(
                "`{word}` holds on one machine only: write a path relative to the checkout, or leave it out"
            );
            findings.push(Finding::new("machine", &file.path, index + 1, message));
        }
    }
    findings
}

fn check_sources(lock: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in lock.text.lines().enumerate() {
        let Some(source) = line.strip_prefix("source = \"") else { continue };
        if source.trim_end_matches('"') != REGISTRY {
            findings.push(Finding::new(
                "machine",
                &lock.path,
                index + 1,
                "depend on what crates.io has, nothing else",
            ));
        }
    }
    findings
}

fn check_links(tree: &Tree, file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, target) in links(&file.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) =
            target.split_once('#').map_or((target.as_str(), None), |(path, anchor)| (path, Some(anchor)));
        let place = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
        let message = match tree.file(&place) {
            None if path.is_empty() || is_folder(tree, &place) => continue,
            None => format!("`{target}` leads nowhere: there is no {place}"),
            Some(there) => match anchor {
                Some(anchor) if place.ends_with(".md") && !anchors(&there.text).contains(anchor) => {
                    format!("`{target}` leads nowhere: {place} has no heading `#{anchor}`")
                }
                _ => continue,
            },
        };
        findings.push(Finding::new("links", &file.path, line, message));
    }
    findings
}

/// Targets of inline links and of link definitions, with their lines; those in code are left out.
fn links(markdown: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in prose(markdown) {
        // What is between backquotes is code: every second part.
        let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join("`");
        if let Some((_, target)) = plain.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.push((line, first_word(target)));
        }
        for part in plain.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                found.push((line, first_word(target)));
            }
        }
    }
    found
}

/// A target without its title.
fn first_word(target: &str) -> String {
    target.split_whitespace().next().unwrap_or_default().trim_matches(['<', '>']).to_owned()
}

/// The lines outside fenced code, numbered from 1.
fn prose(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    markdown.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((index + 1, line))
    })
}

/// The names under which a page's headings can be linked to.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = prose(markdown).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.trim().to_lowercase())
    });
    let slug = |title: String| {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

fn resolve(from: &str, link: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn is_folder(tree: &Tree, path: &str) -> bool {
    let within = format!("{path}/");
    path.is_empty() || tree.files.iter().any(|file| file.path.starts_with(&within))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::fixture;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&fixture(files)).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn links_lead_somewhere() {
        let page =
            "[a](b.md) [c](../README.md#the-first-step) [d](sub/) [e](https://x.y) [f](#here)\n\n# Here\n";
        let files = [
            ("docs/a.md", page),
            ("docs/b.md", ""),
            ("docs/sub/c.md", ""),
            ("README.md", "## The `first` step!\n"),
        ];
        assert!(found(&files).is_empty(), "{:?}", found(&files));
    }

    #[test]
    fn dead_links_are_found() {
        let page = "fine\n[a](gone.md)\n[b]: also/gone.md\n[c](a.md#nothing)\n[d](#nor-this)\n";
        let found = found(&[("docs/a.md", page)]);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], "docs/a.md:2: links: `gone.md` leads nowhere: there is no docs/gone.md");
        assert!(found[2].contains("no heading `#nothing`"));
    }

    #[test]
    fn code_is_no_link() {
        assert!(found(&[("a.md", "`[a](b)`\n```\n[a](b)\n```\n")]).is_empty());
    }

    #[test]
    fn machine_words_are_found_in_any_text() {
        for word in MACHINE_WORDS {
            assert_eq!(found(&[("config/a.yaml", &format!("\nx: {word}y"))]).len(), 1, "{word}");
        }
    }

    #[test]
    fn other_registries_are_found() {
        assert!(found(&[("Cargo.lock", &format!("source = \"{REGISTRY}\"\n"))]).is_empty());
        assert_eq!(found(&[("Cargo.lock", "source = \"git+https://somewhere/x#1\"\n")]).len(), 1);
    }
}
