//! Changes while traffic flows: by file, by signal, through the API; and what survives them.

use std::sync::Arc;
use std::time::Duration;

use base_testkit::{
    Aya, Backend, Client, Gate, Signal, TempFolder, answer, free_port, never_within, wait_until,
};
use serde_json::{Value, json};

use crate::{config, config_of, hold_at};

/// A configuration that answers with this word.
fn saying(word: &str) -> String {
    format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\nroutes: [{{respond: {{status: 200, body: {word}}}}}]\n"
    )
}

/// A configuration for the API: it must say where the admin port is, or it would go.
fn complete(text: &str) -> String {
    format!("{text}\nadmin: {{bind: '127.0.0.1:0'}}\nworkers: 2\ndrain: 3s\n")
}

/// A changed file is taken up by itself; connections that are open go on and see the new configuration.
#[test]
fn a_changed_file_is_taken_up() {
    let aya = Aya::start(&saying("one"));
    let mut client = aya.client();
    assert_eq!(client.get("/").text(), "one");
    let before = aya.generation();
    aya.rewrite(&saying("two"));
    wait_until("the new answer", || client.get("/").text() == "two");
    // Workers take it up first, then it is told.
    aya.wait_for_generation_after(before);
    assert_eq!((aya.get("/").text().as_str(), aya.generation()), ("two", before + 1));
    wait_until("the change to be counted", || {
        aya.metrics().sum("aya_config_reloads_total", &[("result", "applied")]) >= 1.0
    });
}

/// SIGHUP reads the file again, and says that nothing changed when nothing did.
#[test]
fn sighup_reads_the_file_again() {
    let mut aya = Aya::start(&saying("one"));
    let before = aya.generation();
    aya.signal(Signal::HUP);
    wait_until("the signal to be heard", || {
        aya.metrics().sum("aya_config_reloads_total", &[("result", "unchanged")]) >= 1.0
    });
    assert_eq!(aya.generation(), before);
    aya.rewrite(&saying("two"));
    aya.signal(Signal::HUP);
    wait_until("the new answer", || aya.get("/").text() == "two");
}

/// What was chosen on the command line holds over reloads, and is no change of the configuration.
#[test]
fn a_choice_on_the_command_line_is_no_change() {
    let mut aya = Aya::start_with(&saying("one"), &["--workers", "3"], &[]);
    let before = aya.generation();
    aya.signal(Signal::HUP);
    wait_until("the signal to be heard", || {
        let metrics = aya.metrics();
        metrics.sum("aya_config_reloads_total", &[("result", "unchanged")])
            + metrics.sum("aya_config_reloads_total", &[("result", "applied")])
            >= 1.0
    });
    assert_eq!((aya.generation(), aya.status()["workers"].as_u64()), (before, Some(3)));
}

/// A bad file changes nothing: what runs goes on, the log says what is wrong and where, and a good file is taken up after it.
#[test]
fn a_bad_file_changes_nothing() {
    let mut aya = Aya::start(&saying("one"));
    let before = aya.generation();
    for bad in ["routes: [{pool: nowhere}]\n", "listeners: [}\n", "\u{0}\u{1}\u{2}", "unknown: true\n"] {
        let rejected = aya.metrics().sum("aya_config_reloads_total", &[("result", "rejected")]);
        aya.rewrite(bad);
        aya.signal(Signal::HUP);
        wait_until("the file to be rejected", || {
            aya.metrics().sum("aya_config_reloads_total", &[("result", "rejected")]) > rejected
        });
        assert_eq!((aya.get("/").text().as_str(), aya.generation()), ("one", before), "{bad:?}");
    }
    aya.wait_for_line("nowhere");
    std::fs::remove_file(aya.config()).expect("a file can be removed");
    let rejected = aya.total("aya_config_reloads_total", &[("result", "rejected")]);
    aya.signal(Signal::HUP);
    aya.wait_for_line("not readable");
    wait_until("that to be counted", || {
        aya.total("aya_config_reloads_total", &[("result", "rejected")]) > rejected
    });
    assert_eq!((aya.get("/").text().as_str(), aya.generation()), ("one", before));
    aya.rewrite(&saying("two"));
    wait_until("the good file to be taken up", || aya.get("/").text() == "two");
}

