//! Routes: references that lead somewhere, one answer each, no two for the same requests.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::checker::{Checker, Names, ReadRoute, reference};
use super::extent::Extent;
use super::listeners::networks;
use super::parse;
use crate::diagnostic::{Span, listed};
use crate::document::{self, ClientCertificateMatch, ClientCertificateParts, OrOff, ValueMatch};
use crate::model::{
    Action, CertificateMatch, CertificateTest, FieldMatch, FilterUse, KindSettings, Listener, Match,
    Protocol, Route, Share, ValuePattern,
};
use crate::text::Place;

/// Where the schema has the settings of filters and handlers.
const FILTER_SETTINGS: &str = "/$defs/Filter/properties";
const ROUTE_SETTINGS: &str = "/$defs/Route/properties";

/// All routes that could be read, as document and as model.
pub(super) fn check(
    checker: &mut Checker<'_>,
    documents: Vec<Option<ReadRoute>>,
    names: &Names<'_>,
    listeners: &[Listener],
) -> (Vec<document::Route>, Vec<Route>) {
    let top = Place::ROOT.key("routes");
    let mut seen = Seen::default();
    let mut extent = Extent::default();
    let (mut complete, mut routes) = (Vec::new(), Vec::new());
    for (index, document) in documents.into_iter().enumerate() {
        let place = top.index(index);
        let Some(mut read) = document else { continue };
        let before = checker.errors();
        let route = one(checker, &mut read, index, names, &place);
        let document = read.document;
        if let Some(route) = route {
            // Conditions that were refused are not there to tell routes apart.
            let whole = read.clean && checker.errors() == before;
            extent.add(checker, &route, &place);
            seen.add(checker, &route, (document.name.is_some(), whole), &place);
            routes.push(route);
        }
        complete.push(document);
    }
    if checker.errors() == 0 {
        for (index, route) in routes.iter().enumerate() {
            takes_requests(checker, route, listeners, &top.index(index));
        }
        unused(checker, &routes, names, listeners);
    }
    (complete, routes)
}

fn one(
    checker: &mut Checker<'_>,
    read: &mut ReadRoute,
    index: usize,
    names: &Names<'_>,
    place: &Place<'_>,
) -> Option<Route> {
    let clean = read.clean;
    let document = &mut read.document;
    let matches = matches(checker, &document.matches, &place.key("match"));
    let listeners = listeners(checker, &document.listeners, names, &place.key("listeners"));
    let filters = filters(checker, &mut document.filters, &place.key("filters"));
    let action = action(checker, (document, clean), names, place);
    let times = place.key("timeouts");
    let request_timeout = match document.timeouts.request {
        OrOff::Off => None,
        OrOff::On(time) => {
            if time.is_zero() {
                let place = times.key("request");
                let message = format!("`{place}` is zero");
                checker.error("zero-time", message, &place, "write at least `1ms`, or `off`");
            }
            Some(time.duration())
        }
    };
    let name = document.name.clone().unwrap_or_else(|| format!("route-{}", index + 1));
    Some(Route {
        name: name.into(),
        listeners: listeners?,
        matches,
        filters,
        action: action?,
        request_timeout,
        attempts: document.retry.attempts,
    })
}

/// Indices of the listeners; `None` if one of them is not there.
fn listeners(
    checker: &mut Checker<'_>,
    documents: &[String],
    names: &Names<'_>,
    place: &Place<'_>,
) -> Option<Vec<usize>> {
    let mut out = Vec::new();
    let mut whole = true;
    for (index, name) in documents.iter().enumerate() {
        let found = reference(checker, "listener", name, &names.listeners, &place.index(index));
        match found {
            Some(index) if !out.contains(&index) => out.push(index),
            Some(_) => {}
            None => whole = false,
        }
    }
    whole.then_some(out)
}

