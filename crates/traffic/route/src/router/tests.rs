//! Precedence, odd requests, sizes, and a comparison with a matcher that is too simple to be wrong.

mod reference;

use std::net::{IpAddr, Ipv4Addr};

use base_model::model::{Action, FieldMatch, HostPattern, Match, PathPattern, Route, ValuePattern};

use super::*;
use crate::{Loss, MAX_HOST_BYTES, Verdict, normalise};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));

/// A route as an operator writes it: hosts with spaces between, and a path; empty is without.
fn route(hosts: &str, path: &str) -> Route {
    let hosts = hosts.split_whitespace().map(|host| match host.strip_prefix("*.") {
        Some(suffix) => HostPattern::Below(suffix.into()),
        None => HostPattern::Exact(host.into()),
    });
    let matches = Match { hosts: hosts.collect(), path: path_pattern(path), ..Match::default() };
    Route {
        name: format!("{path} on {matches:?}").into(),
        listeners: vec![],
        matches,
        filters: vec![],
        action: Action::Proxy(vec![]),
        request_timeout: None,
        attempts: 1,
    }
}

fn path_pattern(path: &str) -> Option<PathPattern> {
    if path.is_empty() {
        return None;
    }
    if let Some(regex) = path.strip_prefix("~ ") {
        return Some(PathPattern::Regex(regex.into()));
    }
    let (body, open) = path.strip_suffix("/**").map_or((path, false), |body| (body, true));
    Some(if path.contains('{') {
        let segments = body.trim_start_matches('/').split('/');
        let segments = segments.map(|segment| match segment.strip_prefix('{') {
            Some(name) => Err(name.trim_end_matches('}').into()),
            None => Ok(segment.into()),
        });
        PathPattern::Template { segments: segments.collect(), open }
    } else if open {
        PathPattern::Prefix(body.into())
    } else {
        PathPattern::Exact(body.into())
    })
}

fn with_header(mut route: Route, name: &str, value: ValuePattern) -> Route {
    route.matches.headers.push(FieldMatch { name: name.into(), value });
    route
}

fn exact(value: &str) -> ValuePattern {
    ValuePattern::Exact(value.into())
}

/// What a test asks for.
#[derive(Clone, Debug, Default)]
struct Ask {
    listener: usize,
    host: String,
    path: String,
    query: Option<String>,
    fields: Vec<(String, String)>,
}

impl Ask {
    fn of(host: &str, path: &str) -> Self {
        Self { host: host.to_owned(), path: path.to_owned(), ..Self::default() }
    }

    fn view(&self) -> RequestView<'_> {
        RequestView {
            listener: self.listener,
            host: self.host.as_bytes(),
            method: b"GET",
            path: self.path.as_bytes(),
            query: self.query.as_deref().map(str::as_bytes),
            client: CLIENT,
            certificate: None,
            fields: &self.fields,
        }
    }
}

fn find(routes: &[Route], ask: &Ask) -> Option<usize> {
    Router::compile(routes).unwrap().find(&ask.view())
}

/// Each line lists patterns (`host path`), the most specific first, and a request that all of them take.
#[test]
fn the_most_specific_wins() {
    type HostAndPath = (&'static str, &'static str);
    let cases: &[(&[HostAndPath], HostAndPath)] = &[
        (&[("a.b.c", ""), ("*.b.c", ""), ("*.c", ""), ("", "")], ("a.b.c", "/x")),
        // The host goes before the path.
        (&[("a.b.c", ""), ("*.b.c", "/x/**"), ("", "/x")], ("a.b.c", "/x")),
        (
            &[
                ("h", "/a/b/c"),
                ("h", "/a/b/c/**"),
                ("h", "/a/b/{z}"),
                ("h", "/a/b/{z}/**"),
                ("h", "/a/b/**"),
                ("h", "/a/{y}/c"),
                ("h", "/a/{y}/{z}"),
                ("h", "/a/{y}/**"),
                ("h", "/a/**"),
                ("h", "/{x}/b/c"),
                ("h", "/{x}/**"),
                ("h", "~ /a/.*"),
                ("h", "/**"),
                ("", "/a/b/c"),
            ],
            ("h", "/a/b/c"),
        ),
        (&[("h", "/a"), ("h", "/a/**"), ("h", "/{x}"), ("h", "~ ^/a$")], ("h", "/a")),
        (&[("h", "/"), ("h", "~ .*"), ("h", "/**"), ("", "/")], ("h", "/")),
    ];
    for (patterns, (host, path)) in cases {
        let ask = Ask::of(host, path);
        for first in 0..patterns.len() {
            let mut routes: Vec<Route> =
                patterns[first..].iter().map(|(host, path)| route(host, path)).collect();
            assert_eq!(find(&routes, &ask), Some(0), "{:?}", patterns[first]);
            routes.reverse();
            assert_eq!(find(&routes, &ask), Some(routes.len() - 1), "{:?}, reversed", patterns[first]);
        }
    }
}

