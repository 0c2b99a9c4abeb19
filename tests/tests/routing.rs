//! Which request goes where, and what is done to it on the way.

use base_testkit::{Aya, Backend, Client, Response};

/// Aya with routes that each answer with a word: `(condition, word)` in the order of the document.
fn words(routes: &[(&str, &str)]) -> Aya {
    let lines: String = routes
        .iter()
        .map(|(condition, word)| {
            format!("  - {{match: {{{condition}}}, respond: {{status: 200, body: {word}}}}}\n")
        })
        .collect();
    Aya::start(&format!("listeners: {{web: {{bind: '127.0.0.1:0'}}}}\nroutes:\n{lines}"))
}

/// The word that answers this request; `404` when no route does.
fn word(client: &mut Client, method: &str, host: &str, target: &str, lines: &str) -> String {
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"));
    let response = client.response_to(method);
    if response.status == 200 { response.text() } else { response.status.to_string() }
}

/// The most specific host wins: exact before wildcard before none; case, port and a final dot do not matter.
#[test]
fn hosts_select_routes() {
    let aya = words(&[
        ("", "any"),
        ("host: '*.example.com'", "below"),
        ("host: '*.deep.example.com'", "deep"),
        ("host: shop.example.com", "shop"),
        ("host: [one.test, two.test]", "either"),
    ]);
    let mut client = aya.client();
    for (host, expected) in [
        ("shop.example.com", "shop"),
        ("SHOP.Example.COM:8080", "shop"),
        ("other.example.com", "below"),
        ("a.b.example.com", "below"),
        ("x.deep.example.com", "deep"),
        ("deep.example.com", "below"),
        ("example.com", "any"),
        ("notexample.com", "any"),
        ("one.test", "either"),
        ("two.test", "either"),
        ("192.0.2.1", "any"),
    ] {
        assert_eq!(word(&mut client, "GET", host, "/", ""), expected, "{host}");
    }
}

/// The most specific path wins: exact, then template, then the longest prefix; prefixes end at segments.
#[test]
fn paths_select_routes() {
    let aya = words(&[
        ("path: '/**'", "all"),
        ("path: '/api/**'", "api"),
        ("path: '/api/v2/**'", "v2"),
        ("path: /api/v2/status", "exact"),
        ("path: '/u/{id}'", "user"),
        ("path: '/u/{id}/orders/**'", "orders"),
        ("path: '~ ^/r/[0-9]+$'", "number"),
    ]);
    let mut client = aya.client();
    for (target, expected) in [
        ("/", "all"),
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/x", "api"),
        ("/apix", "all"),
        ("/api/v2", "v2"),
        ("/api/v2/x", "v2"),
        ("/api/v2/status", "exact"),
        ("/api/v2/status/", "v2"),
        ("/api/v2/status?x=/other", "exact"),
        ("/u/7", "user"),
        ("/u/7/orders/8", "orders"),
        ("/u/7/other", "all"),
        ("/u/", "all"),
        ("/r/12", "number"),
        ("/r/x", "all"),
        ("/%61pi/x", "api"),
        ("/API/x", "all"),
    ] {
        assert_eq!(word(&mut client, "GET", "a.test", target, ""), expected, "{target}");
    }
}

/// The path that was matched is the path that the endpoint gets, so that no spelling of it slips past a route; what two servers
/// could read differently is refused.
#[test]
fn the_matched_path_is_the_path_sent() {
    let backend = Backend::echo("a");
    let aya = with_routes(
        &backend,
        "  - {match: {path: '/admin/**'}, respond: {status: 403}}\n  - {match: {path: '/public/**'}, pool: main}\n",
    );
    let mut client = aya.client();
    for target in
        ["/admin/x", "/public/../admin/x", "/public/%2e%2e/admin/x", "/%61dmin/x", "/public/./../admin"]
    {
        assert_eq!(client.get(target).status, 403, "{target}");
    }
    for (target, seen) in [
        ("/public/%61%2Fb", "/public/a%2Fb"),
        ("/public/a/../b?q=/../x", "/public/b?q=/../x"),
        ("/admin/../public/", "/public/"),
    ] {
        assert_eq!(client.get(target).json()["target"], seen, "{target}");
    }
    for target in
        ["/public/..%2fadmin/x", "/public/..;/admin/x", "/public/..\\admin/x", "/public/%2e%2e%5cadmin"]
    {
        let response = aya.get(target);
        assert_eq!((response.status, response.reason()), (400, "bad-request"), "{target}");
    }
    assert!(backend.requests().iter().all(|request| !request.target.contains("admin")));
}

