//! What comes before or instead of an ordinary answer: 1xx, early answers, upgrades.

use std::sync::Arc;
use std::time::Duration;

use base_testkit::{Aya, Backend, Gate, Signal, answer, wait_for, wait_until};

use crate::{config, front, front_with, noise};

const EXPECT: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: play\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: play\r\n\r\n";

/// A client that waits for 100 gets the backend's, then sends its body, then gets the answer.
#[test]
fn a_backend_says_continue() {
    let backend = Backend::script(|session| {
        while let Some(mut request) = session.request_head()? {
            assert_eq!(request.header("expect"), Some("100-continue"));
            session.send("HTTP/1.1 100 Continue\r\n\r\n")?;
            session.request_body(&mut request)?;
            session.send(answer(200, &[], request.body))?;
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for _ in 0..3 {
        client.send(EXPECT);
        assert_eq!(client.response().status, 100);
        client.send("hello");
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    }
}

/// A backend that refuses before it has read the body: the client gets the refusal, and no 100.
#[test]
fn a_backend_refuses_instead_of_continuing() {
    let backend = Backend::script(|session| {
        session.request_head()?;
        session.send(answer(403, &["connection: close"], "no"))
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send(EXPECT);
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
    // The body that was never sent must not be taken for a request, nor a request for that body.
    if client.offer("helloGET /after HTTP/1.1\r\nHost: a\r\n\r\n")
        && let Ok(next) = client.try_response()
    {
        assert_eq!(next.status, 403);
    }
    assert!(backend.requests().iter().all(|request| request.target == "/" || request.target == "/after"));
}

/// A client may send its body at once although it expects 100, and a backend may answer without ever saying 100.
#[test]
fn nobody_has_to_wait_for_continue() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for _ in 0..3 {
        client.send(format!("{EXPECT}hello"));
        let mut response = client.response();
        if response.status == 100 {
            response = client.response();
        }
        assert_eq!((response.status, response.json()["length"].as_u64()), (200, Some(5)));
    }
}

/// Where Aya answers by itself, nobody is told to go on: the body is not wanted.
#[test]
fn own_answers_do_not_say_continue() {
    let backend = Backend::echo("a");
    let aya = front_with("", "match: {path: /known}", "", &[&backend]);
    let mut client = aya.client();
    client.send(EXPECT);
    let response = client.response();
    assert_eq!((response.status, response.reason()), (404, "no-route"));
    if response.keeps_alive() {
        client.send("helloGET /known HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().json()["target"], "/known");
    } else {
        client.half_close();
        client.expect_close();
    }
}

/// A tunnel outlives changes of the configuration, and is ended when the drain time is over.
#[test]
fn tunnels_outlive_reloads() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.send(SWITCHING)?;
        while let Ok(byte) = session.exactly(1) {
            session.send(byte)?;
        }
        Ok(())
    });
    let mut aya = Aya::start(&format!("drain: 500ms\n{}", config("", "", "", &[&backend])));
    let mut client = aya.client();
    client.send(UPGRADE);
    assert_eq!(client.response().status, 101);
    let before = aya.generation();
    aya.rewrite(&format!(
        "drain: 500ms\n{}",
        config("", "match: {path: /other}", "balance: random", &[&backend])
    ));
    aya.wait_for_generation_after(before);
    client.send("x");
    assert_eq!(client.exactly(1).expect("the echo"), b"x");
    aya.signal(Signal::TERM);
    client.expect_close();
    assert_eq!(aya.wait(Duration::from_secs(10)).code, Some(0));
}

/// An expectation that nobody knows is answered with 417.
#[test]
fn other_expectations_fail() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.reason()), (417, "expectation-failed"));
    assert_eq!(backend.request_count(), 0);
}

/// In HTTP/1.0 an expectation means nothing: it is neither refused nor waited for nor passed on.
#[test]
fn an_old_clients_expectation_means_nothing() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    for expectation in ["100-continue", "miracles"] {
        let mut client = aya.client();
        client.send(format!(
            "POST / HTTP/1.0\r\nHost: a\r\nExpect: {expectation}\r\nContent-Length: 5\r\n\r\nhello"
        ));
        assert_eq!(client.response().status, 200, "{expectation}");
        let request = backend.only_request();
        assert_eq!((request.header("expect"), request.body.as_slice()), (None, &b"hello"[..]));
        backend.forget();
    }
}

