//! Node.js, with packages that speak gRPC and gRPC-Web.

use std::path::PathBuf;
use std::process::Command;

use super::packages;
use crate::process::{Ended, Process};
use crate::time::PATIENCE;

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
    let folder = packages::folder_of("AYA_NODE_PACKAGES", "node-packages");
    let modules = folder.join("node_modules");
    let name = |package: &&str| modules.join(package.rsplit_once('@').map_or(*package, |(name, _)| name));
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
    packages::install(&folder, &PACKAGES.iter().map(name).collect::<Vec<_>>(), npm, &PACKAGES);
    modules
}
