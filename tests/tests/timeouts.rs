//! Times and sizes that are limited: each has its status, its reason, and an end.

use std::sync::Arc;
use std::time::Duration;

use base_testkit::{Aya, Backend, FullPort, Gate, Signal, Stopwatch, answer, wait_until};

use crate::{chunked, config_of, front, front_with, noise};

/// Short enough for a quick play, long enough to be told from "at once".
const SHORT: Duration = Duration::from_millis(300);
/// Clocks of two processes and a timer's grain lie between what is set and what is seen.
const GRAIN: Duration = Duration::from_millis(60);

/// A backend that reads requests and answers none.
fn silent() -> Backend {
    Backend::script(|session| {
        while session.request()?.is_some() {}
        Ok(())
    })
}

fn failures(aya: &Aya, reason: &str) -> f64 {
    aya.metrics().sum("aya_failures_total", &[("reason", reason)])
}

/// A head that does not end in time is answered with 408; dripping does not stretch the time.
#[test]
fn the_request_head_has_its_time() {
    let backend = Backend::echo("a");
    let aya = front_with("timeouts: {request-head: 300ms}", "", "", &[&backend]);
    let watch = Stopwatch::start();
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\nHo");
    let response = client.response();
    assert_eq!((response.status, response.reason()), (408, "request-head-timeout"));
    assert_eq!(response.header("connection"), Some("close"));
    assert!(watch.elapsed() > SHORT - GRAIN, "{:?}", watch.elapsed());
    client.expect_close();
    let mut client = aya.client();
    let dripped = (0..10_000).find(|_| {
        std::thread::sleep(Duration::from_millis(20));
        !client.offer("X")
    });
    assert!(dripped.is_some(), "drips keep the connection open");
    assert_eq!(backend.request_count(), 0);
}

