//! Heads without end, and heads at and just above every limit.

use std::io::Write;

use base_testkit::{Aya, Backend, Client, answer};

use super::{STATE_BYTES, Siege, crowd};
use crate::vitals::wait_long;

/// The limits that are tried; small, so that each is met by itself.
const HEAD: usize = 8 * 1024;
const FIELDS: usize = 20;
const TARGET: usize = 1024;
const LIMITS: &str = "limits: {head: 8KiB, fields: 20, target: 1KiB}";

/// A head of exactly so many bytes, its empty line included.
fn head_of(bytes: usize) -> String {
    let (start, end) = ("GET / HTTP/1.1\r\nHost: a\r\nX-Long: ", "\r\n\r\n");
    format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
}

/// A head with exactly so many fields, `Host` among them.
fn fields_of(count: usize) -> String {
    let more: String = (1..count).map(|number| format!("X-{number}: 1\r\n")).collect();
    format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n")
}

/// A head with a target of exactly so many bytes.
fn target_of(bytes: usize) -> String {
    format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(bytes - 1))
}

/// What a head is answered: in one piece, and byte by byte.
fn outcomes(aya: &Aya, head: &str) -> [(u16, String); 2] {
    let answer_of = |mut client: Client| {
        let response = client.try_response().unwrap_or_default();
        (response.status, response.reason().to_owned())
    };
    let mut whole = aya.client();
    whole.offer(head);
    let mut dripped = aya.client();
    let _ = head.as_bytes().chunks(97).all(|piece| dripped.offer(piece));
    [answer_of(whole), answer_of(dripped)]
}

/// At each limit a head passes; one byte or one field more, and it is refused by name. In which pieces it comes does not matter.
#[test]
fn heads_at_and_above_every_limit() {
    let backend = Backend::echo("a");
    let siege = Siege::lay(LIMITS, "", "", &[&backend]);
    let served = [(200, String::new()), (200, String::new())];
    let refused = |status, reason: &str| [(status, reason.to_owned()), (status, reason.to_owned())];
    let cases = [
        ("head", head_of(HEAD), head_of(HEAD + 1), refused(431, "head-too-large")),
        ("fields", fields_of(FIELDS), fields_of(FIELDS + 1), refused(431, "head-too-large")),
        ("target", target_of(TARGET), target_of(TARGET + 1), refused(414, "target-too-long")),
    ];
    for (what, at, above, refusal) in cases {
        assert_eq!(outcomes(&siege.aya, &at), served, "at the limit of {what}");
        assert_eq!(outcomes(&siege.aya, &above), refusal, "above the limit of {what}");
    }
    assert_eq!(backend.request_count(), 6, "only what is within the limits is passed on");
    siege.lift(
        "a head of exactly `limits.head`, `limits.fields`, `limits.target` passes; one byte or field more is refused by name",
        file!(),
        12 * (16 * 1024 + STATE_BYTES),
        "12 connections of 16 KiB and 4 KiB of state",
    );
}

/// At the largest head that can be configured: it passes whole, and one byte more does not.
#[test]
fn the_largest_head_there_can_be() {
    let backend = Backend::answering(|request| answer(200, &[], request.raw_head.len().to_string()));
    let siege = Siege::lay("limits: {head: 256KiB, fields: 10000}", "", "", &[&backend]);
    let largest = 256 * 1024;
    for _ in 0..8 {
        let mut client = siege.aya.client();
        client.send(head_of(largest));
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.text().parse::<usize>().expect("a number") >= largest, "it came whole");
    }
    let [whole, dripped] = outcomes(&siege.aya, &head_of(largest + 1));
    assert_eq!((whole.0, dripped.0), (431, 431));
    let [many, _] = outcomes(&siege.aya, &fields_of(10_000));
    assert_eq!(many.0, 200, "ten thousand fields, if that is what is wanted");
    siege.lift(
        "heads of 256 KiB and of 10,000 fields pass where they are allowed",
        file!(),
        8 * 8 * 256 * 1024,
        "8 heads of 256 KiB, each read, parsed, edited, written out and kept for a moment",
    );
}

/// Heads and trailer sections that never end are cut at their limit, on many connections at once: none holds more than the limit.
#[test]
fn endless_heads() {
    let backend = Backend::script(|session| {
        session.request()?;
        Ok(())
    });
    let siege = Siege::lay("limits: {head: 64KiB}, timeouts: {request-head: 5s}", "", "", &[&backend]);
    let count = 200;
    let mut crowd = crowd(&siege.aya, count);
    let endings = [
        "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET /",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ];
    for (stream, start) in crowd.iter_mut().zip(endings.iter().cycle()) {
        let _ = stream.set_write_timeout(Some(std::time::Duration::from_millis(50)));
        drop(stream.write_all(start.as_bytes()));
    }
    let piece = "Endless: yes\r\n".repeat(500);
    let plain = "x".repeat(7_000);
    // Far above every limit; Aya answers and closes while this is under way.
    for _ in 0..30 {
        for (index, stream) in crowd.iter_mut().enumerate() {
            drop(stream.write_all(if index % 5 == 1 { &piece } else { &plain }.as_bytes()));
        }
    }
    let failures = |reason: &str| siege.aya.metrics().sum("aya_failures_total", &[("reason", reason)]);
    let refused = || ["head-too-large", "target-too-long", "bad-request"].map(failures).iter().sum::<f64>();
    wait_long("all of them to be refused", || refused() > count as f64 - 0.5);
    drop(crowd);
    siege.lift(
        "200 clients that send heads, targets, trailers and chunk extensions without end are refused at the limit",
        file!(),
        count as u64 * (64 * 1024 + 64 * 1024 + STATE_BYTES),
        "200 connections of 64 KiB of head, 64 KiB of what is read after the refusal, 4 KiB of state",
    );
}
