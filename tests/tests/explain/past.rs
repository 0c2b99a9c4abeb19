//! What has become of a request, by its id.

use std::sync::Arc;
use std::time::Duration;

use base_testkit::{
    Aya, Backend, Ended, Gate, Response, TempFolder, answer, free_port, wait_for, wait_until,
};
use serde_json::Value;

use super::has;
use crate::{config_of, front, front_with};

fn ask(aya: &Aya, id: &str, arguments: &[&str]) -> Ended {
    let admin = format!("http://{}", aya.admin_address());
    Aya::run(&[&["explain", "--id", id, "--admin", &admin], arguments].concat())
}

fn id(response: &Response) -> &str {
    response.header("x-request-id").expect("every answer has an id")
}

/// What is said of the request that was answered like this. It is remembered a moment after its answer has gone.
#[track_caller]
fn explained(aya: &Aya, response: &Response) -> String {
    wait_for("the request to be remembered", || {
        let ended = ask(aya, id(response), &[]);
        (ended.code == Some(0)).then_some(ended.stdout)
    })
}

/// What the API gives for these parameters, once it is so many.
#[track_caller]
fn remembered(aya: &Aya, parameters: &str, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} requests for `{parameters}`"), || {
        let response = aya.admin("GET", &format!("/api/v1/decisions?{parameters}"), "");
        assert_eq!(response.status, 200, "{}", response.text());
        let found = response.json().as_array().cloned().unwrap_or_default();
        (found.len() == count).then_some(found)
    })
}

/// A backend that reads a request and closes.
fn closing() -> Backend {
    Backend::script(|session| session.request().map(drop))
}

/// A backend whose answers wait for the gate.
fn gated() -> (Backend, Arc<Gate>) {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::answering(move |_| {
        cue.pass();
        answer(200, &[], "ok")
    });
    (backend, gate)
}

#[test]
fn why_503_no_endpoint() {
    let check = "health: {tcp: true, interval: 50ms, fall: 1}";
    let aya = Aya::start(&config_of("", "", check, &format!("127.0.0.1:{}", free_port())));
    let response = aya.get("/");
    assert_eq!(response.reason(), "no-endpoint");
    let text = explained(&aya, &response);
    has(
        &text,
        &[
            "pool      main",
            "answer    503; no-endpoint",
            "was out: down, and still is: ",
            "mended by upstream",
        ],
    );
    assert!(!text.contains("attempt "), "{text}");
}

#[test]
fn why_503_full() {
    let (backend, gate) = gated();
    let aya = front_with("", "", "connections: {max: 1, queue: 1, queue-timeout: 2s}", &[&backend]);
    let mut holder = aya.client();
    holder.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the endpoint to be full", || backend.request_count() == 1);
    let late = aya.get("/");
    assert_eq!(late.status, 503);
    has(&explained(&aya, &late), &["queue-timeout: ", "waiting for an endpoint with room, the longest part"]);
    let mut waiting = aya.client();
    waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("it to wait", || aya.admin("GET", "/api/v1/pools", "").json()[0]["waiting"] == 1);
    let refused = aya.get("/");
    assert_eq!(refused.status, 503);
    has(
        &explained(&aya, &refused),
        &["connection-limit: Every endpoint", "took traffic", "mended by upstream"],
    );
    gate.open();
    assert_eq!(holder.response().status, 200);
}

#[test]
fn why_502() {
    let backend = Backend::answering(|_| b"SSH-2.0-nonsense\r\n\r\n".to_vec());
    let aya = front_with("", "retry: {attempts: 1}", "ejection: off", &[&backend]);
    let text = explained(&aya, &aya.get("/x"));
    let attempt = format!("attempt 1 {backend}");
    has(
        &text,
        &[&attempt, "answer    502; bad-response", "went wrong: bad-response", "by fault of the endpoint"],
    );
    has(&text, &["not sent again: the attempts were used up"]);
}

