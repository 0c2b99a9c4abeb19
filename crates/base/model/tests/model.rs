//! What a configuration means: shorthands, defaults, references.

#![expect(clippy::panic, reason = "a test that cannot go on says why")]

mod catalog;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base_model::model::{
    Action, BodyMatch, CheckKind, Host, HostPattern, LogTarget, PathPattern, Pool, Protocol, RequestId,
    StatusRange, ValuePattern,
};
use base_model::{Loaded, Snapshot, check_file, load, load_file, parse_endpoint};

fn loaded(source: &str) -> Loaded {
    let environment = |name: &str| match name {
        "TOKEN" => Some("secret\n".to_owned()),
        "PORT" => Some("8080".to_owned()),
        "TWO" => Some("2".to_owned()),
        _ => None,
    };
    load(source, "/etc/aya/aya.yaml", &environment, &catalog::catalog())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn with_route(route: &str) -> Loaded {
    loaded(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}, other: {{bind: '127.0.0.1:0'}}}}\nroutes:\n  - {route}\npools: {{a: {{endpoints: [10.0.0.1]}}, b: \
         {{endpoints: [10.0.0.2]}}}}\n"
    ))
}

fn with_pool(pool: &str) -> Loaded {
    loaded(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\nroutes: [{{pool: a}}]\npools: {{a: {{{pool}}}}}\n"
    ))
}

#[test]
fn a_short_document_has_safe_defaults() {
    let model = with_pool("endpoints: [10.0.0.1]").model;
    let (listener, pool, route) = (&model.listeners[0], &model.pools[0], &model.routes[0]);
    assert_eq!(listener.max_head_bytes, 64 << 10);
    assert_eq!(listener.request_id, RequestId { header: Some("x-request-id".into()), trust: true });
    assert_eq!(listener.via.as_deref(), Some("aya"));
    assert_eq!(listener.timeouts.idle, Duration::from_secs(75));
    assert_eq!(&*pool.balance.name, "round-robin");
    assert_eq!(pool.passive.consecutive_failures, 5);
    assert_eq!(pool.endpoints[0].socket_addr(), Some("10.0.0.1:80".parse().unwrap()));
    assert!(pool.checks.is_empty());
    assert_eq!((&*route.name, route.attempts, route.request_timeout), ("route-1", 3, None));
    assert_eq!(model.operation.drain, Duration::from_secs(30));
    assert!(model.operation.admin.is_none() && model.operation.workers.is_none());
}

#[test]
fn connections_are_passed_on_to_a_pool_and_may_be_silent_for_long() {
    let of = |listener: &str| {
        let pools = "pools: {a: {endpoints: [10.0.0.1]}, b: {endpoints: [10.0.0.2:5432], http2: on}}";
        let text = format!(
            "listeners: {{raw: {{bind: '127.0.0.1:0', protocol: tcp, pool: b, {listener}}}}}\n{pools}"
        );
        loaded(&text).model.listeners.swap_remove(0)
    };
    let listener = of("");
    assert_eq!((listener.protocol, listener.http2), (Protocol::Tcp { pool: Some(1) }, None));
    assert_eq!(listener.timeouts.idle, Duration::from_secs(3600));
    assert_eq!(of("timeouts: {idle: 75s}").timeouts.idle, Duration::from_secs(75));
}

#[test]
fn a_pool_made_without_a_document_is_like_one_that_says_no_more() {
    let model = with_pool("endpoints: [10.0.0.1:8080]").model;
    let checked = &model.pools[0];
    assert_eq!(*checked, Pool::new(&checked.name, checked.endpoints.clone()));
}

#[test]
fn addresses_of_all_forms() {
    let model =
        loaded("listeners: {web: {bind: [':80', '[::1]:81']}}\nroutes: [{respond: {status: 200}}]").model;
    let expected: Vec<SocketAddr> =
        ["0.0.0.0:80", "[::]:80", "[::1]:81"].map(|text| text.parse().unwrap()).into();
    assert_eq!(model.listeners[0].bind, expected);

    let model = with_pool(
        "endpoints: ['[::1]:82', '[::2]', App.Internal, 'app.internal:81', {address: 10.0.0.1, weight: 0}]",
    )
    .model;
    let endpoints: Vec<String> = model.pools[0].endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["[::1]:82", "[::2]:80", "app.internal:80", "app.internal:81", "10.0.0.1:80"]);
    assert_eq!(model.pools[0].endpoints[2].host, Host::Name("app.internal".into()));
    assert_eq!(model.pools[0].endpoints[4].weight, 0);
}

