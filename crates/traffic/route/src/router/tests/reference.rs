//! Random rules and requests, against a matcher that looks at every rule.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

/// How specific a rule is for a request: the smaller, the more.
type Rank = (Reverse<usize>, (u8, Vec<u8>), Reverse<usize>, usize);

fn host_rank(pattern: Option<&HostPattern>, host: &str) -> Option<Reverse<usize>> {
    match pattern {
        None => Some(Reverse(0)),
        Some(HostPattern::Exact(name)) => (**name == *host).then_some(Reverse(usize::MAX)),
        Some(HostPattern::Below(name)) => {
            let fits = host.len() > name.len() + 1 && host.ends_with(&format!(".{name}"));
            fits.then_some(Reverse(name.len()))
        }
    }
}

fn segments(path: &str) -> Vec<&str> {
    let all: Vec<&str> = path[1..].split('/').collect();
    let last = all.len() - 1;
    all.into_iter()
        .enumerate()
        .filter(|(at, text)| !text.is_empty() || *at == last)
        .map(|(_, text)| text)
        .collect()
}

fn path_rank(pattern: Option<&PathPattern>, path: &str) -> Option<(u8, Vec<u8>)> {
    let literal = |text: &str| segments(text).into_iter().map(|text| Ok(text.into())).collect::<Vec<_>>();
    let (pattern, open) = match pattern {
        None => return Some((2, vec![])),
        Some(PathPattern::Prefix(text)) if text.is_empty() => return Some((2, vec![])),
        Some(PathPattern::Regex(text)) => {
            let whole = regex::Regex::new(&format!("^(?:{text})$")).unwrap();
            let merged = format!("/{}", segments(path).join("/"));
            return whole.is_match(&merged).then(|| (1, vec![]));
        }
        Some(PathPattern::Exact(text)) => (literal(text), false),
        Some(PathPattern::Prefix(text)) => (literal(text), true),
        Some(PathPattern::Template { segments, open }) => (segments.clone(), *open),
    };
    let path = segments(path);
    if pattern.len() > path.len() || (pattern.len() < path.len() && !open) {
        return None;
    }
    let mut rank = Vec::new();
    for (at, segment) in path.iter().enumerate() {
        rank.push(match pattern.get(at) {
            Some(Ok(text)) if **text == **segment => 0,
            Some(Err(_)) if !segment.is_empty() => 1,
            Some(_) => return None,
            None => 2,
        });
    }
    rank.push(u8::from(open));
    Some((0, rank))
}

fn conditions(route: &Route, ask: &Ask) -> Option<Reverse<usize>> {
    let listener = route.listeners.is_empty() || route.listeners.contains(&ask.listener);
    let headers = route.matches.headers.iter().all(|field| {
        let mut values = ask.fields.iter().filter(|(name, _)| *name == *field.name).map(|(_, value)| value);
        match &field.value {
            ValuePattern::Exact(text) => values.any(|value| **value == **text),
            ValuePattern::Present => values.next().is_some(),
            ValuePattern::Absent => values.next().is_none(),
            ValuePattern::Regex(text) => values.any(|value| regex::Regex::new(text).unwrap().is_match(value)),
        }
    });
    let count = usize::from(!route.listeners.is_empty()) + route.matches.headers.len();
    (listener && headers).then_some(Reverse(count))
}

fn slow_find(routes: &[Route], ask: &Ask) -> Option<usize> {
    let ranks = routes.iter().enumerate().filter_map(|(number, route)| -> Option<Rank> {
        let hosts = &route.matches.hosts;
        let host = if hosts.is_empty() {
            host_rank(None, &ask.host)?
        } else {
            hosts.iter().filter_map(|pattern| host_rank(Some(pattern), &ask.host)).min()?
        };
        let path = path_rank(route.matches.path.as_ref(), &ask.path)?;
        Some((host, path, conditions(route, ask)?, number))
    });
    ranks.min().map(|rank| rank.3)
}

fn hosts() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec!["a.b.c", "b.c", "x.b.c", "*.b.c", "*.c", "*.a.b.c"]);
    prop::collection::vec(host, 0..3).prop_map(|hosts| hosts.join(" "))
}

fn patterns() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["/a", "/b", "/c", "/{x}", "/a", "/d", "/e", "/f"]);
    let tree = (prop::collection::vec(segment, 1..5), prop::sample::select(vec!["", "/", "/**", ""]));
    prop_oneof![
        1 => Just(String::new()),
        1 => prop::sample::select(vec!["/", "/**", "~ /a/.*", "~ .*b", "~ /[ab]/c?"]).prop_map(str::to_owned),
        6 => tree.prop_map(|(segments, end)| segments.concat() + end),
    ]
}

fn routes() -> impl Strategy<Value = Vec<Route>> {
    let value = prop_oneof![
        Just(ValuePattern::Present),
        Just(ValuePattern::Absent),
        Just(ValuePattern::Exact("1".into())),
        Just(ValuePattern::Regex("[12]".into())),
    ];
    let header = (prop::sample::select(vec!["x", "y"]), value);
    let one =
        (hosts(), patterns(), prop::collection::vec(header, 0..3), prop::collection::vec(0_usize..3, 0..2));
    let one = one.prop_map(|(hosts, path, headers, listeners)| {
        let plain = Route { listeners, ..route(&hosts, &path) };
        headers.into_iter().fold(plain, |route, (name, value)| with_header(route, name, value))
    });
    prop::collection::vec(one, 0..40)
}

fn asks() -> impl Strategy<Value = Ask> {
    let host = prop::sample::select(vec!["a.b.c", "b.c", "x.b.c", "z.a.b.c", "c", ".c", "other"]);
    let segment = prop::sample::select(vec!["/a", "/b", "/c", "/d", "/", "/e", "/f"]);
    let field = (prop::sample::select(vec!["x", "y"]), prop::sample::select(vec!["1", "2", "3"]));
    let fields = prop::collection::vec(field.prop_map(|(name, value)| (name.into(), value.into())), 0..3);
    (host, prop::collection::vec(segment, 1..6), fields, 0_usize..3)
        .prop_map(|(host, path, fields, listener)| Ask { listener, fields, ..Ask::of(host, &path.concat()) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_router_finds_what_the_slow_matcher_finds(
        routes in routes(),
        asks in prop::collection::vec(asks(), 1..20),
    ) {
        let router = Router::compile(&routes).unwrap();
        for ask in &asks {
            let found = router.find(&ask.view());
            prop_assert_eq!(found, slow_find(&routes, ask), "{:?}", ask);
            let explained = router.explain(&ask.view());
            let matched = explained.iter().find(|it| it.verdict == Verdict::Matched).map(|it| it.route);
            prop_assert_eq!(matched, found);
            prop_assert_eq!(explained.len(), routes.len());
        }
    }
}
