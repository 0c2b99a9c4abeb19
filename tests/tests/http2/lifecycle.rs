//! Connections over HTTP/2 from their first request to their last.

use std::process::Command;

use base_testkit::{
    Aya, Backend, Nginx, PATIENCE, Process, Python, Signal, answer, checksum, curl, wait_until,
};
use serde_json::Value;

use super::{ENDPOINT, PLAYS, http2};
use crate::{config_of, front, front_with};

/// What a play on one connection has seen.
fn play(aya: &Aya, arguments: &[&str]) -> Value {
    let port = aya.listener("web").port().to_string();
    let ended = Python::run(PLAYS, &[&[&*port], arguments].concat());
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).expect("a play prints JSON")
}

/// Statuses and reasons of what it has seen.
fn outcomes(seen: &Value) -> Vec<(u64, Option<&str>)> {
    let streams = seen.as_array().expect("a play gives a list");
    streams.iter().map(|stream| (stream["status"].as_u64().unwrap_or(0), stream["reason"].as_str())).collect()
}

/// Aya before an endpoint that does as it is asked to, over this version.
fn before_endpoint(version: &str, listener: &str) -> (Aya, Python) {
    let server = Python::script_with(ENDPOINT, &[], &[version]);
    let config = config_of(listener, "", http2(version), &server.address().to_string());
    (Aya::start(&format!("{config}workers: 1\n")), server)
}

/// Whoever speaks HTTP/2 is answered in it, others in HTTP/1.1; what was spoken is counted and logged.
#[test]
fn curl_chooses() {
    let backend = Backend::answering(|request| answer(200, &[], &request.target));
    let aya = front(&[&backend]);
    let url = aya.url("/page");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        let got = curl(&[flag, "--write-out", " %{http_version}", &url]);
        assert_eq!(got.stdout, format!("/page {version}"), "{}", got.stderr);
    }
    assert_eq!(aya.total("aya_http2_connections_total", &[("listener", "web")]), 1.0);
    // Who asks to switch (which RFC 9113 has taken away) is served as if it had not.
    let got = curl(&["--http2", "--write-out", " %{http_version}", &url]);
    assert_eq!(got.stdout, "/page 1.1", "{}", got.stderr);

    let aya = front_with("http2: off", "", "", &[&backend]);
    let got = curl(&["--http2-prior-knowledge", &aya.url("/page")]);
    assert_ne!(got.code, Some(0), "HTTP/2 is switched off");
    assert_eq!(aya.total("aya_http2_connections_total", &[("listener", "web")]), 0.0);
}

/// What a client has seen that has a request under way when this happens.
fn drained(aya: &mut Aya, happens: impl FnOnce(&mut Aya)) -> Value {
    let port = aya.listener("web").port().to_string();
    let mut client = Python::begin(PLAYS, &[&port, "drain"]);
    client.wait_for_line("under way");
    happens(aya);
    let ended = client.wait(PATIENCE);
    serde_json::from_str(ended.stdout.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr))
}

/// A worker that drains tells its clients to send no more, and ends what they have sent.
#[test]
fn a_drain_loses_nothing() {
    let (mut aya, _server) = before_endpoint("1.1", "");
    let seen = drained(&mut aya, |aya| aya.signal(Signal::TERM));
    assert_eq!((&seen["stream"]["status"], &seen["stream"]["bytes"]), (&200.into(), &25.into()), "{seen}");
    assert_eq!((&seen["goaway"], &seen["closed"]), (&0.into(), &true.into()), "{seen}");
    assert!(aya.ends_within(PATIENCE));
}

/// A listener that a reload takes away lets its clients finish, too.
#[test]
fn a_listener_that_goes_says_so() {
    let server = Python::script_with(ENDPOINT, &[], &["1.1"]);
    let config = |listeners: &str| {
        format!(
            "listeners: {{{listeners}}}\nroutes: [{{pool: app}}]\npools: {{app: {{endpoints: ['{}']}}}}\n",
            server.address()
        )
    };
    let mut aya = Aya::start(&config("web: {bind: '127.0.0.1:0'}, other: {bind: '127.0.0.1:0'}"));
    let seen = drained(&mut aya, |aya| aya.rewrite(&config("other: {bind: '127.0.0.1:0'}")));
    assert_eq!((&seen["stream"]["status"], &seen["goaway"]), (&200.into(), &0.into()), "{seen}");
}