fn matches(checker: &mut Checker<'_>, document: &document::Match, place: &Place<'_>) -> Match {
    let host_place = place.key("host");
    let hosts = document.host.iter().enumerate();
    let hosts = hosts
        .filter_map(|(index, host)| checker.parsed(host, parse::host_pattern, &host_place.index(index)))
        .collect();
    let path = document.path.as_deref();
    Match {
        hosts,
        path: path.and_then(|path| checker.parsed(path, parse::path_pattern, &place.key("path"))),
        methods: document.method.iter().map(|method| method.as_str().into()).collect(),
        headers: fields(checker, &document.header, str::to_ascii_lowercase, &place.key("header")),
        query: fields(checker, &document.query, str::to_owned, &place.key("query")),
        cookies: fields(checker, &document.cookie, str::to_owned, &place.key("cookie")),
        client: networks(checker, &document.client, &place.key("client")),
        certificate: document
            .client_certificate
            .as_ref()
            .map(|document| certificate(checker, document, &place.key("client-certificate"))),
    }
}

fn certificate(
    checker: &mut Checker<'_>,
    document: &ClientCertificateMatch,
    place: &Place<'_>,
) -> CertificateMatch {
    let ClientCertificateParts { subject, issuer, name, fingerprint } = match document {
        ClientCertificateMatch::Present(false) => return CertificateMatch::Absent,
        ClientCertificateMatch::Present(true) => return CertificateMatch::Shown(Vec::new()),
        ClientCertificateMatch::With(parts) => parts,
    };
    let mut tests = Vec::new();
    let patterns = [
        ("subject", subject, CertificateTest::Subject as fn(_) -> _),
        ("issuer", issuer, CertificateTest::Issuer),
        ("name", name, CertificateTest::Name),
    ];
    for (key, text, test) in patterns {
        let pattern = text.as_deref().map(|text| checker.parsed(text, parse::value_pattern, &place.key(key)));
        tests.extend(pattern.flatten().map(test));
    }
    if !fingerprint.is_empty() {
        let place = place.key("fingerprint");
        let texts = fingerprint.iter().enumerate();
        let texts = texts
            .filter_map(|(index, text)| checker.parsed(text, parse::fingerprint, &place.index(index)))
            .collect();
        tests.push(CertificateTest::Fingerprint(texts));
    }
    CertificateMatch::Shown(tests)
}

fn fields(
    checker: &mut Checker<'_>,
    document: &IndexMap<String, ValueMatch>,
    normal: fn(&str) -> String,
    place: &Place<'_>,
) -> Vec<FieldMatch> {
    let mut out: Vec<FieldMatch> = Vec::new();
    for (name, value) in document {
        let place = place.key(name);
        let value = match value {
            ValueMatch::Present(true) => Some(ValuePattern::Present),
            ValueMatch::Present(false) => Some(ValuePattern::Absent),
            ValueMatch::Text(text) => checker.parsed(text, parse::value_pattern, &place),
        };
        let name: Arc<str> = normal(name).into();
        if name.is_empty() {
            checker.key_error("bad-name", "a condition has an empty name".to_owned(), &place, "give it one");
        }
        if out.iter().any(|field| field.name == name) {
            let message = format!("`{name}` is asked for twice: case does not matter in field names");
            checker.key_error("duplicate-key", message, &place, "keep one of them");
        }
        out.extend(value.map(|value| FieldMatch { name, value }));
    }
    out
}

fn filters(
    checker: &mut Checker<'_>,
    documents: &mut [std::collections::BTreeMap<String, Json>],
    place: &Place<'_>,
) -> Vec<FilterUse> {
    let catalog = checker.surroundings.catalog;
    let mut out = Vec::new();
    for (index, document) in documents.iter_mut().enumerate() {
        let place = place.index(index);
        for (name, settings) in document {
            let kind =
                checker.kind_settings(&catalog.filters, (name, settings), FILTER_SETTINGS, &place.key(name));
            out.extend(kind.map(|kind| FilterUse { kind }));
        }
    }
    out
}

