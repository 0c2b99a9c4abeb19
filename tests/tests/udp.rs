//! Datagrams that are passed on as they are.

mod dns;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base_testkit::{Aya, PATIENCE, Stopwatch, wait_until};
use scenarios::noise;

/// Long enough for a datagram that should not come.
const A_WHILE: Duration = Duration::from_millis(300);

/// An endpoint that answers each datagram as it is told to, for as long as the test runs.
struct Endpoint {
    address: SocketAddr,
    /// Who has sent the datagrams that came.
    peers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Endpoint {
    fn new(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::on(UdpSocket::bind("127.0.0.1:0").expect("a free port"), answers)
    }

    fn on(socket: UdpSocket, answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let address = socket.local_addr().expect("it is bound");
        let peers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&peers);
        thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while let Ok((length, peer)) = socket.recv_from(&mut bytes) {
                seen.lock().expect("nobody panics with it").push(peer);
                for answer in answers(&bytes[..length]) {
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Self { address, peers }
    }

    /// Answers each datagram with its name and what it got.
    fn named(name: &'static str) -> Self {
        Self::new(move |datagram| vec![[name.as_bytes(), datagram].concat()])
    }

    fn silent() -> Self {
        Self::new(|_| Vec::new())
    }

    /// How many datagrams came.
    fn count(&self) -> usize {
        self.peers.lock().expect("nobody panics with it").len()
    }

    /// From how many ports they came: one for each session.
    fn sessions(&self) -> usize {
        let mut peers = self.peers.lock().expect("nobody panics with it").clone();
        peers.sort_unstable();
        peers.dedup();
        peers.len()
    }
}

/// Holds a port at which nobody is told anything, as long as it lives: it listens to somebody else.
fn nobody() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect("127.0.0.1:9").expect("nothing is sent by that");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

/// A listener `wire` that passes datagrams on to these endpoints.
fn config(listener: &str, pool: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("'{address}'")).collect();
    format!(
        "listeners: {{wire: {{bind: '127.0.0.1:0', protocol: udp, pool: main, {listener}}}}}\n\
         pools: {{main: {{endpoints: [{}], {pool}}}}}\n",
        endpoints.join(", ")
    )
}

fn client(aya: &Aya) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(aya.listener("wire")).expect("it can be reached");
    socket.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    socket
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 64 << 10];
    let length = client.recv(&mut bytes).expect("a datagram comes");
    bytes.truncate(length);
    bytes
}

fn ask(client: &UdpSocket, question: &[u8]) -> Vec<u8> {
    client.send(question).expect("it goes out");
    receive(client)
}

/// The same as text.
fn ask_text(client: &UdpSocket, question: &str) -> String {
    String::from_utf8(ask(client, question.as_bytes())).expect("a text")
}