/// Methods, headers, cookies, query values and client addresses are conditions, and more of them are more specific.
#[test]
fn other_conditions_select_routes() {
    let aya = words(&[
        ("", "none"),
        ("method: [PUT, DELETE]", "method"),
        ("header: {x-tier: gold}", "gold"),
        ("header: {x-flag: true}", "flag"),
        ("header: {x-version: '~ ^v[0-9]+$'}", "version"),
        ("cookie: {beta: 'yes'}", "beta"),
        ("query: {debug: 'on'}", "debug"),
        ("query: {n: '~ ^[0-9]+$'}", "digits"),
        ("method: PUT, header: {x-tier: gold}", "both"),
        ("path: /inside, client: [127.0.0.0/8]", "inside"),
        ("path: /outside, client: [10.0.0.0/8]", "outside"),
        ("path: /absent, header: {x-absent: false}", "absent"),
    ]);
    let mut client = aya.client();
    for (method, target, lines, expected) in [
        ("GET", "/", "", "none"),
        ("PUT", "/", "", "method"),
        ("PUTS", "/", "", "none"),
        ("GET", "/", "X-Tier: gold\r\n", "gold"),
        ("GET", "/", "X-Tier: silver\r\n", "none"),
        ("GET", "/", "X-Tier: silver\r\nX-Tier: gold\r\n", "gold"),
        ("GET", "/", "X-Flag:\r\n", "flag"),
        ("GET", "/", "X-Version: v12\r\n", "version"),
        ("GET", "/", "X-Version: 12\r\n", "none"),
        ("GET", "/", "Cookie: a=1; beta=yes; c=2\r\n", "beta"),
        ("GET", "/", "Cookie: alphabeta=yes\r\n", "none"),
        ("GET", "/?debug=on", "", "debug"),
        ("GET", "/?x=1&de%62ug=on", "", "debug"),
        ("GET", "/?xdebug=on", "", "none"),
        ("GET", "/?n=42", "", "digits"),
        ("GET", "/?n=4x2", "", "none"),
        ("PUT", "/", "X-Tier: gold\r\n", "both"),
        ("GET", "/inside", "", "inside"),
        ("GET", "/outside", "", "none"),
        ("GET", "/absent", "", "absent"),
        ("GET", "/absent", "X-Absent: 1\r\n", "none"),
    ] {
        assert_eq!(
            word(&mut client, method, "a.test", target, lines),
            expected,
            "{method} {target} {lines:?}"
        );
    }
}

/// Routes can hold for one listener only.
#[test]
fn listeners_select_routes() {
    let aya = Aya::start(
        "listeners: {web: {bind: '127.0.0.1:0'}, side: {bind: ['127.0.0.1:0', '127.0.0.1:0']}}\n\
         routes:\n\
         \x20 - {listeners: [side], respond: {status: 200, body: side}}\n\
         \x20 - {listeners: [web], match: {path: /web}, respond: {status: 200, body: web}}\n",
    );
    assert_eq!(aya.get("/web").text(), "web");
    assert_eq!(aya.get("/").status, 404);
    assert_eq!(Client::connect(aya.listener("side")).get("/web").text(), "side");
}

/// The client that a trusted proxy names is the one that conditions see.
#[test]
fn the_client_behind_a_trusted_proxy_counts() {
    let aya = Aya::start(
        "listeners: {web: {bind: '127.0.0.1:0', trusted-proxies: [127.0.0.1]}}\n\
         routes:\n\
         \x20 - {match: {client: [192.0.2.0/24]}, respond: {status: 200, body: near}}\n\
         \x20 - {respond: {status: 200, body: far}}\n",
    );
    let mut client = aya.client();
    assert_eq!(client.get("/").text(), "far");
    assert_eq!(client.get_with("/", "X-Forwarded-For: 192.0.2.9\r\n").text(), "near");
    // What an untrusted hop wrote further left does not count.
    assert_eq!(client.get_with("/", "X-Forwarded-For: 192.0.2.9, 203.0.113.5\r\n").text(), "far");
}

/// Where no route fits the answer is 404, with a reason, and without a word about what is configured.
#[test]
fn without_a_route_there_is_404() {
    let aya = words(&[("host: secret.internal.test, path: /hidden", "x")]);
    let response = aya.get("/nothing");
    assert_eq!((response.status, response.reason()), (404, "no-route"));
    assert!(response.keeps_alive());
    let all = format!("{}{}", String::from_utf8_lossy(&response.raw_head), response.text());
    for word in ["secret", "hidden", "route-", "127.0.0.1"] {
        assert!(!all.contains(word), "{all}");
    }
}

/// A split sends the parts that it says, and a part of zero gets nothing.
#[test]
fn splits_keep_their_proportions() {
    let backends: Vec<_> = ["a", "b", "c"].into_iter().map(Backend::echo).collect();
    let aya = Aya::start(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\n\
         routes: [{{split: {{a: 90, b: 10, c: 0}}}}]\n\
         pools: {{a: {{endpoints: [{}]}}, b: {{endpoints: [{}]}}, c: {{endpoints: [{}]}}}}\n",
        backends[0], backends[1], backends[2]
    ));
    let mut client = aya.client();
    for _ in 0..1000 {
        assert_eq!(client.get("/").status, 200);
    }
    // 1000 draws at one in ten: 6 standard deviations are 57.
    let counts: Vec<_> = backends.iter().map(Backend::request_count).collect();
    assert_eq!(counts.iter().sum::<usize>(), 1000);
    assert!(counts[1].abs_diff(100) < 57 && counts[2] == 0, "{counts:?}");
}

