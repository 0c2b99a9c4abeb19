//! `aya explain` answers the questions people ask: what a running Aya would do, and what it has done. The twelve questions of
//! `docs/guide/explain.md` are names of tests in `questions`.

mod past;
mod questions;

use base_testkit::{Aya, Backend, Ended, TempFolder};
use serde_json::Value;

/// Routes of several kinds; the pools' endpoints are put in.
const CONFIG: &str = "listeners:
  web: {bind: '127.0.0.1:0', trusted-proxies: [127.0.0.2/32]}
routes:
  - {name: gold, match: {host: shop.test, path: '/api/**', header: {x-tier: gold}}, pool: main}
  - {name: api, match: {host: shop.test, path: '/api/**', method: [GET, POST]}, pool: main, filters: [{set-header: {request: {x-user: u7}}}]}
  - {name: office, match: {path: '/office', client: 10.0.0.0/8}, pool: main}
  - {name: old, match: {path: '/old/**'}, redirect: {to: 'http://shop.test/'}}
  - {name: canary, match: {path: '/canary'}, split: {main: 95, other: 5}}
pools:
  main: {endpoints: [MAIN], balance: {kind: consistent-hash, key: {header: x-user}}}
  other: {endpoints: ['127.0.0.1:1']}
";

fn explain(text: &str, arguments: &[&str]) -> Ended {
    let folder = TempFolder::new();
    let file = folder.write("aya.yaml", text);
    let file = file.to_string_lossy();
    Aya::run(&[&["explain", &file], arguments].concat())
}

fn ask(arguments: &[&str]) -> String {
    let ended = explain(&CONFIG.replace("MAIN", "'10.0.0.1:80', '10.0.0.2:80'"), arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

fn has(text: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| text.contains(part)), "not all of {parts:?} in:\n{text}");
}

#[test]
fn who_the_client_is_taken_for() {
    has(&ask(&["GET", "/office"]), &["client    127.0.0.1", "office: does not: client"]);
    has(&ask(&["GET", "/office", "--client", "10.1.2.3"]), &["client    10.1.2.3", "office: takes it"]);
    let behind_proxy = ["GET", "/office", "--client", "127.0.0.2", "-H", "X-Forwarded-For: 10.1.2.3"];
    has(&ask(&behind_proxy), &["client    10.1.2.3", "office: takes it"]);
    let forged = ["GET", "/office", "--client", "192.0.2.1", "-H", "X-Forwarded-For: 10.1.2.3"];
    has(&ask(&forged), &["client    192.0.2.1", "office: does not: client"]);
}

#[test]
fn which_path_is_matched() {
    let text = ask(&["GET", "http://shop.test/x/../api/%61"]);
    has(&text, &["path      /api/a is matched and sent", "api: takes it"]);
}

#[test]
fn why_this_tier_and_this_zone() {
    let text = "node: {name: edge-1, zone: a}
listeners: {web: {bind: '127.0.0.1:0'}}
routes: [{match: {path: /plain}, pool: plain}, {pool: shop}]
pools:
  plain: {endpoints: ['10.0.0.1:80', '10.0.0.2:80']}
  shop:
    endpoints:
      - {address: '10.0.0.9:80', tier: 1, zone: a}
      - {address: '10.0.0.1:80', zone: a}
      - {address: '10.0.0.2:80', zone: b}
      - {address: '10.0.0.3:80', zone: b}
";
    let said = explain(text, &["GET", "/"]).stdout;
    // One of three, and 1.05 would suffice for one of two zones.
    let near = said
        .find("tier 0, zone a, 95% of the requests\n            10.0.0.1:80, the first for 95%\n")
        .expect(&said);
    let far = said.find("tier 0, other zones, 5% of the requests\n            10.0.0.").expect(&said);
    let backup = said.find("tier 1, zone a, in reserve\n            10.0.0.9:80\n").expect(&said);
    assert!(near < far && far < backup, "{said}");
    let answer: Value = serde_json::from_str(&explain(text, &["GET", "/", "--json"]).stdout).unwrap();
    let levels = &answer["outcome"]["pools"][0]["levels"];
    assert_eq!((&levels[2]["tier"], &levels[2]["share"]), (&1.into(), &0.0.into()), "{answer}");
    assert_eq!(levels[1]["endpoints"].as_array().map(Vec::len), Some(2), "{answer}");
    assert!(!explain(text, &["GET", "/plain"]).stdout.contains("tier"), "one level needs no name");
}

