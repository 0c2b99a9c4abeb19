//! `fmt` and `fmt --full`.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::comments;
use super::writer::{Style, Writer};
use crate::diagnostic::{Diagnostics, Problems, Span};
use crate::document::Document;
use crate::limits::MAX_SOURCE_BYTES;
use crate::text::{self, Entry, Node, Scalar, ScalarKind, Value};

/// More than any text is known to need.
const MOST_PASSES: usize = 8;

/// Why a text could not be formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It is not YAML.
    #[error("{0}")]
    Unreadable(Diagnostics),
    /// The result would not say the same; nothing was changed.
    #[error("{0} cannot be formatted without changing what it says; please report this as a fault of Aya")]
    Unfaithful(String),
}

/// The canonical text of a configuration: two spaces, quotes only where they are needed, what was on one line stays there if it
/// fits. Comments, blank lines and variables stay; aliases are written out. Formatting twice changes nothing more.
///
/// # Errors
/// If it is not YAML.
pub fn format(source: &str, file_name: &str) -> Result<String, FormatError> {
    let mut problems = Problems::default();
    let root = if source.len() > MAX_SOURCE_BYTES { None } else { text::read(source, None, &mut problems) };
    let Some(root) = root.filter(|_| problems.errors() == 0) else {
        return match crate::load::unreadable(source, file_name, problems) {
            Some(diagnostics) => Err(FormatError::Unreadable(diagnostics)),
            None => Ok(source.to_owned()),
        };
    };
    let mut text = source.to_owned();
    let mut tree = root;
    // What a text looks like may say where its comments and blank lines go, so that a new look can move them once more.
    for _ in 0..MOST_PASSES {
        let (next, next_tree) =
            rewritten(&text, &tree).ok_or_else(|| FormatError::Unfaithful(file_name.to_owned()))?;
        if next == text {
            break;
        }
        (text, tree) = (next, next_tree);
    }
    Ok(text)
}

/// The canonical text of a tree, and the tree that it is read as; `None` if that does not say the same.
fn rewritten(source: &str, root: &Node) -> Option<(String, Node)> {
    let comments = comments::find(source, root);
    let result = Writer::new(Style::Source(source), comments.clone()).write(root);
    // Nothing but an anchor is a document without a value, of which nothing is left.
    let nothing = || root.is_null().then(|| Node { span: Span::default(), value: root.value.clone() });
    let again = text::read(&result, None, &mut Problems::default()).or_else(nothing)?;
    let faithful = same(root, &again) && kept(&comments, &comments::find(&result, &again));
    faithful.then_some((result, again))
}

/// Everything spelled out, with all defaults. Reading it gives the same model.
pub fn render_full(document: &Document) -> String {
    let value = serde_json::to_value(document).unwrap_or_default();
    Writer::new(Style::Leaves, Vec::new()).write(&escaped_tree(&value))
}

/// Whether two trees hold the same values.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        // Nothing may be written in several ways.
        (Value::Scalar(a), Value::Scalar(b)) => {
            a.kind == b.kind && (a.text == b.text || a.kind == ScalarKind::Null)
        }
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.node, &b.node))
        }
        _ => false,
    }
}

/// Whether the same comments are there, in whatever order.
fn kept(a: &[comments::Comment], b: &[comments::Comment]) -> bool {
    let count = |comments: &[comments::Comment]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        comments.iter().for_each(|comment| *counts.entry(comment.text.clone()).or_default() += 1);
        counts
    };
    count(a) == count(b)
}

/// A tree whose texts mean themselves when they are read again.
fn escaped_tree(value: &Json) -> Node {
    tree(value, &|text| text.replace("${", "$${"))
}

/// A tree without places.
pub(super) fn tree(value: &Json, text: &dyn Fn(&str) -> String) -> Node {
    let value = match value {
        Json::Array(items) => Value::List(items.iter().map(|item| tree(item, text)).collect()),
        Json::Object(map) => {
            let entry = |(key, value): (&String, &Json)| Entry {
                key: key.clone(),
                key_span: Span::default(),
                node: tree(value, text),
            };
            Value::Map(map.iter().map(entry).collect())
        }
        Json::String(string) => Value::Scalar(Scalar::new(text(string), true)),
        other => {
            let text = other.to_string();
            let kind = ScalarKind::of(&text);
            Value::Scalar(Scalar { text, written: None, kind, quoted: false })
        }
    };
    Node { span: Span::default(), value }
}
