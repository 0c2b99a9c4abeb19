//! Backends that do whatever a backend should not. The bystander's backend is another one, and must not be felt to have such company.

use std::time::Duration;

use base_testkit::{Backend, Response, Session, Stopwatch, WireError};

use super::{GRACE, STATE_BYTES, Siege};
use crate::vitals::wait_long;

/// Clients at once.
const CLIENTS: usize = 16;
/// What a request may take, as the route says.
const REQUEST_TIME: Duration = Duration::from_secs(3);
/// What a bad backend sends at most before it gives up: far above every limit.
const FLOOD_BYTES: usize = 8 << 20;

/// What a connection costs at most while an answer is on its way: a buffer for each side, a head of 64 KiB as it was read, as it was
/// parsed and as it is written out, and the gathering of small pieces.
const EXCHANGE_BYTES: u64 = 2 * 256 * 1024 + 3 * 64 * 1024 + 2 * 64 * 1024 + STATE_BYTES;

/// How a backend misbehaves once it has (or has not) read a request, and what clients may see of it.
struct Vice {
    name: &'static str,
    play: fn(&mut Session) -> Result<(), WireError>,
    /// Status and reason of a whole answer.
    expected: &'static [(u16, &'static str)],
    /// Whether an answer may also begin and break off.
    may_break: bool,
}

const fn vice(
    name: &'static str,
    expected: &'static [(u16, &'static str)],
    may_break: bool,
    play: fn(&mut Session) -> Result<(), WireError>,
) -> Vice {
    Vice { name, play, expected, may_break }
}

/// Sends the same piece until it is not taken any more, or enough was sent.
fn flood(session: &mut Session, piece: &str) -> Result<(), WireError> {
    let piece = piece.repeat(8 * 1024 / piece.len() + 1);
    for _ in 0..FLOOD_BYTES / piece.len() {
        session.send(&piece)?;
    }
    Ok(())
}

/// Waits until Aya gives up.
fn stay(session: &mut Session) -> Result<(), WireError> {
    while session.exactly(1).is_ok() {}
    Ok(())
}

const SILENT: &[Vice] = &[
    vice("hangs", &[(504, "first-byte-timeout")], false, |session| {
        session.request()?;
        stay(session)
    }),
    vice("hangs in the head", &[(504, "first-byte-timeout"), (504, "response-timeout")], false, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nX: ")?;
        stay(session)
    }),
    vice("hangs in the body", &[], true, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        stay(session)
    }),
    vice("drips its head", &[(504, "first-byte-timeout"), (504, "request-timeout")], false, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nX: ")?;
        while session.send("x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }),
    vice("never closes", &[], true, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\n\r\n")?;
        while session.send("x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }),
];

const LIARS: &[Vice] = &[
    vice("resets in the body", &[], true, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        session.reset();
        Ok(())
    }),
    vice("resets before a word", &[(502, "upstream-closed")], false, |session| {
        session.request()?;
        session.reset();
        Ok(())
    }),
    vice("sends garbage", &[(502, "bad-response")], false, |session| {
        session.request()?;
        session.send(crate::noise(5_000, 3))
    }),
    vice("ends early", &[], true, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    }),
    // What is over is never given to anybody: the answer is what its length says, and the connection is not used again.
    vice("sends more than it says", &[(200, "")], false, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")?;
        stay(session)
    }),
    // Bytes before the request on a fresh connection: they are taken for the answer, which closes, or they are refused.
    vice(
        "answers before it is asked",
        &[(200, ""), (502, "bad-response"), (502, "upstream-closed")],
        false,
        |session| {
            session.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")?;
            session.request()?;
            Ok(())
        },
    ),
    vice("says both framings", &[(502, "bad-response")], false, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
    }),
    vice("breaks its chunks", &[(502, "bad-response")], true, |session| {
        session.request()?;
        session
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nffffffffffffffffff\r\n")
    }),
];

const FLOODS: &[Vice] = &[
    vice("floods 1xx", &[(502, "bad-response")], false, |session| {
        session.request()?;
        flood(session, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    }),
    vice("floods 100", &[(502, "bad-response")], false, |session| {
        session.request()?;
        flood(session, "HTTP/1.1 100 Continue\r\n\r\n")
    }),
    vice("sends a head without end", &[(502, "response-head-too-large")], false, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\n")?;
        flood(session, "Endless: yes\r\n")
    }),
    vice("sends a field without end", &[(502, "response-head-too-large")], false, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nX: ")?;
        flood(session, "x")
    }),
    vice("sends trailers without end", &[(502, "bad-response")], true, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n")?;
        flood(session, "Endless: yes\r\n")
    }),
    vice("sends a chunk extension without end", &[(502, "bad-response")], true, |session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;")?;
        flood(session, "x")
    }),
    vice("sends one-byte chunks", &[(200, "")], false, |session| {
        while session.request()?.is_some() {
            session.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            session.send("1\r\nx\r\n".repeat(5_000))?;
            session.send("0\r\n\r\n")?;
        }
        Ok(())
    }),
];

