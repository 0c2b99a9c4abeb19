//! Files of other sorts, in the same strict YAML and with the same messages: the scenario of a simulation is one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::meaning;
use crate::diagnostic::{Diagnostic, Diagnostics, Problems};
use crate::document::{KindCatalog, schema_of};
use crate::limits::MAX_SOURCE_BYTES;
use crate::text::{self, Node, Place, not_text, way_out};

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
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than allowed tells that there is more.
    let limit = MAX_SOURCE_BYTES as u64 + 1;
    if let Err(error) = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        let diagnostic = Diagnostic::error("unreadable", format!("the file cannot be read: {error}"));
        return Err(Diagnostics::of_file(&name, diagnostic.help(way_out(&error))));
    }
    if bytes.len() > MAX_SOURCE_BYTES {
        let diagnostic = Diagnostic::error("too-large", format!("the file is over {MAX_SOURCE_BYTES} bytes"));
        return Err(Diagnostics::of_file(&name, diagnostic.help("is it the right file?")));
    }
    let mut problems = Problems::default();
    let source = match std::str::from_utf8(&bytes) {
        Ok(source) => source.strip_prefix('\u{feff}').unwrap_or(source),
        Err(error) => {
            problems.push(not_text(&bytes, error.valid_up_to()));
            return Err(problems.finish(&name, &String::from_utf8_lossy(&bytes)));
        }
    };
    match document(source, kinds, check, &mut problems) {
        Some(document) if problems.errors() == 0 => Ok(document),
        _ => Err(problems.finish(&name, source)),
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
