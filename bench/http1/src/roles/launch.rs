//! Prepares a process and then becomes the program to be measured.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine;

/// Pins this process to a core, lets it open many files, ties it to its parent's life and replaces it by
/// `command`. Returns only if that fails.
pub(crate) fn run(core: usize, command: &[OsString]) -> Result<()> {
    machine::pin(core)?;
    machine::allow_many_files();
    machine::end_with_parent()?;
    let (program, arguments) = command.split_first().context("no program to launch")?;
    let error = Command::new(program).args(arguments).exec();
    bail!("cannot start {}: {error}", program.to_string_lossy());
}