#[test]
fn why_504() {
    let (backend, gate) = gated();
    let aya = front_with("", "retry: {attempts: 1}", "timeouts: {first-byte: 200ms}", &[&backend]);
    let text = explained(&aya, &aya.get("/"));
    let vain = format!("in vain with {backend}, the longest part");
    has(&text, &["went wrong: first-byte-timeout", "answer    504; first-byte-timeout", &vain]);
    gate.open();
}

/// The part of the time that was the longest is named, whichever it is.
#[test]
fn why_slow() {
    const WAIT: Duration = Duration::from_millis(300);
    let slow_start = Backend::answering(|_| {
        std::thread::sleep(WAIT);
        answer(200, &[], "ok")
    });
    let aya = front(&[&slow_start]);
    let waiting = format!("until {slow_start} began to answer, the longest part");
    has(&explained(&aya, &aya.get("/")), &[&waiting]);

    let slow_body = Backend::script(|session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")?;
        std::thread::sleep(WAIT);
        session.send("cd")
    });
    let aya = front(&[&slow_body]);
    has(&explained(&aya, &aya.get("/")), &["relaying the answer, the longest part"]);

    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\n");
    std::thread::sleep(WAIT);
    client.send("Host: a\r\n\r\n");
    has(&explained(&aya, &client.response()), &["receiving the head, the longest part"]);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    std::thread::sleep(WAIT);
    client.send("b");
    let sending = format!("sending the request to {backend}, the longest part");
    has(&explained(&aya, &client.response()), &[&sending]);
}

#[test]
fn why_this_endpoint() {
    let backends = [Backend::echo("a"), Backend::echo("b"), Backend::echo("c")];
    let pool = "balance: {kind: consistent-hash, key: path}";
    let aya = front_with("", "", pool, &[&backends[0], &backends[1], &backends[2]]);
    let mut client = aya.client();
    for path in ["/a", "/b", "/c"] {
        let response = client.get(path);
        let place = ["a", "b", "c"].iter().position(|name| response.header("x-backend") == Some(name));
        let attempt = format!("attempt 1 {}", backends[place.unwrap()]);
        has(&explained(&aya, &response), &["balanced by consistent-hash", &attempt, "answered 200"]);
    }
}

#[test]
fn why_was_it_sent_again() {
    let (dead, well) = (free_port(), Backend::echo("well"));
    let endpoints = format!("127.0.0.1:{dead}, {well}");
    let aya = Aya::start(&format!("workers: 1\n{}", config_of("", "", "ejection: off", &endpoints)));
    let mut client = aya.client();
    let texts: Vec<_> = (0..4).map(|_| explained(&aya, &client.get("/"))).collect();
    let text = texts.iter().find(|text| text.contains("attempt 2")).expect("one began at the dead one");
    let first = format!("attempt 1 127.0.0.1:{dead} on a new connection");
    has(text, &[&first, "went wrong: connect-failed", "Connection refused", "by fault of the endpoint"]);
    has(text, &["another endpoint was looked for", &format!("attempt 2 {well}"), "answer    200"]);
}

#[test]
fn why_was_it_not_sent_again() {
    let (first, second) = (closing(), closing());
    let aya = front_with("", "retry: {attempts: 3}", "ejection: off", &[&first, &second]);
    let response = aya.client().post("/", "data");
    assert_eq!((response.status, response.reason()), (502, "upstream-closed"));
    let text = explained(&aya, &response);
    has(&text, &["not sent again: it had been sent, and its method must not be repeated"]);
    let text = explained(&aya, &aya.get("/"));
    has(&text, &["attempt 2", "not sent again: no other endpoint could take it"]);
}

