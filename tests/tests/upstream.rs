//! Connections to endpoints: reuse, limits, and what happens when one is dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Backend, Gate, answer, checksum, free_port, wait_until};

use crate::{chunked, config_of, front, front_with, noise};

/// Requests that follow one another share one connection to the endpoint, even from different clients of a worker.
#[test]
fn connections_are_reused() {
    let backend = Backend::echo("a");
    let aya = Aya::start(&format!("workers: 1\n{}", config_of("", "", "", &backend.to_string())));
    for number in 0..20 {
        assert_eq!(aya.get(&format!("/{number}")).status, 200);
    }
    assert_eq!((backend.request_count(), backend.connection_count()), (20, 1));
    let metrics = aya.metrics();
    assert!((metrics.sum("aya_upstream_connections_opened_total", &[("pool", "main")]) - 1.0).abs() < 0.1);
    assert!((metrics.sum("aya_upstream_connections_reused_total", &[("pool", "main")]) - 19.0).abs() < 0.1);
}

/// A connection that says it will close is not used again.
#[test]
fn closing_connections_are_not_reused() {
    let backend = Backend::answering(|_| answer(200, &["Connection: close"], "ok"));
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for _ in 0..5 {
        let response = client.get("/");
        assert_eq!((response.status, response.keeps_alive()), (200, true));
    }
    assert_eq!(backend.connection_count(), 5);
}

/// Idle connections to an endpoint are closed after their time, and no more than allowed are kept.
#[test]
fn idle_connections_are_let_go() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::answering(move |_| {
        cue.pass();
        answer(200, &[], "ok")
    });
    let pool = "connections: {max-idle: 2, idle: 700ms}";
    let aya = Aya::start(&format!("workers: 1\n{}", config_of("", "", pool, &backend.to_string())));
    let mut clients: Vec<_> = (0..6).map(|_| aya.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    wait_until("all requests to arrive", || backend.request_count() == 6);
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    wait_until("all but two connections to be closed", || backend.open_connections() <= 2);
    wait_until("the others to be closed too", || backend.open_connections() == 0);
    assert_eq!(clients[0].get("/").status, 200);
}

/// An endpoint never has more connections in use than allowed; what is over goes to the next, or is refused by name.
#[test]
fn connections_are_limited() {
    let gate = Arc::new(Gate::new());
    let held = |gate: &Arc<Gate>| {
        let cue = Arc::clone(gate);
        Backend::answering(move |_| {
            cue.pass();
            answer(200, &[], "ok")
        })
    };
    let (first, second) = (held(&gate), held(&gate));
    let aya = front_with("", "", "connections: {max: 2, queue: 0}", &[&first, &second]);
    let mut clients: Vec<_> = (0..4).map(|_| aya.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    wait_until("both endpoints to be full", || (first.request_count(), second.request_count()) == (2, 2));
    let refused = aya.get("/");
    assert_eq!((refused.status, refused.reason()), (503, "connection-limit"));
    assert_eq!((first.connection_count(), second.connection_count()), (2, 2));
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    assert_eq!(aya.get("/").status, 200);
}

/// A connection that the endpoint closed while it was idle is noticed before it is used: even a POST does not meet it.
#[test]
fn dead_idle_connections_are_not_used() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for round in 1..=5 {
        assert_eq!(client.post("/", "data").status, 200);
        backend.close_connections();
        wait_until("the connection to be closed", || backend.open_connections() == 0);
        assert_eq!(backend.request_count(), round);
    }
}

/// What a backend does that answers the first request of a connection and dies on the second.
fn dies_on_the_second() -> Backend {
    Backend::script(|session| {
        if let Some(request) = session.request()? {
            session.send(answer(200, &[], format!("{} {}", request.method, checksum(&request.body))))?;
            session.request()?;
        }
        Ok(())
    })
}

