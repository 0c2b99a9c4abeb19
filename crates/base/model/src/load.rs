//! Text → [`Loaded`]: the one way to a [`Model`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::check::{self, Checked, Secrets, Surroundings};
use crate::diagnostic::{Diagnostic, Diagnostics, Problems};
use crate::document::{Document, KindCatalog};
use crate::limits::MAX_SOURCE_BYTES;
use crate::model::Model;
use crate::text::{self, read_file, text_of, too_large};

/// What is read here, in messages.
const WHAT: &str = "configuration";

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Every shorthand spelled out, every default filled in.
    pub document: Document,
    /// What the planes work with.
    pub model: Model,
    /// What works, but was hardly meant.
    pub warnings: Diagnostics,
    /// The text.
    pub source: Arc<str>,
    /// Files and folders besides the document, certificates for instance, that it was read from: when one of them changes, what it means does.
    pub files: Arc<[PathBuf]>,
    /// The document with references to variables instead of their values; `None` if it has no variables.
    pub(crate) shown: Option<Arc<Json>>,
}

impl Loaded {
    /// The document for eyes: values that come from the environment may be secret, so references to the variables
    /// (`${NAME}`) stand in their place.
    pub(crate) fn shown(&self) -> Json {
        match &self.shown {
            Some(shown) => (**shown).clone(),
            None => serde_json::to_value(&self.document).unwrap_or_default(),
        }
    }
}

/// Whom a configuration is read for.
#[derive(Clone, Copy)]
struct Reading<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    kinds: &'a KindCatalog,
    secrets: Secrets,
}

/// Checks a configuration in YAML or JSON. `file_name` is for messages, and its folder is where relative paths start;
/// `environment` gives the values of variables.
///
/// # Errors
/// All that is wrong with it.
pub fn load(
    source: &str,
    file_name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    kinds: &KindCatalog,
) -> Result<Loaded, Diagnostics> {
    source_text(source, file_name, Reading { environment, kinds, secrets: Secrets::Needed })
}

fn source_text(source: &str, file_name: &str, reading: Reading<'_>) -> Result<Loaded, Diagnostics> {
    let Reading { environment, kinds, secrets } = reading;
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Diagnostics::of_file(file_name, too_large(WHAT)));
    }
    // Some editors put a byte order mark in front.
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut problems = Problems::default();
    let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
    let root = text::read(source, Some(environment), &mut problems).filter(|root| !root.is_null());
    let surroundings = Surroundings { environment, folder, catalog: kinds, secrets };
    let checked = match &root {
        Some(root) => check::check(root, &surroundings, &mut problems),
        None => {
            if problems.errors() == 0 {
                problems.push(empty());
            }
            None
        }
    };
    let failed = problems.errors() > 0;
    let diagnostics = problems.finish(file_name, source);
    match checked {
        Some(Checked { document, shown, model, files }) if !failed => {
            let (shown, files) = (shown.map(Arc::new), files.into());
            Ok(Loaded { document, model, warnings: diagnostics, source: source.into(), files, shown })
        }
        _ => Err(diagnostics),
    }
}

/// Like [`load`], for bytes that may not be text.
///
/// # Errors
/// All that is wrong with it.
pub fn load_bytes(
    bytes: &[u8],
    file_name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    kinds: &KindCatalog,
) -> Result<Loaded, Diagnostics> {
    bytes_of(bytes, file_name, Reading { environment, kinds, secrets: Secrets::Needed })
}

fn bytes_of(bytes: &[u8], file_name: &str, reading: Reading<'_>) -> Result<Loaded, Diagnostics> {
    source_text(text_of(bytes, file_name, WHAT)?, file_name, reading)
}

/// Like [`load`], from a file.
///
/// # Errors
/// All that is wrong with it, or that it cannot be read.
pub fn load_file(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    kinds: &KindCatalog,
) -> Result<Loaded, Diagnostics> {
    file(path, Reading { environment, kinds, secrets: Secrets::Needed })
}

/// Like [`load_file`], for looking only: a secret that is not there is a warning. A checker need not hold the secrets of
/// the machine that the configuration is for. What comes out is not for running: no token opens its admin port.
///
/// # Errors
/// All that is wrong with it, or that it cannot be read.
pub fn check_file(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    kinds: &KindCatalog,
) -> Result<Loaded, Diagnostics> {
    file(path, Reading { environment, kinds, secrets: Secrets::Wanted })
}

/// Like [`check_file`], for bytes that come from elsewhere.
///
/// # Errors
/// All that is wrong with it.
pub fn check_bytes(
    bytes: &[u8],
    file_name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    kinds: &KindCatalog,
) -> Result<Loaded, Diagnostics> {
    bytes_of(bytes, file_name, Reading { environment, kinds, secrets: Secrets::Wanted })
}

fn file(path: &Path, reading: Reading<'_>) -> Result<Loaded, Diagnostics> {
    bytes_of(&read_file(path, WHAT)?, &path.display().to_string(), reading)
}

/// What is wrong with a text that gives no tree; `None` if it is only empty.
pub(crate) fn unreadable(source: &str, file_name: &str, problems: Problems) -> Option<Diagnostics> {
    if source.len() > MAX_SOURCE_BYTES {
        return Some(Diagnostics::of_file(file_name, too_large(WHAT)));
    }
    (problems.errors() > 0).then(|| problems.finish(file_name, source))
}

fn empty() -> Diagnostic {
    Diagnostic::error("empty", "the configuration is empty".to_owned())
        .help("begin with `listeners`, `routes` and `pools`; examples/quickstart.yaml is a short one")
}
