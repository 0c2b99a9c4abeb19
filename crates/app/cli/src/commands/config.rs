//! `aya check`, `fmt`, `schema` and `diff`.

use std::io::{IsTerminal, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use app_node::catalog;
use base_model::diagnostic::Colour;
use base_model::limits::MAX_SOURCE_BYTES;
use base_model::{Diagnostics, FormatError, Loaded};

use crate::output;

/// Stands for standard input.
const STDIN: &str = "-";

pub(super) fn load(file: &Path) -> anyhow::Result<Result<Loaded, Diagnostics>> {
    let environment = |name: &str| std::env::var(name).ok();
    if file != Path::new(STDIN) {
        return Ok(base_model::check_file(file, &environment, &catalog()));
    }
    Ok(base_model::check_bytes(&read(std::io::stdin())?, "stdin", &environment, &catalog()))
}

fn read(from: impl std::io::Read) -> anyhow::Result<Vec<u8>> {
    let mut source = Vec::new();
    // One byte more than allowed: what is too long is then refused with the message that says so.
    from.take(MAX_SOURCE_BYTES as u64 + 1)
        .read_to_end(&mut source)
        .context("the configuration cannot be read")?;
    Ok(source)
}

/// Colours on a terminal only.
pub(super) fn colour() -> Colour {
    if std::io::stderr().is_terminal() { Colour::Ansi } else { Colour::Plain }
}

pub(super) fn refuse(diagnostics: &Diagnostics) -> ExitCode {
    output::say(&diagnostics.render(colour()));
    ExitCode::from(2)
}

/// Says everything that is wrong with a configuration.
pub(crate) fn check(file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let result = load(file)?;
    let (found, code) = match &result {
        Ok(loaded) => (&loaded.warnings, ExitCode::SUCCESS),
        Err(diagnostics) => (diagnostics, ExitCode::from(2)),
    };
    if json {
        output::print(&format!("{}\n", serde_json::to_string_pretty(&found.to_json())?))?;
        return Ok(code);
    }
    output::say(&found.render(colour()));
    if let Ok(Loaded { model, .. }) = &result {
        let (listeners, routes, pools) = (model.listeners.len(), model.routes.len(), model.pools.len());
        let endpoints: usize = model.pools.iter().map(|pool| pool.endpoints.len()).sum();
        output::print(&format!(
            "{} is fine: listeners: {listeners}, routes: {routes}, pools: {pools}, endpoints: {endpoints}\n",
            found.file()
        ))?;
    }
    Ok(code)
}

/// Writes a configuration in its canonical form.
pub(crate) fn fmt(file: &Path, full: bool, write: bool) -> anyhow::Result<ExitCode> {
    if write && file == Path::new(STDIN) {
        output::say("aya: standard input cannot be written to; leave out --write\n");
        return Ok(ExitCode::from(2));
    }
    let text = match if full { spell_out(file)? } else { lay_out(file)? } {
        Ok(text) => text,
        Err(diagnostics) => return Ok(refuse(&diagnostics)),
    };
    if write {
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    } else {
        output::print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The full form, which needs a configuration that is valid.
fn spell_out(file: &Path) -> anyhow::Result<Result<String, Diagnostics>> {
    Ok(load(file)?.map(|loaded| base_model::render_full(&loaded.document)))
}

/// The canonical form, which needs YAML only: neither secrets nor variables, nor a configuration that is complete.
fn lay_out(file: &Path) -> anyhow::Result<Result<String, Diagnostics>> {
    let source = if file == Path::new(STDIN) {
        read(std::io::stdin())?
    } else {
        match std::fs::File::open(file) {
            Ok(file) => read(file)?,
            Err(_) => return spell_out(file),
        }
    };
    let Ok(source) = std::str::from_utf8(&source) else {
        return Ok(base_model::check_bytes(&source, &file.display().to_string(), &|_| None, &catalog())
            .map(|loaded| loaded.source.to_string()));
    };
    match base_model::format(source, &file.display().to_string()) {
        Ok(text) => Ok(Ok(text)),
        Err(FormatError::Unreadable(diagnostics)) => Ok(Err(diagnostics)),
        Err(error) => Err(error.into()),
    }
}

/// Prints the JSON Schema.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    output::print(&format!("{}\n", serde_json::to_string_pretty(&base_model::schema(&catalog()))?))?;
    Ok(ExitCode::SUCCESS)
}

/// Says what differs between two configurations.
pub(crate) fn diff(before: &Path, after: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let (before, after) = match (load(before)?, load(after)?) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(diagnostics), _) | (_, Err(diagnostics)) => return Ok(refuse(&diagnostics)),
    };
    let changes = base_model::diff(&before, &after);
    if json {
        let changes: Vec<_> = changes.iter().map(base_model::Change::to_json).collect();
        output::print(&format!("{}\n", serde_json::to_string_pretty(&changes)?))?;
    } else {
        let lines: String = changes.iter().map(|change| format!("{change}\n")).collect();
        output::print(if lines.is_empty() { "no difference\n" } else { &lines })?;
    }
    Ok(ExitCode::SUCCESS)
}
