//! What has become of a request, by its id.

use std::sync::Arc;
use std::time::Duration;

use base_testkit::{Aya, Backend, Ended, Gate, Response, TempFolder, answer, wait_for, wait_until};
use serde_json::Value;

use super::has;
use crate::{config_of, front};

fn ask(aya: &Aya, id: &str, arguments: &[&str]) -> Ended {
    let admin = format!("http://{}", aya.admin_address());
    Aya::run(&[&["explain", "--id", id, "--admin", &admin], arguments].concat())
}

fn id(response: &Response) -> &str {
    response.header("x-request-id").expect("every answer has an id")
}

/// What is said of the request that was answered like this. It is remembered a moment after its answer has gone.
#[track_caller]
pub(super) fn explained(aya: &Aya, response: &Response) -> String {
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
pub(super) fn closing() -> Backend {
    Backend::script(|session| session.request().map(drop))
}

/// A backend whose answers wait for the gate.
pub(super) fn gated() -> (Backend, Arc<Gate>) {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::answering(move |_| {
        cue.pass();
        answer(200, &[], "ok")
    });
    (backend, gate)
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

/// Failures are kept though nothing else is; what was kept survives a reload that changes sizes; `off` keeps nothing.
#[test]
fn what_is_remembered_can_be_set() {
    let backend = Backend::answering(|request| {
        let status = if request.target == "/bad" { 500 } else { 200 };
        answer(status, &[], "ok")
    });
    let with =
        |decisions: &str| format!("decisions: {decisions}\n{}", config_of("", "", "", &backend.to_string()));
    let aya = Aya::start(&with("{keep: 0}"));
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
