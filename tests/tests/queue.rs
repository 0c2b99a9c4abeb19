//! The line of requests that wait while all endpoints are full.

use std::sync::Arc;
use std::time::Duration;

use base_testkit::{Aya, Backend, Client, Gate, Signal, Stopwatch, answer, wait_until};
use serde_json::json;

use crate::{config, front_with};

/// A backend that holds `/hold` until its gate opens, and answers everything else at once.
fn held(gate: &Arc<Gate>) -> Backend {
    let cue = Arc::clone(gate);
    Backend::answering(move |request| {
        if request.target == "/hold" {
            cue.pass();
        }
        answer(200, &[], &request.target)
    })
}

fn waiting(aya: &Aya) -> u64 {
    aya.admin("GET", "/api/v1/pools/main", "").json()["waiting"].as_u64().expect("a number")
}

fn wait_for_line(aya: &Aya, length: u64) {
    wait_until(&format!("{length} to wait"), || waiting(aya) == length);
}

/// Requests that have waited so far, whatever became of them.
fn have_waited(aya: &Aya) -> u64 {
    aya.metrics().sum("aya_upstream_queue_seconds_count", &[("pool", "main")]).round() as u64
}

fn send(aya: &Aya, path: &str) -> Client {
    let mut client = aya.client();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: play.test\r\n\r\n"));
    client
}

/// A request that keeps this backend busy, which serves one at a time.
fn busy(aya: &Aya, backend: &Backend) -> Client {
    let client = send(aya, "/hold");
    wait_until("the endpoint to be busy", || backend.request_count() == 1);
    client
}

const PATIENT: &str = "connections: {max: 1, queue: 10, queue-timeout: 60s}";

