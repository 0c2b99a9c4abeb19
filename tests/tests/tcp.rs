//! Connections that are passed on as they are.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base_testkit::{
    Authority, Aya, Gate, Nginx, PATIENCE, Signal, Stopwatch, TempFolder, checksum, curl, wait_until,
};
use scenarios::noise;
use serde_json::Value;

/// Serves each connection on a thread of its own.
fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Says its name, then sends back what comes, until that ends.
fn echo(name: &'static str) -> SocketAddr {
    server(move |mut stream| {
        let _ = stream.write_all(name.as_bytes());
        let mut back = stream.try_clone().expect("it can be cloned");
        let _ = std::io::copy(&mut stream, &mut back);
        let _ = back.shutdown(Shutdown::Write);
    })
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it listens")
}

/// A listener `wire` that passes connections on to these endpoints.
fn config(listener: &str, pool: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("'{address}'")).collect();
    format!(
        "listeners: {{wire: {{bind: '127.0.0.1:0', protocol: tcp, pool: main, {listener}}}}}\n\
         pools: {{main: {{endpoints: [{}], {pool}}}}}\n",
        endpoints.join(", ")
    )
}

fn front(endpoints: &[SocketAddr]) -> Aya {
    Aya::start(&config("", "", endpoints))
}

fn connect(aya: &Aya) -> TcpStream {
    let stream = TcpStream::connect(aya.listener("wire")).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    stream
}

/// What comes next, as long as this.
fn expect(stream: &mut TcpStream, wanted: &str) {
    let mut bytes = vec![0; wanted.len()];
    stream.read_exact(&mut bytes).expect("it comes");
    assert_eq!(String::from_utf8_lossy(&bytes), wanted);
}

/// Everything until the end, or the reset.
fn rest(stream: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.kind())
}

fn ended(aya: &Aya, result: &str) -> f64 {
    aya.total("aya_tcp_connections_total", &[("listener", "wire"), ("result", result)])
}

/// Endpoints may speak first; bytes of any number pass both ways; the end of one direction is passed on, and the other goes on.
#[test]
fn bytes_pass_as_they_come() {
    let aya = front(&[echo("220 hello\r\n")]);
    for size in [0, 1, 1_000, 100_000, 20_000_000] {
        let mut client = connect(&aya);
        expect(&mut client, "220 hello\r\n");
        let sent = noise(size, 1);
        let (mut writer, copy) = (client.try_clone().expect("it can be cloned"), sent.clone());
        let writing = thread::spawn(move || {
            writer.write_all(&copy).expect("it is taken");
            writer.shutdown(Shutdown::Write).expect("it is open");
        });
        let back = rest(&mut client).expect("a whole answer");
        writing.join().expect("it writes");
        assert_eq!((back.len(), checksum(&back)), (sent.len(), checksum(&sent)), "{size} bytes");
    }
    wait_until("all to be over", || ended(&aya, "ended") > 4.5);
    let counted = |name: &str| aya.total(name, &[("listener", "wire")]);
    assert_eq!(counted("aya_bytes_received_total"), 20_101_001.0);
    assert_eq!(counted("aya_bytes_sent_total"), 20_101_001.0 + 5.0 * 11.0);
    let lasted = aya.metrics().sum("aya_tcp_connection_duration_seconds_count", &[("listener", "wire")]);
    assert_eq!(lasted, 5.0);
    assert_eq!(ended(&aya, "failed"), 0.0);
    let connected = [("pool", "main"), ("outcome", "connected")];
    assert_eq!(aya.total("aya_upstream_requests_total", &connected), 5.0);
}

/// An endpoint may close first, and then still be told something.
#[test]
fn either_side_may_be_done_first() {
    let server = server(|mut stream| {
        stream.write_all(b"all I have").expect("it is taken");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("it ends");
        assert_eq!(told, "thanks");
    });
    let aya = front(&[server]);
    let mut client = connect(&aya);
    assert_eq!(rest(&mut client).expect("it ends"), b"all I have");
    client.write_all(b"thanks").expect("it is taken");
    client.shutdown(Shutdown::Write).expect("it is open");
    wait_until("it to be over", || ended(&aya, "ended") > 0.5);
}

