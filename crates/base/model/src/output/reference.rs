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
    for key in ["listeners", "routes", "pools", "admin", "logs", "decisions", "history"] {
        let Some(property) = root.pointer(&format!("/properties/{key}")) else { continue };
        reference.property_section(key, property, 2);
    }
    reference.kinds("Balancers", BALANCERS, &catalog.balancers, "balancers.md");
    reference.kinds("Filters", FILTERS, &catalog.filters, "filters.md");
    reference.kinds("Handlers", HANDLERS, &catalog.handlers, "filters.md");
    reference.out.truncate(reference.out.trim_end().len() + 1);
    reference.out
}

const INTRODUCTION: &str = "\
# Configuration reference

<!-- Made by `cargo xtask docs` from the schema. Do not edit. -->

Every key, what it takes, and what it is when it is not given. How to write a configuration is in the
[guide](../guide/configuration.md); `aya schema` prints the same as JSON Schema.

Times are whole numbers with a unit: `250ms`, `2s`, `5m`, `1h`, `7d`. Sizes likewise: `512B`, `64KiB`, `10MB`.

";

const BALANCERS: &str = "Written as `balance: name`, or as `balance: {kind: name, …}` with settings.";
const FILTERS: &str = "Each is written as an item of `filters`: `- name: {…}`.";
const HANDLERS: &str = "Written as a key of a route, in the place of `pool`: `name: {…}`.";

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
        if schema.get("title").and_then(Json::as_str) == Some("secret") {
            return "`{env: NAME}` or `{file: path}`".to_owned();
        }
        let Some(branches) = branches(self.root, schema) else { return self.one_form(schema) };
        let is_list = |branch: &&Json| branch.get("items").is_some();
        let joined = |branches: Vec<&Json>| {
            let mut forms: Vec<String> = branches.into_iter().map(|branch| self.takes(branch)).collect();
            let mut seen = HashSet::new();
            forms.retain(|form| seen.insert(form.clone()));
            forms.join(" or ")
        };
        let list = branches.iter().copied().find(is_list).and_then(|list| list.get("items"));
        let others = joined(branches.iter().copied().filter(|branch| !is_list(branch)).collect());
        match list.map(|items| self.takes(items)) {
            Some(items) if items == others => format!("{others}, or a list of such"),
            Some(items) => format!("{others}, or a list of: {items}"),
            None => others,
        }
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
            return format!("for each name: {}", self.takes(values));
        }
        let bound = |keyword: &str| schema.get(keyword).filter(|value| value.is_number());
        let words = described(schema);
        match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("{words} from {least} to {most}"),
            (Some(least), None) => format!("{words} of at least {least}"),
            _ => words,
        }
    }

    /// What each kind takes is on a page of its own.
    fn kinds(&mut self, title: &str, how: &str, entries: &[KindEntry], page: &str) {
        let _ = writeln!(self.out, "## {title}\n\n{how}\n\n| name | status | |\n|---|---|---|");
        for KindEntry { info, .. } in entries {
            let name = info.name;
            let _ = writeln!(
                self.out,
                "| [`{name}`]({page}#{name}) | {} | {} |",
                info.status,
                escape(info.summary)
            );
        }
        self.out.push('\n');
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

/// A cell of a table.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
