//! Node.js, with packages that speak gRPC and gRPC-Web.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::folder::target_folder;
use crate::process::{Ended, Process};
use crate::time::PATIENCE;

/// Installing packages over a slow network takes longer than anything else.
const INSTALL: Duration = Duration::from_secs(120);
/// What plays speak with.
const PACKAGES: [&str; 3] = ["@grpc/grpc-js@1.14", "grpc-web@2.1", "xhr2@0.2"];

/// Programs of Node.js.
#[derive(Debug)]
pub struct Node;

impl Node {
    /// Runs a script with the packages `@grpc/grpc-js`, `grpc-web` and `xhr2` at hand, to its end.
    ///
    /// # Panics
    /// When it does not end, or the packages cannot be installed.
    pub fn run(script: &str, arguments: &[&str]) -> Ended {
        let mut command = Command::new("node");
        // Behind the dashes all is the script's.
        command.args(["-e", script, "--"]).args(arguments).env("NODE_PATH", packages());
        Process::run(command, PATIENCE * 2)
    }
}

/// The folder with [`PACKAGES`]: `AYA_NODE_PACKAGES`, else below the target folder. Installed when one is missing.
fn packages() -> PathBuf {
    let target = target_folder();
    let default = || target.parent().unwrap_or(&target).join("node-packages");
    let folder = std::env::var_os("AYA_NODE_PACKAGES").map_or_else(default, PathBuf::from);
    std::fs::create_dir_all(&folder).expect("a folder for packages can be made");
    let lock = folder.join(".lock");
    let lock = OpenOptions::new().create(true).append(true).open(lock).expect("a lock file can be made");
    lock.lock().expect("a file can be locked");
    let modules = folder.join("node_modules");
    let name =
        |package: &str| package.rsplit_once('@').map_or(package.to_owned(), |(name, _)| name.to_owned());
    if PACKAGES.iter().any(|package| !modules.join(name(package)).is_dir()) {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        install.arg(&folder).args(PACKAGES);
        let ended = Process::run(install, INSTALL);
        assert_eq!(ended.code, Some(0), "the packages are not installed: {}", ended.stderr);
    }
    modules
}
