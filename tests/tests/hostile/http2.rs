//! Clients that flood a connection over HTTP/2 with frames that cost them nothing: they are sent away, and nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base_testkit::{Backend, Nginx, Stopwatch, answer};

use super::{STATE_BYTES, Siege};
use crate::conformance_http2::frames::Frame;
use crate::conformance_http2::frames::flag::{ALL, END_HEADERS};
use crate::conformance_http2::frames::kind::{
    CONTINUATION, DATA, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, UNKNOWN, WINDOW_UPDATE,
};
use crate::vitals::{Bystander, MIB};

/// Connections that attack at once.
const ATTACKERS: usize = 4;
/// Within which a flood has to be cut off.
const PATIENCE: Duration = Duration::from_secs(20);

/// `GET / HTTP/2` for the host `a`, and the same with POST (RFC 7541 Appendix A).
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];
/// POST for the path `/own`, which is answered before the body is there.
const POST_OWN: &[u8] = &[0x83, 0x86, 4, 4, b'/', b'o', b'w', b'n', 0x41, 1, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame { kind, flags, stream, payload: payload.to_vec() }.put(&mut bytes);
    bytes
}

/// What is sent first, and then again and again: the bytes of the round of this number.
struct Attack {
    name: &'static str,
    /// What it is counted as.
    kinds: &'static [&'static str],
    begins: fn() -> Vec<u8>,
    round: fn(u32) -> Vec<u8>,
}

/// The number of a round's stream.
const fn stream(round: u32) -> u32 {
    2 * round + 1
}

fn nothing() -> Vec<u8> {
    Vec::new()
}

/// A request whose body is still to come.
fn upload() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, POST)
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "requests that are given up at once (CVE-2023-44487)",
        kinds: &["resets", "limits"],
        begins: nothing,
        round: |round| {
            let asked = frame(HEADERS, ALL, stream(round), GET);
            [asked, frame(RST_STREAM, 0, stream(round), &8_u32.to_be_bytes())].concat()
        },
    },
    Attack {
        name: "a head of pieces without end (CVE-2024-27316)",
        kinds: &["continuations", "limits", "protocol"],
        begins: || frame(HEADERS, 0, 1, GET),
        round: |round| {
            let field = [&[0x00, 4][..], format!("x{:03}", round % 1000).as_bytes(), &[5], b"value"].concat();
            frame(CONTINUATION, 0, 1, &field)
        },
    },
    Attack {
        name: "a head of empty pieces without end",
        kinds: &["continuations", "limits", "protocol"],
        begins: || frame(HEADERS, 0, 1, GET),
        round: |_| frame(CONTINUATION, 0, 1, &[]),
    },
    Attack {
        name: "requests that the server has to give up (CVE-2025-8671)",
        kinds: &["heads", "limits", "protocol"],
        begins: nothing,
        round: |round| {
            let asked = frame(HEADERS, END_HEADERS, stream(round), POST);
            [asked, frame(WINDOW_UPDATE, 0, stream(round), &0_u32.to_be_bytes())].concat()
        },
    },
    Attack {
        name: "settings that change and change",
        kinds: &["settings", "limits"],
        begins: nothing,
        round: |round| frame(SETTINGS, 0, 0, &[&[0, 4][..], &(1_000 + round % 2).to_be_bytes()].concat()),
    },
    Attack {
        name: "pings",
        kinds: &["pings", "limits"],
        begins: nothing,
        round: |round| frame(PING, 0, 0, &u64::from(round).to_be_bytes()),
    },
    Attack {
        name: "priorities",
        kinds: &["trifles"],
        begins: nothing,
        round: |round| frame(PRIORITY, 0, stream(round % 1000), &[0, 0, 0, 0, 16]),
    },
    Attack {
        name: "data without data",
        kinds: &["empty-frames", "limits"],
        begins: upload,
        round: |_| frame(DATA, 0, 1, &[]),
    },
    Attack {
        name: "data in single bytes of a request that is over",
        kinds: &["empty-frames", "limits"],
        begins: || frame(HEADERS, END_HEADERS, 1, POST_OWN),
        round: |_| frame(DATA, 0, 1, b"x"),
    },
    Attack {
        name: "small heads that unfold into large ones (HPACK)",
        kinds: &["heads", "limits", "protocol"],
        begins: || {
            // A field of 3,900 bytes goes into the table, and is then named by one byte.
            let field = [&[0x40, 1, b'x', 0x7f, 0xbd, 0x1d][..], &[b'v'; 3_900]].concat();
            frame(HEADERS, ALL, 1, &[GET, &field].concat())
        },
        round: |round| frame(HEADERS, ALL, stream(round + 1), &[GET, &[0xbe; 8_000]].concat()),
    },
    Attack {
        name: "a large answer that is taken byte by byte",
        kinds: &["trifles"],
        begins: || {
            let settings = frame(SETTINGS, 0, 0, &[&[0, 4][..], &0_u32.to_be_bytes()].concat());
            [settings, frame(HEADERS, ALL, 1, GET)].concat()
        },
        round: |_| frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()),
    },
    Attack {
        name: "frames of kinds that nobody knows",
        kinds: &["trifles"],
        begins: nothing,
        round: |round| frame(UNKNOWN, 0, stream(round % 1000), b"?"),
    },
];

