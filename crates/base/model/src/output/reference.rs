//! The reference of the configuration, made from the schema: it cannot say anything else than the checks do.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::Value as Json;

use super::format::tree;
use super::writer::flow;
use crate::check::{branches, described};
use crate::document::{KindCatalog, KindEntry, resolve, schema};

/// `docs/reference/configuration.md`.
pub fn reference_markdown(catalog: &KindCatalog) -> String {
    let root = schema(catalog);
    let mut reference = Reference { root: &root, out: String::new(), done: HashSet::new() };
    reference.out.push_str(INTRODUCTION);
    reference.section("The document", "", &root, 2);
    for key in ["listeners", "routes", "pools", "admin", "logs", "history"] {
        let Some(property) = root.pointer(&format!("/properties/{key}")) else { continue };
        reference.property_section(key, property, 2);
    }
    reference.kinds("Balancers", "Written as `balance: name`, or as `balance: {kind: name, …}` with settings.", &catalog.balancers, "/$defs/Balancer/anyOf");
    reference.kinds("Filters", "Written as an item of `filters`: `- name: {…}`.", &catalog.filters, "/$defs/Filter/properties");
    reference.kinds("Handlers", "Written as a key of a route: `name: {…}`.", &catalog.handlers, "/$defs/Route/properties");
    reference.out
}

const INTRODUCTION: &str = "\
# Configuration reference

<!-- Made by `cargo xtask docs` from the schema. Do not edit. -->

Every key, what it takes, and what it is when it is not given. How to write a configuration is in the
[guide](../guide/configuration.md); `aya schema` prints the same as JSON Schema.

Times are whole numbers with a unit: `250ms`, `2s`, `5m`, `1h`, `7d`. Sizes likewise: `512B`, `64KiB`, `10MB`. Where a list is taken, its
only item may be written without the list if the table says so.

";

struct Reference<'a> {
    root: &'a Json,
    out: String,
    done: HashSet<String>,
}

impl<'a> Reference<'a> {
    /// The section of a key that holds a map, and those of the maps inside.
    fn property_section(&mut self, path: &str, property: &'a Json, level: usize) {
        let Some((path, object)) = object_behind(self.root, path, property) else { return };
        if !self.done.insert(path.clone()) {
            return;
        }
        self.section(&format!("`{path}`"), &path, object, level);
    }

