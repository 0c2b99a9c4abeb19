//! The second stage: what the parts of a document mean together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use super::shape::{Shape, item_span};
use super::{listeners, operation, pools, routes};
use crate::diagnostic::{Diagnostic, Problems};
use crate::document::{Document, KindCatalog, KindEntry, Route, resolve, schema};
use crate::model::{KindSettings, Model};
use crate::text::{Environment, Node, Place, Scalar, Span, Value};

/// What came out.
pub(crate) struct Checked {
    pub(crate) document: Document,
    pub(crate) model: Model,
}

/// What a check needs to know of the world.
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: Environment<'a>,
    /// Where relative paths start.
    pub(crate) folder: &'a Path,
    pub(crate) catalog: &'a KindCatalog,
}

/// Checks a document; `None` if there was an error.
pub(crate) fn check(
    root: &Node,
    surroundings: &Surroundings<'_>,
    problems: &mut Problems,
) -> Option<Checked> {
    let full = schema(surroundings.catalog);
    let mut document = outer_document(root, &full, problems);
    let routes = each_route(root, &full, problems);
    let clean = problems.errors() == 0;
    let mut checker = Checker { root, schema: &full, surroundings, problems, clean };
    for (name, pool) in &mut document.pools {
        checker.complete_balance(name, pool);
    }
    let names = Names::of(root, &document);
    let listeners = listeners::check(&mut checker, &document);
    let pools = pools::check(&mut checker, &document);
    let (route_documents, routes) = routes::check(&mut checker, routes, &names);
    document.routes = route_documents;
    let operation = operation::check(&mut checker, &document);
    let operation = operation?;
    (problems.errors() == 0)
        .then(|| Checked { document, model: Model { listeners, routes, pools, operation } })
}

/// Everything but the routes, as far as it has the right shape.
fn outer_document(root: &Node, full: &Json, problems: &mut Problems) -> Document {
    let mut outer = full.clone();
    if let Some(routes) = outer.pointer_mut("/properties/routes").and_then(Json::as_object_mut) {
        routes.insert("items".to_owned(), Json::Bool(false));
    }
    let mut shape = Shape { root: &outer, problems };
    let span = Place::ROOT.key_span(root);
    match shape.check(root, &outer, &Place::ROOT, span) {
        Some(value) => typed(value, &Place::ROOT, span, problems).unwrap_or_default(),
        None => Document::default(),
    }
}

/// The routes one by one, so that a bad one leaves the others to be looked at.
fn each_route(root: &Node, full: &Json, problems: &mut Problems) -> Vec<Option<ReadRoute>> {
    let Some(list) = root.get("routes") else { return Vec::new() };
    let Some(schema) = full.pointer("/properties/routes/items") else { return Vec::new() };
    let place = Place::ROOT.key("routes");
    let mut routes = Vec::new();
    while let Some(item) = list.item(routes.len()) {
        let inner = place.index(routes.len());
        let span = item_span(item);
        let before = problems.errors();
        let value = Shape { root: full, problems }.check(item, schema, &inner, span);
        let clean = problems.errors() == before;
        let route = value.and_then(|value| typed(value, &inner, span, problems));
        routes.push(route.map(|document| ReadRoute { document, clean }));
    }
    routes
}

/// A route after the first stage.
pub(super) struct ReadRoute {
    pub(super) document: Route,
    /// Whether nothing in it was refused.
    pub(super) clean: bool,
}

/// What fits the schema fits the type; should it not, that is said instead of swallowed.
fn typed<T: DeserializeOwned>(
    value: Json,
    place: &Place<'_>,
    span: Span,
    problems: &mut Problems,
) -> Option<T> {
    match serde_json::from_value(value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            let diagnostic = Diagnostic::error("unusable", format!("this cannot be used: {error}"));
            problems
                .push(diagnostic.at(span).path(place).help("please report this message as a fault of Aya"));
            None
        }
    }
}

/// Names that can be referred to. What was refused by the first stage still counts, but has no index.
pub(super) struct Names<'a> {
    pub(super) listeners: HashMap<&'a str, Option<usize>>,
    pub(super) pools: HashMap<&'a str, Option<usize>>,
}

impl<'a> Names<'a> {
    fn of(root: &'a Node, document: &Document) -> Self {
        let listeners = root.get("listeners").into_iter().flat_map(Node::keys);
        let pools = root.get("pools").into_iter().flat_map(Node::keys);
        Self {
            listeners: listeners.map(|name| (name, document.listeners.get_index_of(name))).collect(),
            pools: pools.map(|name| (name, document.pools.get_index_of(name))).collect(),
        }
    }
}

/// Collects what is wrong with the meaning.
pub(super) struct Checker<'a> {
    pub(super) root: &'a Node,
    schema: &'a Json,
    pub(super) surroundings: &'a Surroundings<'a>,
    problems: &'a mut Problems,
    /// Whether the first stage found nothing: only then what is not there was really left away.
    pub(super) clean: bool,
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
        self.push(Diagnostic::error(code, message).at(place.span(self.root)).help(help), place);
    }

    /// An error about the name of this place.
    pub(super) fn key_error(&mut self, code: &'static str, message: String, place: &Place<'_>, help: &str) {
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
        let diagnostic =
            Diagnostic::error(code, message).at(place.key_span(self.root)).note(other, note).help(help);
        self.push(diagnostic, place);
    }

    /// Something that works, but was hardly meant.
    pub(super) fn warning(&mut self, code: &'static str, message: String, place: &Place<'_>, help: &str) {
        self.push(Diagnostic::warning(code, message).at(place.key_span(self.root)).help(help), place);
    }

    /// Values from the environment may be secret: the reference to the variable takes their place.
    fn push(&mut self, mut diagnostic: Diagnostic, place: &Place<'_>) {
        if let Some(node) = place.node(self.root) {
            hide(node, &mut diagnostic);
        }
        self.problems.push(diagnostic.path(place));
    }

    /// How many errors there are by now.
    pub(super) fn errors(&self) -> usize {
        self.problems.errors()
    }

    /// What a text means. The first stage has checked the form already, so this is hardly ever `None`.
    pub(super) fn parsed<T>(
        &mut self,
        text: &str,
        parse: fn(&str) -> Result<T, super::parse::Fault>,
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

    /// A relative path starts at the folder of the configuration.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.surroundings.folder.join(text)
    }

    /// Writes the balancer as `{kind: name, …}` with all its settings.
    fn complete_balance(&mut self, name: &str, pool: &mut crate::document::Pool) {
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
        let found = problem.at.iter().fold(None, |found: Option<&Node>, key| {
            found.or_else(|| place.node(self.root)).and_then(|node| match key.parse() {
                Ok(index) => node.item(index),
                Err(_) => node.get(key),
            })
        });
        let span = found.map_or_else(|| place.key_span(self.root), item_span);
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

/// Puts references to variables where their values are in a message.
fn hide(node: &Node, diagnostic: &mut Diagnostic) {
    match &node.value {
        Value::Scalar(Scalar { text, written: Some(written), .. }) if !text.is_empty() => {
            diagnostic.message = diagnostic.message.replace(text.as_str(), written);
            diagnostic.help = diagnostic.help.take().map(|help| help.replace(text.as_str(), written));
        }
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| hide(item, diagnostic)),
        Value::Map(entries) => entries.iter().for_each(|entry| hide(&entry.node, diagnostic)),
    }
}

fn find<'c>(entries: &'c [KindEntry], name: &str) -> Option<&'c KindEntry> {
    entries.iter().find(|entry| entry.info.name == name)
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