/// A client that stops in the middle of its body is answered with 408.
#[test]
fn the_request_body_must_get_on() {
    let backend = silent();
    let aya = front_with("timeouts: {body-progress: 300ms}", "", "", &[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    let response = client.response();
    assert_eq!((response.status, response.reason()), (408, "request-body-timeout"));
    client.expect_close();
    wait_until("the endpoint to be freed", || backend.open_connections() == 0);
}

/// A body that gets on, however slowly, is not cut off.
#[test]
fn a_slow_body_that_gets_on_is_fine() {
    let backend = Backend::echo("a");
    let aya = front_with("timeouts: {body-progress: 1500ms}", "", "", &[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        client.send("x");
    }
    assert_eq!(client.response().json()["length"], 20);
}

/// A connection without a request is closed after its idle time, without a word.
#[test]
fn idle_clients_are_let_go() {
    let backend = Backend::echo("a");
    let aya = front_with("timeouts: {idle: 300ms}", "", "", &[&backend]);
    let mut client = aya.client();
    assert_eq!(client.get("/").status, 200);
    let watch = Stopwatch::start();
    client.expect_close();
    assert!(watch.elapsed() > SHORT - GRAIN, "{:?}", watch.elapsed());
    assert!((failures(&aya, "request-head-timeout")).abs() < 0.1, "an idle close is no failure");
}

/// A client that does not read its answer is let go, and its endpoint with it.
#[test]
fn clients_must_take_their_answer() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            session.send(vec![b'x'; 100_000])?;
        }
    });
    let aya = front_with("timeouts: {send-progress: 500ms}", "", "", &[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the failure to be counted", || failures(&aya, "client-send-timeout") > 0.5);
    wait_until("the endpoint to be freed", || backend.open_connections() == 0);
}

/// An endpoint that does not begin to answer in time: 504, and its connection is not used again.
#[test]
fn the_first_byte_has_its_time() {
    let backend = silent();
    let aya = front_with("", "retry: {attempts: 1}", "timeouts: {first-byte: 300ms}", &[&backend]);
    let mut client = aya.client();
    let watch = Stopwatch::start();
    let response = client.get("/");
    assert_eq!((response.status, response.reason()), (504, "first-byte-timeout"));
    assert!(watch.elapsed() > SHORT - GRAIN, "{:?}", watch.elapsed());
    wait_until("the connection to be closed", || backend.open_connections() == 0);
    // The client's connection is as good as before.
    assert_eq!(client.get("/").status, 504);
}

/// An endpoint that stops in the middle of its answer: the client sees a broken body, and the log the reason.
#[test]
fn the_response_must_get_on() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        session.closed_by_peer()
    });
    let aya = front_with("", "", "timeouts: {response-progress: 300ms}", &[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    client.expect_broken_body(&head);
    wait_until("the failure to be counted", || failures(&aya, "response-timeout") > 0.5);
}

/// An endpoint that does not read the body: 504.
#[test]
fn endpoints_must_take_the_body() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::script(move |session| {
        session.shrink_receive_buffer();
        session.request_head()?;
        cue.pass();
        Ok(())
    });
    let aya = front_with("", "", "timeouts: {send-progress: 400ms}", &[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let body = chunked(&noise(1_000_000, 1), 100_000, "");
    // Without its end: the next piece goes on with the same body.
    let body = &body[..body.len() - "0\r\n\r\n".len()];
    // Aya stops reading when the endpoint does; it answers and closes while this is under way.
    std::thread::scope(|scope| {
        let mut writer = client.split();
        scope.spawn(move || (0..60).all(|_| writer.offer(body)));
        let response = client.response();
        assert_eq!((response.status, response.reason()), (504, "upstream-send-timeout"));
        client.give_up();
    });
    gate.open();
}

/// The time for a whole request ends it, wherever it is.
#[test]
fn the_whole_request_has_its_time() {
    let backend = Backend::script(|session| {
        while let Some(request) = session.request()? {
            if request.target == "/drip" {
                session.send("HTTP/1.1 200 OK\r\n\r\n")?;
                while session.send("x").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
        Ok(())
    });
    let aya = front_with("", "timeouts: {request: 1s}", "ejection: off", &[&backend]);
    let response = aya.get("/silent");
    assert_eq!((response.status, response.reason()), (504, "request-timeout"));
    let mut client = aya.client();
    client.send("GET /drip HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    client.expect_broken_body(&head);
    wait_until("both failures to be counted", || failures(&aya, "request-timeout") > 1.5);
}

/// A connection that is not made in time: 504, or the next endpoint.
#[test]
fn connecting_has_its_time() {
    let full = FullPort::new();
    let pool = "timeouts: {connect: 300ms}, ejection: off";
    let aya = Aya::start(&config_of("", "", pool, &full.to_string()));
    let response = aya.get("/");
    assert_eq!((response.status, response.reason()), (504, "connect-timeout"));
    let backend = Backend::echo("a");
    let aya = Aya::start(&config_of("", "", pool, &format!("{full}, {backend}")));
    for _ in 0..4 {
        assert_eq!(aya.get("/").status, 200);
    }
}

/// Heads, fields and targets that are too large are refused by name, and the connection is closed.
#[test]
fn large_request_heads_are_refused() {
    let backend = Backend::echo("a");
    let aya = front_with("limits: {head: 8KiB, fields: 20, target: 1KiB}", "", "", &[&backend]);
    let many: String = (0..30).map(|n| format!("X-{n}: 1\r\n")).collect();
    let cases = [
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(10_000)), 431, "head-too-large"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431, "head-too-large"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2000)), 414, "target-too-long"),
        (format!("GET /{}", "x".repeat(100_000)), 414, "target-too-long"),
    ];
    for (bytes, status, reason) in cases {
        let mut client = aya.client();
        client.offer(&bytes);
        let response = client.response();
        assert_eq!((response.status, response.reason()), (status, reason), "{}", &bytes[..40]);
        client.expect_close();
    }
    assert_eq!(backend.request_count(), 0);
    let fits = format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1000), "x".repeat(6000));
    let mut client = aya.client();
    client.send(fits);
    assert_eq!(client.response().status, 200);
}

/// A response head that is too large is not passed on; a large one that fits is.
#[test]
fn large_response_heads_are_refused() {
    let backend = Backend::answering(|request| {
        let size: usize = request.target[1..].parse().expect("the path is a number");
        answer(200, &[&format!("x-large: {}", "x".repeat(size))], "ok")
    });
    let aya = front_with("", "", "limits: {head: 16KiB}", &[&backend]);
    assert_eq!(aya.get("/15000").status, 200);
    let response = aya.get("/17000");
    assert_eq!((response.status, response.reason()), (502, "response-head-too-large"));
}

/// Connections over the limit wait until another ends; those inside are not disturbed.
#[test]
fn connections_over_the_limit_wait() {
    let backend = Backend::echo("a");
    let aya = front_with("max-connections: 2", "", "", &[&backend]);
    let mut inside: Vec<_> = (0..2).map(|_| aya.client()).collect();
    inside.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    let mut waiting = aya.client();
    waiting.send("GET /waited HTTP/1.1\r\nHost: a\r\n\r\n");
    waiting.expect_silence(Duration::from_millis(200));
    inside.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    drop(inside);
    assert_eq!(waiting.response().json()["target"], "/waited");
}