/// Attacks until the connection ends. What Aya says meanwhile is read only if `listens`.
fn storm(siege: &Siege, attack: &Attack, listens: bool) {
    let mut socket = TcpStream::connect(siege.aya.listener("web")).expect("a connection is made");
    let mut reader = socket.try_clone().expect("a socket can be shared");
    let limit = Some(PATIENCE);
    socket
        .set_write_timeout(limit)
        .and_then(|()| reader.set_read_timeout(limit))
        .expect("a limit can be set");
    std::thread::scope(|scope| {
        scope.spawn(
            move || {
                while listens && matches!(reader.read(&mut [0; 1 << 16]), Ok(count) if count > 0) {}
            },
        );
        let watch = Stopwatch::start();
        let begins =
            [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[]), (attack.begins)()];
        let mut round = 0;
        let mut open = socket.write_all(&begins.concat()).is_ok();
        while open {
            let mut batch = Vec::new();
            while batch.len() < 16 << 10 {
                batch.extend((attack.round)(round));
                round += 1;
            }
            open = socket.write_all(&batch).is_ok();
            assert!(watch.elapsed() < PATIENCE, "{} goes on after {round} rounds", attack.name);
        }
        // Its reader ends, too.
        let _ = socket.shutdown(std::net::Shutdown::Both);
    });
}

/// Every flood ends with its client sent away, whether that listens or not; others are served, memory stays within a bound, and nothing is left.
#[test]
fn floods_of_frames() {
    let backend = Backend::answering(|request| {
        let size = if request.target == "/" { 1 << 20 } else { 10 };
        answer(200, &[], vec![b'a'; size])
    });
    let siege = Siege::lay("", "", "", &[&backend]);
    let counted = |kinds: &[&str]| {
        let one =
            |kind: &&str| siege.aya.total("aya_http2_abuse_total", &[("listener", "web"), ("kind", kind)]);
        kinds.iter().map(one).sum::<f64>()
    };
    for attack in ATTACKS {
        for listens in [true, false] {
            let before = counted(attack.kinds);
            std::thread::scope(|scope| {
                (0..ATTACKERS).for_each(|_| drop(scope.spawn(|| storm(&siege, attack, listens))));
            });
            let sent_away = counted(attack.kinds) - before;
            println!("{}, listening: {listens}: {sent_away} sent away", attack.name);
            assert!(
                sent_away >= ATTACKERS as f64,
                "{}: {sent_away} of {ATTACKERS} were sent away",
                attack.name
            );
        }
    }
    siege.lift(
        "clients that flood a connection over HTTP/2 with frames are sent away",
        file!(),
        ATTACKERS as u64 * (100 * (64 * 1024 + STATE_BYTES) + 4 * MIB),
        &format!(
            "64 KiB and a task for each of 100 requests, a window of 1 MiB and what small frames take beside it, on each of {ATTACKERS} connections"
        ),
    );
}

/// Beside clients that come again whenever they are sent away, others wait a bit longer at most, and Aya does not spend its time on them.
#[test]
fn floods_leave_others_their_time() {
    // It answers with little, and does not suffer itself: a thread for each connection would.
    let server = Nginx::start("location / { return 200 'a short answer'; }");
    let mut siege = Siege::lay_before(server.address());
    let span = if crate::is_long() { Duration::from_secs(5) } else { Duration::from_millis(300) };
    let beside = |disturb: &mut dyn FnMut()| {
        let (bystander, watch, cpu) =
            (Bystander::start(&siege.aya), Stopwatch::start(), siege.aya.cpu_time());
        while watch.elapsed() < span {
            disturb();
        }
        let used = (siege.aya.cpu_time() - cpu).as_secs_f64() / watch.elapsed().as_secs_f64();
        let calm = bystander.finish();
        assert!(calm.faults.is_empty(), "the bystander suffered: {:?}", calm.faults);
        (calm.p99(), used)
    };
    let (calm, idle) = beside(&mut || std::thread::sleep(span));
    println!("calm: p99 {calm:?}, {idle:.2} cores");
    let (mut worst, mut most) = ((calm, "calm"), (idle, "calm"));
    for attack in ATTACKS {
        let (p99, used) = beside(&mut || storm(&siege, attack, true));
        println!("{}: p99 {p99:?}, {used:.2} cores", attack.name);
        worst = worst.max((p99, attack.name));
        most = if used > most.0 { (used, attack.name) } else { most };
    }
    // Speed is shown, and not judged: the attacker and who suffers share two cores with Aya.
    siege.notes = format!(
        "its p99 {calm:?} in calm, {:?} at worst ({}), {:.2} cores at most ({}); ",
        worst.0, worst.1, most.0, most.1
    );
    siege.lift(
        "beside a client that floods by HTTP/2 again and again, others are served",
        file!(),
        8 * MIB,
        "8 MiB for one connection",
    );
}

/// A head that is begun and not ended has its time, however little is sent.
#[test]
fn heads_that_do_not_end() {
    let backend = Backend::echo("a");
    let siege = Siege::lay("timeouts: {request-head: 1s}", "", "", &[&backend]);
    let mut socket = TcpStream::connect(siege.aya.listener("web")).expect("a connection is made");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit can be set");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let begun = [preface, frame(SETTINGS, 0, 0, &[]), frame(HEADERS, 0, 1, GET)].concat();
    socket.write_all(&begun).expect("the head is begun");
    let mut all = Vec::new();
    socket.read_to_end(&mut all).expect("Aya ends the connection");
    let sent_away = siege.aya.total("aya_http2_abuse_total", &[("listener", "web"), ("kind", "slow-head")]);
    assert_eq!(sent_away, 1.0);
    siege.lift(
        "a client that begins a head over HTTP/2 and does not end it is sent away",
        file!(),
        STATE_BYTES,
        "one connection",
    );
}