/// A configuration through the API is checked first; a dry run stops there and tells what would change.
#[test]
fn the_api_takes_configurations() {
    let aya = Aya::start(&saying("one"));
    let before = aya.generation();
    let two = complete(&saying("two"));
    let report = aya.admin("POST", "/api/v1/config?dry-run=true", &two);
    assert_eq!((report.status, &report.json()["valid"]), (200, &json!(true)), "{}", report.text());
    assert!(report.json()["changes"].as_array().is_some_and(|changes| !changes.is_empty()));
    assert_eq!((aya.get("/").text().as_str(), aya.generation()), ("one", before));
    let applied = aya.admin("POST", "/api/v1/config", &two);
    assert_eq!(
        (applied.status, applied.json()["changed"].as_bool()),
        (200, Some(true)),
        "{}",
        applied.text()
    );
    assert_eq!(aya.get("/").text(), "two");
    let shown = aya.admin("GET", "/api/v1/config", "").json();
    assert_eq!((shown["origin"].as_str(), shown["generation"].as_u64()), (Some("api"), Some(before + 1)));
    assert!(shown["source"].as_str().is_some_and(|source| source.contains("two")));
}

/// The same configuration in JSON means the same.
#[test]
fn the_api_takes_json() {
    let aya = Aya::start(&saying("one"));
    let document = json!({
        "listeners": {"web": {"bind": "127.0.0.1:0"}},
        "routes": [{"respond": {"status": 200, "body": "json"}}],
        "admin": {"bind": "127.0.0.1:0"},
        "workers": 2,
    });
    let applied = aya.admin("POST", "/api/v1/config", &document.to_string());
    assert_eq!(applied.status, 200, "{}", applied.text());
    assert_eq!(aya.get("/").text(), "json");
}

/// A bad configuration through the API is refused with all its faults by line and column, and changes nothing.
#[test]
fn the_api_refuses_bad_configurations() {
    let aya = Aya::start(&saying("one"));
    let before = aya.generation();
    let bad = "listeners: {web: {bind: '127.0.0.1:0', tls-typo: 1}}\nroutes:\n  - {pool: nowhere}\n  - {pool: never}\n";
    // A dry run has done what it was asked to, whatever it found; an application has not.
    for (path, status) in [("/api/v1/config", 422), ("/api/v1/config?dry-run=true", 200)] {
        let response = aya.admin("POST", path, bad);
        assert_eq!(response.status, status, "{}", response.text());
        let problem = response.json();
        assert_ne!(problem["valid"], true, "{problem:#}");
        let faults = problem["diagnostics"].as_array().cloned().unwrap_or_default();
        assert!(faults.len() >= 3, "{problem:#}");
        assert!(faults.iter().all(|fault| fault["line"].is_u64() && fault["column"].is_u64()), "{problem:#}");
    }
    assert_eq!(aya.admin("POST", "/api/v1/config?dryrun=true", &complete(&saying("two"))).status, 400);
    assert_eq!((aya.get("/").text().as_str(), aya.generation()), ("one", before));
}

/// Whoever names the generation they changed is told when somebody else was faster.
#[test]
fn changes_can_be_conditional() {
    let aya = Aya::start(&saying("one"));
    let generation = aya.generation();
    let condition = format!("If-Match: \"{generation}\"\r\n");
    let two = complete(&saying("two"));
    assert_eq!(aya.admin_with("POST", "/api/v1/config", &condition, &two).status, 200);
    assert_eq!(aya.admin_with("POST", "/api/v1/config", &condition, &complete(&saying("three"))).status, 409);
    assert_eq!(aya.get("/").text(), "two");
}

/// Earlier configurations are kept on disk and can be taken up again, even after a restart.
#[test]
fn earlier_configurations_come_back() {
    let kept = TempFolder::new();
    let with_history =
        |word: &str| format!("{}history: {{folder: '{}', keep: 3}}\n", saying(word), kept.path().display());
    let aya = Aya::start(&with_history("one"));
    let first = aya.generation();
    for word in ["two", "three"] {
        assert_eq!(aya.admin("POST", "/api/v1/config", &complete(&with_history(word))).status, 200);
    }
    assert_eq!(aya.get("/").text(), "three");
    let back = aya.admin("POST", "/api/v1/config/rollback", &json!({"generation": first}).to_string());
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(aya.get("/").text(), "one");
    assert_eq!(aya.generation(), first + 3);
    let missing = aya.admin("POST", "/api/v1/config/rollback", &json!({"generation": 999}).to_string());
    assert_eq!(missing.status, 404);
    let history = aya.admin("GET", "/api/v1/config/history", "").json();
    let generations: Vec<_> =
        history.as_array().expect("a list").iter().map(|one| one["generation"].clone()).collect();
    assert!(generations.len() <= 4 && generations.contains(&json!(first + 2)), "{history}");
    drop(aya);
    assert!(std::fs::read_dir(kept.path()).is_ok_and(|entries| entries.count() > 0), "nothing is on disk");
    let again = Aya::start(&with_history("four"));
    let history = again.admin("GET", "/api/v1/config/history", "").json();
    assert!(history.as_array().is_some_and(|entries| entries.len() >= 2), "{history}");
}