/// What a client sees of one exchange: an answer, or one that broke off (`None`).
fn ask(siege: &Siege) -> Option<Response> {
    let mut client = siege.aya.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    loop {
        match client.try_response() {
            Ok(response) if (100..200).contains(&response.status) => {}
            Ok(response) => return Some(response),
            Err(error) => {
                assert!(!matches!(error, WireError::TimedOut(_)), "Aya leaves its client waiting: {error}");
                return None;
            }
        }
    }
}

/// Has many clients meet this backend; every one of them sees what it may see, and soon. Gives the longest time that one waited.
fn indulge(siege: &Siege, vice: &Vice, rounds: usize) -> Duration {
    let client = || {
        let mut longest = Duration::ZERO;
        for _ in 0..rounds {
            let watch = Stopwatch::start();
            match ask(siege) {
                None => assert!(vice.may_break, "{}: nothing whole came", vice.name),
                Some(response) => {
                    let found = (response.status, response.reason());
                    assert!(vice.expected.contains(&found), "{}: {found:?}", vice.name);
                    let is_wrong = response.status == 200 && response.text().contains("wrong");
                    assert!(!is_wrong, "{}", vice.name);
                }
            }
            longest = longest.max(watch.elapsed());
        }
        longest
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let times = clients.into_iter().map(|client| client.join().expect("a client sees what it may see"));
        times.max().unwrap_or_default()
    })
}

/// Lets each of these vices loose, one Aya for all of them: what one leaves behind, the next would suffer from.
fn suffer(vices: &[Vice], rounds: usize, claim: &str) {
    let pool = "ejection: off, connections: {max: 1024, idle: 1s}, timeouts: {first-byte: 500ms, response-progress: 500ms}";
    let backends: Vec<_> = vices.iter().map(|vice| (vice, Backend::script(vice.play))).collect();
    let route = format!("timeouts: {{request: {}s}}, retry: {{attempts: 1}}", REQUEST_TIME.as_secs());
    let siege = Siege::lay("", &route, pool, &[&backends[0].1]);
    let mut longest = Duration::ZERO;
    for (vice, backend) in &backends {
        let path = "/api/v1/pools/main/endpoints";
        let there = siege.aya.admin("GET", "/api/v1/pools/main", "").json();
        let former = there["endpoints"][0]["address"].as_str().unwrap_or_default().to_owned();
        if former != backend.to_string() {
            let new = format!("{{\"address\": \"{backend}\"}}");
            assert_eq!(siege.aya.admin("POST", path, &new).status, 201);
            assert_eq!(siege.aya.admin("DELETE", &format!("{path}/{former}"), "").status, 204);
        }
        longest = longest.max(indulge(&siege, vice, rounds));
        wait_long(&format!("the backend that {} to be let go", vice.name), || {
            backend.open_connections() == 0
        });
    }
    assert!(longest < REQUEST_TIME + GRACE, "a client waited for {longest:?}");
    let names: Vec<_> = vices.iter().map(|vice| vice.name).collect();
    siege.lift(
        &format!("{claim}: {}", names.join(", ")),
        file!(),
        CLIENTS as u64 * EXCHANGE_BYTES,
        &format!(
            "{CLIENTS} exchanges of 836 KiB at once; {} were made, the longest took {longest:.1?}",
            CLIENTS * rounds * vices.len(),
        ),
    );
}

/// Endpoints that hang, drip or never close hold a request no longer than the pool's times and the route's time say.
#[test]
fn backends_that_are_silent() {
    suffer(
        SILENT,
        2,
        "a backend may hang as it likes, its clients are answered or let go when `timeouts.request` is over",
    );
}

/// Endpoints that break off or lie about what they send: what is wrong is never passed on as whole.
#[test]
fn backends_that_lie() {
    suffer(LIARS, 20, "a backend may break off and lie as it likes, nothing wrong looks whole");
}

/// Endpoints that send without end are stopped at the limits.
#[test]
fn backends_that_flood() {
    suffer(FLOODS, 5, "a backend may send without end, it is stopped at the limits");
}
