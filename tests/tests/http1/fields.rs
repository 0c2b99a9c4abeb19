//! Header fields: what passes untouched, what belongs to one hop, what Aya tells endpoints.

use std::collections::HashSet;

use base_testkit::{Aya, Backend, Request, Response, answer};

use crate::{front, front_with};

/// Sends one request with these field lines (each with its line end) and gives what the backend got.
fn passed(listener: &str, lines: &str) -> Request {
    let backend = Backend::echo("a");
    let aya = front_with(listener, "", "", &[&backend]);
    let response = aya.client().get_with("/", lines);
    assert_eq!(response.status, 200, "{}", response.text());
    backend.only_request()
}

/// Fields that Aya has no business with pass byte for byte: order, case, spaces inside and repeats, both ways.
#[test]
fn other_fields_pass_untouched() {
    let lines = "X-One: a  b\r\nx-TWO:tight\r\nCookie: a=1; b=2\r\nX-One: again\r\nX-Bytes: \u{e4}\u{fc}\r\nX-Empty:\r\n";
    let sent = lines.to_owned();
    let backend = Backend::answering(move |_| {
        format!("HTTP/1.1 200 Fine  Thing\r\n{sent}content-length: 0\r\n\r\n").into()
    });
    let aya = front(&[&backend]);
    let response = aya.client().get_with("/a%2Fb;x=1?c=%20&d=%2f", lines);
    let contains = |head: &[u8], part: &str| head.windows(part.len()).any(|window| window == part.as_bytes());
    let request = backend.only_request();
    assert!(contains(&request.raw_head, lines), "{:?}", String::from_utf8_lossy(&request.raw_head));
    assert_eq!(request.target, "/a%2Fb;x=1?c=%20&d=%2f");
    assert!(contains(&response.raw_head, lines), "{:?}", String::from_utf8_lossy(&response.raw_head));
    assert!(contains(&response.raw_head, "HTTP/1.1 200 Fine  Thing\r\n"));
}

/// What belongs to the connection ends at the connection: named hop-by-hop fields, and those that `Connection` nominates.
#[test]
fn hop_by_hop_fields_end_here() {
    let request = passed(
        "",
        "Connection: x-secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
         TE: trailers, deflate\r\nProxy-Authorization: Basic x\r\nX-Kept: 1\r\nConnection: X-Other\r\nx-other: 2\r\n",
    );
    for name in ["x-secret", "keep-alive", "proxy-connection", "x-other"] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert!(!request.fields.lists("connection", "x-secret"));
    assert!(!request.fields.lists("te", "deflate"));
    assert_eq!(request.header("x-kept"), Some("1"));
    let backend = Backend::answering(|_| {
        answer(200, &["connection: x-secret", "x-secret: 1", "keep-alive: timeout=5", "x-kept: 1"], "ok")
    });
    let response = front(&[&backend]).get("/");
    assert_eq!((response.header("x-secret"), response.header("keep-alive")), (None, None));
    assert_eq!(response.header("x-kept"), Some("1"));
}

/// `Connection` cannot be used to strip what an endpoint relies on.
#[test]
fn connection_cannot_nominate_what_matters() {
    for name in ["host", "content-length", "x-forwarded-for", "transfer-encoding"] {
        let backend = Backend::echo("a");
        let aya = front(&[&backend]);
        let mut client = aya.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: play.test\r\nConnection: {name}\r\nContent-Length: 2\r\n\r\nok"
        ));
        let response = client.response();
        if response.status == 200 {
            let request = backend.only_request();
            assert_eq!(
                (request.header("host"), request.body.as_slice()),
                (Some("play.test"), &b"ok"[..]),
                "{name}"
            );
            assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"), "{name}");
        } else {
            assert_eq!(response.status, 400, "{name}");
        }
    }
}

/// A target in absolute form decides the host and reaches the backend in origin form.
#[test]
fn absolute_form_decides_the_host() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for (target, host, path) in [
        ("http://other.test/path?q=1", "other.test", "/path?q=1"),
        ("HTTP://other.test:8080/", "other.test:8080", "/"),
        ("http://other.test", "other.test", "/"),
        ("http://other.test?q", "other.test", "/?q"),
    ] {
        backend.forget();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: play.test\r\n\r\n"));
        assert_eq!(client.response().status, 200, "{target}");
        let request = backend.only_request();
        assert_eq!((request.target.as_str(), request.headers("host")), (path, vec![host]), "{target}");
    }
    backend.forget();
    client.send("OPTIONS * HTTP/1.1\r\nHost: play.test\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(backend.only_request().target, "*");
}