/// A connection without requests has its time: from the beginning that for a first head, later that for idleness. A request that takes longer is
/// no idleness.
#[test]
fn idle_connections_end() {
    let (aya, _server) = before_endpoint("1.1", "timeouts: {idle: 150ms, request-head: 400ms}");
    for paths in [&[][..], &["/slow"], &["/length?n=1", "/slow"]] {
        let seen = play(&aya, &[&["idle"], paths].concat());
        assert_eq!(seen["goaway"], 0, "{paths:?}: {seen}");
    }
    assert_eq!(aya.total("aya_failures_total", &[]), 0.0);
}

/// Heads over the listener's limits are refused, in bytes and in fields, and nothing else of the connection suffers. Pieces of a cookie count
/// as one.
#[test]
fn heads_are_limited() {
    let (aya, _server) = before_endpoint("1.1", "limits: {head: 64KiB, fields: 100}");
    let seen = play(&aya, &["heads"]);
    let large = Some("head-too-large");
    // What is too large by far, the library answers by itself.
    assert_eq!(outcomes(&seen), [(431, None), (431, large), (200, None), (200, None)], "{seen}");
}

/// A client that gives a request up has its endpoint know, and goes on with others.
#[test]
fn a_request_can_be_given_up() {
    for version in ["1.1", "2"] {
        let (aya, _server) = before_endpoint(version, "");
        let seen = play(&aya, &["cancel"]);
        assert_eq!(outcomes(&seen), [(200, None)]);
        let reasons = || aya.total("aya_failures_total", &[("reason", "client-closed")]);
        wait_until("the request to be given up", || reasons() == 1.0);
        let given_up = play(&aya, &["one", "GET", "/given-up"]);
        assert_eq!(given_up[0]["bytes"], 1, "the endpoint was told: {given_up}");
    }
}

/// Who takes nothing of large bodies holds nobody else up, on whatever connection to the endpoint, and little memory.
#[test]
fn whoever_stalls_holds_little() {
    const MOST: u64 = 16 << 20;
    for version in ["1.1", "2"] {
        let (aya, _server) = before_endpoint(version, "");
        let before = aya.memory_at_rest().resident;
        let seen = play(&aya, &["stalls", "50", "2000000"]);
        assert_eq!((&seen[0]["status"], &seen[0]["bytes"]), (&200.into(), &10.into()), "{seen}");
        let grown = aya.memory().peak.saturating_sub(before);
        println!("over HTTP/{version}: {} KiB for 50 stalled bodies", grown >> 10);
        assert!(grown < MOST, "{grown} bytes for 50 bodies that nobody takes");
    }
}

/// A load of many connections with many requests on each, with `h2load`, to endpoints over both versions: nothing is lost.
#[test]
fn a_load_over_http2_is_served_whole() {
    for version in ["1.1", "2"] {
        let nginx = if version == "2" { Nginx::start_http2(SMALL) } else { Nginx::start(SMALL) };
        let aya = Aya::start(&config_of("", "", http2(version), &nginx.address().to_string()));
        let mut load = Command::new("h2load");
        load.args(["-n", "20000", "-c", "20", "-m", "20", &aya.url("/")]);
        let ended = Process::run(load, PATIENCE * 4);
        let whole = "requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed";
        assert!(ended.stdout.contains(whole), "over HTTP/{version}: {}{}", ended.stdout, ended.stderr);
    }
}

/// What nginx answers.
const SMALL: &str = "location / { return 200 'fine'; }";

