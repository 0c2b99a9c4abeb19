//! Who may use whom, and that every crate is where its name says.
//!
//! `base` uses nothing above it; `traffic`, `insight` and `control` use `base` and their own plane; `ai` and `global`
//! use `base`, `traffic` and their own; `app` uses all, libraries in `tools/` too. Tools, tests and benchmarks are free.

use crate::tidy::finding::Finding;
use crate::tidy::graph::{self, Edges};
use crate::tidy::tree::Tree;
use crate::tidy::workspace::{Package, Workspace, declaration_line};

const RULE: &str = "planes";
/// For tests only; every crate may use it there.
const TESTKIT: &str = "base-testkit";
/// The one crate that makes the one program called like the product.
const PROGRAM: (&str, &str) = ("app-cli", "aya");
/// The plane that puts everything together: it alone may use what lies in [`TOOLS`].
const TOP: &str = "app";
/// Where tools are.
const TOOLS: &str = "tools/";
/// Plane → the planes that it may use besides its own.
const PLANES: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("traffic", &["base"]),
    ("insight", &["base"]),
    ("control", &["base"]),
    ("ai", &["base", "traffic"]),
    ("global", &["base", "traffic"]),
    (TOP, &["base", "traffic", "insight", "control", "ai", "global"]),
];

pub(crate) fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        findings.extend(check_name(package));
        findings.extend(check_manifest(tree, package));
        findings.extend(check_uses(tree, workspace, package));
    }
    findings.extend(check_cycles(workspace));
    findings
}

fn check_name(package: &Package) -> Vec<Finding> {
    let manifest = package.manifest();
    let mut findings = Vec::new();
    let mut find = |message: String| findings.push(Finding::new(RULE, &manifest, 1, message));
    if let Some(place) = package.folder.strip_prefix("crates/") {
        let wanted = place.replace('/', "-");
        if package.name != wanted {
            find(format!("path is name: call this package `{wanted}`, not `{}`", package.name));
        }
        if plane_of(&package.name).is_none() {
            let planes: Vec<_> = PLANES.iter().map(|(plane, _)| *plane).collect();
            find(format!("`{place}` lies in no plane; move it to crates/{{{}}}/", planes.join(",")));
        }
    }
    if package.name == "aya" || package.name.starts_with("aya-") {
        find(format!(
            "`{}` belongs to the eBPF library of that name; call the package by its path",
            package.name
        ));
    }
    for binary in &package.binaries {
        if binary == PROGRAM.1 && package.name != PROGRAM.0 {
            find(format!("only {} makes the program `{}`; rename this one", PROGRAM.0, PROGRAM.1));
        }
    }
    if package.name == PROGRAM.0 && package.binaries != [PROGRAM.1] {
        find(format!("its one program must be called `{}`", PROGRAM.1));
    }
    if !package.is_private {
        find("write `publish.workspace = true`: nothing here is published".to_owned());
    }
    findings
}

fn check_manifest(tree: &Tree, package: &Package) -> Option<Finding> {
    let manifest = tree.file(&package.manifest())?;
    let mut lines = manifest.text.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let inherits = lines.find(|line| !line.is_empty()).is_some_and(|line| line == "workspace = true");
    let message = "write `[lints]` with `workspace = true`, so that the workspace's lints hold here";
    (!inherits).then(|| Finding::new(RULE, &manifest.path, 1, message))
}

fn check_uses(tree: &Tree, workspace: &Workspace, package: &Package) -> Vec<Finding> {
    let Some(plane) = plane_of(&package.name) else { return Vec::new() };
    let may_use = PLANES.iter().find(|(name, _)| *name == plane).map_or(&[][..], |(_, uses)| *uses);
    let manifest = package.manifest();
    let text = tree.file(&manifest).map_or("", |file| &file.text);
    let mut findings = Vec::new();
    for used in package.dependencies.iter().filter(|used| used.is_ours) {
        let message = match workspace.packages.iter().find(|other| other.name == used.name) {
            _ if used.name == TESTKIT && used.is_dev => continue,
            _ if used.name == TESTKIT && plane != "base" => {
                format!("`{TESTKIT}` is for tests: move it to [dev-dependencies]")
            }
            Some(other) if plane == TOP && other.folder.starts_with(TOOLS) => continue,
            Some(other) => match plane_of(&other.name) {
                Some(used_plane) if used_plane == plane || may_use.contains(&used_plane) => continue,
                _ => format!(
                    "`{}` ({plane}) may not use `{}`; let {plane} own a small trait and app-node hand in what implements it",
                    package.name, used.name
                ),
            },
            None => format!("`{}` is not in the workspace; add its folder to `members`", used.name),
        };
        findings.push(Finding::new(RULE, &manifest, declaration_line(text, &used.name), message));
    }
    findings
}