/// A request without a usable host, or with two, is refused.
#[test]
fn the_host_must_be_one_and_valid() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    for lines in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: a b\r\n",
        "Host: a:port\r\n",
        "Host: a, b\r\n",
        "Host: a?b\r\n",
    ] {
        let mut client = aya.client();
        client.send(format!("GET / HTTP/1.1\r\n{lines}\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.reason()), (400, "bad-request"), "{lines:?}");
        client.expect_close();
    }
    assert_eq!(backend.request_count(), 0);
    for host in ["play.test", "play.test:8080", "[::1]:80", "192.0.2.1", "a_b.test"] {
        let mut client = aya.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.response().status, 200, "{host}");
    }
}

/// By default an endpoint learns the peer, the scheme and the host, and nothing that an untrusted client made up.
#[test]
fn untrusted_forwarding_fields_are_replaced() {
    let request = passed(
        "",
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\n",
    );
    assert_eq!(request.headers("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.headers("x-forwarded-proto"), ["http"]);
    assert_eq!(request.headers("x-forwarded-host"), ["play.test"]);
    assert_eq!(request.header("forwarded"), None);
}

/// What a trusted proxy says is kept, and the proxy itself is added.
#[test]
fn trusted_forwarding_fields_are_extended() {
    let lines = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test\r\n";
    let request = passed("trusted-proxies: [127.0.0.0/8]", lines);
    let chain = request.headers("x-forwarded-for").join(", ");
    assert_eq!(chain.replace(' ', ""), "192.0.2.7,127.0.0.1");
    assert_eq!(request.headers("x-forwarded-proto"), ["https"]);
    assert_eq!(request.headers("x-forwarded-host"), ["shop.test"]);
}

/// The other modes: the peer alone, or nothing at all.
#[test]
fn forwarding_fields_are_replaced_or_dropped() {
    let lines = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.7\r\n";
    let request = passed("trusted-proxies: [127.0.0.0/8], forwarded: replace", lines);
    assert_eq!(request.headers("x-forwarded-for"), ["127.0.0.1"]);
    let request = passed("trusted-proxies: [127.0.0.0/8], forwarded: drop", lines);
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"] {
        assert_eq!(request.header(name), None, "{name}");
    }
}

/// The standard field is written when asked for, alone or beside the others.
#[test]
fn the_forwarded_field_can_be_chosen() {
    let request = passed("forwarded: {mode: append, style: forwarded}", "X-Forwarded-For: 6.6.6.6\r\n");
    let value = request.header("forwarded").expect("it is there").to_ascii_lowercase();
    let parts: HashSet<_> = value.split(';').map(str::trim).collect();
    assert!(parts.contains("for=127.0.0.1") && parts.contains("proto=http"), "{value}");
    assert!(parts.contains("host=play.test") || parts.contains("host=\"play.test\""), "{value}");
    assert_eq!(request.header("x-forwarded-for"), None);
    let request = passed(
        "trusted-proxies: [127.0.0.0/8], forwarded: {mode: append, style: both}",
        "Forwarded: for=192.0.2.7;proto=https\r\nX-Forwarded-For: 192.0.2.7\r\n",
    );
    let chain = request.headers("forwarded").join(",").to_ascii_lowercase();
    assert!(chain.starts_with("for=192.0.2.7;proto=https") && chain.contains("for=127.0.0.1"), "{chain}");
    assert!(request.header("x-forwarded-for").is_some());
}

/// `Via` names Aya when it is told to, behind those that were there; else it is left alone.
#[test]
fn via_names_the_proxy() {
    let request = passed("via: gate", "Via: 1.0 fred\r\n");
    assert_eq!(request.headers("via").join(", "), "1.0 fred, 1.1 gate");
    let request = passed("", "Via: 1.0 fred\r\n");
    assert_eq!(request.headers("via").join(", "), "1.0 fred, 1.1 aya", "it is on by itself");
    let request = passed("via: off", "Via: 1.0 fred\r\n");
    assert_eq!(request.headers("via"), ["1.0 fred"]);
}

/// Every request has an id of its own, told to the endpoint and the client alike; a client cannot choose it.
#[test]
fn requests_have_an_id() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    let mut ids = HashSet::new();
    for _ in 0..50 {
        let response = client.get_with("/", "X-Request-Id: chosen\r\n");
        let id = response.header("x-request-id").expect("the client is told").to_owned();
        assert!(id.len() >= 16 && id != "chosen", "{id}");
        ids.insert(id);
    }
    assert_eq!(ids.len(), 50);
    assert!(
        backend
            .requests()
            .iter()
            .all(|request| ids.contains(request.header("x-request-id").unwrap_or_default()))
    );
}