/// A reused connection that dies before any byte of the answer costs an idempotent request nothing.
#[test]
fn idempotent_requests_survive_a_dead_connection() {
    let backend = dies_on_the_second();
    let aya = front_with("", "retry: {attempts: 1}", "ejection: off", &[&backend]);
    let mut client = aya.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").status, 200);
    }
    let body = noise(20_000, 5);
    let expected = format!("PUT {}", checksum(&body));
    for _ in 0..3 {
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        assert_eq!(client.response().text(), expected);
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(chunked(&body, 999, ""));
        assert_eq!(client.response().text(), expected);
    }
    assert!(aya.metrics().sum("aya_upstream_replays_total", &[("pool", "main")]) > 5.0);
}

/// A reused connection that dies is no reason to go back to an endpoint that was taken out meanwhile: another one answers, and that
/// costs no attempt.
#[test]
fn a_dead_connection_does_not_lead_back_to_an_endpoint_that_was_taken_out() {
    let gate = Arc::new(Gate::new());
    let opened = Arc::clone(&gate);
    let old = Backend::script(move |session| {
        if session.request()?.is_some() {
            session.send(answer(200, &[], "old"))?;
            session.request()?;
            opened.pass();
        }
        Ok(())
    });
    let new = Backend::answering(|_| answer(200, &[], "new"));
    let aya = front_with("", "retry: {attempts: 1}", "ejection: off", &[&old, &new]);
    let put = |backend: &Backend, state: &str| {
        let path = format!("/api/v1/pools/main/endpoints/{backend}");
        assert_eq!(aya.admin("PATCH", &path, &format!("{{\"state\": \"{state}\"}}")).status, 200);
    };
    put(&new, "maintenance");
    let mut client = aya.client();
    assert_eq!(client.get("/").text(), "old");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the second request to be there", || old.request_count() == 2);
    put(&new, "ready");
    put(&old, "maintenance");
    gate.open();
    assert_eq!(client.response().text(), "new");
    assert_eq!(old.connection_count(), 1, "it was asked again");
}

/// A request that may have had its effect is not sent twice: the client is told.
#[test]
fn a_post_is_not_sent_twice() {
    let backend = dies_on_the_second();
    let aya = front_with("", "retry: {attempts: 3}", "ejection: off", &[&backend]);
    let mut client = aya.client();
    assert_eq!(client.post("/first", "data").status, 200);
    let response = client.post("/second", "data");
    assert_eq!((response.status, response.reason()), (502, "upstream-closed"));
    let targets: Vec<_> = backend.requests().iter().map(|request| request.target.clone()).collect();
    assert_eq!(targets, ["/first", "/second"]);
}

