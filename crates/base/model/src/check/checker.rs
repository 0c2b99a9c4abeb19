//! What the checks of the second stage share: reporting, names, the settings of kinds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use super::parse::Fault;
use super::shape::item_span;
use crate::diagnostic::{Diagnostic, Problems, Severity, Span, did_you_mean, listed};
use crate::document::{Document, KindCatalog, KindEntry, Pool, Route, resolve};
use crate::model::KindSettings;
use crate::text::{Environment, Node, Place, Scalar, Value};

/// What a check needs to know of the world.
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: Environment<'a>,
    /// Where relative paths start.
    pub(crate) folder: &'a Path,
    pub(crate) catalog: &'a KindCatalog,
    pub(crate) secrets: Secrets,
}

/// What happens to the secrets that a configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// They are read, and have to be there.
    Needed,
    /// One that is not there is only worth a warning: the place of the check need not be that of the run.
    Wanted,
}

/// A route after the first stage.
pub(super) struct ReadRoute {
    pub(super) document: Route,
    /// Whether nothing in it was refused.
    pub(super) clean: bool,
}

/// Names that can be referred to. What was refused by the first stage still counts, but has no index.
pub(super) struct Names<'a> {
    pub(super) listeners: HashMap<&'a str, Option<usize>>,
    pub(super) pools: HashMap<&'a str, Option<usize>>,
}

impl<'a> Names<'a> {
    pub(super) fn of(root: &'a Node, document: &Document) -> Self {
        let listeners = root.get("listeners").into_iter().flat_map(Node::keys);
        let pools = root.get("pools").into_iter().flat_map(Node::keys);
        Self {
            listeners: listeners.map(|name| (name, document.listeners.get_index_of(name))).collect(),
            pools: pools.map(|name| (name, document.pools.get_index_of(name))).collect(),
        }
    }
}

/// The index of what a name refers to.
pub(super) fn reference(
    checker: &mut Checker<'_>,
    noun: &str,
    name: &str,
    known: &HashMap<&str, Option<usize>>,
    place: &Place<'_>,
) -> Option<usize> {
    if let Some(index) = known.get(name) {
        return *index;
    }
    let mut names: Vec<&str> = known.keys().copied().collect();
    names.sort_unstable();
    let help = match did_you_mean(name, &format!("{noun}s"), &names) {
        _ if names.is_empty() => format!("define it under `{noun}s`"),
        guess if guess.starts_with("did you mean") => guess,
        _ => format!("define it under `{noun}s`, or name one that is there: {}", listed(&names)),
    };
    let message = format!("there is no {noun} `{name}`");
    // In a split the name is a key.
    match place.node(checker.root).and_then(Node::scalar) {
        Some(scalar) if scalar.text == name => checker.error("unknown-reference", message, place, help),
        _ => checker.key_error("unknown-reference", message, place, &help),
    }
    None
}

/// Collects what is wrong with the meaning.
pub(super) struct Checker<'a> {
    pub(super) root: &'a Node,
    pub(super) schema: &'a Json,
    pub(super) surroundings: &'a Surroundings<'a>,
    pub(super) problems: &'a mut Problems,
    /// Whether the first stage found nothing: only then what is not there was really left away.
    pub(super) clean: bool,
    /// Files and folders that it was read from besides the document.
    pub(super) files: Vec<PathBuf>,
}

