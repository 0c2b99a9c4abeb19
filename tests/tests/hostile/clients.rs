//! Clients that are slow on purpose, and a great many at once.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base_testkit::{Backend, Client, Signal, Stopwatch};

use super::{GRACE, STATE_BYTES, Siege, crowd};
use crate::noise;
use crate::vitals::wait_long;

/// Enough to hurt a server that has a thread or a large buffer for each.
const SLOW: usize = 300;
/// Between two bytes of a slow client: far less than any time without progress.
const DRIP: Duration = Duration::from_millis(50);
/// What became of a connection that drips.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Open,
    Gone,
}

/// Sends or reads a little on each connection again and again, until Aya has ended all of them, soon after their time is over; gives how
/// long that took.
fn drip_until_gone(
    crowd: &mut [TcpStream],
    time: Duration,
    step: impl Fn(&mut TcpStream) -> Fate,
) -> Duration {
    let watch = Stopwatch::start();
    let mut fates = vec![Fate::Open; crowd.len()];
    while fates.contains(&Fate::Open) {
        assert!(watch.elapsed() < time + GRACE, "slow clients are not let go");
        for (stream, fate) in crowd.iter_mut().zip(&mut fates).filter(|(_, fate)| **fate == Fate::Open) {
            *fate = step(stream);
        }
        std::thread::sleep(DRIP);
    }
    watch.elapsed()
}

/// Whether Aya still listens: it has not closed, whatever it has said. Reads what there is, at most `taste` bytes.
fn look(stream: &mut TcpStream, taste: usize) -> Fate {
    let _ = stream.set_nonblocking(true);
    let read = stream.read(&mut vec![0; taste]);
    let _ = stream.set_nonblocking(false);
    match read {
        Ok(0) => Fate::Gone,
        Err(error) if error.kind() != ErrorKind::WouldBlock => Fate::Gone,
        _ => Fate::Open,
    }
}

/// Sends a few bytes, and looks whether anybody is there to take them.
fn drip(stream: &mut TcpStream, bytes: &[u8]) -> Fate {
    match stream.write_all(bytes) {
        Ok(()) => look(stream, 4096),
        Err(_) => Fate::Gone,
    }
}

/// Slowloris, heads: 300 clients that send their heads byte by byte are let go when their time is over, however they drip.
#[test]
fn slow_heads() {
    let backend = Backend::echo("a");
    let siege = Siege::lay("timeouts: {request-head: 1s}", "", "", &[&backend]);
    let mut crowd = crowd(&siege.aya, SLOW);
    crowd.iter_mut().for_each(|stream| drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")));
    let took = drip_until_gone(&mut crowd, Duration::from_secs(1), |stream| drip(stream, b"x"));
    assert!(took > Duration::from_millis(500), "a second is not over: {took:?}");
    assert_eq!(backend.request_count(), 0);
    siege.lift(
        "300 clients that drip their heads are let go when `request-head` is over",
        file!(),
        SLOW as u64 * (4096 + STATE_BYTES),
        &format!("300 connections of 4 KiB of head and 4 KiB of state; 1 s, the last gone after {took:.1?}"),
    );
}

/// Slowloris, bodies: a body that gets on byte by byte is not cut off by the time without progress; the time of the whole request
/// is what ends it.
#[test]
fn slow_bodies() {
    let backend = Backend::script(|session| {
        session.request()?;
        Ok(())
    });
    let siege = Siege::lay(
        "timeouts: {body-progress: 500ms}",
        "timeouts: {request: 2s}",
        "connections: {max: 1024}",
        &[&backend],
    );
    let mut crowd = crowd(&siege.aya, SLOW);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    crowd.iter_mut().for_each(|stream| drop(stream.write_all(head.as_bytes())));
    let took = drip_until_gone(&mut crowd, Duration::from_secs(2), |stream| drip(stream, b"x"));
    assert!(took > Duration::from_secs(1), "drips count as progress: {took:?}");
    siege.lift(
        "300 clients that drip their bodies hold a place no longer than the route's `timeouts.request` says (a byte within each \
         `body-progress` is enough until then)",
        file!(),
        SLOW as u64 * (4 * 4096 + STATE_BYTES),
        &format!("300 exchanges of 16 KiB and 4 KiB of state; 2 s, the last gone after {took:.1?}"),
    );
}

/// Of an answer that no kernel takes off Aya's hands: more than what the buffers of both its ends grow to.
const LARGE_BYTES: usize = 64 << 20;

/// What filling the buffers of a hundred such clients may take.
const FILLING: Duration = Duration::from_secs(20);

/// A backend whose answers are large.
fn generous() -> Backend {
    Backend::script(|session| {
        let piece = vec![b'x'; 1 << 20];
        while session.request()?.is_some() {
            session.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE_BYTES}\r\n\r\n"))?;
            for _ in 0..LARGE_BYTES / piece.len() {
                session.send(&piece)?;
            }
        }
        Ok(())
    })
}

