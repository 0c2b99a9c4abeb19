//! Files of other sorts, in the same strict YAML and with the same messages: the scenario of a simulation is one.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::meaning;
use crate::diagnostic::{Diagnostic, Diagnostics, Problems};
use crate::document::{KindCatalog, schema_of};
use crate::text::{self, Node, Place, read_file, text_of};

/// What is read here, in messages.
const WHAT: &str = "file";

/// Collects what is wrong with the meaning of a document.
pub struct Findings<'a> {
    root: &'a Node,
    problems: &'a mut Problems,
}

impl Findings<'_> {
    /// An error about the value at this path (keys, and indices of lists), with the way to mend it. Of what is not there,
    /// the nearest thing around it is pointed at.
    pub fn error(&mut self, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        let diagnostic = Diagnostic::error("bad-value", message.into()).help(help);
        self.push(path, &Place::ROOT, diagnostic);
    }

    fn push(&mut self, path: &[&str], place: &Place<'_>, diagnostic: Diagnostic) {
        let Some((step, rest)) = path.split_first() else {
            self.problems.push(diagnostic.at(place.span(self.root)).path(place));
            return;
        };
        match step.parse() {
            Ok(index) => self.push(rest, &place.index(index), diagnostic),
            Err(_) => self.push(rest, &place.key(step), diagnostic),
        }
    }
}

/// Reads a file as a `T`: its shape by the schema of `T`, then its meaning by `check`. A definition called `Balancer` in
/// that schema stands for the balancers of `kinds`. References to environment variables are not put in.
///
/// # Errors
/// All that is wrong with it, or that it cannot be read.
pub fn read_other<T: DeserializeOwned + JsonSchema>(
    path: &Path,
    kinds: &KindCatalog,
    check: impl FnOnce(&T, &mut Findings<'_>),
) -> Result<T, Diagnostics> {
    read_other_bytes(&read_file(path, WHAT)?, &path.display().to_string(), kinds, check)
}

/// Like [`read_other`], for bytes that come from elsewhere; `file_name` is for messages.
///
/// # Errors
/// All that is wrong with it.
pub fn read_other_bytes<T: DeserializeOwned + JsonSchema>(
    bytes: &[u8],
    file_name: &str,
    kinds: &KindCatalog,
    check: impl FnOnce(&T, &mut Findings<'_>),
) -> Result<T, Diagnostics> {
    let source = text_of(bytes, file_name, WHAT)?;
    let mut problems = Problems::default();
    match document(source, kinds, check, &mut problems) {
        Some(document) if problems.errors() == 0 => Ok(document),
        _ => Err(problems.finish(file_name, source)),
    }
}

fn document<T: DeserializeOwned + JsonSchema>(
    source: &str,
    kinds: &KindCatalog,
    check: impl FnOnce(&T, &mut Findings<'_>),
    problems: &mut Problems,
) -> Option<T> {
    let Some(root) = text::read(source, None, problems).filter(|root| !root.is_null()) else {
        if problems.errors() == 0 {
            let diagnostic = Diagnostic::error("empty", "the file is empty".to_owned());
            problems.push(diagnostic.help("is it the right file?"));
        }
        return None;
    };
    let document = meaning::other(&root, &schema_of::<T>(kinds), problems)?;
    check(&document, &mut Findings { root: &root, problems });
    Some(document)
}
