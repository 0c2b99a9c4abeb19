//! Values that may be written in several ways: which one was meant.

use serde_json::Value as Json;

use crate::document::resolve;
use crate::text::{Entry, Node, Scalar, ScalarKind, Value};

/// The way that a value is written.
pub(super) enum Choice<'s, 'n> {
    /// This one.
    Branch(&'s Json),
    /// A word that is none of these.
    Words(Vec<&'s str>),
    /// A map whose `kind` (if it has one) is none of these.
    Kind { entry: Option<&'n Entry>, kinds: Vec<&'s str> },
    /// Nothing like any of them.
    None,
}

/// The alternatives of a union, inner unions laid flat; `None` if the schema is not one.
pub(crate) fn branches<'s>(root: &'s Json, schema: &'s Json) -> Option<Vec<&'s Json>> {
    let list = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array)?;
    let mut out = Vec::new();
    for branch in list {
        let branch = resolve(root, branch);
        match branches(root, branch) {
            Some(inner) => out.extend(inner),
            None => out.push(branch),
        }
    }
    Some(out)
}

/// Decides by the form of the value, then by its words or keys.
pub(super) fn choose<'s, 'n>(root: &'s Json, node: &'n Node, branches: &[&'s Json]) -> Choice<'s, 'n> {
    match &node.value {
        Value::Map(entries) => choose_object(root, node, entries, branches),
        Value::List(_) => match branches.iter().find(|branch| type_of(branch) == Some("array")) {
            Some(branch) => Choice::Branch(branch),
            None => Choice::None,
        },
        Value::Scalar(_) => choose_scalar(node, branches),
    }
}

fn choose_scalar<'s, 'n>(node: &'n Node, branches: &[&'s Json]) -> Choice<'s, 'n> {
    let Some(scalar) = node.scalar() else { return Choice::None };
    let has_word = |branch: &&&'s Json| words(branch).any(|word| word == scalar.text);
    if let Some(branch) = branches.iter().find(has_word) {
        return Choice::Branch(branch);
    }
    // Where any scalar is taken, the text stays as it is written: `1.10` is not 1.1.
    let open = |branch: &&&'s Json| type_of(branch) == Some("string") && words(branch).next().is_none();
    let any = ["boolean", "number", "string"];
    if any.iter().all(|name| branches.iter().any(|branch| type_of(branch) == Some(name)))
        && let Some(branch) = branches.iter().find(open)
    {
        return Choice::Branch(branch);
    }
    let kind =
        if branches.iter().any(|branch| open(&branch)) { scalar.kind } else { scalar.kind_without_quotes() };
    let exact = |branch: &&&'s Json| {
        matches!(
            (type_of(branch), kind),
            (Some("boolean"), ScalarKind::Bool(_))
                | (Some("integer" | "number"), ScalarKind::Integer(_))
                | (Some("number"), ScalarKind::Float(_))
        )
    };
    if let Some(branch) = branches.iter().find(exact) {
        return Choice::Branch(branch);
    }
    if let Some(branch) = branches.iter().find(open) {
        return Choice::Branch(branch);
    }
    let all: Vec<&str> = branches.iter().flat_map(|branch| words(branch)).collect();
    // Where words and numbers are allowed, a text is taken for a word.
    if all.is_empty() { Choice::None } else { Choice::Words(all) }
}

fn choose_object<'s, 'n>(
    root: &'s Json,
    node: &'n Node,
    entries: &'n [Entry],
    branches: &[&'s Json],
) -> Choice<'s, 'n> {
    let objects: Vec<&Json> =
        branches.iter().copied().filter(|branch| type_of(branch) == Some("object")).collect();
    let kind = |branch: &&'s Json| branch.get("properties")?.get("kind")?.get("const")?.as_str();
    let kinds: Vec<&str> = objects.iter().filter_map(kind).collect();
    if !kinds.is_empty() && kinds.len() == objects.len() {
        let entry = node.entry("kind");
        let written = entry.and_then(|entry| entry.node.scalar()).map(|scalar| scalar.text.as_str());
        return match objects.iter().find(|branch| kind(branch) == written) {
            Some(branch) => Choice::Branch(branch),
            None => Choice::Kind { entry, kinds },
        };
    }
    let fitting = |branch: &&Json| {
        let properties = resolve(root, branch).get("properties").and_then(Json::as_object);
        entries.iter().filter(|entry| properties.is_some_and(|known| known.contains_key(&entry.key))).count()
    };
    let mut best = None;
    for branch in objects {
        let score = fitting(&branch);
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((branch, score));
        }
    }
    best.map_or(Choice::None, |(branch, _)| Choice::Branch(branch))
}

