//! What is wrong with a configuration: where, what, and how to mend it.

mod render;
mod span;
mod suggest;

use std::sync::Arc;

pub use render::Colour;
pub(crate) use span::lines;
pub use span::{Position, Span};
pub use suggest::did_you_mean;
pub(crate) use suggest::{listed, near};

use crate::limits::MAX_DIAGNOSTICS;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but somebody should look at it.
    Warning,
}

impl Severity {
    /// The word in messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A word that stays the same over versions, for programs: `unknown-key`.
    pub code: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Where in the document: `pools.api.endpoints[0]`; empty for the document itself.
    pub path: String,
    /// Where in the text; `None` if it concerns no place in it.
    pub span: Option<Span>,
    /// Other places that belong to it.
    pub notes: Vec<Note>,
    /// Whether the value itself is unknown, so that nothing else should be said about it.
    incomplete: bool,
    /// Whether the text at the place must not be shown.
    concealed: bool,
}

/// Another place that belongs to a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub span: Span,
    /// What is there.
    pub message: String,
}

impl Diagnostic {
    pub(crate) fn error(code: &'static str, message: String) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message,
            help: None,
            path: String::new(),
            span: None,
            notes: Vec::new(),
            incomplete: false,
            concealed: false,
        }
    }

    pub(crate) fn warning(code: &'static str, message: String) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    pub(crate) fn path(mut self, path: &dyn std::fmt::Display) -> Self {
        self.path = path.to_string();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn note(mut self, span: Span, message: impl Into<String>) -> Self {
        self.notes.push(Note { span, message: message.into() });
        self
    }

    /// The text at the place is not shown.
    pub(crate) fn concealed(mut self) -> Self {
        self.concealed = true;
        self
    }

    /// Later diagnostics about the same place are dropped.
    pub(crate) fn incomplete(mut self) -> Self {
        self.incomplete = true;
        self
    }
}

/// Diagnostics on their way.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    items: Vec<Diagnostic>,
    omitted: usize,
    errors: usize,
}

impl Problems {
    /// Counts one that need not be put together any more, because enough are there.
    pub(crate) fn omit(&mut self, severity: Severity) -> bool {
        let full = self.items.len() >= MAX_DIAGNOSTICS;
        if full {
            self.errors += usize::from(severity == Severity::Error);
            self.omitted += 1;
        }
        full
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.omit(diagnostic.severity) {
            return;
        }
        let hidden = |known: &&Diagnostic| known.incomplete && covers(known.span, diagnostic.span);
        if self.items.iter().any(|known| *known == diagnostic || hidden(&known)) {
            return;
        }
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.items.push(diagnostic);
    }

    /// How many errors there are.
    pub(crate) const fn errors(&self) -> usize {
        self.errors
    }

    /// In the order of the text; those without a place come first.
    pub(crate) fn finish(mut self, file: &str, source: &str) -> Diagnostics {
        self.items.sort_by_key(|item| (item.span.map(|span| span.start), item.severity));
        Diagnostics { file: file.into(), source: source.into(), items: self.items, omitted: self.omitted }
    }
}

/// Whether the inner place lies in the outer, on the same line.
fn covers(inner: Option<Span>, outer: Option<Span>) -> bool {
    match (inner, outer) {
        (Some(inner), Some(outer)) => outer.start <= inner.start && inner.end <= outer.end,
        _ => false,
    }
}

/// All that is wrong with one configuration, with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    file: Arc<str>,
    source: Arc<str>,
    items: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// A single one about the file as a whole.
    pub(crate) fn of_file(file: &str, diagnostic: Diagnostic) -> Self {
        Self { file: file.into(), source: "".into(), items: vec![diagnostic], omitted: 0 }
    }

    /// In the order of the text.
    pub fn items(&self) -> &[Diagnostic] {
        &self.items
    }

    /// How many more there were than are kept.
    pub const fn omitted(&self) -> usize {
        self.omitted
    }

    /// The name of the file they are about.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }
}

impl std::error::Error for Diagnostics {}