/// The id that a trusted proxy sent is kept where that is configured; the field can be renamed or switched off.
#[test]
fn the_request_id_can_be_configured() {
    let trust = "trusted-proxies: [127.0.0.0/8], request-id: {header: x-id, trust: true}";
    assert_eq!(passed(trust, "X-Id: from-before\r\n").header("x-id"), Some("from-before"));
    let untrusted = passed("request-id: {header: x-id, trust: true}", "X-Id: from-before\r\n");
    assert!(untrusted.header("x-id").is_some_and(|id| id != "from-before"));
    assert_eq!(passed("request-id: off", "").header("x-request-id"), None);
}

/// A valid trace goes on under its id; a missing or broken one is begun anew.
#[test]
fn traces_are_passed_or_begun() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let lines = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\ntracestate: vendor=1\r\n");
    let request = passed("", &lines);
    let passed_on = request.header("traceparent").unwrap_or_default().to_owned();
    assert_eq!(passed_on.split('-').nth(1), Some(trace), "{passed_on}");
    assert!(passed_on.starts_with("00-") && passed_on.ends_with("-01"), "{passed_on}");
    assert_eq!(request.header("tracestate"), Some("vendor=1"));
    let mut seen = HashSet::new();
    for lines in [
        "",
        "traceparent: junk\r\n",
        "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n",
    ] {
        let request = passed("", lines);
        let values = request.headers("traceparent");
        let parts: Vec<_> = values.iter().flat_map(|value| value.split('-')).collect();
        assert!(parts.len() == 4 && parts[0] == "00", "{values:?}");
        assert_eq!((parts[1].len(), parts[2].len(), parts[3].len()), (32, 16, 2));
        assert!(parts[1..].concat().chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)));
        assert!(parts[1].contains(|c| c != '0') && parts[2].contains(|c| c != '0'));
        assert!(seen.insert(parts[1].to_owned()), "trace ids repeat");
    }
}

/// A pool can set the host that its endpoints see; what the client asked for is told beside it.
#[test]
fn a_pool_can_set_the_host() {
    let backend = Backend::echo("a");
    let aya = front_with("", "", "host: app.internal", &[&backend]);
    assert_eq!(aya.get("/").status, 200);
    let request = backend.only_request();
    assert_eq!(request.headers("host"), ["app.internal"]);
    assert_eq!(request.headers("x-forwarded-host"), ["play.test"]);
}

/// A 5xx of an endpoint passes as it is, without a reason of Aya's; one of Aya's own has a reason.
#[test]
fn only_own_failures_have_a_reason() {
    let backend = Backend::answering(|_| answer(503, &["retry-after: 1"], "busy"));
    let aya = front(&[&backend]);
    let response: Response = aya.get("/");
    assert_eq!((response.status, response.reason(), response.text().as_str()), (503, "", "busy"));
    let aya = Aya::start(
        "listeners: {web: {bind: '127.0.0.1:0'}}\nroutes: [{pool: main}]\npools: {main: {endpoints: []}}",
    );
    let response = aya.get("/");
    assert_eq!((response.status, response.reason()), (503, "no-endpoint"));
}

/// An answer that says when it was made is left alone; one that does not gets the time at which it came. The blank behind the status
/// is there even if nothing follows it.
#[test]
fn answers_have_a_date_and_a_whole_status_line() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT";
    let backend = Backend::answering(move |request| match request.target.as_str() {
        "/dated" => answer(200, &[date], "old"),
        _ => "HTTP/1.1 200\r\ncontent-length: 3\r\n\r\nnew".into(),
    });
    let aya = front(&[&backend]);
    let dated = aya.get("/dated");
    assert_eq!(dated.headers("date"), [date.split_once(": ").expect("a value").1]);
    let undated = aya.get("/");
    let added = undated.headers("date");
    assert!(added.len() == 1 && added[0].ends_with(" GMT"), "{added:?}");
    assert!(
        undated.raw_head.starts_with(b"HTTP/1.1 200 \r\n"),
        "{:?}",
        String::from_utf8_lossy(&undated.raw_head)
    );
}

/// OPTIONS and TRACE go as far as `Max-Forwards` lets them, and the count goes down on the way.
#[test]
fn max_forwards_is_counted_down() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    assert_eq!(client.response_to("OPTIONS").status, 204);
    client.send("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    let refusal = client.response_to("TRACE");
    assert_eq!((refusal.status, refusal.header("allow")), (405, Some("OPTIONS")));
    client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n");
    assert_eq!(client.response_to("OPTIONS").status, 200);
    let request = backend.only_request();
    assert_eq!(request.header("max-forwards"), Some("2"));
}