#[test]
fn patterns_take_what_they_should() {
    for (pattern, taken, left) in [
        ("/a", &["/a", "//a"][..], &["/", "/a/", "/a/b", "/A", "/ab"][..]),
        ("/a/", &["/a/", "/a//"], &["/a", "/a/b"]),
        ("/a/**", &["/a", "/a/", "/a/b/c", "/a//b"], &["/ab", "/", "/b/a"]),
        ("/**", &["/", "/a", "*", ""], &[]),
        ("/u/{id}", &["/u/1", "//u//x"], &["/u", "/u/", "/u/1/", "/u/1/2"]),
        ("/u/{id}/**", &["/u/1", "/u/1/", "/u/1/2"], &["/u", "/u/"]),
        ("/{a}/x/{b}", &["/1/x/2"], &["/1/y/2", "/x/2"]),
        ("~ ^/r.*", &["/r", "/run/x", "//r"], &["/x/r", "/"]),
        ("~ /r", &["/r"], &["/rx", "/x/r"]),
        ("~ /a|/b", &["/a", "/b"], &["/ab", "/a/b"]),
        ("/ü x", &["/%C3%BC%20x"], &["/u"]),
    ] {
        let router = Router::compile(&[route("", pattern)]).unwrap();
        for path in taken {
            assert_eq!(router.find(&Ask::of("h", path).view()), Some(0), "{pattern} takes {path}");
        }
        for path in left {
            assert_eq!(router.find(&Ask::of("h", path).view()), None, "{pattern} leaves {path}");
        }
    }
}

#[test]
fn hosts_are_found_however_they_are_written() {
    let routes =
        [route("shop.example.com [::1] a.b.example.com", ""), route("*.example.com", ""), route("", "/any")];
    for (host, expected) in [
        ("SHOP.Example.COM:8080", Some(0)),
        ("shop.example.com.", Some(0)),
        ("[0::1]:80", Some(0)),
        ("a.b.example.com", Some(0)),
        ("b.example.com", Some(1)),
        ("x.y.z.example.com.:1", Some(1)),
        ("example.com", None),
        (".example.com", None),
        ("badexample.com", None),
        ("", None),
        (":", None),
        ("[", None),
    ] {
        assert_eq!(find(&routes, &Ask::of(host, "/")), expected, "{host}");
        assert!(find(&routes, &Ask::of(host, "/any")).is_some(), "{host}");
    }
}

#[test]
fn more_conditions_go_first_and_order_breaks_ties() {
    let gold = with_header(route("h", "/a"), "x-tier", exact("gold"));
    let present = with_header(route("h", "/a"), "x-tier", ValuePattern::Present);
    let mut both = with_header(gold.clone(), "x-beta", ValuePattern::Present);
    both.listeners = vec![1];
    let routes = [route("h", "/a"), present, gold, both, route("h", "/a")];
    let mut ask = Ask::of("h", "/a");
    assert_eq!(find(&routes, &ask), Some(0));
    ask.fields = vec![("X-Tier".into(), "gold".into()), ("x-beta".into(), "1".into())];
    assert_eq!(find(&routes, &ask), Some(1), "as many conditions as the next, but earlier");
    ask.listener = 1;
    assert_eq!(find(&routes, &ask), Some(3));
}

#[test]
fn what_fails_falls_through_to_less_specific_paths_and_hosts() {
    let absent = |route| with_header(route, "x", ValuePattern::Absent);
    let wants = |route| with_header(route, "x", exact("yes"));
    let routes = [
        wants(route("a.b.c", "/p/q")),
        wants(route("a.b.c", "/p/{x}")),
        wants(route("a.b.c", "/p/**")),
        wants(route("a.b.c", "~ .*")),
        wants(route("a.b.c", "")),
        wants(route("*.b.c", "/p/q")),
        absent(route("*.c", "")),
        route("", "/**"),
    ];
    let mut ask = Ask::of("a.b.c", "/p/q");
    assert_eq!(find(&routes, &ask), Some(6));
    ask.fields = vec![("x".into(), "no".into())];
    assert_eq!(find(&routes, &ask), Some(7));
    ask.fields.push(("x".into(), "yes".into()));
    assert_eq!(find(&routes, &ask), Some(0), "one of several values is enough");
    let trap = [route("h", "/a/b/x"), route("h", "/a/{y}/z"), route("h", "/{x}/b/**")];
    assert_eq!(find(&trap, &Ask::of("h", "/a/b/z")), Some(1));
    assert_eq!(find(&trap, &Ask::of("h", "/a/b/y")), Some(2));
}

