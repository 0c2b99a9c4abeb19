//! Gray failures: an endpoint that is slow, not dead. Its checks pass, its connections open, and its clients wait.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Backend, Client, Python, Signal, Stopwatch, answer, wait_until};
use serde_json::Value;

use crate::{config_of, front_with, is_long};

const SERVERS: usize = 8;
const SLOW: usize = 3;
/// Clients, each with a request every 100 ms: an eighth of them keeps a slow server busy to three quarters.
const CLIENTS: u32 = 24;
const EVERY: Duration = Duration::from_millis(100);
/// Until when Aya has to have found it.
const FOUND: Duration = Duration::from_secs(5);

/// 2.5 ms of one processor for each request, one after the other.
const SERVER: &str = r#"
import socketserver, sys, threading, time

turn = threading.Lock()

class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while line := self.rfile.readline():
            while line.strip():
                line = self.rfile.readline()
            with turn:
                end = time.thread_time() + 0.0025
                while time.thread_time() < end:
                    pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-port: %s\r\n\r\n" % sys.argv[1].encode())

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

/// How clients fared.
struct Fared {
    p99: Duration,
    /// Share of the requests that the slow server answered.
    to_slow: f64,
}

impl Fared {
    fn is_spared(&self) -> bool {
        self.to_slow < 0.01
    }
}

/// A steady flow of requests for this path. Times count from when a request was due, so that one that waits hides no other.
fn run(address: SocketAddr, path: &str, slow: &str, span: Duration) -> Fared {
    let times = Mutex::new(Vec::new());
    let watch = Stopwatch::start();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (times, watch) = (&times, &watch);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                let mut due = EVERY * number / CLIENTS;
                let mut own = Vec::new();
                while due < span {
                    std::thread::sleep(due.saturating_sub(watch.elapsed()));
                    let response = client.get(path);
                    assert_eq!(response.status, 200, "{}", response.reason());
                    own.push((watch.elapsed().saturating_sub(due), response.header("x-port") == Some(slow)));
                    due += EVERY;
                }
                times.lock().expect("no client failed").append(&mut own);
            });
        }
    });
    let mut times = times.into_inner().expect("no client failed");
    times.sort();
    let to_slow = times.iter().filter(|(_, is_slow)| *is_slow).count() as f64 / times.len() as f64;
    Fared { p99: times[times.len() * 99 / 100].0, to_slow }
}

/// Lets the server run for a tenth of the time while `during` goes on.
fn slowed<T>(server: &Mutex<Python>, during: impl FnOnce() -> T) -> T {
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ends = AtomicBool::new(false);
    let signal = |signal| server.lock().expect("nobody panics with it").signal(signal);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                signal(Signal::STOP);
                std::thread::sleep(Duration::from_millis(18));
                signal(Signal::CONT);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let _ends = Ends(&ends);
        during()
    })
}

