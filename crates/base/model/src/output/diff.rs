//! What is different between two configurations.

use std::fmt;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::format::tree;
use super::writer::flow;
use crate::load::Loaded;

/// What happened to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is only in the second.
    Added,
    /// It is only in the first.
    Removed,
    /// It is in both, with another value.
    Changed,
    /// The items are the same, their order is not.
    Reordered,
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Where: `pools.api.endpoints[10.0.0.1:8080].weight`.
    pub path: String,
    /// What happened.
    pub kind: ChangeKind,
    /// The value in the first.
    pub before: Option<Json>,
    /// The value in the second.
    pub after: Option<Json>,
}

impl Change {
    /// For programs.
    pub fn to_json(&self) -> Json {
        let kind = match self.kind {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
            ChangeKind::Reordered => "reordered",
        };
        serde_json::json!({ "path": self.path, "kind": kind, "before": self.before, "after": self.after })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Json>| value.as_ref().map(shown).unwrap_or_default();
        match self.kind {
            ChangeKind::Added => write!(f, "+ {}: {}", self.path, shown(&self.after)),
            ChangeKind::Removed => write!(f, "- {}: {}", self.path, shown(&self.before)),
            ChangeKind::Changed => {
                write!(f, "~ {}: {} → {}", self.path, shown(&self.before), shown(&self.after))
            }
            ChangeKind::Reordered => write!(f, "~ {}: other order", self.path),
        }
    }
}

fn in_one_line(value: &Json) -> String {
    flow(&tree(value, &str::to_owned))
}

/// A value in one line, not too long.
fn shown(value: &Json) -> String {
    const LONGEST_SHOWN: usize = 120;
    let text = in_one_line(value);
    if text.chars().count() <= LONGEST_SHOWN {
        return text;
    }
    let cut: String = text.chars().take(LONGEST_SHOWN).collect();
    format!("{cut}…")
}

/// All differences, in the order of the vocabulary. Spelling does not count: shorthands and defaults are spelled out first.
pub fn diff(before: &Loaded, after: &Loaded) -> Vec<Change> {
    let value = |loaded: &Loaded| serde_json::to_value(&loaded.document).unwrap_or_default();
    let mut changes = Vec::new();
    compare(String::new(), &value(before), &value(after), &mut changes);
    changes
}

fn compare(path: String, before: &Json, after: &Json, changes: &mut Vec<Change>) {
    match (before, after) {
        (Json::Object(before), Json::Object(after)) => objects(&path, before, after, changes),
        (Json::Array(before), Json::Array(after)) => lists(path, before, after, changes),
        _ if before == after => {}
        _ => changes.push(Change {
            path,
            kind: ChangeKind::Changed,
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
    }
}

fn objects(path: &str, before: &Map<String, Json>, after: &Map<String, Json>, changes: &mut Vec<Change>) {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in before {
        match after.get(key) {
            Some(other) => compare(inner(key), value, other, changes),
            None => changes.push(removed(inner(key), value)),
        }
    }
    for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        changes.push(added(inner(key), value));
    }
}

/// Items are recognised by what names them; where nothing does, the list is one value.
fn lists(path: String, before: &[Json], after: &[Json], changes: &mut Vec<Change>) {
    let (Some(old), Some(new)) = (by_name(before), by_name(after)) else {
        if before != after {
            let (before, after) = (Some(before.to_vec().into()), Some(after.to_vec().into()));
            changes.push(Change { path, kind: ChangeKind::Changed, before, after });
        }
        return;
    };
    for (name, value) in &old {
        let inner = format!("{path}[{name}]");
        match new.get(name) {
            Some(other) => compare(inner, value, other, changes),
            None => changes.push(removed(inner, value)),
        }
    }
    for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        changes.push(added(format!("{path}[{name}]"), value));
    }
    let kept = old.keys().filter(|name| new.contains_key(*name));
    if !kept.eq(new.keys().filter(|name| old.contains_key(*name))) {
        changes.push(Change { path, kind: ChangeKind::Reordered, before: None, after: None });
    }
}

/// The items by what tells them apart: a name, an address, the conditions; `None` if something does not.
fn by_name(items: &[Json]) -> Option<IndexMap<String, &Json>> {
    let mut out = IndexMap::new();
    for item in items {
        if out.insert(name(item.as_object()?)?, item).is_some() {
            return None;
        }
    }
    Some(out)
}

fn name(item: &Map<String, Json>) -> Option<String> {
    if let Some(name) = item.get("name").or_else(|| item.get("address")).and_then(Json::as_str) {
        return Some(name.to_owned());
    }
    let conditions = in_one_line(item.get("match")?);
    Some(match item.get("listeners") {
        Some(listeners) => format!("{conditions} on {}", in_one_line(listeners)),
        None => conditions,
    })
}

fn removed(path: String, value: &Json) -> Change {
    Change { path, kind: ChangeKind::Removed, before: Some(value.clone()), after: None }
}

fn added(path: String, value: &Json) -> Change {
    Change { path, kind: ChangeKind::Added, before: None, after: Some(value.clone()) }
}
