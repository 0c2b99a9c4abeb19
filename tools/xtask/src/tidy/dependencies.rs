//! Every dependency is used, and has its reason written down.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::finding::Finding;
use crate::tidy::tree::{TextFile, Tree};
use crate::tidy::workspace::{Dependency, Package, Workspace, declaration_line};

const RULE: &str = "dependencies";
/// One table row per direct dependency: its name in backquotes, what for, why this one.
const PAGE: &str = "docs/design/dependencies.md";

pub(crate) fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = check_reasons(tree, workspace);
    findings.extend(check_declarations(tree, workspace));
    for package in &workspace.packages {
        findings.extend(check_uses(tree, package));
    }
    findings
}

fn check_reasons(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let reasons = tree.file(PAGE).map(|page| rows(&page.text)).unwrap_or_default();
    let mut used = BTreeSet::new();
    let mut findings = Vec::new();
    for package in &workspace.packages {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.is_ours) {
            let is_new = used.insert(dependency.name.as_str());
            if is_new && !reasons.contains_key(&dependency.name) {
                let manifest = package.manifest();
                let line =
                    tree.file(&manifest).map_or(1, |file| declaration_line(&file.text, &dependency.name));
                let message =
                    format!("`{}` has no line in {PAGE}: write what for and why this one", dependency.name);
                findings.push(Finding::new(RULE, &manifest, line, message));
            }
        }
    }
    for (name, line) in reasons.iter().filter(|(name, _)| !used.contains(name.as_str())) {
        findings.push(Finding::new(
            RULE,
            PAGE,
            *line,
            format!("no crate depends on `{name}`: remove this line"),
        ));
    }
    findings
}

/// Name → line of the table's rows.
fn rows(page: &str) -> BTreeMap<String, usize> {
    let name = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    page.lines().enumerate().filter_map(|(index, line)| Some((name(line)?, index + 1))).collect()
}

/// What the workspace declares, some crate uses.
fn check_declarations(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let Some(manifest) = tree.file("Cargo.toml") else { return Vec::new() };
    let lines =
        manifest.text.lines().enumerate().skip_while(|(_, line)| line.trim() != "[workspace.dependencies]");
    let section = lines.skip(1).take_while(|(_, line)| !line.starts_with('['));
    let is_used = |name: &str| {
        let is_it = |used: &Dependency| used.name == name || used.rename.as_deref() == Some(name);
        workspace.packages.iter().flat_map(|package| &package.dependencies).any(is_it)
    };
    let unused = section.filter_map(|(index, line)| {
        let name =
            line.split([' ', '=', '.']).next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let message = format!("no crate uses `{name}`: remove it from [workspace.dependencies]");
        (!is_used(name)).then(|| Finding::new(RULE, &manifest.path, index + 1, message))
    });
    unused.collect()
}

/// What a crate declares, its code mentions.
fn check_uses(tree: &Tree, package: &Package) -> Vec<Finding> {
    let within = format!("{}/", package.folder);
    let sources: Vec<&TextFile> =
        tree.rust().map(|(file, _)| file).filter(|f| f.path.starts_with(&within)).collect();
    let manifest = package.manifest();
    let text = tree.file(&manifest).map_or("", |file| &file.text);
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
        let word = name.replace('-', "_");
        let line = declaration_line(text, name);
        if text.lines().nth(line - 1).is_some_and(|written| line > 1 && !written.contains("workspace = true"))
        {
            let message = format!(
                "declare `{name}` in [workspace.dependencies] and write `{name}.workspace = true` here"
            );
            findings.push(Finding::new(RULE, &manifest, line, message));
        }
        if !sources.iter().any(|file| mentions(&file.text, &word)) {
            let message = format!("`{}` does not use `{name}`: remove it", package.name);
            findings.push(Finding::new(RULE, &manifest, line, message));
        }
    }
    findings
}

/// Whether the text holds this word, as a word, outside comments.
fn mentions(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let code = |line: &str| !line.trim_start().starts_with("//");
    text.lines().filter(|line| code(line)).any(|line| {
        line.match_indices(word).any(|(start, _)| {
            let (before, rest) = line.split_at(start);
            !before.ends_with(is_part) && !rest.split_at(word.len()).1.starts_with(is_part)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::fixture;
    use crate::tidy::workspace::package;

    fn found(files: &[(&str, &str)], dependencies: &[&str]) -> Vec<String> {
        let workspace = Workspace { packages: vec![package("crates/base/kit", "base-kit", dependencies)] };
        check(&fixture(files), &workspace).into_iter().map(|finding| finding.to_string()).collect()
    }

    const CODE: (&str, &str) = ("crates/base/kit/src/lib.rs", "use serde_json::Value;\n");

    #[test]
    fn a_reasoned_used_dependency_is_fine() {
        let page = (PAGE, "| crate | what for |\n|---|---|\n| `serde-json` | JSON |\n");
        assert!(found(&[CODE, page], &["crates.io:serde-json"]).is_empty());
    }

    #[test]
    fn missing_and_left_over_reasons_are_found() {
        let page = (PAGE, "| `regex` | patterns |\n");
        let manifest = ("crates/base/kit/Cargo.toml", "[dependencies]\nserde-json.workspace = true\n");
        let found = found(&[CODE, page, manifest], &["crates.io:serde-json"]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/base/kit/Cargo.toml:2: dependencies: `serde-json` has no line"));
        assert!(
            found[1].starts_with("docs/design/dependencies.md:1: dependencies: no crate depends on `regex`")
        );
    }

    #[test]
    fn unused_dependencies_are_found() {
        let commented = ("crates/base/kit/src/lib.rs", "// serde_json\nuse serde_json_path::x;\n");
        let page = (PAGE, "| `serde-json` | JSON |\n");
        assert!(
            found(&[commented, page], &["crates.io:serde-json"])[0].contains("does not use `serde-json`")
        );
    }

    #[test]
    fn versions_are_declared_once() {
        let page = (PAGE, "| `serde-json` | JSON |\n");
        let manifest = ("crates/base/kit/Cargo.toml", "[dependencies]\nserde-json = \"1\"\n");
        assert!(
            found(&[CODE, page, manifest], &["crates.io:serde-json"])[0].contains("declare `serde-json` in")
        );
    }

    #[test]
    fn unused_workspace_declarations_are_found() {
        let root = (
            "Cargo.toml",
            "[workspace.dependencies]\nserde-json = \"1\"\nregex = \"1\"\n\n[profile.dev]\nx = 1\n",
        );
        let page = (PAGE, "| `serde-json` | JSON |\n");
        let found = found(&[CODE, page, root], &["crates.io:serde-json"]);
        assert_eq!(
            found,
            ["Cargo.toml:3: dependencies: no crate uses `regex`: remove it from [workspace.dependencies]"]
        );
    }
}
