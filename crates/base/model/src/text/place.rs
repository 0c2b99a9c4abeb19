//! The way from the root of a document to one of its values.

use std::fmt;

use super::node::{Node, Value};
use crate::diagnostic::Span;

/// A step on the way, linked to those before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// The document itself.
    pub(crate) const ROOT: Place<'static> = Place { parent: None, step: Step::Root };

    /// An entry of the map here.
    pub(crate) const fn key(&'a self, key: &'a str) -> Place<'a> {
        Place { parent: Some(self), step: Step::Key(key) }
    }

    /// An item of the list here.
    pub(crate) const fn index(&'a self, index: usize) -> Place<'a> {
        Place { parent: Some(self), step: Step::Index(index) }
    }

    /// Another item of the same list.
    pub(crate) const fn sibling(&self, index: usize) -> Place<'a> {
        Place { parent: self.parent, step: Step::Index(index) }
    }

    /// Whether this is the document itself.
    pub(crate) const fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }

    /// The node here. A list of one may be written without the list, so index 0 of anything else is itself.
    pub(crate) fn node<'n>(&self, root: &'n Node) -> Option<&'n Node> {
        let Some(parent) = self.parent else { return Some(root) };
        let node = parent.node(root)?;
        match self.step {
            Step::Root => Some(root),
            Step::Key(key) => node.get(key),
            Step::Index(0) if !matches!(node.value, Value::List(_)) => Some(node),
            Step::Index(index) => node.item(index),
        }
    }

    /// Where to point at for this value: at itself when it is short, else at its name; what is not there is
    /// pointed at by the nearest thing around it.
    pub(crate) fn span(&self, root: &Node) -> Span {
        match self.node(root) {
            Some(node) if matches!(node.value, Value::Scalar(_)) && !node.is_null() => node.span,
            _ => self.key_span(root),
        }
    }

    /// Where the name of this value stands; of an unnamed one, its beginning.
    pub(crate) fn key_span(&self, root: &Node) -> Span {
        let Some(parent) = self.parent else { return beginning(root) };
        let found = match self.step {
            Step::Root => Some(beginning(root)),
            Step::Key(key) => parent.node(root).and_then(|node| node.entry(key)).map(|entry| entry.key_span),
            Step::Index(_) => self.node(root).map(beginning),
        };
        found.unwrap_or_else(|| parent.key_span(root))
    }
}

/// The first character of a list or map, the whole of a scalar.
fn beginning(node: &Node) -> Span {
    match &node.value {
        Value::Scalar(_) => node.span,
        Value::Map(entries) => entries.first().map_or(node.span.part(0, 1), |entry| entry.key_span),
        Value::List(_) => node.span.part(0, 1),
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) if parent.is_root() => f.write_str(key),
            Step::Key(key) if key.contains(['.', '[', ' ']) => write!(f, "[\"{key}\"]"),
            Step::Key(key) => write!(f, ".{key}"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}
