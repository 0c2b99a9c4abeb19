//! Probes against real servers: what passes, what fails, and in which words.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::sync::Arc;
use std::time::Duration;

use base_model::model::{BodyMatch, CheckKind, StatusRange};
use stage::{Answer, Server, check, endpoint, http, http_with, nobody, pool, soon, status, text};
use traffic_health::{Probe, Target, kinds};

fn probe(kind: CheckKind) -> Box<dyn Probe> {
    let check = check(kind);
    kinds::ALL.iter().find_map(|kind| kind.build(&check)).unwrap().unwrap()
}

/// What the probe makes of an answer.
async fn verdict(kind: CheckKind, answer: Answer) -> String {
    let server = Server::start(answer).await;
    let target = stage::target(server.address);
    match soon("a verdict", probe(kind).run(&target)).await {
        Ok(passed) => format!("passed: {passed}"),
        Err(failure) => format!("failed: {failure}"),
    }
}

async fn with_body(wanted: BodyMatch, answer: &str) -> String {
    verdict(http_with("GET", Some(wanted)), text(answer)).await
}

fn contains(wanted: &str) -> BodyMatch {
    BodyMatch::Contains(wanted.into())
}

#[tokio::test]
async fn statuses_are_judged() {
    assert_eq!(verdict(http(), status(200)).await, "passed: status 200");
    assert_eq!(verdict(http(), status(299)).await, "passed: status 299");
    assert_eq!(verdict(http(), status(503)).await, "failed: status 503, wanted 200-299");
    let CheckKind::Http { method, path, host, headers, body, .. } = http() else { panic!() };
    let statuses = vec![StatusRange { first: 200, last: 204 }, StatusRange { first: 304, last: 304 }];
    let kind = CheckKind::Http { method, path, host, headers, statuses, body };
    assert_eq!(verdict(kind.clone(), status(304)).await, "passed: status 304");
    assert_eq!(verdict(kind, status(302)).await, "failed: status 302, wanted 200-204, 304");
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let last = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(verdict(http(), text(&format!("{interim}{interim}{last}"))).await, "passed: status 204");
    let endless = verdict(http(), text(&interim.repeat(20))).await;
    assert_eq!(endless, "failed: broken answer: too many interim answers");
}

#[tokio::test]
async fn bodies_are_searched_whatever_their_framing() {
    let length = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\nstatus: green!";
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nstatus\r\n8\r\n: green!\r\n0\r\n\r\n";
    let until_close = "HTTP/1.0 200 OK\r\n\r\nstatus: green!";
    for answer in [length, chunked, until_close] {
        assert_eq!(with_body(contains("status: green"), answer).await, "passed: status 200");
        assert_eq!(with_body(contains("red"), answer).await, "failed: body without `red`");
        let regex = |pattern: &str| BodyMatch::Regex(pattern.into());
        assert_eq!(with_body(regex("gr[e]{2}n!$"), answer).await, "passed: status 200");
        let failed = with_body(regex("^green"), answer).await;
        assert_eq!(failed, "failed: body without a match of `^green`");
        // Text is text: no character in it is special.
        assert_eq!(with_body(contains("gr..n"), answer).await, "failed: body without `gr..n`");
    }
}

#[tokio::test]
async fn only_the_first_64_kib_of_a_body_count() {
    for (padding, expected) in [(65_531, "passed: status 200"), (65_532, "failed: body without `green`")] {
        let answer = format!("HTTP/1.1 200 OK\r\n\r\n{}green", "x".repeat(padding));
        assert_eq!(with_body(contains("green"), &answer).await, expected, "{padding}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_asked_for_is_not_waited_for() {
    let endless = text("HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\nx");
    assert_eq!(verdict(http(), endless.clone()).await, "passed: status 200");
    let broken_off = verdict(http_with("GET", Some(contains("x"))), endless).await;
    assert_eq!(broken_off, "failed: connection closed within the answer");
    // An answer to HEAD has no body, whatever its fields say.
    let head =
        verdict(http_with("HEAD", Some(contains("x"))), text("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"));
    assert_eq!(head.await, "failed: body without `x`");
}

#[tokio::test]
async fn what_is_not_http_is_a_failure() {
    for garbage in ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "\0\u{1}\u{2}garbage\r\n\r\n", "HTTP/1.1 2xx Huh\r\n\r\n"]
    {
        let verdict = verdict(http(), text(garbage)).await;
        assert!(verdict.starts_with("failed: broken answer: "), "{garbage:?}: {verdict}");
    }
    let endless_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    let verdict_of_head = verdict(http(), text(&endless_head)).await;
    assert!(verdict_of_head.starts_with("failed: broken answer: "), "{verdict_of_head}");
    assert_eq!(verdict(http(), text("")).await, "failed: connection closed before the answer");
    assert_eq!(verdict(http(), text("HTTP/1.1 200 O")).await, "failed: connection closed before the answer");
}

#[tokio::test]
async fn the_request_is_as_configured() {
    let server = Server::start(status(200)).await;
    let target = Target { authority: "10.0.0.1:8080".to_owned(), ..stage::target(server.address) };
    soon("an answer", probe(http()).run(&target)).await.unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /healthz HTTP/1.1\r\nhost: 10.0.0.1:8080\r\nuser-agent: aya-health/{version}\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(server.last(), expected);

    let kind = CheckKind::Http {
        method: "POST".into(),
        path: "/ready?full=1".into(),
        host: Some("shop.example.com".into()),
        headers: vec![("User-Agent".into(), "mine".into()), ("x-probe".into(), "1".into())],
        statuses: vec![StatusRange { first: 200, last: 200 }],
        body: None,
    };
    soon("an answer", probe(kind).run(&target)).await.unwrap();
    let expected = "POST /ready?full=1 HTTP/1.1\r\nhost: shop.example.com\r\ncontent-length: 0\r\n\
                    User-Agent: mine\r\nx-probe: 1\r\nconnection: close\r\n\r\n";
    assert_eq!(server.last(), expected);
}

#[tokio::test]
async fn tcp_asks_only_for_a_connection() {
    assert_eq!(verdict(CheckKind::Tcp, Answer::Hang).await, "passed: connected");
    let target = stage::target(nobody().await);
    for kind in [CheckKind::Tcp, http()] {
        let failure = soon("a verdict", probe(kind).run(&target)).await.unwrap_err();
        assert_eq!(failure.to_string(), "connect refused");
    }
}

#[tokio::test]
async fn a_pattern_that_cannot_be_used_fails_and_says_so() {
    let server = Server::start(status(200)).await;
    let unfit = check(http_with("GET", Some(BodyMatch::Regex("(".into()))));
    let stage = stage::Stage::new(&pool(vec![endpoint(server.address)], vec![unfit]));
    let told = stage.until_told(1).await;
    assert!(told[0].starts_with("unchecked>down: http check: the check cannot be run"), "{told:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_after_the_timeout() {
    let server = Server::start(Answer::Hang).await;
    let mut hanging = check(http());
    hanging.timeout = Duration::from_millis(20);
    let stage = stage::Stage::new(&pool(vec![endpoint(server.address)], vec![hanging]));
    assert_eq!(stage.until_told(1).await, ["unchecked>down: http check: timed out after 20ms"]);
    // The connection goes with the check.
    let open = Arc::clone(&server.open);
    soon("stop", stage.monitor.stop()).await;
    stage::until("the server is left alone", || open.load(std::sync::atomic::Ordering::SeqCst) == 0).await;
}