/// One of eight servers becomes ten times slower. Taking turns, an eighth of all requests suffer for good; with the defaults
/// hardly any after some seconds, and what was seen is told.
#[test]
fn a_slow_server_is_found_and_avoided() {
    let servers: Vec<Mutex<Python>> = (0..SERVERS).map(|_| Mutex::new(Python::script(SERVER, &[]))).collect();
    let address = |number: usize| servers[number].lock().expect("nobody panics with it").address();
    let endpoints: Vec<String> = (0..SERVERS).map(|number| address(number).to_string()).collect();
    let (list, slow) = (endpoints.join(", "), address(SLOW).port().to_string());
    let aya = Aya::start(&format!(
        "listeners: {{web: {{bind: 127.0.0.1:0}}}}\n\
         admin: {{bind: 127.0.0.1:0}}\n\
         routes:\n\
         - {{match: {{path: /plain}}, pool: plain}}\n\
         - {{match: {{path: /learned}}, pool: learned}}\n\
         - {{pool: defaults}}\n\
         pools:\n\
         \x20 plain: {{endpoints: [{list}], balance: round-robin, ejection: off}}\n\
         \x20 learned: {{endpoints: [{list}], balance: peak-ewma}}\n\
         \x20 defaults: {{endpoints: [{list}]}}\n"
    ));
    let web = aya.listener("web");
    let span = Duration::from_secs(if is_long() { 20 } else { 4 });
    let well = run(web, "/", &slow, span);
    let (plain, defaults, learned) = slowed(&servers[SLOW], || {
        let plain = run(web, "/plain", &slow, span);
        let found = |path| {
            run(web, path, &slow, FOUND);
            let fared = run(web, path, &slow, span);
            // Whatever else the machine does may make it take longer.
            let again = (0..10).map(|_| run(web, path, &slow, span));
            if is_long() || fared.is_spared() {
                fared
            } else {
                again.into_iter().find(Fared::is_spared).unwrap_or(fared)
            }
        };
        (plain, found("/"), found("/learned"))
    });
    for (name, fared) in [("well", &well), ("plain", &plain), ("defaults", &defaults), ("learned", &learned)]
    {
        let Fared { p99, to_slow } = fared;
        println!("{name}: p99 {p99:?}, {:.2} % of the requests went to the slow server", to_slow * 100.0);
    }
    assert!((0.11..0.14).contains(&well.to_slow) && (0.11..0.14).contains(&plain.to_slow));
    assert!(defaults.is_spared() && learned.is_spared(), "{} and {}", defaults.to_slow, learned.to_slow);
    if is_long() {
        // Times are of use only where nothing else runs.
        assert!(defaults.p99 <= well.p99.mul_f64(1.5) && plain.p99 > well.p99.mul_f64(1.5));
    }
    let cause = |pool: &str| {
        let endpoints = aya.admin("GET", &format!("/api/v1/pools/{pool}"), "").json()["endpoints"].clone();
        endpoints[SLOW]["cause"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(cause("plain"), "");
    assert_ne!(cause("defaults"), "");
    let log = aya.stderr();
    let mut told = log.lines().filter(|line| line.contains("pool=defaults") && line.contains(&slow));
    assert!(told.any(|line| line.contains("its peers take")), "{log}");
    let labels = [("pool", "defaults"), ("cause", "slower-than-peers")];
    assert!(aya.metrics().sum("aya_endpoint_transitions_total", &labels) >= 1.0);
    if is_long() {
        let is_back = (0..120).any(|_| {
            run(web, "/", &slow, Duration::from_secs(1));
            cause("defaults").starts_with("it does like its peers")
        });
        assert!(is_back, "{}", cause("defaults"));
    }
}

/// What the admin API shows of the endpoints of the pool `main`: share and cause.
fn shown(aya: &Aya) -> Vec<(u64, String)> {
    let pool = aya.admin("GET", "/api/v1/pools/main", "").json();
    let endpoints = pool["endpoints"].as_array().expect("endpoints are listed").clone();
    let cause = |one: &Value| one["cause"].as_str().unwrap_or_default().to_owned();
    endpoints.iter().map(|one| (one["share_percent"].as_u64().expect("a number"), cause(one))).collect()
}

const OFTEN: &str = "ejection: {for: 30s, peers: {interval: 100ms}}";

/// Failing is quick, and with it an endpoint would draw traffic; but it answers, so that no failures in a row are counted.
#[test]
fn an_endpoint_that_fails_more_often_gets_less() {
    let servers = [Backend::echo("a"), Backend::answering(|_| answer(500, &[], "")), Backend::echo("c")];
    let aya = front_with("", "", OFTEN, &[&servers[0], &servers[1], &servers[2]]);
    let mut client = aya.client();
    wait_until("it to be taken out", || {
        (0..30).for_each(|_| drop(client.get("/")));
        shown(&aya)[1].1.contains("requests fail, 0% of those of its peers")
            && aya.stderr().contains("endpoint is ejected")
    });
    servers.iter().for_each(Backend::forget);
    assert!((0..30).all(|_| client.get("/").status == 200));
    assert_eq!(servers[1].request_count(), 0);
    let labels = [("pool", "main"), ("to", "ejected"), ("cause", "more-errors-than-peers")];
    assert_eq!(aya.metrics().sum("aya_endpoint_transitions_total", &labels), 1.0);
}

/// What all do alike is nobody's fault: a bad release must not take endpoint after endpoint out.
#[test]
fn endpoints_that_fail_alike_all_stay() {
    let servers = [(); 3].map(|()| Backend::answering(|_| answer(503, &[], "")));
    let aya = front_with("", "", OFTEN, &[&servers[0], &servers[1], &servers[2]]);
    let mut client = aya.client();
    for _ in 0..5 {
        (0..100).for_each(|_| assert_eq!(client.get("/").status, 503));
        std::thread::sleep(EVERY);
    }
    assert!(shown(&aya).iter().all(|(share, cause)| (*share, &**cause) == (100, "")), "{:?}", shown(&aya));
}

/// A stopped process takes connections and requests and says nothing. Long before the first time-out it gets no more of them.
#[test]
fn an_endpoint_that_falls_silent_is_left_alone() {
    let mut stopped = Python::script(SERVER, &[]);
    let peers = [Backend::echo("a"), Backend::echo("b")];
    let list = format!("{}, {}, {}", peers[0], peers[1], stopped.address());
    let pool = format!("timeouts: {{first-byte: 60s}}, {OFTEN}");
    let aya = Aya::start(&config_of("", "", &pool, &list));
    let mut client = aya.client();
    (0..30).for_each(|_| assert_eq!(client.get("/").status, 200));
    stopped.signal(Signal::STOP);
    let mut held = Vec::new();
    wait_until("it to be taken out", || {
        let mut client = aya.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        if client.is_silent_for(EVERY) {
            held.push(client);
        }
        aya.stderr().contains("endpoint is ejected")
    });
    assert!(shown(&aya)[2].1.contains("it has been silent for"), "{:?}", shown(&aya));
    let mut client = aya.client();
    (0..30).for_each(|_| assert_eq!(client.get("/").status, 200));
    stopped.signal(Signal::CONT);
    held.iter_mut()
        .for_each(|client| assert_eq!(client.response().status, 200, "nothing that waited is lost"));
}

/// Whoever sends slowly is slow itself: its endpoint, which a cookie lets it choose, waits for it and not the other way round.
#[test]
fn slow_uploads_are_not_held_against_an_endpoint() {
    let servers = ["a", "b", "c"].map(Backend::echo);
    let pool = format!("sticky: {{cookie: node}}, {OFTEN}");
    let aya = front_with("", "", &pool, &[&servers[0], &servers[1], &servers[2]]);
    let mut client = aya.client();
    let first = client.get("/");
    let cookie = first.header("set-cookie").and_then(|line| line.split(';').next()).expect("a session");
    let mut slow: Vec<Client> = (0..60)
        .map(|_| {
            let mut client = aya.client();
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: 2\r\n\r\n1"
            ));
            client
        })
        .collect();
    for _ in 0..10 {
        (0..30).for_each(|_| assert_eq!(client.get("/").status, 200));
        std::thread::sleep(EVERY);
    }
    assert!(shown(&aya).iter().all(|(share, cause)| (*share, &**cause) == (100, "")), "{:?}", shown(&aya));
    for client in &mut slow {
        client.send("2");
        assert_eq!(client.response().status, 200);
    }
}