    fn section(&mut self, title: &str, path: &str, object: &'a Json, level: usize) {
        let _ = writeln!(self.out, "{} {title}\n", "#".repeat(level));
        if let (Some(text), false) = (object.get("description").and_then(Json::as_str), path.is_empty()) {
            let _ = writeln!(self.out, "{}\n", text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        self.table(object);
        if path.is_empty() {
            return;
        }
        let properties = object.get("properties").and_then(Json::as_object);
        for (key, property) in properties.into_iter().flatten() {
            if key != "filters" && key != "balance" && !self.is_handler(object, property) {
                self.property_section(&format!("{path}.{key}"), property, level + 1);
            }
        }
    }

    /// Handlers stand among the keys of a route, but have a section of their own.
    fn is_handler(&self, object: &Json, property: &Json) -> bool {
        self.root.pointer("/$defs/Route") == Some(object)
            && property.get("properties").is_some()
            && property.get("$ref").is_none()
    }

    fn table(&mut self, object: &Json) {
        let Some(properties) = object.get("properties").and_then(Json::as_object) else { return };
        if properties.is_empty() {
            self.out.push_str("No settings.\n\n");
            return;
        }
        let required: Vec<&str> = object
            .get("required")
            .and_then(Json::as_array)
            .map(|keys| keys.iter().filter_map(Json::as_str).collect())
            .unwrap_or_default();
        self.out.push_str("| key | takes | if not given | |\n|---|---|---|---|\n");
        for (key, property) in properties {
            let default = if required.contains(&key.as_str()) {
                "**required**".to_owned()
            } else {
                self.default_of(property)
            };
            let takes = escape(&self.takes(property));
            let text = self.description(property);
            let _ = writeln!(self.out, "| `{key}` | {takes} | {default} | {} |", escape(&text));
        }
        self.out.push('\n');
    }

    fn default_of(&self, property: &Json) -> String {
        match property.get("default") {
            None => "–".to_owned(),
            Some(Json::Object(map)) if map.is_empty() => "–".to_owned(),
            Some(Json::Array(items)) if items.is_empty() => "–".to_owned(),
            Some(Json::Object(_)) => "see below".to_owned(),
            Some(value) => format!("`{}`", flow(&tree(value, &str::to_owned))),
        }
    }

    fn description(&self, property: &Json) -> String {
        let own = property.get("description").or_else(|| resolve(self.root, property).get("description"));
        own.and_then(Json::as_str).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What a value may be, in words.
    fn takes(&self, property: &Json) -> String {
        let schema = resolve(self.root, property);
        if schema.get("title").and_then(Json::as_str) == Some("balancer") {
            return "a [balancer](#balancers)".to_owned();
        }
        let mut forms: Vec<String> = match branches(self.root, schema) {
            Some(branches) => branches.into_iter().map(|branch| self.takes(branch)).collect(),
            None => vec![self.one_form(schema)],
        };
        let mut seen = HashSet::new();
        forms.retain(|form| seen.insert(form.clone()));
        forms.join(" or ")
    }

    fn one_form(&self, schema: &Json) -> String {
        if schema.get("title").and_then(Json::as_str) == Some("filter") {
            return "[filters](#filters)".to_owned();
        }
        if let Some(items) = schema.get("items") {
            return format!("a list of: {}", self.takes(items));
        }
        if let (Some(values), None) = (schema.get("additionalProperties"), schema.get("properties"))
            && values.is_object()
        {
            return format!("names, each with: {}", self.takes(values));
        }
        let bound = |keyword: &str| schema.get(keyword).filter(|value| value.is_number());
        let words = described(schema);
        match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("{words} from {least} to {most}"),
            (Some(least), None) => format!("{words} of at least {least}"),
            _ => words,
        }
    }

    fn kinds(&mut self, title: &str, how: &str, entries: &[KindEntry], pointer: &str) {
        let _ = writeln!(self.out, "## {title}\n\n{how}\n");
        for entry in entries {
            let name = entry.info.name;
            let found = match self.root.pointer(pointer) {
                Some(Json::Array(branches)) => branches
                    .iter()
                    .find(|branch| branch.pointer("/properties/kind/const").and_then(Json::as_str) == Some(name)),
                Some(properties) => properties.get(name),
                None => None,
            };
            let _ = writeln!(self.out, "### `{name}`\n\n{} Status: {}.\n", entry.info.summary, entry.info.status);
            let Some(schema) = found.cloned() else { continue };
            self.table(&without_kind(schema));
        }
    }
}

/// The map that a key holds: itself, one for each name, or one for each item.
fn object_behind<'s>(root: &'s Json, path: &str, property: &'s Json) -> Option<(String, &'s Json)> {
    let schema = resolve(root, property);
    if schema.get("properties").is_some() {
        return Some((path.to_owned(), schema));
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        return object_behind(root, &format!("{path}.NAME"), values);
    }
    if let Some(items) = schema.get("items") {
        return object_behind(root, &format!("{path}[]"), items);
    }
    let branches = branches(root, schema)?;
    let own = branches.iter().find(|branch| branch.get("properties").is_some());
    match own {
        // One of several maps: nothing that a table could show.
        Some(_) if branches.iter().filter(|branch| branch.get("properties").is_some()).count() > 1 => None,
        Some(object) => Some((path.to_owned(), *object)),
        None => branches.iter().find_map(|branch| object_behind(root, path, branch)),
    }
}

/// `kind` is in the heading already.
fn without_kind(mut schema: Json) -> Json {
    if let Some(Json::Object(properties)) = schema.get_mut("properties") {
        properties.shift_remove("kind");
    }
    schema
}

/// A cell of a table.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
