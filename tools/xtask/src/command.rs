//! Running other programs, and knowing where the checkout is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the checkout: two folders above this crate.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(Path::to_path_buf).context("xtask is not in tools/xtask")
}

/// A command that runs in the root of the checkout.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()?);
    Ok(command)
}

/// Cargo, the very one that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Result<Command> {
    command(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), arguments)
}

/// Git, also where the checkout belongs to another user, as it does in many containers.
pub(crate) fn git(arguments: &[&str]) -> Result<Command> {
    let mut git = command("git", &["-c", "safe.directory=*"])?;
    git.args(arguments);
    Ok(git)
}

/// Runs to the end; what it prints is passed on.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs to the end and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} failed ({})", shown(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no text", shown(command)))
}

/// Runs to the end in silence and tells whether it went well.
pub(crate) fn quietly(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let text = output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let folder = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    folder.map(PathBuf::from).context("cargo metadata names no target folder")
}

/// Where the plays keep the Python packages that they need.
pub(crate) fn python_packages() -> Result<PathBuf> {
    Ok(target_folder()?.join("python-packages"))
}

/// Where the benchmark looks for other proxies that come as Python packages. A folder of their own: who installs into one that has
/// programs already takes those away.
pub(crate) fn peers() -> Result<PathBuf> {
    Ok(target_folder()?.join("peers"))
}

/// Whether a program of this name is on the search path.
pub(crate) fn is_installed(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().unwrap().join("Cargo.lock").is_file());
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = succeed(&mut command("false", &["--really"]).unwrap()).unwrap_err();
        assert!(error.to_string().starts_with("false --really failed"), "{error}");
        assert!(!quietly(&mut command("false", &[]).unwrap()));
    }

    #[test]
    fn output_is_handed_back() {
        assert_eq!(output(&mut command("echo", &["hello"]).unwrap()).unwrap(), "hello\n");
    }
}