#[test]
fn conditions_are_asked_of_the_right_part() {
    let field = |name: &str, value| vec![FieldMatch { name: name.into(), value }];
    let ask = Ask {
        query: Some("v=a%20b&w=".into()),
        fields: vec![("cookie".into(), "beta=\"1\"; c=2".into())],
        ..Ask::of("h", "/")
    };
    let mut cases: Vec<(bool, Match)> = Vec::new();
    let mut case = |holds, change: &dyn Fn(&mut Match)| {
        let mut matches = Match::default();
        change(&mut matches);
        cases.push((holds, matches));
    };
    case(true, &|it| it.methods = vec!["POST".into(), "GET".into()]);
    case(false, &|it| it.methods = vec!["get".into()]);
    case(true, &|it| it.client = vec!["10.0.0.0/8".parse().unwrap()]);
    case(false, &|it| it.client = vec!["11.0.0.0/8".parse().unwrap(), "::/0".parse().unwrap()]);
    case(true, &|it| it.query = field("v", exact("a b")));
    case(true, &|it| it.query = field("w", ValuePattern::Present));
    case(true, &|it| it.query = field("v", ValuePattern::Regex("b$".into())));
    case(false, &|it| it.query = field("v", ValuePattern::Absent));
    case(true, &|it| it.query = field("x", ValuePattern::Absent));
    case(true, &|it| it.cookies = field("beta", exact("1")));
    case(false, &|it| it.cookies = field("beta", exact("2")));
    for (holds, matches) in cases {
        let routes = [Route { matches: matches.clone(), ..route("", "") }];
        assert_eq!(find(&routes, &ask).is_some(), holds, "{matches:?}");
    }
}

#[test]
fn a_mapped_client_address_is_an_ipv4_address() {
    let mut routes = [route("", "")];
    routes[0].matches.client = vec!["10.0.0.0/8".parse().unwrap()];
    let router = Router::compile(&routes).unwrap();
    let ask = Ask::of("h", "/");
    let client = IpAddr::V6(Ipv4Addr::new(10, 9, 9, 9).to_ipv6_mapped());
    assert_eq!(router.find(&RequestView { client, ..ask.view() }), Some(0));
}

#[test]
fn no_way_around_a_guarded_path() {
    let routes = [route("", "/admin/**"), route("", "/**")];
    let router = Router::compile(&routes).unwrap();
    for raw in
        ["/admin", "/public/../admin", "/%61dmin/x", "//admin", "/./admin", "/x/%2E%2e/admin/", "/admin//"]
    {
        let path = normalise(raw.as_bytes()).unwrap();
        let ask = Ask::of("h", "");
        assert_eq!(router.find(&RequestView { path: &path, ..ask.view() }), Some(0), "{raw}");
    }
}

/// What the guide advises where an endpoint reads `%2F` and `;` in its own way.
#[test]
fn an_expression_keeps_other_spellings_of_a_guarded_path_out() {
    let routes = [
        route("h", "~ .*(;|%2F).*"),
        route("h", "/admin/**"),
        route("h", "/files/admin/**"),
        route("h", "~ /files(/.*)?"),
        route("h", ""),
        route("", ""),
    ];
    let router = Router::compile(&routes).unwrap();
    for (raw, expected) in [
        ("/admin;/x", 0),
        ("/admin%2fx", 0),
        ("/admin;a=1", 0),
        ("/ad%2Fmin/x", 0),
        ("//admin;/x", 0),
        ("/admin/x", 1),
        // The segments fit, so the expression is not asked: it is guarded in any reading.
        ("/admin/x;y", 1),
        ("/files/admin/x", 2),
        ("/files/admin;/x", 0),
        ("/files/x", 3),
        ("/x", 4),
    ] {
        let path = normalise(raw.as_bytes()).unwrap();
        let ask = Ask::of("h", "");
        assert_eq!(router.find(&RequestView { path: &path, ..ask.view() }), Some(expected), "{raw}");
    }
}

#[test]
fn explanations_name_the_failed_condition() {
    let mut elsewhere = route("h", "/a");
    elsewhere.listeners = vec![7];
    let routes = [
        route("other", ""),
        route("*.h", ""),
        route("h", "/b"),
        route("", "/**"),
        route("h", "/a"),
        with_header(route("h", "/a"), "x", ValuePattern::Present),
        elsewhere,
    ];
    let router = Router::compile(&routes).unwrap();
    let verdicts: Vec<_> =
        router.explain(&Ask::of("h", "/a").view()).into_iter().map(|it| (it.route, it.verdict)).collect();
    assert_eq!(
        verdicts,
        [
            (5, Verdict::Lost(Loss::Header("x".into()))),
            (6, Verdict::Lost(Loss::Listener)),
            (4, Verdict::Matched),
            (3, Verdict::Lost(Loss::Outranked { by: 4 })),
            (0, Verdict::Lost(Loss::Host)),
            (1, Verdict::Lost(Loss::Host)),
            (2, Verdict::Lost(Loss::Path)),
        ]
    );
}