#[test]
fn conditions_are_normalised() {
    let route = "{pool: a, listeners: other, match: {host: ['Shop.example.com.', '*.Example.com', '[::1]'], method: GET, header: {X-Tier: gold, x-n: 1.10, x-b: false}, \
                 query: {v: '~ ^[0-9]+$'}, cookie: {beta: true}, client: [10.1.2.3/8, '::1']}}";
    let model = with_route(route).model;
    let matches = &model.routes[0].matches;
    assert_eq!(
        matches.hosts,
        [
            HostPattern::Exact("shop.example.com".into()),
            HostPattern::Below("example.com".into()),
            HostPattern::Exact("[::1]".into())
        ]
    );
    assert_eq!(&*matches.headers[0].name, "x-tier");
    assert_eq!(matches.headers[1].value, ValuePattern::Exact("1.10".into()));
    assert_eq!(matches.headers[2].value, ValuePattern::Absent);
    assert_eq!(matches.query[0].value, ValuePattern::Regex("^[0-9]+$".into()));
    assert_eq!(matches.cookies[0].value, ValuePattern::Present);
    assert_eq!(
        matches.client,
        ["10.0.0.0/8".parse().unwrap(), ipnet::IpNet::from("::1".parse::<IpAddr>().unwrap())]
    );
    assert_eq!(model.routes[0].listeners, [1]);
}

#[test]
fn paths_of_all_forms() {
    let path = |text: &str| {
        with_route(&format!("{{pool: a, match: {{path: '{text}'}}}}")).model.routes[0].matches.path.clone()
    };
    assert_eq!(path("/"), Some(PathPattern::Exact("/".into())));
    assert_eq!(path("/a/"), Some(PathPattern::Exact("/a/".into())));
    assert_eq!(path("/%7ea/%2f"), Some(PathPattern::Exact("/~a/%2F".into())));
    assert_eq!(path("/**"), Some(PathPattern::Prefix("".into())));
    assert_eq!(path("/a/**"), Some(PathPattern::Prefix("/a".into())));
    assert_eq!(path("~ ^/r.*"), Some(PathPattern::Regex("^/r.*".into())));
    let segments = vec![Ok("u".into()), Err("id".into()), Ok("x".into())];
    assert_eq!(path("/u/{id}/x"), Some(PathPattern::Template { segments, open: false }));
    let segments = vec![Ok("u".into()), Err("id".into())];
    assert_eq!(path("/u/{id}/**"), Some(PathPattern::Template { segments, open: true }));
}

#[test]
fn actions_filters_and_kinds() {
    let model = with_route(
        "{split: {b: 95, a: 5}, filters: [{set-header: {request: {x-a: b}}}, {rewrite: {path: /x}}], timeouts: {request: 2s}, retry: {attempts: 1}}",
    )
    .model;
    let Action::Proxy(shares) = &model.routes[0].action else { panic!() };
    assert_eq!(shares.iter().map(|share| (share.pool, share.weight)).collect::<Vec<_>>(), [(1, 95), (0, 5)]);
    assert_eq!(&*model.routes[0].filters[1].kind.name, "rewrite");
    assert_eq!(model.routes[0].filters[0].kind.settings["request"]["x-a"], "b");
    assert_eq!(model.routes[0].request_timeout, Some(Duration::from_secs(2)));

    let model = with_route("{redirect: {to: /x}}").model;
    let Action::Handler(kind) = &model.routes[0].action else { panic!() };
    assert_eq!((&*kind.name, &kind.settings), ("redirect", &serde_json::json!({"to": "/x", "status": 308})));

    // Text and numbers stay as they are written.
    let model = with_route("{respond: {status: 200, headers: {x-version: 1.10, x-on: true}}}").model;
    let Action::Handler(kind) = &model.routes[0].action else { panic!() };
    assert_eq!(kind.settings["headers"], serde_json::json!({"x-version": "1.10", "x-on": "true"}));

    let model = with_pool("endpoints: [10.0.0.1], balance: {kind: source-hash}").model;
    assert_eq!(model.pools[0].balance.settings, serde_json::json!({"ipv4-prefix": 32}));
}

