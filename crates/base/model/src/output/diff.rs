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
/// Values that come from environment variables are compared, but `${NAME}` is shown in their place.
pub fn diff(before: &Loaded, after: &Loaded) -> Vec<Change> {
    let value = |loaded: &Loaded| serde_json::to_value(&loaded.document).unwrap_or_default();
    let (old, new) = (value(before), value(after));
    let (old_shown, new_shown) = (before.shown(), after.shown());
    let mut changes = Vec::new();
    let old = Side { value: &old, shown: &old_shown };
    let new = Side { value: &new, shown: &new_shown };
    compare(String::new(), old, new, &mut changes);
    changes
}

/// A value, and what is shown of it.
#[derive(Clone, Copy)]
struct Side<'a> {
    value: &'a Json,
    shown: &'a Json,
}

impl<'a> Side<'a> {
    /// The value of a key. Where a whole map is hidden, so is all that is in it.
    fn get(self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        Some(Self { value, shown: self.shown.get(key).unwrap_or(self.shown) })
    }

    fn keys(self) -> impl Iterator<Item = &'a str> {
        self.value.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    fn items(self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let shown = move |index: usize| self.shown.get(index).unwrap_or(self.shown);
        items.iter().enumerate().map(move |(index, value)| Self { value, shown: shown(index) })
    }

    fn owned(self) -> Option<Json> {
        Some(self.shown.clone())
    }
}

fn compare(path: String, before: Side<'_>, after: Side<'_>, changes: &mut Vec<Change>) {
    match (before.value, after.value) {
        (Json::Object(_), Json::Object(_)) => objects(&path, before, after, changes),
        (Json::Array(_), Json::Array(_)) => lists(path, before, after, changes),
        _ if before.value == after.value => {}
        _ => changes.push(changed(path, before, after)),
    }
}

fn objects(path: &str, before: Side<'_>, after: Side<'_>, changes: &mut Vec<Change>) {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for key in before.keys() {
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) => compare(inner(key), old, new, changes),
            (Some(old), None) => changes.push(removed(inner(key), old)),
            (None, _) => {}
        }
    }
    for key in after.keys().filter(|key| before.get(key).is_none()) {
        changes.extend(after.get(key).map(|new| added(inner(key), new)));
    }
}

/// Items are recognised by what names them; where nothing does, the list is one value.
fn lists(path: String, before: Side<'_>, after: Side<'_>, changes: &mut Vec<Change>) {
    let (Some(old), Some(new)) = (by_name(before), by_name(after)) else {
        if before.value != after.value {
            changes.push(changed(path, before, after));
        }
        return;
    };
    let inner = |item: Side<'_>| {
        let name = item.shown.as_object().and_then(name).unwrap_or_default();
        format!("{path}[{name}]")
    };
    for (name, value) in &old {
        match new.get(name) {
            Some(other) => compare(inner(*value), *value, *other, changes),
            None => changes.push(removed(inner(*value), *value)),
        }
    }
    for (_, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        changes.push(added(inner(*value), *value));
    }
    let kept = old.keys().filter(|name| new.contains_key(*name));
    if !kept.eq(new.keys().filter(|name| old.contains_key(*name))) {
        changes.push(Change { path, kind: ChangeKind::Reordered, before: None, after: None });
    }
}

/// The items by what tells them apart: a name, an address, the conditions; `None` if something does not.
fn by_name(list: Side<'_>) -> Option<IndexMap<String, Side<'_>>> {
    let mut out = IndexMap::new();
    for item in list.items() {
        if out.insert(name(item.value.as_object()?)?, item).is_some() {
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

fn changed(path: String, before: Side<'_>, after: Side<'_>) -> Change {
    Change { path, kind: ChangeKind::Changed, before: before.owned(), after: after.owned() }
}

fn removed(path: String, value: Side<'_>) -> Change {
    Change { path, kind: ChangeKind::Removed, before: value.owned(), after: None }
}

fn added(path: String, value: Side<'_>) -> Change {
    Change { path, kind: ChangeKind::Added, before: None, after: value.owned() }
}
