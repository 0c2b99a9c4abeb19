//! Routes, and requests that look for theirs.

use std::net::{IpAddr, Ipv4Addr};

use base_model::model::{Action, FieldMatch, HostPattern, Match, PathPattern, Route, ValuePattern};
use traffic_route::{RequestView, Router, Verdict, normalise};

/// More routes, or more requests, find nothing that fewer do not.
const MAX_LINES: usize = 12;

/// Lines `host path condition…` make routes; behind an empty line, lines `host path?query condition…` are requests. A condition is
/// `name=value`, of a field; a `-` stands for nothing.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (routes, requests) = text.split_once("\n\n").unwrap_or((&text, ""));
    let Some(router) = compile(routes) else { return };
    for line in requests.lines().take(MAX_LINES) {
        ask(&router, line);
    }
}

fn compile(lines: &str) -> Option<Router> {
    let routes: Vec<_> =
        lines.lines().take(MAX_LINES).enumerate().map(|(index, line)| route(index, line)).collect();
    Router::compile(&routes).ok()
}

fn route(index: usize, line: &str) -> Route {
    let mut words = line.split(' ');
    let mut word = || words.next().filter(|word| *word != "-" && !word.is_empty());
    let hosts = word().map(host).into_iter().collect();
    let path = word().map(path);
    let headers =
        words.filter_map(|word| word.split_once('=')).map(|(name, value)| field(name, value)).collect();
    Route {
        name: format!("route-{index}").into(),
        listeners: Vec::new(),
        matches: Match { hosts, path, headers, ..Match::default() },
        filters: Vec::new(),
        action: Action::Proxy(Vec::new()),
        request_timeout: None,
        attempts: 1,
    }
}

fn host(text: &str) -> HostPattern {
    let text = text.to_lowercase();
    match text.strip_prefix("*.") {
        Some(below) => HostPattern::Below(below.into()),
        None => HostPattern::Exact(text.into()),
    }
}

fn path(text: &str) -> PathPattern {
    if let Some(expression) = text.strip_prefix('~') {
        return PathPattern::Regex(expression.into());
    }
    let (front, open) = text.strip_suffix("/**").map_or((text, false), |front| (front, true));
    if !text.contains('{') {
        return if open { PathPattern::Prefix(front.into()) } else { PathPattern::Exact(front.into()) };
    }
    let segments = front.split('/').skip(1).map(|segment| {
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => Err(name.into()),
            None => Ok(segment.into()),
        }
    });
    PathPattern::Template { segments: segments.collect(), open }
}

fn field(name: &str, value: &str) -> FieldMatch {
    let value = match value {
        "true" => ValuePattern::Present,
        "false" => ValuePattern::Absent,
        _ => match value.strip_prefix('~') {
            Some(expression) => ValuePattern::Regex(expression.into()),
            None => ValuePattern::Exact(value.into()),
        },
    };
    FieldMatch { name: name.to_lowercase().into(), value }
}

fn ask(router: &Router, line: &str) {
    let mut words = line.split(' ');
    let host = words.next().filter(|word| *word != "-").unwrap_or_default();
    let target = words.next().unwrap_or("/");
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let fields: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
    let Ok(normal) = normalise(path.as_bytes()) else { return };
    assert_eq!(normalise(&normal).as_deref(), Ok(&*normal), "a normal form is its own");
    let view = RequestView {
        listener: 0,
        host: host.as_bytes(),
        method: b"GET",
        path: &normal,
        query: query.map(str::as_bytes),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        certificate: None,
        fields: &fields,
    };
    let found = router.find(&view);
    let told = router.explain(&view);
    let matched: Vec<_> = told
        .iter()
        .filter(|considered| considered.verdict == Verdict::Matched)
        .map(|one| one.route)
        .collect();
    assert_eq!(matched, found.into_iter().collect::<Vec<_>>(), "{line:?}");
}