/// Who cannot be reached is passed over, and costs the client nothing but time; if nobody can, the connection is closed, and it is said why.
#[test]
fn another_endpoint_is_tried_where_one_cannot_be_reached() {
    let aya = front(&[nobody(), echo("one"), nobody()]);
    for _ in 0..12 {
        expect(&mut connect(&aya), "one");
    }
    assert!(aya.total("aya_upstream_retries_total", &[("pool", "main")]) > 0.5);
    let text = format!("logs: {{access: json}}\n{}", config("", "", &[nobody()]));
    let aya = Aya::start(&text);
    assert_eq!(rest(&mut connect(&aya)).unwrap_or_default(), b"");
    wait_until("it to be counted", || ended(&aya, "failed") > 0.5);
    assert_eq!(aya.total("aya_failures_total", &[("reason", "connect-failed")]), 1.0);
    let line = || aya.stdout().lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
    wait_until("a line in the log", || line().is_some());
    let line = line().expect("it was there");
    let wanted = [("version", "TCP"), ("listener", "wire"), ("pool", "main"), ("reason", "connect-failed")];
    for (field, wanted) in wanted {
        assert_eq!(line[field], wanted, "{field} in {line}");
    }
}

/// A side that breaks off is not taken for one that has ended: the other sees a reset, too.
#[test]
fn a_break_is_passed_on() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let breaking = server(move |mut stream| {
        stream.write_all(b"half").expect("it is taken");
        cue.pass();
        reset_at_close(&stream);
    });
    let aya = front(&[breaking]);
    let mut client = connect(&aya);
    expect(&mut client, "half");
    gate.open();
    assert_eq!(rest(&mut client), Err(ErrorKind::ConnectionReset));
    wait_until("it to be counted", || {
        aya.total("aya_failures_total", &[("reason", "response-broken")]) > 0.5
    });
    let (seen, sees) = std::sync::mpsc::channel();
    let watching = server(move |mut stream| {
        stream.write_all(b"x").expect("it is taken");
        let _ = seen.send(rest(&mut stream));
    });
    let aya = front(&[watching]);
    let mut client = connect(&aya);
    expect(&mut client, "x");
    reset_at_close(&client);
    drop(client);
    assert_eq!(sees.recv_timeout(PATIENCE), Ok(Err(ErrorKind::ConnectionReset)));
    wait_until("it to be counted", || aya.total("aya_failures_total", &[("reason", "client-closed")]) > 0.5);
}

/// Has the connection be reset when it is closed.
fn reset_at_close(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("it can be set");
}

