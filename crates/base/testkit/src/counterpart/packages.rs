//! Packages of other languages, installed once for all plays.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::folder::target_folder;
use crate::process::Process;

/// Installing packages over a slow network takes longer than anything else.
const INSTALL: Duration = Duration::from_secs(120);

/// Where they are: in the folder that the variable names, else in the one of this name below the target folder.
pub(super) fn folder_of(variable: &str, name: &str) -> PathBuf {
    let target = target_folder();
    let default = || target.parent().unwrap_or(&target).join(name);
    std::env::var_os(variable).map_or_else(default, PathBuf::from)
}

/// Has them installed if one of these folders is missing; plays that run at the same time wait for each other.
pub(super) fn install(folder: &Path, wanted: &[PathBuf], mut command: Command, packages: &[&str]) {
    std::fs::create_dir_all(folder).expect("a folder for packages can be made");
    let lock = folder.join(".lock");
    let lock = OpenOptions::new().create(true).append(true).open(lock).expect("a lock file can be made");
    lock.lock().expect("a file can be locked");
    if wanted.iter().any(|wanted| !wanted.is_dir()) {
        command.arg(folder).args(packages);
        let ended = Process::run(command, INSTALL);
        assert_eq!(ended.code, Some(0), "the packages are not installed: {}", ended.stderr);
    }
}