impl Checker<'_> {
    /// An error about the value at this place.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        message: String,
        place: &Place<'_>,
        help: impl Into<String>,
    ) {
        if self.problems.omit(Severity::Error) {
            return;
        }
        self.push(Diagnostic::error(code, message).at(place.span(self.root)).help(help), place);
    }

    /// An error about the name of this place.
    pub(super) fn key_error(&mut self, code: &'static str, message: String, place: &Place<'_>, help: &str) {
        if self.problems.omit(Severity::Error) {
            return;
        }
        self.push(Diagnostic::error(code, message).at(place.key_span(self.root)).help(help), place);
    }

    /// An error about the value at this place and about another one.
    pub(super) fn clash(
        &mut self,
        code: &'static str,
        message: String,
        (place, other, note): (&Place<'_>, Span, &str),
        help: &str,
    ) {
        if self.problems.omit(Severity::Error) {
            return;
        }
        let diagnostic =
            Diagnostic::error(code, message).at(place.span(self.root)).note(other, note).help(help);
        self.push(diagnostic, place);
    }

    /// An error about the name of this place and about another one.
    pub(super) fn key_clash(
        &mut self,
        code: &'static str,
        message: String,
        (place, other, note): (&Place<'_>, Span, &str),
        help: &str,
    ) {
        if self.problems.omit(Severity::Error) {
            return;
        }
        let diagnostic =
            Diagnostic::error(code, message).at(place.key_span(self.root)).note(other, note).help(help);
        self.push(diagnostic, place);
    }

    /// Something about the value at this place that works here, but may not elsewhere.
    pub(super) fn warning_of_value(
        &mut self,
        code: &'static str,
        message: String,
        place: &Place<'_>,
        help: &str,
    ) {
        if self.problems.omit(Severity::Warning) {
            return;
        }
        self.push(Diagnostic::warning(code, message).at(place.span(self.root)).help(help), place);
    }

    /// Something that works, but was hardly meant.
    pub(super) fn warning(&mut self, code: &'static str, message: String, place: &Place<'_>, help: &str) {
        if self.problems.omit(Severity::Warning) {
            return;
        }
        self.push(Diagnostic::warning(code, message).at(place.key_span(self.root)).help(help), place);
    }

    /// Values from the environment may be secret: the reference to the variable takes their place.
    fn push(&mut self, mut diagnostic: Diagnostic, place: &Place<'_>) {
        if let Some(node) = place.node(self.root) {
            hide(node, &mut diagnostic);
        }
        self.problems.push(diagnostic.path(place));
    }

    /// Whether something stands at this place, and is not there by default only.
    pub(super) fn is_written(&self, place: &Place<'_>) -> bool {
        place.node(self.root).is_some()
    }

    /// How many errors there are by now.
    pub(super) fn errors(&self) -> usize {
        self.problems.errors()
    }

    /// What a text means. The first stage has checked the form already, so this is hardly ever `None`.
    pub(super) fn parsed<T>(
        &mut self,
        text: &str,
        parse: fn(&str) -> Result<T, Fault>,
        place: &Place<'_>,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.error("bad-value", fault.message, place, fault.help);
                None
            }
        }
    }

    /// Refuses times of no length, which would end everything at once.
    pub(super) fn positive(&mut self, times: &[(&str, base_kit::TimeSpan)], place: &Place<'_>) {
        for (key, time) in times {
            if time.is_zero() {
                let place = place.key(key);
                self.error("zero-time", format!("`{place}` is zero"), &place, "write at least `1ms`");
            }
        }
    }

    /// Notes a file or a folder that was looked into: when it changes, the configuration does.
    pub(super) fn follow(&mut self, path: PathBuf) {
        self.files.push(path);
    }

    /// A relative path starts at the folder of the configuration.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.surroundings.folder.join(text)
    }

    /// Writes the balancer as `{kind: name, …}` with all its settings.
    pub(super) fn complete_balance(&mut self, name: &str, pool: &mut Pool) {
        let mut settings = match std::mem::take(&mut pool.balance) {
            Json::Object(settings) => settings,
            word => Map::from_iter([("kind".to_owned(), word)]),
        };
        let kind = settings.get("kind").cloned().unwrap_or_default();
        let pools = Place::ROOT.key("pools");
        let pool_place = pools.key(name);
        let place = pool_place.key("balance");
        let Some(entry) = find(&self.surroundings.catalog.balancers, kind.as_str().unwrap_or_default())
        else {
            // The word given was checked already: this is the default, in a catalog without it.
            let message = format!("`{place}` needs a balancer: {kind} is not there");
            self.error("unknown-word", message, &place, "name one of the balancers that are there");
            return;
        };
        let branches = self.schema.pointer("/$defs/Balancer/anyOf").and_then(Json::as_array);
        let of_kind = |branch: &&Json| branch.pointer("/properties/kind/const") == Some(&kind);
        if let Some(schema) = branches.and_then(|branches| branches.iter().find(of_kind)) {
            fill_defaults(&mut settings, schema, self.schema);
        }
        pool.balance = Json::Object(settings.clone());
        settings.shift_remove("kind");
        self.check_settings(entry, &Json::Object(settings), &place);
    }

    /// The settings of a filter or handler, completed and checked.
    pub(super) fn kind_settings(
        &mut self,
        entries: &[KindEntry],
        (name, settings): (&str, &mut Json),
        schema_path: &str,
        place: &Place<'_>,
    ) -> Option<KindSettings> {
        let entry = find(entries, name)?;
        if !settings.is_object() {
            *settings = json!({});
        }
        let schema = self.schema.pointer(schema_path).and_then(|properties| properties.get(name));
        if let (Json::Object(settings), Some(schema)) = (&mut *settings, schema) {
            fill_defaults(settings, schema, self.schema);
        }
        self.check_settings(entry, settings, place);
        Some(KindSettings { name: entry.info.name.into(), settings: settings.clone() })
    }

    /// What the schema of the kind cannot say. Not asked when the shape was wrong: it would complain about what was left out.
    fn check_settings(&mut self, entry: &KindEntry, settings: &Json, place: &Place<'_>) {
        let (true, Some(check)) = (self.clean, &entry.check) else { return };
        let Err(problem) = check(settings) else { return };
        let mut span = place.key_span(self.root);
        let mut node = place.node(self.root);
        for key in &problem.at {
            let entry = node.and_then(|node| node.entry(key));
            let item = key.parse().ok().and_then(|index| node?.item(index));
            node = entry.map(|entry| &entry.node).or(item);
            match (entry, node) {
                (Some(entry), Some(node)) if node.scalar().is_none() => span = entry.key_span,
                (_, Some(node)) => span = item_span(node),
                _ => break,
            }
        }
        let mut path = place.to_string();
        problem.at.iter().for_each(|key| path.push_str(&format!(".{key}")));
        let mut diagnostic = Diagnostic::error("bad-setting", problem.message).at(span).path(&path);
        diagnostic.help = Some(problem.help.unwrap_or_else(|| "change the setting".to_owned()));
        if let Some(node) = place.node(self.root) {
            hide(node, &mut diagnostic);
        }
        self.problems.push(diagnostic);
    }
}