/// Slow readers: clients that take a large answer by the spoonful are ended by the time of the whole request.
#[test]
fn slow_readers() {
    let backend = generous();
    let siege = Siege::lay(
        "timeouts: {send-progress: 500ms}",
        "timeouts: {request: 3s}",
        "connections: {max: 1024}",
        &[&backend],
    );
    let count = 100;
    let mut crowd = crowd(&siege.aya, count);
    crowd.iter_mut().for_each(|stream| drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    // Whoever does not read sees no end: the end is that Aya has none of them any more.
    let watch = Stopwatch::start();
    let open = || siege.aya.metrics().sum("aya_connections_open", &[]);
    while open() > 3.0 {
        assert!(watch.elapsed() < Duration::from_secs(3) + GRACE, "slow readers are not let go");
        for stream in &mut crowd {
            let _ = look(stream, 512);
        }
        std::thread::sleep(DRIP);
    }
    let took = watch.elapsed();
    siege.lift(
        "100 clients that read 64 MiB by 512 bytes hold a place no longer than the route's `timeouts.request` says, or \
         `send-progress` when their windows stay shut",
        file!(),
        count as u64 * (256 * 1024 + 16 * 1024 + STATE_BYTES),
        &format!("100 buffers of 256 KiB, 16 KiB of exchange, 4 KiB of state; 3 s, the last gone after {took:.1?}"),
    );
}

/// Clients that ask for much and never read are ended when nothing has gone out for `send-progress`, and their endpoints are freed.
#[test]
fn clients_that_never_read() {
    let backend = generous();
    let siege = Siege::lay("timeouts: {send-progress: 500ms}", "", "connections: {max: 1024}", &[&backend]);
    let count = 100;
    let mut crowd = crowd(&siege.aya, count);
    // Asking again and again while not reading: pipelined requests wait in the kernel, not in memory.
    let many = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
    crowd.iter_mut().for_each(|stream| drop(stream.write_all(many.as_bytes())));
    let ended = || siege.aya.metrics().sum("aya_failures_total", &[("reason", "client-send-timeout")]);
    let watch = Stopwatch::start();
    wait_long("all of them to be let go", || ended() > count as f64 - 0.5);
    wait_long("the endpoint to be freed", || backend.open_connections() == 0);
    let took = watch.elapsed();
    assert!(took < FILLING + Duration::from_millis(500) + GRACE, "they are let go late: {took:?}");
    siege.lift(
        "100 clients that pipeline requests for 64 MiB each and never read are let go after `send-progress`",
        file!(),
        count as u64 * (256 * 1024 + 64 * 1024 + 16 * 1024 + STATE_BYTES),
        &format!(
            "100 buffers of 256 KiB down and 64 KiB up, 16 KiB of exchange, 4 KiB of state; 500 ms after their windows are full, the last \
             gone after {took:.1?}"
        ),
    );
}

/// 10,000 requests whose heads never end: each costs 4 KiB and its state, and all of them go when their time is over.
#[test]
fn ten_thousand_half_open_heads() {
    let backend = Backend::echo("a");
    let listener = "max-connections: 16384, timeouts: {request-head: 10s}";
    let siege = Siege::lay(listener, "", "", &[&backend]);
    let mut crowd = crowd(&siege.aya, 10_000);
    let part = format!("GET /half HTTP/1.1\r\nHost: a\r\nX-Half: {}", "x".repeat(2_000));
    crowd.iter_mut().for_each(|stream| drop(stream.write_all(part.as_bytes())));
    let count = crowd.len();
    let open = || siege.aya.metrics().sum("aya_connections_open", &[]);
    wait_long("all of them to be there", || open() > count as f64 - 0.5);
    // Another byte each: the storage must not grow with the number of pieces.
    crowd.iter_mut().for_each(|stream| drop(stream.write_all(b"x")));
    let watch = Stopwatch::start();
    wait_long("all of them to be let go", || open() < 3.0);
    let took = watch.elapsed();
    assert!(took < Duration::from_secs(10) + GRACE, "they are let go late: {took:?}");
    let timed_out = siege.aya.metrics().sum("aya_failures_total", &[("reason", "request-head-timeout")]);
    assert!(timed_out > count as f64 - 0.5, "{timed_out} of {count}");
    assert_eq!(backend.request_count(), 0);
    siege.lift(
        "10,000 half-open requests are held, and let go when `request-head` is over",
        file!(),
        count as u64 * (4096 + STATE_BYTES),
        &format!(
            "{count} connections of 4 KiB of head and 4 KiB of state; 10 s, the last gone {took:.1?} after all had come"
        ),
    );
}

/// A half-open crowd does not hold up the end: SIGTERM drains as if it were not there.
#[test]
fn a_half_open_crowd_does_not_hold_up_the_end() {
    let backend = Backend::echo("a");
    let mut aya = crate::front_with("timeouts: {request-head: 60s}", "", "", &[&backend]);
    let mut crowd = crowd(&aya, 500);
    crowd.iter_mut().for_each(|stream| drop(stream.write_all(b"GET / HT")));
    let open = || aya.metrics().sum("aya_connections_open", &[]);
    wait_long("all of them to be there", || open() > 499.5);
    aya.signal(Signal::TERM);
    let ended = aya.wait(Duration::from_secs(10));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// Bodies in chunks of one byte pass whole, both ways; they cost time, not memory.
#[test]
fn one_byte_chunks() {
    let body = noise(50_000, 7);
    let small = crate::chunked(&body, 1, "");
    let down = small.clone();
    let backend = Backend::script(move |session| {
        while let Some(request) = session.request()? {
            assert_eq!(request.body, noise(50_000, 7), "the endpoint got something else");
            session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            session.send(&down)?;
        }
        Ok(())
    });
    let siege = Siege::lay("", "", "", &[&backend]);
    let before = siege.aya.cpu_time();
    let count = 8;
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let mut client = siege.aya.client();
                let mut writer: Client = client.split();
                let response = std::thread::scope(|inner| {
                    inner.spawn(|| {
                        writer.offer("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                        writer.offer(&small);
                    });
                    client.response()
                });
                assert!(response.body == body, "the client got something else");
            });
        }
    });
    let spent = siege.aya.cpu_time() - before;
    let each = spent.as_nanos() / (2 * count * body.len() as u128);
    siege.lift(
        "8 clients and their backends that send 50,000 chunks of one byte each way are served, every byte right",
        file!(),
        count as u64 * (2 * 256 * 1024 + 128 * 1024 + STATE_BYTES),
        &format!("8 times two buffers of 256 KiB and 2 × 64 KiB framed anew; {each} ns of CPU for a chunk"),
    );
}