/// Cargo refuses cycles itself, but not those that go through dev-dependencies.
fn check_cycles(workspace: &Workspace) -> Vec<Finding> {
    let mut edges = Edges::new();
    for package in &workspace.packages {
        let ours = package.dependencies.iter().filter(|used| used.is_ours && used.name != TESTKIT);
        edges.entry(package.name.clone()).or_default().extend(ours.map(|used| used.name.clone()));
    }
    let finding = |cycle: Vec<String>| {
        let first = cycle.first()?;
        let package = workspace.packages.iter().find(|package| package.name == *first)?;
        let message = format!("crates use each other in a circle: {} → {first}; cut it", cycle.join(" → "));
        Some(Finding::new(RULE, &package.manifest(), 1, message))
    };
    graph::cycles(&edges).into_iter().filter_map(finding).collect()
}

fn plane_of(name: &str) -> Option<&'static str> {
    let (plane, _) = name.split_once('-')?;
    PLANES.iter().map(|(known, _)| *known).find(|known| *known == plane)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::fixture;
    use crate::tidy::workspace::package;

    fn messages(packages: Vec<Package>) -> Vec<String> {
        check(&fixture(&[]), &Workspace { packages }).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn downwards_is_fine() {
        let found = messages(vec![
            package("crates/base/kit", "base-kit", &[]),
            package("crates/base/testkit", "base-testkit", &["base-kit"]),
            package(
                "crates/traffic/http",
                "traffic-http",
                &["base-kit", "dev:base-testkit", "crates.io:httparse"],
            ),
            package("crates/traffic/proxy", "traffic-proxy", &["traffic-http"]),
            package("crates/global/dns", "global-dns", &["traffic-http", "base-kit"]),
            package("crates/app/node", "app-node", &["traffic-proxy", "global-dns", "sim"]),
            package("tools/sim", "sim", &["traffic-http"]),
            package("tests", "scenarios", &["app-node", "base-testkit"]),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn upwards_and_sideways_are_found() {
        for (user, folder, used) in [
            ("base-kit", "crates/base/kit", "traffic-http"),
            ("traffic-http", "crates/traffic/http", "control-api"),
            ("control-api", "crates/control/api", "traffic-http"),
            ("control-api", "crates/control/api", "dev:traffic-http"),
            ("global-dns", "crates/global/dns", "control-api"),
            ("control-api", "crates/control/api", "xtask"),
        ] {
            let name = used.strip_prefix("dev:").unwrap_or(used);
            let there = if name == "xtask" {
                "tools/xtask".to_owned()
            } else {
                format!("crates/{}", name.replace('-', "/"))
            };
            let found = messages(vec![package(folder, user, &[used]), package(&there, name, &[])]);
            assert_eq!(found.len(), 1, "{user} → {used}: {found:?}");
            assert!(found[0].contains("may not use"), "{found:?}");
        }
    }

    #[test]
    fn the_testkit_stays_in_tests() {
        let found = messages(vec![
            package("crates/base/testkit", "base-testkit", &[]),
            package("crates/traffic/http", "traffic-http", &["base-testkit"]),
        ]);
        assert_eq!(found, ["`base-testkit` is for tests: move it to [dev-dependencies]"]);
    }

    #[test]
    fn names_follow_paths() {
        let found = messages(vec![package("crates/traffic/http", "http", &[])]);
        assert!(found[0].contains("`traffic-http`"), "{found:?}");
        let found = messages(vec![package("crates/stray/http", "stray-http", &[])]);
        assert!(found[0].contains("lies in no plane"), "{found:?}");
        for taken in ["aya", "aya-tools"] {
            assert!(messages(vec![package("tools/x", taken, &[])])[0].contains("eBPF"));
        }
    }

    #[test]
    fn one_program_has_the_name() {
        let mut node = package("crates/app/node", "app-node", &[]);
        node.binaries.push("aya".to_owned());
        assert!(messages(vec![node])[0].contains("only app-cli"));
        assert!(
            messages(vec![package("crates/app/cli", "app-cli", &[])])[0].contains("must be called `aya`")
        );
    }

    #[test]
    fn published_crates_and_missing_lints_are_found() {
        let mut kit = package("crates/base/kit", "base-kit", &[]);
        kit.is_private = false;
        let workspace = Workspace { packages: vec![kit] };
        let manifest = |text| fixture(&[("crates/base/kit/Cargo.toml", text)]);
        assert_eq!(check(&manifest("[package]\n"), &workspace).len(), 2);
        assert_eq!(check(&manifest("[lints]\nworkspace = true\n"), &workspace).len(), 1);
        assert_eq!(check(&manifest("[lints]\nworkspace = false\n"), &workspace).len(), 2);
    }

    #[test]
    fn circles_through_dev_dependencies_are_found() {
        let found = messages(vec![
            package("crates/traffic/http", "traffic-http", &["dev:traffic-proxy"]),
            package("crates/traffic/proxy", "traffic-proxy", &["traffic-http"]),
        ]);
        assert_eq!(
            found,
            ["crates use each other in a circle: traffic-http → traffic-proxy → traffic-http; cut it"]
        );
    }
}
