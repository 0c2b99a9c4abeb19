//! The rules of the house, checked.
//!
//! Each rule is a pure function from the tracked files ([`tree::Tree`]) and what cargo says about the crates
//! ([`workspace::Workspace`]) to findings. Rules are written down for people in `CONTRIBUTING.md`.

mod cycles;
mod dependencies;
mod finding;
mod graph;
mod kinds;
mod measure;
mod names;
mod planes;
mod ratchet;
mod size;
mod text;
mod tree;
mod workspace;

use anyhow::{Result, bail};

use crate::command;
use crate::tidy::finding::Finding;
use crate::tidy::ratchet::Ratchet;
use crate::tidy::tree::Tree;
use crate::tidy::workspace::Workspace;

/// Where the exceptions to the rules about sizes and circles are listed.
const RATCHET: &str = "tools/xtask/ratchet.txt";

/// Runs every rule and prints what it found; with paths, only what it found in files below them.
pub(crate) fn run(paths: &[String]) -> Result<()> {
    let root = command::root()?;
    let tree = Tree::load(&root)?;
    let workspace = Workspace::load(&root)?;
    let mut findings = check(&tree, &workspace, &earlier_ratchets()?);
    let is_wanted =
        |finding: &Finding| paths.iter().any(|path| finding.path.starts_with(path.trim_start_matches("./")));
    findings.retain(|finding| paths.is_empty() || is_wanted(finding));
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files in {} crates, nothing found", tree.files.len(), workspace.packages.len());
        return Ok(());
    }
    bail!("tidy: {} found", findings.len())
}

fn check(tree: &Tree, workspace: &Workspace, earlier: &[Ratchet]) -> Vec<Finding> {
    let mut findings = tree.broken.clone();
    findings.extend(planes::check(tree, workspace));
    let mut too_big = size::too_big(tree);
    too_big.extend(cycles::circles(tree, workspace));
    findings.extend(Ratchet::check_tree(tree, RATCHET, &too_big, earlier));
    findings.extend(kinds::check(tree));
    findings.extend(names::check(tree));
    findings.extend(dependencies::check(tree, workspace));
    findings.extend(text::check(tree));
    findings.sort();
    findings.dedup();
    findings
}

/// The ratchet of the last commit and of the one before, as far as there are any.
fn earlier_ratchets() -> Result<Vec<Ratchet>> {
    let mut ratchets = Vec::new();
    for commit in ["HEAD", "HEAD^"] {
        let object = format!("{commit}:{RATCHET}");
        if command::quietly(&mut command::git(&["cat-file", "-e", &object])?) {
            let text = command::output(&mut command::git(&["show", &object])?)?;
            ratchets.push(Ratchet::parse(&text).0);
        }
    }
    Ok(ratchets)
}
