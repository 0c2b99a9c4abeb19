//! Clients that come in floods: connections that come and go, requests without end.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base_testkit::{Backend, Stopwatch, answer};

use super::{STATE_BYTES, Siege};
use crate::is_long;

/// How long a connection is waited for: when the kernel's queue overflows, the flood has a gap.
const GAP: Duration = Duration::from_secs(1);
/// Clients at once.
const FLOODERS: usize = 4;

/// Connections that are opened and thrown away, in every way, as fast as they can be made: each place is given back.
#[test]
fn connections_that_come_and_go() {
    let backend = Backend::answering(|request| answer(200, &[], &request.target));
    let siege = Siege::lay("timeouts: {half-close: 200ms}", "", "", &[&backend]);
    let (address, made) = (siege.aya.listener("web"), AtomicUsize::new(0));
    let time = Duration::from_secs(if is_long() { 30 } else { 3 });
    std::thread::scope(|scope| {
        for flooder in 0..FLOODERS {
            let made = &made;
            scope.spawn(move || {
                let watch = Stopwatch::start();
                for number in flooder.. {
                    if watch.elapsed() > time {
                        return;
                    }
                    // The system may be short of ports or places for a moment.
                    let Ok(mut stream) = TcpStream::connect_timeout(&address, GAP) else { continue };
                    made.fetch_add(1, Ordering::Relaxed);
                    match number % 5 {
                        0 => {}
                        1 => drop(stream.write_all(b"GET / HTTP/1.1\r\nHo")),
                        2 => drop(stream.write_all(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n")),
                        3 => drop(stream.shutdown(std::net::Shutdown::Write)),
                        _ => {
                            // Closed with an answer unread, which is a reset.
                            drop(stream.write_all(b"GET /reset HTTP/1.1\r\nHost: a\r\n\r\n"));
                            drop(stream.set_read_timeout(Some(GAP)));
                            drop(stream.peek(&mut [0]));
                        }
                    }
                }
            });
        }
    });
    let made = made.into_inner();
    assert!(made > 1_000, "{made} connections are no flood");
    siege.lift(
        "clients that open connections and throw them away as fast as they can, half a request on some, leave nothing behind",
        file!(),
        4096 * (64 * 1024 + STATE_BYTES) / 16,
        &format!("a backlog of 4,096 connections, one in 16 with a buffer of 64 KiB at a time; {made} were made"),
    );
}

/// Thousands of requests in one go, and their answers read at leisure: all are answered in order, and memory does not grow with
/// their number.
#[test]
fn pipelined_requests_without_end() {
    let backend = Backend::answering(|request| answer(200, &[], request.target.repeat(20)));
    let siege = Siege::lay("", "", "", &[&backend]);
    let count = if is_long() { 50_000 } else { 5_000 };
    std::thread::scope(|scope| {
        for flooder in 0..FLOODERS {
            let siege = &siege;
            scope.spawn(move || {
                let mut client = siege.aya.client();
                let mut writer = client.split();
                std::thread::scope(|inner| {
                    inner.spawn(move || {
                        for first in (0..count).step_by(100) {
                            let text: String = (first..first + 100)
                                .map(|number| format!("GET /{flooder}/{number} HTTP/1.1\r\nHost: a\r\n\r\n"))
                                .collect();
                            assert!(writer.offer(text), "Aya stopped reading");
                        }
                    });
                    for number in 0..count {
                        let response = client.response();
                        assert_eq!(response.text(), format!("/{flooder}/{number}").repeat(20));
                    }
                });
            });
        }
    });
    siege.lift(
        "clients that pipeline thousands of requests get every answer, in order",
        file!(),
        FLOODERS as u64 * (2 * 256 * 1024 + STATE_BYTES),
        &format!("two buffers of at most 256 KiB for each of {FLOODERS} clients with {count} requests"),
    );
}