/// Requests that find all endpoints full wait, and are served in the order in which they came.
#[test]
fn waiting_requests_are_served_in_order() {
    let gate = Arc::new(Gate::new());
    let backend = held(&gate);
    let access = "logs: {access: {to: ./access.log, fields: [path, queued_ms]}}";
    let aya = Aya::start(&format!("{access}\n{}", config("", "", PATIENT, &[&backend])));
    let mut holder = busy(&aya, &backend);
    let mut clients = Vec::new();
    for number in 1..=8 {
        clients.push(send(&aya, &format!("/{number}")));
        wait_for_line(&aya, number);
    }
    let shown = aya.metrics().sum("aya_upstream_queue_requests", &[("pool", "main")]);
    assert!((shown - 8.0).abs() < 0.1, "{shown}");
    assert_eq!((backend.request_count(), have_waited(&aya)), (1, 0));
    gate.open();
    assert_eq!(holder.response().status, 200);
    for (client, number) in clients.iter_mut().zip(1..) {
        assert_eq!(client.response().text(), format!("/{number}"));
    }
    let order: Vec<String> = backend.requests().iter().map(|request| request.target.clone()).collect();
    assert_eq!(order.concat(), "/hold/1/2/3/4/5/6/7/8");
    assert_eq!((waiting(&aya), have_waited(&aya)), (0, 8));
    assert_eq!(aya.get("/").status, 200);
    assert_eq!(have_waited(&aya), 8, "only those that had to");
    let log = aya.folder().join("access.log");
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_until("all to be logged", || lines().lines().count() == 10);
    let unqueued = lines().lines().filter(|line| line.contains(r#""queued_ms":null"#)).count();
    assert_eq!(unqueued, 2, "{}", lines());
}

/// The line has its length: what is over is refused at once, and did not wait.
#[test]
fn the_line_is_bounded() {
    let gate = Arc::new(Gate::new());
    let backend = held(&gate);
    let aya = front_with("", "", "connections: {max: 1, queue: 2, queue-timeout: 60s}", &[&backend]);
    let mut clients = vec![busy(&aya, &backend)];
    for number in 1..=2 {
        clients.push(send(&aya, "/"));
        wait_for_line(&aya, number);
    }
    for _ in 0..3 {
        let refused = aya.get("/");
        assert_eq!((refused.status, refused.reason()), (503, "connection-limit"));
    }
    assert_eq!((waiting(&aya), have_waited(&aya)), (2, 0));
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

/// Waiting has an end: that of the line, or that of the route if it comes first.
#[test]
fn waiting_takes_no_longer_than_allowed() {
    for (route, queue_timeout, status, reason) in
        [("", "100ms", 503, "queue-timeout"), (", timeouts: {request: 100ms}", "60s", 504, "request-timeout")]
    {
        let gate = Arc::new(Gate::new());
        let backend = held(&gate);
        let aya = Aya::start(&format!(
            "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\n\
             routes: [{{match: {{path: /hold}}, pool: main}}, {{pool: main{route}}}]\n\
             pools: {{main: {{endpoints: ['{backend}'], connections: {{max: 1, queue-timeout: {queue_timeout}}}}}}}\n"
        ));
        let mut holder = busy(&aya, &backend);
        let response = aya.get("/");
        assert_eq!((response.status, response.reason()), (status, reason));
        assert_eq!((waiting(&aya), have_waited(&aya), backend.request_count()), (0, 1, 1));
        gate.open();
        assert_eq!(holder.response().status, 200);
    }
}

/// A client that hangs up leaves the line: at once when it resets, within the time for half-closed connections when it only closes.
/// Its request is never sent.
#[test]
fn who_hangs_up_leaves_the_line() {
    let gate = Arc::new(Gate::new());
    let backend = held(&gate);
    let aya = front_with("timeouts: {half-close: 100ms}", "", PATIENT, &[&backend]);
    let mut holder = busy(&aya, &backend);
    let (first, second, mut third) = (send(&aya, "/reset"), send(&aya, "/closed"), send(&aya, "/patient"));
    wait_for_line(&aya, 3);
    first.reset();
    wait_for_line(&aya, 2);
    second.give_up();
    wait_for_line(&aya, 1);
    gate.open();
    assert_eq!((holder.response().status, third.response().text().as_str()), (200, "/patient"));
    let sent: Vec<String> = backend.requests().iter().map(|request| request.target.clone()).collect();
    assert_eq!(sent, ["/hold", "/patient"]);
}

/// Who waits is served as soon as the pool gets an endpoint with room, and is told when it has none any more.
#[test]
fn a_change_of_the_pool_reaches_who_waits() {
    let gate = Arc::new(Gate::new());
    let (backend, spare) = (held(&gate), held(&gate));
    let aya = front_with("", "", PATIENT, &[&backend]);
    let mut holder = busy(&aya, &backend);
    let mut waits = send(&aya, "/waits");
    wait_for_line(&aya, 1);
    let new = json!({"address": spare.to_string()}).to_string();
    assert_eq!(aya.admin("POST", "/api/v1/pools/main/endpoints", &new).status, 201);
    assert_eq!(waits.response().text(), "/waits");
    assert_eq!((spare.request_count(), waiting(&aya)), (1, 0));
    let mut last = send(&aya, "/hold");
    wait_until("the spare to be busy", || spare.request_count() == 2);
    waits.send("GET /lost HTTP/1.1\r\nHost: play.test\r\n\r\n");
    wait_for_line(&aya, 1);
    for endpoint in [&backend, &spare] {
        let path = format!("/api/v1/pools/main/endpoints/{endpoint}");
        assert_eq!(aya.admin("PATCH", &path, r#"{"state": "maintenance"}"#).status, 200);
    }
    assert_eq!(waits.response().reason(), "no-endpoint");
    gate.open();
    assert_eq!((holder.response().status, last.response().status), (200, 200));
}

/// A reload loses nobody who waits: who waits keeps its settings, and whoever comes then has the new ones.
#[test]
fn a_reload_leaves_the_line() {
    let gate = Arc::new(Gate::new());
    let backend = held(&gate);
    let mut aya = front_with("", "", PATIENT, &[&backend]);
    let mut holder = busy(&aya, &backend);
    let mut clients: Vec<_> = (1..=3).map(|number| send(&aya, &format!("/{number}"))).collect();
    wait_for_line(&aya, 3);
    let before = aya.generation();
    aya.rewrite(&config("", "", "connections: {max: 1, queue: 3, queue-timeout: 60s}", &[&backend]));
    aya.signal(Signal::HUP);
    aya.wait_for_generation_after(before);
    assert_eq!(waiting(&aya), 3);
    assert_eq!(aya.get("/").reason(), "connection-limit");
    gate.open();
    assert_eq!(holder.response().status, 200);
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

/// A drain lets who waits have its turn; when its time is over they are told.
#[test]
fn a_drain_serves_the_line() {
    for (drain, opens, status) in [("30s", true, 200), ("300ms", false, 503)] {
        let gate = Arc::new(Gate::new());
        let backend = held(&gate);
        let mut aya = Aya::start(&format!("drain: {drain}\n{}", config("", "", PATIENT, &[&backend])));
        let holder = busy(&aya, &backend);
        let mut waits = send(&aya, "/waits");
        wait_for_line(&aya, 1);
        aya.signal(Signal::TERM);
        if opens {
            let address = aya.listener("web");
            wait_until("new connections to be refused", || std::net::TcpStream::connect(address).is_err());
            gate.open();
        }
        let response = waits.response();
        assert!(!response.keeps_alive());
        // When the time is over, the holder may be cut before the one that waits, which then gets its turn.
        if opens || response.status != 200 {
            assert_eq!(response.status, status, "{}", response.reason());
            assert_eq!(response.reason(), if opens { "" } else { "shutting-down" });
        }
        let ended = aya.wait(Duration::from_secs(10));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        gate.open();
        drop(holder);
    }
}

/// Under load far beyond what the endpoints may have at once, everybody is served and nobody is forgotten, over all workers.
#[test]
fn under_load_nobody_is_forgotten() {
    let backends: Vec<Backend> = (0..2)
        .map(|_| {
            Backend::answering(|_| {
                std::thread::sleep(Duration::from_millis(1));
                answer(200, &[], "ok")
            })
        })
        .collect();
    let pool = "connections: {max: 2, queue: 100, queue-timeout: 60s}";
    let aya = front_with("", "", pool, &backends.iter().collect::<Vec<_>>());
    let watch = Stopwatch::start();
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let mut client = aya.client();
                (0..30).for_each(|_| assert_eq!(client.get("/").status, 200));
            });
        }
    });
    assert!(watch.elapsed() < Duration::from_secs(50), "somebody was forgotten: {:?}", watch.elapsed());
    assert!(have_waited(&aya) > 100, "{}", have_waited(&aya));
    assert_eq!(waiting(&aya), 0);
}
