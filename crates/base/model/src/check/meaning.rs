//! The second stage: what the parts of a document mean together.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::checker::{Checker, Names, ReadRoute, Surroundings};
use super::shape::{Shape, item_span};
use super::variables::without_variables;
use super::{listeners, operation, pools, routes};
use crate::diagnostic::{Diagnostic, Problems, Span};
use crate::document::{Document, schema};
use crate::model::Model;
use crate::text::{Node, Place};

/// What came out.
pub(crate) struct Checked {
    pub(crate) document: Document,
    /// The document with references to variables in place of their values; `None` if there are none.
    pub(crate) shown: Option<Json>,
    pub(crate) model: Model,
    /// Files and folders that it was read from besides the document.
    pub(crate) files: Vec<PathBuf>,
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
    let mut checker = Checker { root, schema: &full, surroundings, problems, clean, files: Vec::new() };
    for (name, pool) in &mut document.pools {
        checker.complete_balance(name, pool);
    }
    let names = Names::of(root, &document);
    let listeners = listeners::check(&mut checker, &document, &names);
    let pools = pools::check(&mut checker, &document);
    let (route_documents, routes) = routes::check(&mut checker, routes, &names, &listeners);
    listeners::users_of_pools(&mut checker, (&listeners, &routes), &pools);
    document.routes = route_documents;
    let operation = operation::check(&mut checker, &document);
    let (operation, files) = (operation?, checker.files);
    (problems.errors() == 0).then(|| Checked {
        shown: without_variables(root, &document),
        document,
        model: Model { listeners, routes, pools, operation },
        files,
    })
}

/// A document of another sort than the configuration, by its own schema; `None` if there was an error.
pub(super) fn other<T: DeserializeOwned>(root: &Node, schema: &Json, problems: &mut Problems) -> Option<T> {
    let span = Place::ROOT.key_span(root);
    let value = Shape { root: schema, problems }.check(root, schema, &Place::ROOT, span)?;
    if problems.errors() > 0 { None } else { typed(value, &Place::ROOT, span, problems) }
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