/// One backend behind routes with filters and handlers.
fn with_routes(backend: &Backend, routes: &str) -> Aya {
    Aya::start(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\nroutes:\n{routes}\npools: {{main: {{endpoints: [{backend}]}}}}\n"
    ))
}

/// Filters set, add and remove fields of request and answer, in their order.
#[test]
fn filters_edit_headers() {
    let backend = Backend::answering(|_| {
        base_testkit::answer(200, &["server: secret/1.0", "x-kept: 1", "x-many: a", "x-many: b"], "ok")
    });
    let aya = with_routes(
        &backend,
        "  - pool: main\n    filters:\n\
         \x20     - set-header: {request: {x-from: aya, X-Replaced: new}, response: {x-answer: 'yes'}}\n\
         \x20     - add-header: {request: {x-list: two}, response: {x-many: c}}\n\
         \x20     - remove-header: {request: [x-private], response: [server]}\n",
    );
    let lines = "X-Replaced: old\r\nx-replaced: older\r\nX-List: one\r\nX-Private: 1\r\n";
    let response = aya.client().get_with("/", lines);
    let request = backend.only_request();
    assert_eq!((request.headers("x-from"), request.headers("x-replaced")), (vec!["aya"], vec!["new"]));
    assert_eq!((request.headers("x-list"), request.headers("x-private")), (vec!["one", "two"], vec![]));
    assert_eq!((response.headers("x-answer"), response.headers("server")), (vec!["yes"], vec![]));
    assert_eq!((response.headers("x-many"), response.headers("x-kept")), (vec!["a", "b", "c"], vec!["1"]));
}

/// A rewrite changes path and host for the endpoint; the query stays.
#[test]
fn filters_rewrite_path_and_host() {
    let backend = Backend::echo("a");
    let aya = with_routes(
        &backend,
        "  - {match: {path: '/old/**'}, pool: main, filters: [{rewrite: {strip-prefix: /old, add-prefix: /new}}]}\n\
         \x20 - {match: {path: '/fixed/**'}, pool: main, filters: [{rewrite: {path: /one}}]}\n\
         \x20 - {match: {path: '/host/**'}, pool: main, filters: [{rewrite: {host: inner.test}}]}\n\
         \x20 - {pool: main}\n",
    );
    let mut client = aya.client();
    for (target, seen, host) in [
        ("/old/a/b?q=1", "/new/a/b?q=1", "play.test"),
        ("/old", "/new", "play.test"),
        ("/fixed/a?q=1", "/one?q=1", "play.test"),
        ("/host/a", "/host/a", "inner.test"),
        ("/oldest", "/oldest", "play.test"),
    ] {
        backend.forget();
        assert_eq!(client.get(target).status, 200, "{target}");
        let request = backend.only_request();
        assert_eq!((request.target.as_str(), request.header("host")), (seen, Some(host)), "{target}");
    }
}

/// Redirects and fixed answers come from Aya itself, on a connection that lives on; HEAD gets no body.
#[test]
fn handlers_answer_by_themselves() {
    let backend = Backend::echo("a");
    let aya = with_routes(
        &backend,
        "  - {match: {path: /moved}, redirect: {to: 'https://new.test/place', status: 308}}\n\
         \x20 - {match: {path: /teapot}, respond: {status: 418, body: short and stout, headers: {x-pot: tea}}}\n\
         \x20 - {match: {path: /empty}, respond: {status: 204}}\n\
         \x20 - {pool: main}\n",
    );
    let mut client = aya.client();
    let moved: Response = client.get("/moved");
    assert_eq!((moved.status, moved.header("location")), (308, Some("https://new.test/place")));
    let pot = client.get("/teapot");
    assert_eq!((pot.status, pot.text().as_str(), pot.header("x-pot")), (418, "short and stout", Some("tea")));
    assert!(pot.header("content-type").is_some());
    client.send("HEAD /teapot HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").header("content-length"), Some("15"));
    assert_eq!(client.get("/empty").status, 204);
    // A body that nobody asked for is read away, and the next request is found behind it; or the connection ends, and says so.
    let pot = client.post("/teapot", vec![b'x'; 20_000]);
    assert_eq!(pot.status, 418);
    if !pot.keeps_alive() {
        client.half_close();
        client.expect_close();
        client = aya.client();
    }
    assert_eq!(client.get("/other").json()["target"], "/other");
    assert_eq!(backend.request_count(), 1);
}

/// What a client puts into a path cannot break out into the answer's head.
#[test]
fn redirects_do_not_split_answers() {
    let aya = Aya::start(
        "listeners: {web: {bind: '127.0.0.1:0'}}\n\
         routes: [{match: {path: '/go/**'}, redirect: {to: 'https://new.test{path}'}}]\n",
    );
    let mut client = aya.client();
    let response = client.get("/go/a%0d%0aX-Evil:%201?q=%0d%0a");
    assert!((300..400).contains(&response.status), "{}", response.status);
    assert_eq!(response.header("x-evil"), None);
}
