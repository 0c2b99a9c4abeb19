//! gRPC: calls through Aya, what clients are told of calls that fail, and endpoints that are asked how they are.

use std::sync::Arc;

use base_testkit::{Authority, Aya, Backend, Gate, Node, Python, TempFolder, answer, free_port, wait_until};

use crate::config_of;

/// A service of gRPC, and a client of it.
pub(crate) const GRPC: &str = include_str!("grpc/service.py");

/// Clients in JavaScript, of gRPC and of gRPC-Web.
const CLIENTS: &str = include_str!("grpc/clients.js");

/// Plays a part of the clients in JavaScript.
fn play_in_node(port: u16, part: &[&str]) {
    let port = port.to_string();
    let arguments: Vec<&str> = [&*port].iter().chain(part).copied().collect();
    let ended = Node::run(CLIENTS, &arguments);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

/// Plays a part of the client's on a port.
fn play(port: u16, part: &str) {
    let ended = Python::run(GRPC, &[&port.to_string(), part]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

/// gRPC passes: every kind of call, what is told before and behind messages, failures, deadlines, many calls over one connection.
#[test]
fn grpc_calls_of_every_kind() {
    let server = Python::script_with(GRPC, &[], &["serve"]);
    let services = "match: {path: '~ /(play[.]Play|grpc[.].*)/.*'}";
    let aya = Aya::start(&config_of("", services, "http2: on", &server.address().to_string()));
    play(aya.listener("web").port(), "ask");
}

/// Another client of gRPC.
#[test]
fn grpc_calls_from_node() {
    let server = Python::script_with(GRPC, &[], &["serve"]);
    let service = "match: {path: /play.Play/**}";
    let aya = Aya::start(&config_of("", service, "http2: on", &server.address().to_string()));
    play_in_node(aya.listener("web").port(), &["native"]);
}

/// gRPC-Web becomes gRPC, binary and in text; what browsers ask before for a page of another site is answered; and failures can be read.
#[test]
fn browsers_call_by_grpc_web() {
    let server = Python::script_with(GRPC, &[], &["serve"]);
    let service = "match: {path: /play.Play/**}, filters: [{cors: {origins: ['https://shop.example.com']}}, {grpc-web: {}}]";
    let aya = Aya::start(&config_of("", service, "http2: on", &server.address().to_string()));
    let port = aya.listener("web").port();
    for part in [&["web", "binary"][..], &["web", "text"], &["pages"]] {
        play_in_node(port, part);
    }
    assert_eq!(aya.total("aya_failures_total", &[("reason", "cross-origin")]), 1.0);
    let dead = Aya::start(&config_of("", service, "http2: on", &format!("127.0.0.1:{}", free_port())));
    play_in_node(dead.listener("web").port(), &["fail"]);
}

/// Whom a call cannot be brought to, the client is told in words of gRPC; and nobody works on for a client that does not wait any more.
#[test]
fn failed_calls_are_told_in_words_of_grpc() {
    let gate = Arc::new(Gate::new());
    let shut = Arc::clone(&gate);
    let slow = Backend::answering(move |_| {
        shut.pass();
        answer(200, &[], "late")
    });
    let text = format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}
routes:
  - {{match: {{path: /dead.Dead/**}}, pool: dead}}
  - {{match: {{path: /slow.Slow/**}}, pool: slow}}
pools:
  dead: {{endpoints: ['127.0.0.1:{}'], http2: on}}
  slow: {{endpoints: ['{slow}']}}
",
        free_port()
    );
    let aya = Aya::start(&text);
    play(aya.listener("web").port(), "fail");
    gate.open();
    let failed = |reason: &str| aya.total("aya_failures_total", &[("reason", reason)]);
    assert!(failed("request-timeout") >= 1.0 && failed("no-route") >= 1.0);
}

/// How the one endpoint of a pool is, and why.
fn health_of(aya: &Aya, pool: &str) -> (String, String) {
    let pool = aya.admin("GET", &format!("/api/v1/pools/{pool}"), "").json();
    let word = |key: &str| pool["endpoints"][0][key].as_str().unwrap_or_default().to_owned();
    (word("health"), word("cause"))
}

/// A service that says that it does not serve gets no calls; over TLS as without. Of one that the endpoint does not know, and of an endpoint that has no health
/// service, it is said so.
#[test]
fn the_health_service_takes_out_and_brings_back() {
    let authority = Authority::new("play");
    let issued = authority.issue(&["matrix.test"]);
    let files = [("site.pem", &*issued.cert), ("site.key", &*issued.key)];
    let server = Python::script_with(GRPC, &[], &["serve"]);
    let secure = Python::script_with(GRPC, &files, &["serve", "site.pem", "site.key"]);
    let other = Python::http_server(&[]);
    let address = server.address();
    let quick = "interval: 50ms, timeout: 5s, rise: 1, fall: 1";
    let text = format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}
routes:
  - {{match: {{path: /play.Play/**}}, pool: named}}
pools:
  named: {{endpoints: ['{address}'], http2: on, health: {{grpc: play.Play, {quick}}}}}
  whole: {{endpoints: ['{address}'], http2: on, health: {{grpc: true, {quick}}}}}
  unknown: {{endpoints: ['{address}'], http2: on, health: {{grpc: play.Other, {quick}}}}}
  deaf: {{endpoints: ['{}'], health: {{grpc: true, {quick}}}}}
  secure: {{endpoints: ['{}'], http2: on, tls: {{authorities: ca.pem, name: matrix.test}}, health: {{grpc: play.Play, {quick}}}}}
",
        other.address(),
        secure.address()
    );
    let folder = TempFolder::new();
    folder.write("ca.pem", authority.pem());
    let aya = Aya::start_in(folder, &text, &[], &[]);
    let is = |pool: &str, health: &str| wait_until(health, || health_of(&aya, pool).0 == health);
    ["named", "whole", "secure"].iter().for_each(|pool| is(pool, "up"));
    is("unknown", "down");
    let cause = health_of(&aya, "unknown").1;
    assert!(cause.contains("does not know the service"), "{cause}");
    is("deaf", "down");
    play(aya.listener("web").port(), "sicken");
    is("named", "down");
    let cause = health_of(&aya, "named").1;
    assert!(cause.contains("not serving: NOT_SERVING"), "{cause}");
    assert_eq!(health_of(&aya, "whole").0, "up", "only the service is sick");
    play(address.port(), "heal");
    is("named", "up");
}