#[test]
fn hostile_paths_and_patterns_end() {
    // Every combination of literal and named segments: the tree in which most ways have to be tried.
    let depth = 10;
    let patterns = (0..1 << depth).map(|bits: u32| {
        let segments = (0..depth).map(|bit| if bits >> bit & 1 == 1 { "/a" } else { "/{x}" });
        segments.collect::<String>() + "/end"
    });
    let routes: Vec<Route> = patterns.map(|pattern| route("", &pattern)).collect();
    let router = Router::compile(&routes).unwrap();
    let dead_end = "/a".repeat(depth) + "/other";
    assert_eq!(router.find(&Ask::of("h", &dead_end).view()), None);
    assert_eq!(router.find(&Ask::of("h", &("/a".repeat(depth) + "/end")).view()), Some((1 << depth) - 1));
    for path in [
        "/a".repeat(100_000),
        "/".repeat(200_000),
        "a".repeat(100_000),
        "/".to_owned() + &"a".repeat(100_000),
    ] {
        assert_eq!(router.find(&Ask::of("h", &path).view()), None);
    }
    let host = "a.".repeat(120) + "b";
    assert_eq!(find(&[route("*.a.b", "")], &Ask::of(&host, "/")), Some(0));
}

#[test]
fn deep_patterns_work_up_to_the_limit() {
    let deepest = "/a".repeat(crate::MAX_PATH_SEGMENTS);
    assert_eq!(find(&[route("", &deepest)], &Ask::of("h", &deepest)), Some(0));
    let deeper = Router::compile(&[route("", &(deepest + "/a"))]);
    assert!(matches!(deeper, Err(CompileError::TooManySegments { .. })), "{deeper:?}");
}

#[test]
fn what_cannot_be_compiled_says_why() {
    let message = |routes: &[Route]| Router::compile(routes).unwrap_err().to_string();
    for pattern in ["~ a)|(b", "~ (", r"~ (\w{500}){500}"] {
        let problem = message(&[Route { name: "r".into(), ..route("", pattern) }]);
        assert!(problem.starts_with("route r: the regular expression"), "{problem}");
    }
    let header = with_header(route("", ""), "x", ValuePattern::Regex("[".into()));
    assert!(message(&[header]).contains("`[`"));
    let host = "a".repeat(MAX_HOST_BYTES + 1);
    assert!(message(&[route(&host, "")]).contains("longer than 255"));
}

#[test]
fn many_hosts_and_paths_are_all_found() {
    let mut routes: Vec<Route> =
        (0..100_000).map(|number| route(&format!("host-{number}.example.com"), "")).collect();
    routes.extend((0..10_000).map(|number| route("paths.example.com", &format!("/p{number}/x"))));
    let router = Router::compile(&routes).unwrap();
    for number in (0..100_000).step_by(997) {
        let ask = Ask::of(&format!("HOST-{number}.example.com:80"), "/");
        assert_eq!(router.find(&ask.view()), Some(number));
    }
    for number in 0..10_000 {
        let ask = Ask::of("paths.example.com", &format!("/p{number}/x"));
        assert_eq!(router.find(&ask.view()), Some(100_000 + number));
    }
    assert_eq!(router.find(&Ask::of("paths.example.com", "/p10000/x").view()), None);
    assert_eq!(router.find(&Ask::of("host-100000.example.com", "/").view()), None);
}

#[test]
fn a_valid_expression_can_be_tied_to_both_ends() {
    let nested = |depth: usize| format!("{}r{}", "(".repeat(depth), ")".repeat(depth));
    let deepest = (1..300).rfind(|&depth| regex::bytes::Regex::new(&nested(depth)).is_ok()).unwrap();
    for pattern in [format!("/{}", nested(deepest - 1)), "(?x) /r  # a comment".to_owned()] {
        let routes = [route("h", &format!("~ {pattern}"))];
        assert_eq!(find(&routes, &Ask::of("h", "/r")), Some(0), "{pattern}");
        assert_eq!(find(&routes, &Ask::of("h", "/rx")), None, "{pattern}");
        assert_eq!(find(&routes, &Ask::of("h", "/x/r")), None, "{pattern}");
    }
}