fn hears_nothing(client: &UdpSocket) {
    client.set_read_timeout(Some(A_WHILE)).expect("it can be set");
    let nothing = client.recv(&mut [0; 16]).expect_err("nothing comes");
    assert!(matches!(nothing.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
    client.set_read_timeout(Some(PATIENCE)).expect("it can be set");
}

fn ended(aya: &Aya, result: &str) -> f64 {
    aya.total("aya_udp_sessions_total", &[("listener", "wire"), ("result", result)])
}

fn dropped(aya: &Aya, cause: &str) -> f64 {
    aya.total("aya_udp_datagrams_dropped_total", &[("listener", "wire"), ("cause", cause)])
}

fn open(aya: &Aya) -> f64 {
    aya.total("aya_connections_open", &[("listener", "wire")])
}

/// Whatever is in them, and however long they are; those that are larger than a packet, too.
#[test]
fn datagrams_pass_as_they_are() {
    let endpoint = Endpoint::named("");
    let aya = Aya::start(&config("", "udp: {timeout: 1s}", &[endpoint.address]));
    let client = client(&aya);
    let sizes = [0, 1, 512, 1_472, 9_000, 65_507];
    for size in sizes {
        let sent = noise(size, size as u64);
        assert!(ask(&client, &sent) == sent, "{size} bytes");
    }
    assert_eq!(endpoint.sessions(), 1, "one session has one port");
    assert_eq!(open(&aya), 1.0);
    wait_until("the session to be over", || ended(&aya, "ended") > 0.5);
    assert_eq!(open(&aya), 0.0);
    let bytes: usize = sizes.iter().sum();
    for name in ["aya_bytes_received_total", "aya_bytes_sent_total"] {
        assert_eq!(aya.total(name, &[("listener", "wire")]), bytes as f64, "{name}");
    }
    for direction in ["up", "down"] {
        let labels = [("listener", "wire"), ("direction", direction)];
        assert_eq!(aya.total("aya_udp_datagrams_total", &labels), 6.0, "{direction}");
    }
}

/// Clients are kept apart, each stays with its endpoint, and all get what is theirs.
#[test]
fn each_client_is_a_session() {
    let endpoints = [Endpoint::named("a"), Endpoint::named("b")];
    let aya = Aya::start(&config("", "", &[endpoints[0].address, endpoints[1].address]));
    let clients: Vec<UdpSocket> = (0..40).map(|_| client(&aya)).collect();
    let mut firsts = Vec::new();
    for (number, client) in clients.iter().enumerate() {
        firsts.push(ask_text(client, &format!("{number}")));
    }
    for round in 0..3 {
        for (client, first) in clients.iter().zip(&firsts) {
            let own = &first[1..];
            assert_eq!(&ask_text(client, own), first, "round {round}");
        }
    }
    // Each worker goes round by itself.
    for endpoint in &endpoints {
        assert!((10..=30).contains(&endpoint.sessions()), "{} of 40", endpoint.sessions());
    }
    assert_eq!(open(&aya), 40.0);
}

/// Where it is known how many replies there are, a session ends with the last one, and holds nothing on.
#[test]
fn a_session_ends_with_its_last_reply() {
    let two = Endpoint::new(|datagram| vec![datagram.to_vec(), b"again".to_vec()]);
    let aya = Aya::start(&config("", "udp: {replies: 2}", &[two.address]));
    let client = client(&aya);
    assert_eq!(ask(&client, b"one"), b"one");
    assert_eq!(receive(&client), b"again");
    wait_until("the session to be over", || ended(&aya, "ended") > 0.5);
    assert_eq!((open(&aya), ended(&aya, "failed")), (0.0, 0.0));
    // More than one question at a time is one session for as long as something is owed.
    for question in [b"1", b"2", b"3"] {
        client.send(question).expect("it goes out");
    }
    let answers: Vec<Vec<u8>> = (0..6).map(|_| receive(&client)).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == b"again").count(), 3);
    wait_until("the session to be over", || open(&aya) < 0.5);
    assert!(two.sessions() <= 3, "{} sessions", two.sessions());
}

/// Where nobody replies, each datagram is for itself.
#[test]
fn datagrams_that_nobody_answers_are_spread_one_by_one() {
    let endpoints = [Endpoint::silent(), Endpoint::silent()];
    let addresses = [endpoints[0].address, endpoints[1].address];
    let aya = Aya::start(&config("", "udp: {replies: 0}", &addresses));
    let client = client(&aya);
    for number in 0..20 {
        client.send(format!("line {number}").as_bytes()).expect("it goes out");
        wait_until("it to arrive", || endpoints[0].count() + endpoints[1].count() > number);
    }
    assert_eq!((endpoints[0].count(), endpoints[1].count()), (10, 10));
    wait_until("all to be over", || ended(&aya, "ended") > 19.5);
}

/// What an endpoint cannot have got goes to another one, and the client notices nothing.
#[test]
fn a_refused_datagram_goes_elsewhere() {
    let good = Endpoint::named("good ");
    let (_held, refusing) = nobody();
    let endpoints = [refusing, good.address];
    let aya = Aya::start(&config("", "udp: {replies: 1}, ejection: {consecutive-failures: 2}", &endpoints));
    for number in 0..20 {
        assert_eq!(ask_text(&client(&aya), &format!("{number}")), format!("good {number}"));
    }
    let failed = aya.total("aya_upstream_requests_total", &[("pool", "main"), ("outcome", "failed")]);
    assert!((2.0..=4.0).contains(&failed), "{failed}: ejected after two");
    assert_eq!(aya.total("aya_upstream_retries_total", &[("pool", "main")]), failed);
    wait_until("all to be over", || ended(&aya, "ended") > 19.5);
    assert_eq!(ended(&aya, "failed"), 0.0);
}