/// However many clients come, no more are taken in than there are files for: those are served, the others wait, and the admin port answers.
#[test]
fn clients_beyond_the_limit_of_files_wait() {
    let backend = Backend::echo("a");
    let mut aya = front(&[&backend]);
    aya.limit_files(400);
    let generation = aya.generation();
    aya.rewrite(&crate::config("", "timeouts: {request: 61s}", "", &[&backend]));
    aya.signal(Signal::HUP);
    wait_until("the limit to be known", || aya.generation() > generation);
    let limit = aya.metrics().sum("aya_connections_limit", &[]);
    assert!((100.0..150.0).contains(&limit), "{limit}");
    std::thread::scope(|scope| {
        for _ in 0..300 {
            scope.spawn(|| {
                let mut client = aya.client();
                assert_eq!(client.get("/").status, 200);
                std::thread::sleep(SHORT);
            });
        }
        let held = || aya.metrics().sum("aya_connections_held_total", &[]);
        wait_until("clients to wait", || held() > 0.5);
    });
    assert!(failures(&aya, "overloaded") < 0.5);
    aya.wait_for_line("all connections of the listener are in use");
}

/// Without limits of the play's own, ordinary slowness is fine: the defaults are generous.
#[test]
fn defaults_are_generous() {
    let backend = Backend::answering(|_| {
        std::thread::sleep(Duration::from_millis(1200));
        answer(200, &[], "slow")
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("GET / HTT");
    std::thread::sleep(Duration::from_millis(500));
    client.send("P/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "slow");
}

/// A client that has gone away frees its endpoint soon, and nobody blames the endpoint.
#[test]
fn abandoned_requests_are_given_up() {
    let backend = silent();
    let aya = front_with("timeouts: {half-close: 200ms}", "", "", &[&backend]);
    for _ in 0..6 {
        let mut client = aya.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let held = backend.request_count();
        wait_until("the request to arrive", || backend.request_count() >= held.max(1));
        client.give_up();
    }
    wait_until("the requests to be given up", || failures(&aya, "client-closed") > 5.5);
    wait_until("the endpoint to be free", || aya.metrics().sum("aya_endpoint_requests_in_flight", &[]) < 0.5);
    assert_eq!(aya.metrics().sum("aya_endpoint_state", &[("state", "ejected")]).to_bits(), 0_f64.to_bits());
}

/// A client that stops sending and waits still gets its answer, if that does not take too long.
#[test]
fn a_client_that_only_stops_sending_gets_its_answer() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.half_close();
    assert_eq!(client.response().status, 200);
}

/// Servers that have waited long enough for the rest of a request close the connection. That is not held against them.
#[test]
fn servers_that_do_not_wait_for_slow_clients_are_not_ejected() {
    let impatient = || {
        Backend::script(|session| {
            session.request_head()?;
            session.exactly("half".len())?;
            std::thread::sleep(SHORT);
            Ok(())
        })
    };
    let backends = [impatient(), impatient(), impatient()];
    let all: Vec<_> = backends.iter().collect();
    let aya = front_with("", "", "ejection: {consecutive-failures: 2, for: 1m}", &all);
    for number in 0..8 {
        let mut client = aya.client();
        let method = if number % 2 == 0 { "PUT" } else { "POST" };
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf"));
        let response = client.response();
        assert_eq!((response.status, response.reason()), (502, "upstream-closed"));
    }
    let ejected = aya.metrics().sum("aya_endpoint_transitions_total", &[("to", "ejected")]);
    assert!(ejected < 0.5, "a server was ejected for slow clients");
}

/// Clients that use up the time of their requests cannot have healthy endpoints ejected, and are not given more time elsewhere.
#[test]
fn slow_clients_do_not_eject_endpoints() {
    let backends = [Backend::echo("a"), Backend::echo("b")];
    let aya = front_with(
        "",
        "timeouts: {request: 300ms}",
        "ejection: {consecutive-failures: 2, for: 1m}",
        &[&backends[0], &backends[1]],
    );
    for _ in 0..6 {
        let mut client = aya.client();
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf");
        let response = client.response();
        assert_eq!((response.status, response.reason()), (408, "request-body-timeout"), "it is the client's");
    }
    let attempts = aya.metrics().sum("aya_upstream_requests_total", &[]);
    assert!(attempts < 6.5, "{attempts} attempts for six requests");
    for _ in 0..4 {
        assert_eq!(aya.get("/").status, 200);
    }
    assert_eq!(aya.metrics().sum("aya_endpoint_state", &[("state", "ejected")]).to_bits(), 0_f64.to_bits());
}