/// Words that mean `off` elsewhere. Here they would be taken for a name where any text is one.
const OTHER_WORDS_FOR_OFF: &[&str] =
    &["0", "disable", "disabled", "false", "n", "never", "no", "none", "off"];

/// Words that mean the opposite elsewhere.
const OTHER_WORDS_FOR_ON: &[&str] = &["enable", "enabled", "on", "true", "y", "yes"];

/// A plain word that switches things off or on elsewhere, where `off` is the word for it, and what to write instead. In
/// quotes, it is a text like any other.
pub(super) fn meant_as_switch<'n>(node: &'n Node, branches: &[&Json]) -> Option<(&'n Scalar, String)> {
    let is_off = |branch: &Json| branch.get("const").and_then(Json::as_str) == Some("off");
    let scalar = node.scalar().filter(|scalar| !scalar.quoted && scalar.text != "off")?;
    let is_word = |branch: &Json| branch.get("const").and_then(Json::as_str) == Some(&*scalar.text);
    if !branches.iter().any(|branch| is_off(branch)) || branches.iter().any(|branch| is_word(branch)) {
        return None;
    }
    let word = scalar.text.to_ascii_lowercase();
    if OTHER_WORDS_FOR_OFF.contains(&word.as_str()) {
        return Some((scalar, "write `off`".to_owned()));
    }
    if !OTHER_WORDS_FOR_ON.contains(&word.as_str()) {
        return None;
    }
    let mut others: Vec<String> =
        branches.iter().filter(|branch| !is_off(branch)).map(|branch| described(branch)).collect();
    others.dedup();
    Some((scalar, format!("write {}, or `off`", others.join(" or "))))
}

/// The words that a schema allows, if it is a list of words.
fn words(schema: &Json) -> impl Iterator<Item = &str> {
    let single = schema.get("const").and_then(Json::as_str);
    let many = schema.get("enum").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    single.into_iter().chain(many.iter().filter_map(Json::as_str))
}

fn type_of(schema: &Json) -> Option<&str> {
    schema.get("type").and_then(Json::as_str)
}

/// The forms besides words, for messages.
pub(super) fn other_forms(branches: &[&Json]) -> Vec<&'static str> {
    let mut forms: Vec<&str> = branches
        .iter()
        .filter_map(|branch| match type_of(branch)? {
            "object" => Some("a map with settings"),
            "array" => Some("a list"),
            "integer" => Some("a whole number"),
            "number" => Some("a number"),
            _ => None,
        })
        .collect();
    forms.dedup();
    forms
}

/// What a schema wants, in words.
pub(crate) fn described(schema: &Json) -> String {
    let all: Vec<&str> = words(schema).collect();
    if let Some(Json::Bool(value)) = schema.get("const") {
        return format!("`{value}`");
    }
    if !all.is_empty() {
        return crate::diagnostic::listed(&all);
    }
    match (type_of(schema), schema.get("format").and_then(Json::as_str)) {
        (Some("object"), _) => "a map".to_owned(),
        (Some("array"), _) => "a list".to_owned(),
        (Some("integer"), _) => "a whole number".to_owned(),
        (Some("number"), _) => "a number".to_owned(),
        (Some("boolean"), _) => "`true` or `false`".to_owned(),
        (Some("string"), format) => super::formats::described(format.unwrap_or_default()).to_owned(),
        _ => "something else".to_owned(),
    }
}