/// Exactly one of `pool`, `split` and the handlers.
fn action(
    checker: &mut Checker<'_>,
    (document, clean): (&mut document::Route, bool),
    names: &Names<'_>,
    place: &Place<'_>,
) -> Option<Action> {
    let handlers = &checker.surroundings.catalog.handlers;
    let possible: Vec<&str> =
        ["pool", "split"].into_iter().chain(handlers.iter().map(|entry| entry.info.name)).collect();
    let node = place.node(checker.root)?;
    let given: Vec<&str> = node.keys().filter(|key| possible.contains(key)).collect();
    match given.as_slice() {
        [_] => {}
        [] => {
            // A misspelt key has been told about; it was probably this one.
            if clean {
                let help = format!("add one of {}", listed(&possible));
                checker.key_error("no-action", format!("`{place}` does not say who answers"), place, &help);
            }
            return None;
        }
        [first, second, ..] => {
            let span = place.key(first).key_span(checker.root);
            let message = format!("`{place}` has both `{first}` and `{second}`: one answer is enough");
            let inner = place.key(second);
            let help = "keep one of them; conditions that choose between two go into two routes";
            checker.key_clash("two-actions", message, (&inner, span, "the other one"), help);
            return None;
        }
    }
    if let Some(pool) = &document.pool {
        let pool = reference(checker, "pool", pool, &names.pools, &place.key("pool"))?;
        return Some(Action::Proxy(vec![Share { pool, weight: 1 }]));
    }
    if let Some(split) = &document.split {
        return shares(checker, split, names, &place.key("split")).map(Action::Proxy);
    }
    handler(checker, document, place).map(Action::Handler)
}

fn handler(
    checker: &mut Checker<'_>,
    document: &mut document::Route,
    place: &Place<'_>,
) -> Option<KindSettings> {
    let (name, settings) = document.handlers.iter_mut().next()?;
    let entries = &checker.surroundings.catalog.handlers;
    checker.kind_settings(entries, (name, settings), ROUTE_SETTINGS, &place.key(name))
}

fn shares(
    checker: &mut Checker<'_>,
    split: &IndexMap<String, u32>,
    names: &Names<'_>,
    place: &Place<'_>,
) -> Option<Vec<Share>> {
    let mut out = Vec::new();
    let mut whole = true;
    for (name, weight) in split {
        match reference(checker, "pool", name, &names.pools, &place.key(name)) {
            Some(pool) => out.push(Share { pool, weight: *weight }),
            None => whole = false,
        }
    }
    let sum: u64 = split.values().map(|weight| u64::from(*weight)).sum();
    // Shares that were refused are not in the sum.
    let all_there = place.node(checker.root).is_some_and(|node| node.keys().count() == split.len());
    if sum == 0 && all_there {
        let message = format!("the weights of `{place}` sum to 0: no pool would answer");
        checker.key_error("zero-split", message, place, "give at least one pool a weight above 0");
        return None;
    }
    if sum > u64::from(u32::MAX) {
        let message = format!("the weights of `{place}` sum to {sum}, more than {}", u32::MAX);
        checker.key_error("weight-overflow", message, place, "divide all weights by the same number");
        return None;
    }
    whole.then_some(out)
}

/// Routes so far, by what must be unique.
#[derive(Default)]
struct Seen {
    names: HashMap<Arc<str>, Span>,
    conditions: HashMap<String, (Arc<str>, Span)>,
}