#[test]
fn checks_of_all_forms() {
    let model = with_pool(
        "endpoints: [10.0.0.1], health: [tcp, {http: '/h?x=1', method: HEAD, headers: {X-A: 1}, status: [200-204, 304], body: '~ ok+', port: 9}, {http: /, status: 404}]",
    )
    .model;
    let checks = &model.pools[0].checks;
    assert_eq!(checks[0].kind, CheckKind::Tcp);
    let CheckKind::Http { method, path, headers, statuses, body, .. } = &checks[1].kind else { panic!() };
    assert_eq!((&**method, &**path, checks[1].port), ("HEAD", "/h?x=1", Some(9)));
    assert_eq!(headers, &[("x-a".into(), "1".into())]);
    assert_eq!(statuses, &[StatusRange { first: 200, last: 204 }, StatusRange { first: 304, last: 304 }]);
    assert_eq!(body, &Some(BodyMatch::Regex("ok+".into())));
    let CheckKind::Http { method, statuses, .. } = &checks[2].kind else { panic!() };
    assert_eq!((&**method, statuses.as_slice()), ("GET", [StatusRange { first: 404, last: 404 }].as_slice()));
}

#[test]
fn secrets_variables_and_paths() {
    let loaded = loaded(
        "listeners: {web: {bind: '127.0.0.1:${PORT}', max-connections: '${PORT}'}}\nroutes: [{respond: {status: 200, body: '$${PORT}'}}]\n\
         admin: {bind: 0.0.0.0:0, token: {env: TOKEN}}\nlogs: {access: {to: ./a.log}}\nhistory: {folder: history}\nworkers: \"${TWO}\"",
    );
    let model = &loaded.model;
    assert_eq!((model.listeners[0].bind[0].port(), model.listeners[0].max_connections), (8080, Some(8080)));
    let Action::Handler(kind) = &model.routes[0].action else { panic!() };
    assert_eq!(kind.settings["body"], "${PORT}");
    let operation = &model.operation;
    assert_eq!(operation.admin.as_ref().unwrap().token.as_ref().unwrap().expose(), "secret");
    assert!(!format!("{loaded:?}").contains("secret\""), "{loaded:?}");
    assert_eq!(operation.access_log.as_ref().unwrap().target, LogTarget::File("/etc/aya/./a.log".into()));
    assert_eq!(operation.history.as_ref().unwrap().folder, std::path::Path::new("/etc/aya/history"));
    assert_eq!(operation.workers.unwrap().get(), 2);
}