#[test]
fn why_is_an_endpoint_out() {
    let (mut mortal, well) = (Backend::echo("mortal"), Backend::echo("well"));
    let pool = "health: {tcp: true, interval: 50ms, fall: 1}, ejection: off";
    let aya = front_with("", "", pool, &[&mortal, &well]);
    mortal.kill();
    let path = format!("/api/v1/pools/main/endpoints/{well}");
    assert_eq!(aya.admin("PATCH", &path, r#"{"state": "drain"}"#).status, 200);
    wait_until("both to be out", || aya.get("/").reason() == "no-endpoint");
    let text = explained(&aya, &aya.get("/"));
    has(&text, &[&format!("{mortal} was out: down, and still is: "), &format!("{well} was out: drain")]);
}

#[test]
fn who_answered_instead_of_the_backend() {
    let text = "listeners: {web: {bind: '127.0.0.1:0'}}
routes:
  - {name: old, match: {path: '/old/**'}, redirect: {to: 'http://a/'}}
  - {name: hello, match: {path: '/hello'}, respond: {status: 200, body: hi}}
";
    let aya = Aya::start(text);
    let mut client = aya.client();
    let redirected = client.get("/old/page");
    has(&explained(&aya, &redirected), &["route     old", "answered  by `redirect`", "answer    308"]);
    has(
        &explained(&aya, &client.get("/hello")),
        &["route     hello", "answered  by `respond`", "answer    200"],
    );
    has(&explained(&aya, &client.get("/else")), &["route     none took it", "answer    404; no-route"]);
    client.send("OPTIONS /hello HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    has(&explained(&aya, &client.response()), &["answered  by `max-forwards`", "answer    204"]);
}

/// A connection that was idle may be closed at any time: what was done about it is said.
#[test]
fn why_on_a_fresh_connection() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.send(answer(200, &[], "ok"))?;
        // Takes another one, and closes without a word.
        session.request().map(drop)
    });
    let aya = Aya::start(&format!("workers: 1\n{}", config_of("", "", "", &backend.to_string())));
    assert_eq!(aya.get("/first").status, 200);
    let second = aya.get("/second");
    assert_eq!(second.status, 200);
    let text = explained(&aya, &second);
    has(&text, &["on an open connection", "sent again on a fresh connection", "attempt 2", "answer    200"]);
}

/// Header values, queries and bodies are nowhere; what is long is cut, and that is said.
#[test]
fn secrets_are_not_remembered() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    let fields =
        "Authorization: Bearer sesame1\r\nCookie: a=sesame2\r\nX-Key: sesame3\r\nUser-Agent: sesame4\r\n";
    let path = format!("/{}", "long".repeat(500));
    client.send(format!(
        "POST {path}?token=sesame5 HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 7\r\n\r\nsesame6"
    ));
    let response = client.response();
    assert_eq!(response.status, 200);
    let text = explained(&aya, &response);
    has(&text, &["asked     POST a/longlong", "… (cut)"]);
    let json = ask(&aya, id(&response), &["--json"]).stdout;
    assert!(!text.contains("sesame") && !json.contains("sesame"), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["path_cut"], &json[0]["status"]), (&true.into(), &200.into()));
}

/// Many good requests do not push out a failed one; what is pushed out is said to be.
#[test]
fn failures_stay_and_what_is_gone_is_said() {
    let backend = Backend::answering(|request| {
        let status = if request.target == "/bad" { 500 } else { 200 };
        answer(status, &[], "ok")
    });
    let settings = "workers: 1\ndecisions: {keep: 3, failures: 2}\n";
    let aya = Aya::start(&format!("{settings}{}", config_of("", "", "", &backend.to_string())));
    let mut client = aya.client();
    let first = client.get("/first");
    let bad = client.get("/bad");
    for number in 0..20 {
        assert_eq!(client.get(&format!("/{number}")).status, 200);
    }
    wait_until("the last to be remembered", || {
        remembered(&aya, "limit=1000", 4)[0]["path"].as_str() == Some("/19")
    });
    let all = remembered(&aya, "limit=1000", 4);
    let paths: Vec<_> = all.iter().map(|decision| decision["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/19", "/18", "/17", "/bad"], "the latest first");
    has(&explained(&aya, &bad), &["answered 500", "answer    500"]);
    let ended = ask(&aya, id(&first), &[]);
    assert_eq!(ended.code, Some(1));
    has(&ended.stderr, &["is not remembered", "access log"]);
    let kept = |why| aya.metrics().sum("aya_decisions_kept_total", &[("as", why)]).to_bits();
    assert_eq!((kept("failure"), kept("latest")), (1_f64.to_bits(), 21_f64.to_bits()));
}

