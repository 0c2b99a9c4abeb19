//! What cargo says about the crates.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// The crates of the workspace.
pub(crate) struct Workspace {
    /// In cargo's order.
    pub(crate) packages: Vec<Package>,
}

/// One crate.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its folder, from the root of the checkout, with `/`.
    pub(crate) folder: String,
    /// Whether it says `publish = false`.
    pub(crate) is_private: bool,
    /// Names of its programs.
    pub(crate) binaries: Vec<String>,
    /// What it depends on directly.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]` section.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The package's name.
    pub(crate) name: String,
    /// How the code calls it, if not by its name.
    pub(crate) rename: Option<String>,
    /// Whether it is in `[dev-dependencies]`.
    pub(crate) is_dev: bool,
    /// Whether it is a crate of this workspace.
    pub(crate) is_ours: bool,
}

impl Workspace {
    /// Asks cargo; needs no network.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let text =
            command::output(&mut command::cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
        let metadata: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
        Self::parse(&metadata, root)
    }

    /// Reads what `cargo metadata --no-deps` printed.
    pub(crate) fn parse(metadata: &Value, root: &Path) -> Result<Self> {
        let packages = list(metadata, "packages").map(|package| parse_package(package, root));
        Ok(Self { packages: packages.collect::<Result<_>>()? })
    }
}

impl Package {
    /// Its manifest, from the root of the checkout.
    pub(crate) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }
}

fn parse_package(package: &Value, root: &Path) -> Result<Package> {
    let manifest = Path::new(text(package, "manifest_path")?);
    let folder = manifest.parent().context("a manifest without a folder")?;
    let folder = folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().replace('\\', "/");
    let binaries = list(package, "targets")
        .filter(|target| list(target, "kind").any(|kind| kind == "bin"))
        .map(|target| text(target, "name").map(str::to_owned))
        .collect::<Result<_>>()?;
    let dependencies = list(package, "dependencies").map(parse_dependency).collect::<Result<_>>()?;
    let is_private = package.get("publish").and_then(Value::as_array).is_some_and(Vec::is_empty);
    Ok(Package { name: text(package, "name")?.to_owned(), folder, is_private, binaries, dependencies })
}

fn parse_dependency(dependency: &Value) -> Result<Dependency> {
    Ok(Dependency {
        name: text(dependency, "name")?.to_owned(),
        rename: dependency.get("rename").and_then(Value::as_str).map(str::to_owned),
        is_dev: dependency.get("kind").and_then(Value::as_str) == Some("dev"),
        is_ours: dependency.get("path").is_some_and(Value::is_string),
    })
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("cargo metadata lacks `{key}`"))
}

/// The line of a manifest that declares this dependency; 1 if there is none.
pub(crate) fn declaration_line(manifest: &str, dependency: &str) -> usize {
    let is_it = |line: &str| {
        let Some(rest) = line.trim_start().strip_prefix(dependency) else { return false };
        rest.starts_with([' ', '.', '='])
    };
    manifest.lines().position(is_it).map_or(1, |index| index + 1)
}

#[cfg(test)]
pub(crate) fn package(folder: &str, name: &str, dependencies: &[&str]) -> Package {
    let dependency = |written: &&str| {
        let (is_dev, name) = written.strip_prefix("dev:").map_or((false, *written), |name| (true, name));
        let (is_ours, name) = name.strip_prefix("crates.io:").map_or((true, name), |name| (false, name));
        Dependency { name: name.to_owned(), rename: None, is_dev, is_ours }
    };
    Package {
        name: name.to_owned(),
        folder: folder.to_owned(),
        is_private: true,
        binaries: Vec::new(),
        dependencies: dependencies.iter().map(dependency).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_cargo_prints() {
        let metadata = json!({"packages": [{
            "name": "app-cli", "manifest_path": "/somewhere/crates/app/cli/Cargo.toml", "publish": [],
            "targets": [{"kind": ["bin"], "name": "aya"}, {"kind": ["test"], "name": "all"}],
            "dependencies": [
                {"name": "clap", "kind": null, "rename": null},
                {"name": "base-kit", "kind": "dev", "path": "/somewhere/crates/base/kit"},
            ],
        }]});
        let workspace = Workspace::parse(&metadata, Path::new("/somewhere")).unwrap();
        let package = &workspace.packages[0];
        assert_eq!(package.manifest(), "crates/app/cli/Cargo.toml");
        assert_eq!(package.binaries, ["aya"]);
        assert!(package.is_private);
        assert!(!package.dependencies[0].is_dev && !package.dependencies[0].is_ours);
        assert!(package.dependencies[1].is_dev && package.dependencies[1].is_ours);
    }

    #[test]
    fn missing_names_are_an_error() {
        assert!(Workspace::parse(&json!({"packages": [{}]}), Path::new("/")).is_err());
    }

    #[test]
    fn finds_the_line_of_a_dependency() {
        let manifest = "[dependencies]\ntokio-util = \"1\"\ntokio.workspace = true\n";
        assert_eq!(declaration_line(manifest, "tokio"), 3);
        assert_eq!(declaration_line(manifest, "absent"), 1);
    }
}