#[test]
fn a_secret_file_is_looked_for_beside_the_configuration() {
    let folder = std::env::temp_dir().join(format!("aya-model-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("token"), "hush\n").unwrap();
    let path = folder.join("aya.yaml");
    let text = "listeners: {web: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {status: 200}}]\nadmin: {bind: 0.0.0.0:0, token: {file: token}}";
    std::fs::write(&path, text).unwrap();
    let loaded = load_file(&path, &|_| None, &catalog::catalog());
    std::fs::remove_dir_all(&folder).unwrap();
    let admin = loaded.unwrap().model.operation.admin.unwrap();
    assert_eq!(admin.token.unwrap().expose(), "hush");
}

#[test]
fn json_and_anchors_are_taken() {
    let model = loaded(r#"{"listeners": {"web": {"bind": "127.0.0.1:0"}}, "routes": [{"pool": "a"}], "pools": {"a": {"endpoints": ["10.0.0.1"]}}}"#).model;
    assert_eq!(model.pools.len(), 1);
    let model = loaded("listeners: {web: {bind: '127.0.0.1:0'}}\nroutes: [{split: {a: 1, b: 1}}]\npools: {a: &a {endpoints: [10.0.0.1]}, b: *a}").model;
    assert_eq!(model.pools[1].endpoints, model.pools[0].endpoints);
}

#[test]
fn many_routes_are_checked_in_good_time() {
    use std::fmt::Write;
    let mut text =
        "listeners: {web: {bind: '127.0.0.1:0'}}\npools: {a: {endpoints: [10.0.0.1]}}\nroutes:\n".to_owned();
    for index in 0..3_000 {
        writeln!(text, "  - {{match: {{host: h{index}.example.com}}, pool: a}}").unwrap();
    }
    assert_eq!(loaded(&text).model.routes.len(), 3_000);
}

#[test]
fn snapshots_are_numbered_and_know_their_text() {
    let loaded = with_pool("endpoints: [10.0.0.1]");
    let snapshot = Snapshot::new(3, loaded.model.into(), loaded.source.clone());
    let same = Snapshot::new(4, snapshot.model.clone(), loaded.source);
    assert_eq!(snapshot.fingerprint, same.fingerprint);
    assert_ne!(snapshot.generation, same.generation);
}

#[test]
fn very_many_diagnostics_are_cut_but_counted() {
    let keys: String = (0..500).map(|index| format!("k{index}: 1\n")).collect();
    let error = load(&keys, "x", &|_| None, &catalog::catalog()).unwrap_err();
    assert_eq!(error.items().len(), base_model::limits::MAX_DIAGNOSTICS);
    // Five hundred keys and the listeners that are not there.
    assert_eq!(error.items().len() + error.omitted(), 501);
    assert!(error.to_string().ends_with("and 401 more\n"));
}

/// A configuration whose admin port has its token in this file.
fn with_token_in(file: &str) -> String {
    format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\nroutes: [{{respond: {{status: 200}}}}]\nadmin: {{bind: 0.0.0.0:0, token: {file}}}"
    )
}

#[test]
fn secrets_come_from_regular_files_only() {
    let told = |file: &str| {
        let source = with_token_in(&format!("{{file: {file}}}"));
        let error = load(&source, "/etc/aya/aya.yaml", &|_| None, &catalog::catalog()).unwrap_err();
        error.items().iter().map(|item| item.message.clone()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(told("/dev/zero"), "the secret in /dev/zero is not in a regular file");
    let folder = std::env::temp_dir().join(format!("aya-secrets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pipe = folder.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let large = folder.join("large");
    std::fs::write(&large, "x".repeat((64 << 10) + 1)).unwrap();
    // Were the pipe waited for, this would never end.
    let (pipe, large) = (told(&pipe.display().to_string()), told(&large.display().to_string()));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(pipe.ends_with("/pipe is not in a regular file"), "{pipe}");
    assert!(large.ends_with("/large is over 65536 bytes"), "{large}");
}

#[test]
fn a_check_does_not_need_secrets() {
    let folder = std::env::temp_dir().join(format!("aya-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("aya.yaml");
    for source in ["{file: token}", "{env: TOKEN}"] {
        std::fs::write(&path, with_token_in(source)).unwrap();
        assert!(load_file(&path, &|_| None, &catalog::catalog()).is_err());
        let checked = check_file(&path, &|_| None, &catalog::catalog()).unwrap();
        assert_eq!(checked.warnings.items().len(), 1);
        assert_eq!(checked.warnings.items()[0].code, "secret");
        // Still an admin port with a token, though one that nobody can send.
        let token = checked.model.operation.admin.unwrap().token.unwrap();
        assert!(!token.expose().is_empty() && !token.expose().bytes().any(|byte| byte.is_ascii_graphic()));
    }
    // What is there has to be right.
    std::fs::write(&path, with_token_in("{env: TOKEN}")).unwrap();
    assert!(check_file(&path, &|_| Some("two words".to_owned()), &catalog::catalog()).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn addresses_from_elsewhere_follow_the_rules_of_the_file() {
    for good in ["10.0.0.1", "10.0.0.1:8080", "[::1]", "[::1]:8080", "App_1.internal.", "a:1"] {
        assert!(parse_endpoint(good, false).is_ok(), "{good}");
    }
    assert_eq!(parse_endpoint("[::1]", false).unwrap().port, 80);
    assert_eq!(parse_endpoint("app.internal", true).unwrap().port, 443);
    let bad = [
        "http://x:1",
        "a b",
        "a$",
        "{a}",
        "-a",
        "a-",
        "a/b",
        "::1",
        "::1:80",
        "unix:/a",
        "a:0",
        "",
        ":80",
        "[a]:1",
    ];
    for bad in bad {
        assert!(parse_endpoint(bad, false).is_err(), "{bad}");
    }
    assert_eq!(parse_endpoint("::1:80", false).unwrap_err().help, "write `[::1]:80`, quoted in YAML");
}