#[test]
fn bad_questions_are_refused() {
    let text = CONFIG.replace("MAIN", "'10.0.0.1:80'");
    for (arguments, part) in [
        (vec!["GET", "/", "--listener", "wep"], "there are `web`"),
        (vec!["GET", "/", "-H", "x-user"], "-H 'Name: value'"),
        (vec!["GET", "/", "-H", "a: b\r\nc: d"], "line breaks"),
        (vec!["GET\r\nX: y", "/"], "line breaks"),
        (vec!["GET", "/a\nb"], "line breaks"),
    ] {
        let ended = explain(&text, &arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stdout);
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    assert_eq!(explain("listeners: 1", &["GET", "/"]).code, Some(2));
}

/// A running Aya sends the request where it was said to go.
#[test]
fn what_is_explained_is_what_happens() {
    let backends: Vec<_> = ["a", "b", "c", "d"].into_iter().map(Backend::echo).collect();
    let endpoints: Vec<_> = backends.iter().map(|backend| format!("'{backend}'")).collect();
    let text = CONFIG.replace("MAIN", &endpoints.join(", "));
    let aya = Aya::start(&text);
    for user in 0..8 {
        let user = format!("x-user: {user}");
        let arguments = ["GET", "http://shop.test/api/x", "-H", "x-tier: gold", "-H", &user, "--json"];
        let answer: Value = serde_json::from_str(&explain(&text, &arguments).stdout).unwrap();
        let pool = &answer["outcome"]["pools"][0];
        assert_eq!(pool["fixed"], true, "{answer}");
        let foretold = pool["endpoints"][0].as_str().unwrap();
        let mut client = aya.client();
        client.send(format!("GET /api/x HTTP/1.1\r\nHost: shop.test\r\nx-tier: gold\r\n{user}\r\n\r\n"));
        let asked = client.response();
        let taken = backends.iter().position(|backend| backend.to_string() == foretold).unwrap();
        assert_eq!(asked.header("x-backend"), Some(["a", "b", "c", "d"][taken]), "{answer}");
    }
    // The filter of this route sets the key.
    let answer: Value =
        serde_json::from_str(&explain(&text, &["GET", "http://shop.test/api/x", "--json"]).stdout).unwrap();
    let pool = &answer["outcome"]["pools"][0];
    assert_eq!((&pool["fixed"], &pool["lacks-key"]), (&true.into(), &false.into()), "{answer}");
}

/// What the endpoint is told decides, not what the client sent: the normal path, and the fields that Aya writes.
#[test]
fn what_is_explained_is_what_happens_to_heads_that_are_rewritten() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let backends: Vec<_> = names.into_iter().map(Backend::echo).collect();
    let endpoints: Vec<_> = backends.iter().map(|backend| format!("'{backend}'")).collect();
    let text = format!(
        "listeners: {{web: {{bind: '127.0.0.1:0', trusted-proxies: [127.0.0.0/8]}}}}
routes: [{{match: {{path: '/by-path/**'}}, pool: by-path}}, {{match: {{path: '/by-hop/**'}}, pool: by-hop}}]
pools:
  by-path: {{endpoints: [{0}], balance: {{kind: consistent-hash, key: path}}}}
  by-hop: {{endpoints: [{0}], balance: {{kind: consistent-hash, key: {{header: x-forwarded-for}}}}}}
",
        endpoints.join(", ")
    );
    let aya = Aya::start(&text);
    let mut taken = std::collections::HashSet::new();
    for (path, header) in [
        ("/x/../by-path/%61", "a: b"),
        ("/by-path/./b?q=/../c", "a: b"),
        ("/by-path/%7Euser//x/..", "a: b"),
        ("/by-path/%63%64", "a: b"),
        ("/by-hop/1", "x-forwarded-for: 192.0.2.1"),
        ("/by-hop/2", "x-forwarded-for: 192.0.2.77, 127.0.0.9"),
        ("/by-hop/3", "Connection: x-forwarded-for\r\nx-forwarded-for: 192.0.2.5"),
    ] {
        let mut arguments = vec!["GET", path, "--json"];
        header.split("\r\n").for_each(|line| arguments.extend(["-H", line]));
        let answer: Value = serde_json::from_str(&explain(&text, &arguments).stdout).unwrap();
        let foretold = answer["outcome"]["pools"][0]["endpoints"][0].as_str().unwrap();
        let asked = aya.client().get_with(path, &format!("{header}\r\n"));
        let place = backends.iter().position(|backend| backend.to_string() == foretold).unwrap();
        assert_eq!(asked.header("x-backend"), Some(names[place]), "{path}: {answer}");
        taken.insert(place);
    }
    assert!(taken.len() > 1, "not all went to the same by chance");
}

#[test]
fn who_answers_a_request_that_must_go_no_further() {
    let text = ask(&["OPTIONS", "http://shop.test/api/x", "-H", "Max-Forwards: 0"]);
    has(&text, &["answer    204, by `max-forwards`"]);
}