/// Each parameter of the API leaves out what it should, over all workers.
#[test]
fn the_api_finds_what_is_asked_for() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/bad" => answer(503, &[], "no"),
        "/slow" => {
            std::thread::sleep(Duration::from_millis(1_200));
            answer(200, &[], "ok")
        }
        _ => answer(200, &[], "ok"),
    });
    let aya = Aya::start(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}
routes: [{{name: here, match: {{path: /there}}, respond: {{status: 200}}}}, {{name: away, pool: main}}]
pools: {{main: {{endpoints: ['{backend}'], ejection: off}}}}
"
    ));
    for path in ["/bad", "/slow", "/there", "/x", "/y"] {
        aya.get(path);
    }
    let count = |parameters: &str, count| drop(remembered(&aya, parameters, count));
    count("", 5);
    count("limit=2", 2);
    count("failed=true", 1);
    count("route=here", 1);
    count("pool=main", 4);
    count(&format!("endpoint={backend}&failed=true"), 1);
    count("pool=other", 0);
    let slow = &remembered(&aya, "slower-than=1s&route=away", 1)[0];
    assert!(slow["attempts"][0]["first_byte_ms"].as_f64().unwrap() > 1_000.0, "{slow}");
    assert_eq!(slow["balancer"], "round-robin");
    assert_eq!(
        slow["candidates"][0]["endpoint"],
        backend.to_string(),
        "what is slow is told with all that is known"
    );
}

/// A sample leaves out its share but no failure; what was kept survives a reload that changes sizes; `off` keeps nothing.
#[test]
fn what_is_remembered_can_be_set() {
    let backend = Backend::answering(|request| {
        let status = if request.target == "/bad" { 500 } else { 200 };
        answer(status, &[], "ok")
    });
    let with =
        |decisions: &str| format!("decisions: {decisions}\n{}", config_of("", "", "", &backend.to_string()));
    let aya = Aya::start(&with("{sample: 0.0}"));
    let (good, bad) = (aya.get("/good"), aya.get("/bad"));
    explained(&aya, &bad);
    wait_until("it to be counted", || aya.metrics().sum("aya_decisions_skipped_total", &[]) > 0.5);
    assert_eq!(ask(&aya, id(&good), &[]).code, Some(1));
    let apply = |text: &str| {
        let before = aya.generation();
        aya.rewrite(text);
        aya.wait_for_generation_after(before);
    };
    apply(&with("{keep: 10, failures: 5}"));
    explained(&aya, &bad);
    explained(&aya, &aya.get("/good"));
    apply(&with("off"));
    assert_eq!(aya.admin("GET", "/api/v1/decisions", "").status, 404);
    let ended = ask(&aya, id(&bad), &[]);
    assert_eq!(ended.code, Some(1));
    has(&ended.stderr, &["`decisions` is off"]);
}

/// A port that wants a token gets the one in the file.
#[test]
fn a_token_is_shown_to_the_admin_port() {
    let backend = Backend::echo("a");
    let folder = TempFolder::new();
    let file = folder.write("token", "sesame\n");
    let pools = config_of("", "", "", &backend.to_string());
    let text = format!("admin: {{bind: '127.0.0.1:0', token: {{file: token}}}}\n{pools}");
    let aya = Aya::start_in(folder, &text, &[], &[]);
    let response = aya.get("/");
    let refused = ask(&aya, id(&response), &[]);
    assert_eq!(refused.code, Some(1));
    has(&refused.stderr, &["401"]);
    let file = file.to_string_lossy();
    wait_until("it to be remembered", || ask(&aya, id(&response), &["--token-file", &file]).code == Some(0));
}