/// Bytes of a value from the environment that is hidden outside of backticks, too.
const SHORTEST_HIDDEN: usize = 5;

/// Puts references to variables where their values are in a message.
fn hide(node: &Node, diagnostic: &mut Diagnostic) {
    match &node.value {
        Value::Scalar(Scalar { text, written: Some(written), .. }) if !text.is_empty() => {
            diagnostic.message = hidden(&diagnostic.message, text, written);
            diagnostic.help = diagnostic.help.as_deref().map(|help| hidden(help, text, written));
        }
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| hide(item, diagnostic)),
        Value::Map(entries) => entries.iter().for_each(|entry| hide(&entry.node, diagnostic)),
    }
}

fn hidden(message: &str, text: &str, written: &str) -> String {
    let message = message.replace(&format!("`{text}`"), &format!("`{written}`"));
    // Short values are parts of other words, and long ones are what matters.
    if text.len() < SHORTEST_HIDDEN { message } else { message.replace(text, written) }
}

fn find<'c>(entries: &'c [KindEntry], name: &str) -> Option<&'c KindEntry> {
    entries.iter().find(|entry| entry.info.name == name)
}

/// What is not given is well (`Some(None)`), what was given and refused is not (`None`).
pub(super) fn unless_refused<T>(checked: Option<Option<T>>) -> Option<Option<T>> {
    match checked {
        None => Some(None),
        Some(found) => found.map(Some),
    }
}

/// Puts in what the schema says is meant when a key is not there.
fn fill_defaults(settings: &mut Map<String, Json>, schema: &Json, root: &Json) {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
    for (key, property) in properties {
        let default = property.get("default").or_else(|| resolve(root, property).get("default"));
        match (settings.get_mut(key), default) {
            (Some(Json::Object(inner)), _) => fill_defaults(inner, resolve(root, property), root),
            (None, Some(default)) => drop(settings.insert(key.clone(), default.clone())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_filled_in_at_every_level() {
        let root =
            json!({ "$defs": { "Inner": { "type": "object", "properties": { "b": { "default": 2 } } } } });
        let schema = json!({ "properties": { "a": { "default": 1 }, "inner": { "$ref": "#/$defs/Inner" } } });
        let mut settings = Map::from_iter([("inner".to_owned(), json!({}))]);
        fill_defaults(&mut settings, &schema, &root);
        assert_eq!(Json::Object(settings), json!({ "a": 1, "inner": { "b": 2 } }));
    }
}