/// Connections on which nothing is said are closed after `idle`, and those on which something is are not.
#[test]
fn silence_ends_a_connection() {
    let aya = Aya::start(&config("timeouts: {idle: 400ms}", "", &[echo("hello")]));
    let (mut silent, mut busy) = (connect(&aya), connect(&aya));
    expect(&mut silent, "hello");
    expect(&mut busy, "hello");
    let watch = Stopwatch::start();
    while watch.elapsed() < Duration::from_secs(2) {
        busy.write_all(b"still here").expect("it is open");
        expect(&mut busy, "still here");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(rest(&mut silent).unwrap_or_default(), b"");
    wait_until("it to be counted", || aya.total("aya_failures_total", &[("reason", "idle-timeout")]) > 0.5);
    assert_eq!(aya.total("aya_failures_total", &[]), 1.0);
}

/// A connection that is busy is closed all the same when it has lasted as long as it may.
#[test]
fn connections_have_a_lifetime() {
    let aya = Aya::start(&config("timeouts: {lifetime: 1s}", "", &[echo("hello")]));
    let mut busy = connect(&aya);
    expect(&mut busy, "hello");
    let watch = Stopwatch::start();
    let mut back = [0; 5];
    while busy.write_all(b"still").and_then(|()| busy.read_exact(&mut back)).is_ok() {
        assert!(watch.elapsed() < PATIENCE, "it goes on");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(watch.elapsed() >= Duration::from_millis(900), "{:?}", watch.elapsed());
    wait_until("it to be counted", || aya.total("aya_failures_total", &[("reason", "lifetime-over")]) > 0.5);
}

/// An endpoint takes as many connections as it may; others wait in line, and are served when one has ended.
#[test]
fn connections_wait_for_their_turn() {
    let pool = "connections: {max: 1, queue: 1, queue-timeout: 60s}";
    let aya = Aya::start(&config("", pool, &[echo("hello")]));
    let mut first = connect(&aya);
    expect(&mut first, "hello");
    let mut second = connect(&aya);
    let waiting = || aya.admin("GET", "/api/v1/pools/main", "").json()["waiting"].as_u64();
    wait_until("one to wait", || waiting() == Some(1));
    // There is no place in the line for a third.
    assert_eq!(rest(&mut connect(&aya)).unwrap_or_default(), b"");
    wait_until("it to be counted", || {
        aya.total("aya_failures_total", &[("reason", "connection-limit")]) > 0.5
    });
    drop(first);
    expect(&mut second, "hello");
    // Who goes while it waits takes nobody's place.
    let third = connect(&aya);
    wait_until("one to wait", || waiting() == Some(1));
    drop(third);
    wait_until("nobody to wait", || waiting() == Some(0));
}

/// Clients are kept with their endpoint by their address.
#[test]
fn clients_stay_with_their_endpoint() {
    let aya = Aya::start(&config("", "sticky: source", &[echo("one"), echo("two"), echo("six")]));
    let name = || {
        let mut bytes = [0; 3];
        connect(&aya).read_exact(&mut bytes).expect("a name");
        bytes
    };
    let first = name();
    assert!((0..20).all(|_| name() == first));
}

/// What is encrypted passes through, is decrypted for endpoints, or is encrypted for them.
#[test]
fn tls_passes_through_ends_or_begins() {
    let authority = Authority::new("play");
    let issued = authority.issue(&["play.test"]);
    let folder = TempFolder::new();
    folder.write("site.pem", &*issued.cert);
    folder.write("site.key", &*issued.key);
    folder.write("ca.pem", authority.pem());
    let facts = "location / { return 200 '$server_protocol'; }";
    let (secure, plain) = (Nginx::start_tls(&issued, facts), Nginx::start(facts));
    let tls = "tls: {certificates: {cert: site.pem, key: site.key}}";
    let text = format!(
        "listeners:
  through: {{bind: '127.0.0.1:0', protocol: tcp, pool: secure}}
  ends: {{bind: '127.0.0.1:0', protocol: tcp, pool: plain, {tls}}}
  begins: {{bind: '127.0.0.1:0', protocol: tcp, pool: encrypted}}
  anew: {{bind: '127.0.0.1:0', protocol: tcp, pool: encrypted, {tls}}}
pools:
  secure: {{endpoints: ['{0}']}}
  plain: {{endpoints: ['{1}']}}
  encrypted: {{endpoints: ['{0}'], tls: {{authorities: ca.pem, name: play.test}}}}
",
        secure.address(),
        plain.address()
    );
    let aya = Aya::start_in(folder, &text, &[], &[]);
    let ca = aya.folder().join("ca.pem");
    let ask = |listener: &str, scheme: &str| {
        let address = aya.listener(listener);
        let resolve = format!("play.test:{}:127.0.0.1", address.port());
        let url = format!("{scheme}://play.test:{}/", address.port());
        let ended = curl(&["--resolve", &resolve, "--cacert", &ca.to_string_lossy(), &url]);
        format!("{}{}", ended.stdout, ended.stderr)
    };
    assert_eq!(ask("through", "https"), "HTTP/1.1");
    // A client that would speak HTTP/2 is not told that it may.
    assert_eq!(ask("ends", "https"), "HTTP/1.1");
    assert_eq!(ask("begins", "http"), "HTTP/1.1");
    assert_eq!(ask("anew", "https"), "HTTP/1.1");
    let handshakes =
        |listener: &str| aya.total("aya_tls_handshakes_total", &[("listener", listener), ("result", "full")]);
    assert_eq!([handshakes("ends"), handshakes("anew")], [1.0, 1.0]);
}

/// A reload leads new connections elsewhere, and leaves those alone that there are; when Aya stops, they have the time that it gives them.
#[test]
fn connections_outlive_reloads() {
    let (one, two) = (echo("one"), echo("two"));
    let mut aya = Aya::start(&format!("drain: 1s\n{}", config("", "", &[one])));
    let mut old = connect(&aya);
    expect(&mut old, "one");
    let before = aya.generation();
    aya.rewrite(&format!("drain: 1s\n{}", config("", "", &[two])));
    aya.wait_for_generation_after(before);
    wait_until("new connections to go elsewhere", || {
        let mut bytes = [0; 3];
        connect(&aya).read_exact(&mut bytes).is_ok_and(|()| &bytes == b"two")
    });
    old.write_all(b"still here").expect("it is open");
    expect(&mut old, "still here");
    aya.signal(Signal::TERM);
    old.write_all(b"and now").expect("it is open");
    expect(&mut old, "and now");
    assert_eq!(rest(&mut old).unwrap_or_default(), b"", "cut when the time is over");
    assert!(aya.ends_within(PATIENCE));
}

/// What would become of a connection, and what became of one, can be asked for.
#[test]
fn connections_are_explained() {
    let aya = Aya::start(&format!("decisions: {{rate: 1000}}\n{}", config("", "", &[nobody(), echo("one")])));
    let foretold =
        Aya::run(&["explain", &aya.config().to_string_lossy(), "GET", "tcp://any/", "--listener", "wire"]);
    for part in ["protocol  tcp", "pool      main"] {
        assert!(foretold.stdout.contains(part), "{}{}", foretold.stdout, foretold.stderr);
    }
    for _ in 0..4 {
        expect(&mut connect(&aya), "one");
    }
    wait_until("connections to be remembered", || {
        let told = aya.admin("GET", "/api/v1/decisions", "").text();
        told.contains("connect-failed") && told.contains("\"listener\":\"wire\"")
    });
}