impl Seen {
    fn add(
        &mut self,
        checker: &mut Checker<'_>,
        route: &Route,
        (named, whole): (bool, bool),
        place: &Place<'_>,
    ) {
        let place_of_name = if named { place.key("name") } else { *place };
        let span = place_of_name.span(checker.root);
        if let Some(first) = self.names.insert(route.name.clone(), span) {
            let message = format!("two routes have the name `{}`", route.name);
            let help = "give each its own; routes without a name are `route-1`, `route-2` … by their place";
            checker.clash("duplicate-name", message, (&place_of_name, first, "the other one"), help);
        }
        if !whole {
            return;
        }
        let span = place.key_span(checker.root);
        if let Some((name, first)) = self.conditions.get(&conditions(route)) {
            let message =
                format!("this route takes the same requests as `{name}`, so it would never be used");
            let help = "remove one, change its conditions, or spread over pools with `split`";
            checker.key_clash("identical-routes", message, (place, *first, "the first one"), help);
        } else {
            self.conditions.insert(conditions(route), (route.name.clone(), span));
        }
    }
}

/// A text that is the same for routes that take the same requests.
fn conditions(route: &Route) -> String {
    let Match { mut hosts, path, mut methods, mut headers, mut query, mut cookies, mut client, certificate } =
        route.matches.clone();
    let mut listeners = route.listeners.clone();
    listeners.sort_unstable();
    hosts.sort_by_cached_key(|host| format!("{host:?}"));
    hosts.dedup();
    methods.sort_unstable();
    methods.dedup();
    client.sort_unstable();
    client.dedup();
    for fields in [&mut headers, &mut query, &mut cookies] {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
    }
    format!(
        "{listeners:?} {hosts:?} {path:?} {methods:?} {headers:?} {query:?} {cookies:?} {client:?} {certificate:?}"
    )
}

/// Whether there are requests where the route holds.
fn takes_requests(checker: &mut Checker<'_>, route: &Route, listeners: &[Listener], place: &Place<'_>) {
    let place = place.key("listeners");
    for (number, index) in route.listeners.iter().enumerate() {
        let listener = listeners.get(*index).filter(|listener| listener.protocol != Protocol::Http);
        if let Some(listener) = listener {
            let message =
                format!("`{}` passes connections on, and has no requests for a route", listener.name);
            let help = "take it away here: its `pool` says where its connections go";
            checker.error("no-requests", message, &place.index(number), help);
        }
    }
}

/// Pools and listeners that no route leads to or from.
fn unused(checker: &mut Checker<'_>, routes: &[Route], names: &Names<'_>, all: &[Listener]) {
    let mut used = vec![false; names.pools.len()];
    for route in routes {
        if let Action::Proxy(shares) = &route.action {
            for share in shares {
                used.get_mut(share.pool).into_iter().for_each(|used| *used = true);
            }
        }
    }
    for listener in all {
        for pool in listener.pools() {
            used.get_mut(pool).into_iter().for_each(|used| *used = true);
        }
    }
    let top = Place::ROOT.key("pools");
    let mut pools: Vec<(&str, usize)> =
        names.pools.iter().filter_map(|(name, index)| Some((*name, (*index)?))).collect();
    pools.sort_unstable_by_key(|(_, index)| *index);
    for (name, index) in pools {
        if used.get(index) == Some(&false) {
            checker.warning(
                "unused-pool",
                format!("nothing leads to the pool `{name}`"),
                &top.key(name),
                "use it in a route, or remove it",
            );
        }
    }
    let top = Place::ROOT.key("listeners");
    let everywhere = routes.iter().any(|route| route.listeners.is_empty());
    let mut listeners: Vec<(&str, usize)> =
        names.listeners.iter().filter_map(|(name, index)| Some((*name, (*index)?))).collect();
    listeners.sort_unstable_by_key(|(_, index)| *index);
    for (name, index) in listeners {
        let takes_requests = all.get(index).is_some_and(|listener| listener.protocol == Protocol::Http);
        if takes_requests && !everywhere && !routes.iter().any(|route| route.listeners.contains(&index)) {
            let message = format!("no route holds for the listener `{name}`: it answers 404 to everything");
            checker.warning("unused-listener", message, &top.key(name), "add a route for it, or remove it");
        }
    }
}