/// Of clients that ask twice at once, none goes without, though the endpoint is found to be gone between one question and the next.
#[test]
fn what_is_under_way_outlives_the_ejection() {
    let (_held, gone) = nobody();
    let there = Endpoint::named("there ");
    let aya = Aya::start(&config("", "udp: {replies: 1}", &[gone, there.address]));
    let clients: Vec<_> = (0..60).map(|_| client(&aya)).collect();
    for question in [b"one", b"two"] {
        for client in &clients {
            client.send(question).expect("there is room");
        }
    }
    for client in &clients {
        let mut answers = [receive(client), receive(client)];
        answers.sort();
        assert_eq!(answers, [b"there one".as_slice(), b"there two"]);
    }
    assert_eq!(ended(&aya, "failed"), 0.0);
}

/// An endpoint that owes a reply is to blame; one of which nothing is known is not.
#[test]
fn silence_is_a_failure_where_a_reply_is_owed() {
    let (silent, good) = (Endpoint::silent(), Endpoint::named("good "));
    let yaml = format!(
        "listeners: {{wire: {{bind: '127.0.0.1:0', protocol: udp, pool: main}}}}\n\
         pools: {{main: {{endpoints: ['{}', {{address: '{}', tier: 1}}], udp: {{timeout: 200ms, replies: 1}}, \
         ejection: {{consecutive-failures: 1}}}}}}\n",
        silent.address, good.address
    );
    let aya = Aya::start(&yaml);
    let asker = client(&aya);
    asker.send(b"hello?").expect("it goes out");
    wait_until("the session to have failed", || ended(&aya, "failed") > 0.5);
    let reason = [("reason", "first-byte-timeout"), ("blame", "upstream")];
    assert_eq!(aya.total("aya_failures_total", &reason), 1.0);
    // It is ejected: the client, who asks again, is sent elsewhere.
    assert_eq!(ask_text(&asker, "hello?"), "good hello?");

    let patient = Aya::start(&config("", "udp: {timeout: 200ms}", &[silent.address]));
    client(&patient).send(b"hello?").expect("it goes out");
    wait_until("the session to be over", || ended(&patient, "ended") > 0.5);
    assert_eq!(ended(&patient, "failed"), 0.0);
}

/// Strangers cannot take the place of those who are there.
#[test]
fn there_are_no_more_sessions_than_may_be() {
    let endpoint = Endpoint::named("");
    let aya = Aya::start(&config("max-connections: 3", "", &[endpoint.address]));
    let clients: Vec<UdpSocket> = (0..3).map(|_| client(&aya)).collect();
    clients.iter().for_each(|client| assert_eq!(ask(client, b"mine"), b"mine"));
    let stranger = client(&aya);
    stranger.send(b"let me in").expect("it goes out");
    hears_nothing(&stranger);
    assert_eq!(dropped(&aya, "no-session"), 1.0);
    clients.iter().for_each(|client| assert_eq!(ask(client, b"still"), b"still"));
    assert_eq!((open(&aya), endpoint.sessions()), (3.0, 3));
}

/// Without an endpoint a datagram is dropped, and it is said why.
#[test]
fn nowhere_to_go_is_told() {
    let aya = Aya::start(&config("", "", &[]));
    let lost = client(&aya);
    lost.send(b"anybody?").expect("it goes out");
    wait_until("the session to have failed", || ended(&aya, "failed") > 0.5);
    assert_eq!(dropped(&aya, "no-endpoint"), 1.0);
    assert_eq!(aya.total("aya_failures_total", &[("reason", "no-endpoint"), ("blame", "upstream")]), 1.0);
    hears_nothing(&lost);
}

/// Checks ask with a datagram; a session whose endpoint is down goes on with another one.
#[test]
fn a_session_leaves_an_endpoint_that_is_down() {
    let is_well = Arc::new(AtomicUsize::new(1));
    let asked = Arc::clone(&is_well);
    let first = Endpoint::new(move |datagram| match (datagram, asked.load(Ordering::SeqCst)) {
        (b"PING", 1) => vec![b"PONG".to_vec()],
        (b"PING", _) => vec![b"ill".to_vec()],
        (other, _) => vec![[b"first ", other].concat()],
    });
    let second = Endpoint::new(|datagram| match datagram {
        b"PING" => vec![b"+PONG\r\n".to_vec()],
        other => vec![[b"second ", other].concat()],
    });
    let health =
        "health: {udp: PING, expect: 'hex:504f 4e47', interval: 50ms, timeout: 200ms, rise: 1, fall: 2}";
    let endpoints = format!("{{address: '{}', tier: 1}}", second.address);
    let yaml = format!(
        "listeners: {{wire: {{bind: '127.0.0.1:0', protocol: udp, pool: main}}}}\n\
         pools: {{main: {{endpoints: ['{}', {endpoints}], {health}}}}}\n",
        first.address
    );
    let aya = Aya::start(&yaml);
    let client = client(&aya);
    assert_eq!(ask_text(&client, "1"), "first 1");
    is_well.store(0, Ordering::SeqCst);
    wait_until("the session to move", || ask_text(&client, "2") == "second 2");
    is_well.store(1, Ordering::SeqCst);
    let up = [("pool", "main"), ("to", "up"), ("cause", "udp-check")];
    wait_until("the first to be up again", || aya.total("aya_endpoint_transitions_total", &up) > 0.5);
    assert_eq!(ask_text(&client, "3"), "second 3", "it stays while it can");
}