fn endpoint(aya: &Aya, backend: &Backend) -> Value {
    let pool = aya.admin("GET", "/api/v1/pools/main", "").json();
    let endpoints = pool["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.into_iter().find(|one| one["address"] == backend.to_string()).unwrap_or_default()
}

fn change(aya: &Aya, backend: &Backend, what: Value) {
    let response = aya.admin("PATCH", &format!("/api/v1/pools/main/endpoints/{backend}"), &what.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
}

/// How many of these requests each backend got.
fn shares(aya: &Aya, backends: &[&Backend], count: usize) -> Vec<usize> {
    backends.iter().for_each(|backend| backend.forget());
    let mut client = aya.client();
    (0..count).for_each(|_| assert_eq!(client.get("/").status, 200));
    backends.iter().map(|backend| backend.request_count()).collect()
}

/// Endpoints come and go through the API, without a request lost.
#[test]
fn endpoints_are_added_and_removed() {
    let (first, second) = (Backend::echo("first"), Backend::echo("second"));
    let aya = Aya::start(&config("", "", "", &[&first]));
    assert_eq!(shares(&aya, &[&first, &second], 10), [10, 0]);
    let new = json!({"address": second.to_string()}).to_string();
    let added = aya.admin("POST", "/api/v1/pools/main/endpoints", &new);
    assert_eq!(added.status, 201, "{}", added.text());
    assert_eq!(aya.admin("POST", "/api/v1/pools/main/endpoints", &new).status, 409);
    assert_eq!(aya.admin("POST", "/api/v1/pools/none/endpoints", &new).status, 404);
    assert_eq!(
        aya.admin("POST", "/api/v1/pools/main/endpoints", r#"{"address": "not an address"}"#).status,
        422
    );
    wait_until("both to be used", || shares(&aya, &[&first, &second], 10) == [5, 5]);
    let removed = aya.admin("DELETE", &format!("/api/v1/pools/main/endpoints/{first}"), "");
    assert_eq!(removed.status, 204, "{}", removed.text());
    assert_eq!(aya.admin("DELETE", &format!("/api/v1/pools/main/endpoints/{first}"), "").status, 404);
    wait_until("only the new one to be used", || shares(&aya, &[&first, &second], 10) == [0, 10]);
}

/// A weight set through the API takes effect, and holds over a reload that leaves the pool's endpoints alone.
#[test]
fn weights_are_changed() {
    let (first, second) = (Backend::echo("first"), Backend::echo("second"));
    let text = |more: &str| config("", more, "balance: weighted-round-robin", &[&first, &second]);
    let aya = Aya::start(&text(""));
    change(&aya, &first, json!({"weight": 3}));
    wait_until("three in four", || shares(&aya, &[&first, &second], 40) == [30, 10]);
    let before = aya.generation();
    aya.rewrite(&text("timeouts: {request: 30s}"));
    aya.wait_for_generation_after(before);
    assert_eq!(endpoint(&aya, &first)["weight"], 3);
    wait_until("three in four still", || shares(&aya, &[&first, &second], 40) == [30, 10]);
    change(&aya, &first, json!({"weight": 0}));
    wait_until("nothing for the first", || shares(&aya, &[&first, &second], 10) == [0, 10]);
    let bad = aya.admin("PATCH", &format!("/api/v1/pools/main/endpoints/{first}"), r#"{"weight": 70000}"#);
    assert_eq!(bad.status, 422);
}

/// A draining endpoint finishes what it has and gets nothing new, until it is made ready again.
#[test]
fn endpoints_are_drained() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let draining = Backend::answering(move |request| {
        if request.target == "/hold" {
            cue.pass();
        }
        answer(200, &[], "held")
    });
    let other = Backend::echo("other");
    let aya = Aya::start(&config("", "", "", &[&draining, &other]));
    let mut held = hold_at(&aya, &draining);
    for state in ["drain", "maintenance"] {
        change(&aya, &draining, json!({"state": state}));
        assert_eq!(endpoint(&aya, &draining)["state"], state);
        wait_until("nothing new for it", || shares(&aya, &[&draining, &other], 10) == [0, 10]);
    }
    assert_eq!(endpoint(&aya, &draining)["in_flight"], 1);
    gate.open();
    assert_eq!(held.response().text(), "held");
    change(&aya, &draining, json!({"state": "ready"}));
    wait_until("it to be used again", || shares(&aya, &[&draining, &other], 10) == [5, 5]);
}

/// What was learned about an endpoint outlives a reload: one that was found sick gets no request afterwards.
#[test]
fn what_was_learned_survives_a_reload() {
    let (well, mut dead) = (Backend::echo("well"), Backend::echo("dead"));
    let text =
        |route: &str| config("", route, "ejection: {consecutive-failures: 2, for: 60s}", &[&well, &dead]);
    let (before_text, after_text) = (text(""), text("timeouts: {request: 30s}"));
    let aya = Aya::start(&before_text);
    assert_eq!(shares(&aya, &[&well, &dead], 10), [5, 5]);
    dead.kill();
    wait_until("it to be ejected", || {
        assert_eq!(aya.get("/").status, 200);
        endpoint(&aya, &dead)["eligible"] == false
    });
    let requests = endpoint(&aya, &well)["requests"].as_u64();
    let retries = aya.metrics().sum("aya_upstream_retries_total", &[]);
    let before = aya.generation();
    aya.rewrite(&after_text);
    aya.wait_for_generation_after(before);
    assert_eq!(endpoint(&aya, &dead)["eligible"], false);
    assert!(endpoint(&aya, &well)["requests"].as_u64() >= requests);
    for _ in 0..20 {
        assert_eq!(aya.get("/").status, 200);
    }
    assert!(
        (aya.metrics().sum("aya_upstream_retries_total", &[]) - retries).abs() < 0.1,
        "it was tried again"
    );
}

/// A request under way when the configuration changes ends under the old one, its endpoint gone or not.
#[test]
fn requests_under_way_end_as_they_began() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let old = Backend::answering(move |_| {
        cue.pass();
        answer(200, &[], "old")
    });
    let new = Backend::answering(|_| answer(200, &[], "new"));
    let aya = Aya::start(&config("", "", "", &[&old]));
    let mut under_way = aya.client();
    under_way.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || old.request_count() == 1);
    let before = aya.generation();
    aya.rewrite(&config("", "", "", &[&new]));
    aya.wait_for_generation_after(before);
    wait_until("the new endpoint to answer", || aya.get("/").text() == "new");
    gate.open();
    assert_eq!(under_way.response().text(), "old");
    assert_eq!(under_way.get("/").text(), "new");
}

/// Listeners come and go with the configuration; the others are not touched.
#[test]
fn listeners_come_and_go() {
    let port = free_port();
    let both = format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}, side: {{bind: '127.0.0.1:{port}'}}}}\n\
         routes: [{{respond: {{status: 200, body: both}}}}]\n"
    );
    let aya = Aya::start(&saying("one"));
    let web = aya.listener("web");
    let side = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = aya.client();
    assert_eq!(client.get("/").text(), "one");
    aya.rewrite(&both);
    wait_until("the new listener to accept", || std::net::TcpStream::connect(side).is_ok());
    let mut at_side = Client::connect(side);
    assert_eq!(at_side.get("/").text(), "both");
    assert_eq!(client.get("/").text(), "both");
    aya.rewrite(&saying("one"));
    wait_until("the listener to be gone", || std::net::TcpStream::connect(side).is_err());
    assert_eq!(client.get("/").text(), "one");
    at_side.expect_close();
    assert_eq!(aya.status()["listeners"][0]["addresses"][0], web.to_string());
}

