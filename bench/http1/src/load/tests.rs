use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::*;

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

/// A server that gives every request this answer, the first one after `delay`, and closes after each if told to.
/// Its thread ends with the test program.
fn server(answer: &'static str, delay: Duration, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut delay = Some(delay);
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1024];
            while stream.read(&mut request).is_ok_and(|count| count > 0) {
                std::thread::sleep(delay.take().unwrap_or_default());
                if stream.write_all(answer.as_bytes()).is_err() || closes {
                    break;
                }
            }
        }
    });
    address
}

/// One request on one connection.
fn one(answer: &'static str, closes: bool) -> Tally {
    let address = server(answer, Duration::ZERO, closes);
    let mut load = Load::new(address, Traffic::get("/", 4, 1)).unwrap();
    load.one_each(Duration::from_secs(5)).unwrap()
}

#[test]
fn a_whole_answer_counts() {
    let tally = one(GOOD, false);
    assert_eq!((tally.answered, tally.failures()), (1, 0));
}

#[test]
fn every_other_answer_is_a_failure() {
    for (answer, failure) in [
        ("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbody", "1 status"),
        ("HTTP/1.1 302 No\r\nContent-Length: 4\r\n\r\nbody", "1 status"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbod", "1 body"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody and more", "1 body"),
        ("HTTP/1.1 200 OK\r\n\r\nbody", "1 body"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo", "1 socket"),
        ("nonsense\r\n\r\n", "1 body"),
        ("", "1 socket"),
    ] {
        let tally = one(answer, true);
        assert_eq!((tally.answered, tally.failure_text().as_str()), (0, failure), "{answer:?}");
    }
}

#[test]
fn nobody_listening_is_a_failure() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut load = Load::new(address, Traffic::get("/", 4, 3)).unwrap();
    assert_eq!(load.one_each(Duration::from_secs(5)).unwrap().failures(), 3);
}

#[test]
fn a_connection_that_was_closed_between_requests_is_opened_again() {
    let address = server(GOOD, Duration::ZERO, true);
    let mut load = Load::new(address, Traffic::get("/", 4, 1).reconnecting()).unwrap();
    let tally = load.open_loop(1000.0, Duration::from_millis(20)).unwrap();
    assert_eq!((tally.answered, tally.failures()), (20, 0));
}

/// The first answer comes late, and all that were due meanwhile feel it: they are asked after it.
#[test]
fn a_stall_counts_for_every_request_it_delays() {
    let address = server(GOOD, Duration::from_millis(100), false);
    let mut load = Load::new(address, Traffic::get("/", 4, 1)).unwrap();
    let tally = load.open_loop(1000.0, Duration::from_millis(80)).unwrap();
    assert_eq!((tally.answered, tally.failures()), (80, 0));
    let [median_us] = tally.percentiles_us(Duration::from_secs(1), [0.5])[0];
    assert!(median_us > 40_000.0, "{median_us}");
}

/// In a round the load answers for the backend, between rounds the backend does by itself.
#[test]
fn a_backend_beside_the_load_always_answers() {
    let (backend, addresses) = BackendBeside::start().unwrap();
    let address = addresses[0];
    let mut load = Load::new(address, Traffic::get("/128", 128, 2)).unwrap().beside(&backend);
    for _ in 0..2 {
        let tally = load.open_loop(1000.0, Duration::from_millis(20)).unwrap();
        assert_eq!((tally.answered, tally.failures()), (20, 0));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /64k HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = vec![0; 64 * 1024];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn a_closed_loop_keeps_every_connection_busy() {
    let address = server(GOOD, Duration::ZERO, false);
    let mut load = Load::new(address, Traffic::get("/", 4, 1)).unwrap();
    // On a machine that is busy with other things, the server may get no turn for a while.
    let spans = (0..8).map(|doubled| Duration::from_millis(50 << doubled));
    let tallies = spans.map(|span| load.closed_loop(span).unwrap());
    let mut sound = tallies.inspect(|tally| assert_eq!(tally.failures(), 0));
    assert!(sound.any(|tally| tally.answered > 1));
}