/// Interim answers pass, with their fields and before the final one; an HTTP/1.0 client gets none.
#[test]
fn early_hints_pass() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::script(move |session| {
        while session.request()?.is_some() {
            session.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")?;
            session.send("HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n")?;
            cue.pass();
            session.send(answer(200, &[], "page"))?;
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    let first = client.get("/");
    assert_eq!((first.status, first.header("link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(client.response().header("link"), Some("</b.css>; rel=preload"));
    gate.open();
    assert_eq!(client.response().text(), "page");
    let mut old = aya.client();
    old.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(old.response().text(), "page");
}

/// A final answer that comes in one piece with an interim one is timed like any other.
#[test]
fn answers_right_behind_early_hints_are_timed() {
    let backend = Backend::script(|session| {
        while session.request()?.is_some() {
            let both =
                [&b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"[..], &answer(200, &[], "page")];
            session.send(both.concat())?;
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    assert_eq!(client.get("/").status, 103);
    assert_eq!(client.response().text(), "page");
    let times = wait_for("the request to be remembered", || {
        let found = aya.admin("GET", "/api/v1/decisions", "").json();
        let time = |value: &serde_json::Value| value.as_f64().expect("a number");
        let found = found.get(0)?;
        Some((time(&found["attempts"][0]["first_byte_ms"]), time(&found["total_ms"])))
    });
    assert!(times.0 <= times.1, "{times:?}");
}

/// An endless row of interim answers is not an answer: it ends with an error instead of holding the client for ever.
#[test]
fn endless_interim_answers_end() {
    let backend = Backend::script(|session| {
        session.request()?;
        loop {
            session.send("HTTP/1.1 102 Processing\r\n\r\n")?;
        }
    });
    let aya = front_with("", "timeouts: {request: 2s}", "", &[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let last = loop {
        match client.try_response() {
            Ok(response) if response.status == 102 => {}
            Ok(response) => break response.status,
            Err(_) => break 0,
        }
    };
    assert!(matches!(last, 0 | 502 | 504), "{last}");
}

/// A final answer that comes while the body still flows reaches the client at once, and does no harm to what follows.
#[test]
fn an_early_answer_overtakes_the_body() {
    let backend = Backend::script(|session| {
        session.request_head()?;
        session.send(answer(413, &["connection: close"], "too much"))?;
        // A polite server reads on for a while, so that its answer is not lost to a reset.
        session.drain().map(drop).or(Ok(()))
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    client.send(noise(100_000, 3));
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "too much"));
    // Not all of the body was sent: the connection cannot carry another request.
    assert!(!response.keeps_alive() || client.offer(noise(1000, 4)));
    assert_eq!(aya.get("/").status, 413);
}

/// An endpoint that answers early and keeps its connection reads the rest: it is passed on, and both connections stay.
#[test]
fn after_an_early_answer_the_rest_is_passed_on() {
    let backend = Backend::script(|session| {
        while let Some(head) = session.request_head()? {
            session.send(answer(200, &[], "early"))?;
            let length = head.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            session.exactly(length)?;
        }
        Ok(())
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
        client.send(noise(100_000, 3));
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "early"));
        assert!(response.keeps_alive());
        client.send(noise(200_000, 4));
    }
    assert_eq!(client.get("/").status, 200);
    assert_eq!(backend.connection_count(), 1);
}

/// A body that an endpoint may not expect, and may take for a request of its own, is the last on its connection.
#[test]
fn a_body_where_none_belongs_ends_the_connection() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    for (number, method) in ["GET", "DELETE", "GET"].iter().enumerate() {
        let mut client = aya.client();
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\nGET /admin HTTP/1.1\r\nx: y\r\n"
        ));
        assert_eq!(client.response().status, 200);
        assert_eq!(backend.connection_count(), number + 1);
    }
    // All others share one on each worker.
    (0..10).for_each(|_| assert_eq!(aya.get("/").status, 200));
    assert!(backend.connection_count() <= 3 + 2, "{}", backend.connection_count());
}

/// An early answer by a backend that closes at once, with body bytes under way, still reaches the client.
#[test]
fn an_early_answer_survives_the_reset_behind_it() {
    let backend = Backend::script(|session| {
        session.request_head()?;
        session.send(answer(413, &["connection: close"], "too much"))
    });
    let aya = front(&[&backend]);
    for _ in 0..10 {
        let mut client = aya.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
        let sent = client.offer(noise(50_000, 3));
        let response = client.response();
        // The reset may overtake the answer in Aya's kernel; then the failure is named.
        assert!(matches!(response.status, 413 | 502), "{} (all sent: {sent})", response.status);
    }
}

/// After 101 bytes flow both ways as they come, and a half-close passes through.
#[test]
fn an_upgrade_becomes_a_tunnel() {
    let backend = Backend::script(|session| {
        let request = session.request()?.expect("a request comes");
        assert_eq!(request.header("upgrade"), Some("play"));
        assert!(request.fields.lists("connection", "upgrade"));
        session.send(format!("{SWITCHING}first"))?;
        assert_eq!(session.exactly(4)?, b"ping");
        session.send("pong")?;
        let rest = session.rest()?;
        session.send(format!("{} bytes", rest.len()))
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send(UPGRADE);
    let response = client.response();
    assert_eq!((response.status, response.header("upgrade")), (101, Some("play")));
    assert!(response.fields.lists("connection", "upgrade"));
    assert_eq!(client.exactly(5).expect("bytes that came with the 101"), b"first");
    client.send("ping");
    assert_eq!(client.exactly(4).expect("an answer"), b"pong");
    client.send(vec![b'x'; 1_000_000]);
    client.half_close();
    assert_eq!(client.rest().expect("the last words"), b"1000000 bytes");
}

/// Bytes that a client sends before 101 do not flow until the backend has agreed.
#[test]
fn bytes_flow_only_after_the_switch() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::script(move |session| {
        session.request()?;
        assert!(session.is_silent_for(Duration::from_millis(200)), "bytes came before 101");
        cue.pass();
        session.send(SWITCHING)?;
        let early = session.exactly(5)?;
        session.send(early)
    });
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send(format!("{UPGRADE}early"));
    wait_until("the request to arrive", || backend.request_count() == 1);
    gate.open();
    assert_eq!(client.response().status, 101);
    assert_eq!(client.exactly(5).expect("the echo"), b"early");
}

/// A refused upgrade stays HTTP: the answer passes, and what follows on the connection is a request.
#[test]
fn a_refused_upgrade_stays_http() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send(format!("{UPGRADE}GET /next HTTP/1.1\r\nHost: a\r\n\r\n"));
    let response = client.response();
    assert_eq!((response.status, response.json()["target"].as_str()), (200, Some("/chat")));
    assert_eq!(client.response().json()["target"], "/next");
    assert_eq!(backend.requests().len(), 2);
}

/// `Upgrade` that `Connection` does not name is not an upgrade and is not passed on.
#[test]
fn an_upgrade_must_be_named() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let response = aya.client().get_with("/", "Upgrade: play\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(backend.only_request().header("upgrade"), None);
}

/// An upgrade to HTTP/2 or TLS is not passed on: what flows in such a tunnel would pass every route by.
#[test]
fn upgrades_past_the_routes_are_not_passed_on() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
    ] {
        assert_eq!(client.get_with("/", lines).status, 200, "{lines:?}");
    }
    assert!(backend.requests().iter().all(|request| {
        request.header("upgrade").is_none() && request.header("http2-settings").is_none()
    }));
}

/// A tunnel through which nothing flows ends after the idle time; one through which something flows does not.
#[test]
fn an_idle_tunnel_ends() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.send(SWITCHING)?;
        while let Ok(byte) = session.exactly(1) {
            session.send(byte)?;
        }
        Ok(())
    });
    let aya = front_with("timeouts: {idle: 1500ms}", "", "", &[&backend]);
    let mut client = aya.client();
    client.send(UPGRADE);
    assert_eq!(client.response().status, 101);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(400));
        client.send("x");
        assert_eq!(client.exactly(1).expect("the echo"), b"x");
    }
    client.expect_close();
    wait_until("the backend to see the end", || backend.open_connections() == 0);
}