/// A configuration whose port is taken is refused as a whole, and what runs goes on.
#[test]
fn a_taken_port_refuses_the_change() {
    let taken = Backend::echo("taken");
    let aya = Aya::start(&saying("one"));
    let before = aya.generation();
    let text = complete(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}, side: {{bind: '{taken}'}}}}\n\
         routes: [{{respond: {{status: 200, body: two}}}}]\n"
    ));
    let response = aya.admin("POST", "/api/v1/config", &text);
    assert_eq!(response.status, 500, "{}", response.text());
    assert!(response.text().contains(&taken.port().to_string()), "{}", response.text());
    assert_eq!((aya.get("/").text().as_str(), aya.generation()), ("one", before));
}

/// A pool's own list of endpoints in a new configuration takes the place of what the API had changed.
#[test]
fn a_new_list_overrules_the_api() {
    let backends: Vec<_> = ["a", "b", "c"].into_iter().map(Backend::echo).collect();
    let aya = Aya::start(&config_of("", "", "", &backends[0].to_string()));
    let new = json!({"address": backends[1].to_string()}).to_string();
    assert_eq!(aya.admin("POST", "/api/v1/pools/main/endpoints", &new).status, 201);
    let before = aya.generation();
    aya.rewrite(&config_of("", "", "", &format!("{}, {}", backends[0], backends[2])));
    aya.wait_for_generation_after(before);
    let all: Vec<_> = backends.iter().collect();
    wait_until("the list of the file to hold", || shares(&aya, &all, 10) == [5, 0, 5]);
    never_within(Duration::from_millis(50), "the removed one is used", || shares(&aya, &all, 4)[1] > 0);
}