/// Many requests share few connections to an endpoint, and no more are on one than either side allows.
#[test]
fn requests_share_connections() {
    let (aya, _server) = before_endpoint("2", "");
    let seen = play(&aya, &["many", "100"]);
    assert!(outcomes(&seen).iter().all(|outcome| *outcome == (200, None)), "{seen}");
    let opened = aya.total("aya_upstream_connections_opened_total", &[("pool", "main")]);
    assert_eq!(opened, 1.0, "connections for 100 requests at once");
    assert_eq!(aya.total("aya_upstream_http2_connections_total", &[("pool", "main")]), 1.0);

    let server = Python::script_with(ENDPOINT, &[], &["2"]);
    let config = config_of("", "", "http2: {max-streams: 10}", &server.address().to_string());
    let aya = Aya::start(&format!("{config}workers: 1\n"));
    let seen = play(&aya, &["many", "100"]);
    assert!(outcomes(&seen).iter().all(|outcome| *outcome == (200, None)), "{seen}");
    let opened = aya.total("aya_upstream_connections_opened_total", &[("pool", "main")]);
    assert!((2.0..=10.0).contains(&opened), "{opened} connections with at most 10 requests on each");
}

/// What an endpoint refuses (REFUSED_STREAM), it has not begun: it is asked of another one, whatever it is.
#[test]
fn refused_requests_go_elsewhere() {
    let server = Python::script_with(ENDPOINT, &[], &["2"]);
    let port = server.address().port();
    let endpoints = format!("'127.0.0.1:{port}', '127.0.0.2:{port}'");
    let config = config_of("", "", "http2: on, ejection: off", &endpoints);
    let aya = Aya::start(&format!("{config}workers: 1\n"));
    for method in ["GET", "POST"] {
        let path = format!("/refuses?key={method}&times=1&code=7");
        let seen = play(&aya, &["one", method, &path, "body"]);
        assert_eq!((&seen[0]["status"], &seen[0]["bytes"]), (&200.into(), &1.into()), "{method}: {seen}");
    }
    // The connection is as good as before.
    let opened = aya.total("aya_upstream_connections_opened_total", &[("pool", "main")]);
    assert!(opened <= 2.0, "{opened} connections to two endpoints");
}

/// A tunnel is open only when the endpoint says so: an ordinary answer would be taken for one. What is no protocol is not asked for.
#[test]
fn an_ordinary_answer_opens_no_tunnel() {
    for version in ["1.1", "2"] {
        let (aya, _server) = before_endpoint(version, "");
        if version == "1.1" {
            let seen = play(&aya, &["tunnel", "websocket", "/length?n=5"]);
            assert_eq!(outcomes(&seen), [(502, Some("bad-response"))], "{seen}");
        }
        for bad in ["h2c", "web socket", "websocket\r\nx-smuggled: 1", ""] {
            let seen = play(&aya, &["tunnel", bad, "/length?n=5"]);
            let is_refused = |(status, _): &(u64, _)| [0, 400, 501].contains(status);
            assert!(outcomes(&seen).iter().all(is_refused), "{bad:?}: {seen}");
        }
    }
}

/// A client that has come for one name gets what its certificate is for, and is sent away with other names.
#[test]
fn hosts_of_other_certificates_are_misdirected() {
    let (aya, _server) = before_endpoint("1.1", "");
    let seen = play(&aya, &["hosts", "play.test", "bad host", "", "other.test:80"]);
    let bad = Some("bad-request");
    assert_eq!(outcomes(&seen)[0], (200, None), "{seen}");
    assert_eq!(outcomes(&seen)[3], (200, None), "{seen}");
    assert!(
        outcomes(&seen)[1..3].iter().all(|(status, reason)| *status == 0 || (*status, *reason) == (400, bad)),
        "{seen}"
    );
}

/// nginx speaks HTTP/2 to Aya, too: what it sends arrives whole.
#[test]
fn nginx_is_an_endpoint_over_http2() {
    let nginx = Nginx::start_http2("location /large { }");
    let body = vec![b'n'; 3 << 20];
    std::fs::write(nginx.folder().join("www/large"), &body).expect("a file can be written");
    let aya = Aya::start(&config_of("", "", "http2: on", &nginx.address().to_string()));
    for _ in 0..3 {
        let got = aya.get("/large");
        assert_eq!((got.status, checksum(&got.body)), (200, checksum(&body)));
    }
}