/// Once a byte of the answer has come, nothing is sent again.
#[test]
fn a_begun_answer_is_not_replayed() {
    let backend = Backend::script(|session| {
        if let Some(request) = session.request()? {
            session.send(answer(200, &[], "whole"))?;
            if request.target == "/first" && session.request()?.is_some() {
                session.send("HTTP/1.1 200 OK\r\nContent-")?;
            }
        }
        Ok(())
    });
    let aya = front_with("", "retry: {attempts: 3}", "ejection: off", &[&backend]);
    for method in ["GET", "POST"] {
        backend.forget();
        let mut client = aya.client();
        client.send(format!("{method} /first HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.response().text(), "whole");
        client.send(format!("{method} /second HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.response().status, 502, "{method}");
        assert_eq!(backend.request_count(), 2, "{method}");
    }
}

/// A body larger than what is kept for sending again makes a request unrepeatable, and the client is told.
#[test]
fn a_body_that_is_not_kept_is_not_replayed() {
    let backend = dies_on_the_second();
    let aya = front_with("", "retry: {attempts: 3}", "replay: 1KiB, ejection: off", &[&backend]);
    let mut client = aya.client();
    assert_eq!(client.get("/").status, 200);
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.offer(noise(100_000, 5));
    assert_eq!(client.response().status, 502);
}

/// An endpoint that refuses connections is passed over without the client noticing, whatever the method.
#[test]
fn a_refused_connection_goes_to_the_next() {
    let backend = Backend::echo("alive");
    let endpoints = format!("127.0.0.1:{}, {backend}", free_port());
    let aya = Aya::start(&config_of("", "", "ejection: off", &endpoints));
    let body = noise(300_000, 6);
    let mut client = aya.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").status, 200);
        let response = client.post("/", &body);
        assert_eq!((response.status, &response.json()["checksum"]), (200, &checksum(&body).into()));
    }
    assert!(aya.metrics().sum("aya_upstream_retries_total", &[("pool", "main")]) > 5.0);
}

/// When every endpoint refuses, the answer says so.
#[test]
fn no_endpoint_left_is_said() {
    let endpoints = format!("127.0.0.1:{}, 127.0.0.1:{}", free_port(), free_port());
    let aya = Aya::start(&config_of("", "", "ejection: off", &endpoints));
    let response = aya.get("/");
    assert_eq!((response.status, response.reason()), (502, "connect-failed"));
    assert!(!response.text().contains("127.0.0.1"), "the answer names what is internal: {}", response.text());
}

/// A refusal reaches a client that is still sending its body: the connection is not reset under its feet.
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let text = format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\n\
         routes:\n  - {{match: {{path: /dead}}, pool: dead}}\n  - {{match: {{path: /own}}, respond: {{status: 403}}}}\n\
         pools: {{dead: {{endpoints: ['127.0.0.1:{}']}}}}\n",
        free_port()
    );
    let aya = Aya::start(&text);
    let body = noise(3_000_000, 11);
    for _ in 0..5 {
        for (path, status) in [("/dead", 502), ("/own", 403), ("/none", 404)] {
            let mut client = aya.client();
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
            client.offer(&body);
            assert_eq!(client.response().status, status, "{path}");
        }
    }
}

/// A GET that an endpoint drops without a byte of answer is tried on the next one; a POST is not.
#[test]
fn a_dropped_request_is_retried_when_safe() {
    let drops = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&drops);
    let dropping = Backend::script(move |session| {
        if session.request()?.is_some() {
            count.fetch_add(1, Ordering::SeqCst);
        }
        session.reset();
        Ok(())
    });
    let healthy = Backend::echo("healthy");
    let aya = front_with("", "retry: {attempts: 2}", "ejection: off", &[&dropping, &healthy]);
    let mut client = aya.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(drops.load(Ordering::SeqCst) > 0, "the play needs a drop");
    let statuses: Vec<_> = (0..10).map(|_| client.post("/", "data").status).collect();
    assert!(statuses.contains(&502) && statuses.contains(&200), "{statuses:?}");
    let posts = dropping.requests().into_iter().chain(healthy.requests());
    assert_eq!(posts.filter(|request| request.method == "POST").count(), 10, "a POST was sent twice");
}

/// An endpoint can be given by name.
#[test]
fn endpoints_have_names() {
    let backend = Backend::echo("a");
    let aya = Aya::start(&config_of("", "", "", &format!("localhost:{}", backend.port())));
    wait_until("the name to be looked up", || aya.get("/").status == 200);
    assert_eq!(backend.requests()[0].header("host"), Some("play.test"));
}

/// An endpoint whose name nobody knows harms nobody: the others serve.
#[test]
fn unknown_names_harm_nobody() {
    let backend = Backend::echo("a");
    let aya = Aya::start(&config_of("", "", "", &format!("nobody-knows-this.invalid:80, {backend}")));
    for _ in 0..10 {
        assert_eq!(aya.get("/").status, 200);
    }
}

/// While a request waits for a slow endpoint, others on other connections go on.
#[test]
fn a_slow_endpoint_holds_nobody_else_up() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::answering(move |request| {
        if request.target == "/slow" {
            cue.pass();
        }
        answer(200, &[], request.target.clone())
    });
    let aya = Aya::start(&format!("workers: 1\n{}", config_of("", "", "", &backend.to_string())));
    let mut slow = aya.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the slow request to arrive", || backend.request_count() == 1);
    for _ in 0..20 {
        assert_eq!(aya.get("/fast").text(), "/fast");
    }
    slow.expect_silence(Duration::from_millis(20));
    gate.open();
    assert_eq!(slow.response().text(), "/slow");
}