/// A reload leaves sessions alone, unless it sends their datagrams elsewhere.
#[test]
fn sessions_outlive_a_reload() {
    let (a, b) = (Endpoint::named("a"), Endpoint::named("b"));
    let yaml = |pool: &str, timeout: &str| {
        format!(
            "listeners: {{wire: {{bind: '127.0.0.1:0', protocol: udp, pool: {pool}}}}}\n\
             pools: {{one: {{endpoints: ['{}'], udp: {{timeout: {timeout}}}}}, two: {{endpoints: ['{}']}}}}\n",
            a.address, b.address
        )
    };
    let aya = Aya::start(&yaml("one", "60s"));
    let client = client(&aya);
    assert_eq!(ask_text(&client, "1"), "a1");
    let reload = |text: &str| {
        let before = aya.generation();
        aya.rewrite(text);
        aya.wait_for_generation_after(before);
    };
    reload(&yaml("one", "50s"));
    assert_eq!(ask_text(&client, "2"), "a2");
    assert_eq!(a.sessions(), 1, "the same session");
    reload(&yaml("two", "50s"));
    assert_eq!(ask_text(&client, "3"), "b3");
    assert_eq!(open(&aya), 1.0);
}

/// A question that was asked before the upgrade is answered by the old process, all others by the new one; nobody asks twice.
#[test]
fn no_question_is_lost_in_an_upgrade() {
    let slow = Endpoint::new(|datagram| {
        thread::sleep(Duration::from_millis(2));
        vec![datagram.to_vec()]
    });
    let mut aya = Aya::start(&config("", "udp: {replies: 1}", &[slow.address]));
    let stop = Arc::new(AtomicUsize::new(0));
    let address = aya.listener("wire");
    let askers: Vec<_> = (0..4)
        .map(|number| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut asked = 0_u32;
                while stop.load(Ordering::SeqCst) == 0 {
                    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
                    socket.connect(address).expect("it can be reached");
                    socket.set_read_timeout(Some(PATIENCE)).expect("it can be set");
                    let question = format!("{number} {asked}");
                    assert_eq!(ask(&socket, question.as_bytes()), question.as_bytes());
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for _ in 0..2 {
        thread::sleep(A_WHILE);
        aya.upgrade();
    }
    thread::sleep(A_WHILE);
    stop.store(1, Ordering::SeqCst);
    let asked: u32 = askers.into_iter().map(|asker| asker.join().expect("none was lost")).sum();
    assert!(asked > 50, "{asked}");
}

/// A connection over QUIC stays with its endpoint, from whichever port its client goes on.
#[test]
fn connections_over_quic_are_known_by_their_ids() {
    // What an endpoint says first has a long header, with the id that it has chosen.
    let quic = |name: &'static str, id: &'static [u8]| {
        Endpoint::new(move |packet| match packet.first() {
            Some(first) if first & 0x80 != 0 => vec![[b"\xc0\0\0\0\x01\0\x08", id, name.as_bytes()].concat()],
            _ => vec![name.as_bytes().to_vec()],
        })
    };
    let endpoints = [quic("a", b"id-of-a-"), quic("b", b"id-of-b-")];
    let addresses = [endpoints[0].address, endpoints[1].address];
    let aya = Aya::start(&config("", "sticky: {learn: quic}", &addresses));
    let mut met = Vec::new();
    for number in 0..6_u8 {
        let hello = [b"\xc0\0\0\0\x01\x08chosen-", &[number][..], b"\0 hello"].concat();
        let answer = ask(&client(&aya), &hello);
        let (head, name) = answer.split_at(15);
        met.push(name.to_vec());
        let packet = [b"\x40", &head[7..], b" and more"].concat();
        for _ in 0..5 {
            assert_eq!(ask(&client(&aya), &packet), name, "from a new port each time");
        }
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met.len(), 2, "both were met");
}

/// An answer comes from the address that was asked, of all that the machine has.
#[test]
fn answers_come_from_where_was_asked() {
    let endpoint = Endpoint::named("");
    let yaml = config("", "", &[endpoint.address]).replace("127.0.0.1:0'", "0.0.0.0:0'");
    let aya = Aya::start(&yaml);
    let port = aya.listener("wire").port();
    for last in 1..5_u8 {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        let asked = SocketAddr::from(([127, 0, 0, last], port));
        socket.send_to(b"you?", asked).expect("it goes out");
        let (_, from) = socket.recv_from(&mut [0; 16]).expect("an answer");
        assert_eq!(from, asked);
    }
}

/// Each datagram says who its client is, through two of us.
#[test]
fn clients_are_introduced() {
    let endpoint = Endpoint::named("");
    let behind = Aya::start(&config("", "proxy-protocol: v2", &[endpoint.address]));
    let plain = client(&behind);
    let told = ask(&plain, b"payload");
    let own = plain.local_addr().expect("it is bound");
    let (head, payload) = told.split_at(28);
    assert_eq!(payload, b"payload");
    assert_eq!(&head[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c", "version 2, a datagram of IPv4");
    assert_eq!(head[16..20], [127, 0, 0, 1]);
    assert_eq!(head[24..26], own.port().to_be_bytes());
    assert_eq!(head[26..28], behind.listener("wire").port().to_be_bytes());

    // The second one takes the client from what it is told, and keeps clients of one proxy apart.
    let inner = Aya::start(&config("proxy-protocol: 127.0.0.0/8", "sticky: source", &[endpoint.address]));
    let proxy = client(&inner);
    for last in [7_u8, 8] {
        let mut datagram = head.to_vec();
        datagram[19] = last;
        datagram.extend_from_slice(b"question");
        assert_eq!(ask(&proxy, &datagram), b"question");
    }
    assert_eq!(open(&inner), 2.0);
    proxy.send(b"who am I?").expect("it goes out");
    wait_until("it to be refused", || {
        inner.total("aya_proxy_protocol_failures_total", &[("listener", "wire")]) > 0.5
    });
    assert_eq!(open(&inner), 2.0);
}

/// A lot at once, both ways: in large pieces where the system has them, and none is lost while no more is under way than fits.
#[test]
fn a_flood_that_fits_is_passed_on_whole() {
    let endpoint = Endpoint::named("");
    let aya = Aya::start(&config("", "", &[endpoint.address]));
    let client = client(&aya);
    let mut seen = vec![false; 20_000];
    let mut in_order = 0;
    for (burst, numbers) in seen.chunks_mut(40).enumerate() {
        let first = burst * 40;
        for number in first..first + numbers.len() {
            let mut datagram = noise(1_200, 7);
            datagram[..8].copy_from_slice(&(number as u64).to_be_bytes());
            client.send(&datagram).expect("it goes out");
        }
        for expected in first..first + numbers.len() {
            let datagram = receive(&client);
            assert_eq!(datagram.len(), 1_200);
            let number = u64::from_be_bytes(datagram[..8].try_into().expect("eight bytes")) as usize;
            in_order += usize::from(number == expected);
            assert!(!std::mem::replace(&mut numbers[number - first], true), "{number} came twice");
        }
    }
    assert_eq!(in_order, 20_000);
    assert_eq!(endpoint.sessions(), 1);
    assert_eq!(dropped(&aya, "not-taken"), 0.0);
}

/// The log has a line for each session, and `aya explain` knows it.
#[test]
fn sessions_are_logged() {
    let endpoint = Endpoint::named("");
    let log = "logs: {access: {format: json, to: ./access.log}}";
    let yaml = config("", "udp: {replies: 1}", &[endpoint.address]);
    let aya = Aya::start(&format!("{yaml}{log}\n"));
    let since = Stopwatch::start();
    assert_eq!(ask(&client(&aya), b"12345"), b"12345");
    let path = aya.folder().join("access.log");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    wait_until("a line", || read().ends_with('\n'));
    let line: serde_json::Value = serde_json::from_str(read().trim()).expect("JSON");
    let text = line.to_string();
    for part in ["\"UDP\"", "\"wire\"", "\"main\"", &endpoint.address.to_string()] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(since.elapsed() < PATIENCE);
}
