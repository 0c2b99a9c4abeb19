//! Streams: their states, identifiers, number, priorities and errors: chapter 5.

use super::super::frames::kind::{
    CONTINUATION, DATA, HEADERS, PING, PRIORITY, RST_STREAM, UNKNOWN, WINDOW_UPDATE,
};
use super::super::frames::{Code, flag, priority, setting};
use super::super::heads::{filler, get};
use super::super::link::Link;
use super::super::{Case, case};

/// A head on a stream that is closed is as well one with a number that is not greater than all before: a connection error of type PROTOCOL_ERROR
/// (RFC 9113 §5.1.1). That a frame comes on a closed stream need not be an error any more (§5.1).
const HEADERS_AGAIN: &[Code] = &[Code::STREAM_CLOSED, Code::PROTOCOL];

pub(in super::super) const CASES: &[Case] = &[
    case("5.1", "idle: DATA", |link| {
        link.send(DATA, flag::END_STREAM, 1, "body");
        // §5.1 and §6.1 say different things of it.
        link.is_reset(1, &[Code::PROTOCOL, Code::STREAM_CLOSED])
    }),
    case("5.1", "idle: RST_STREAM", |link| {
        cancel(link);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("5.1", "idle: WINDOW_UPDATE", |link| {
        link.send(WINDOW_UPDATE, flag::NONE, 1, 100_u32.to_be_bytes());
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("5.1", "idle: CONTINUATION", |link| {
        link.send(CONTINUATION, flag::END_HEADERS, 1, get(&[]));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("5.1", "half-closed: DATA", |link| {
        link.hold(1);
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_reset(1, &[Code::STREAM_CLOSED])
    }),
    case("5.1", "half-closed: HEADERS", |link| {
        link.hold(1);
        link.get(1);
        link.is_reset(1, &[Code::STREAM_CLOSED])
    }),
    case("5.1", "half-closed: CONTINUATION", |link| {
        link.get(1);
        link.send(CONTINUATION, flag::END_HEADERS, 1, get(&[]));
        link.is_reset(1, &[Code::STREAM_CLOSED, Code::PROTOCOL])
    }),
    case("5.1", "closed by RST_STREAM: DATA", |link| {
        cancelled(link);
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_reset(1, &[Code::STREAM_CLOSED])
    }),
    case("5.1", "closed by RST_STREAM: HEADERS", |link| {
        cancelled(link);
        link.get(1);
        link.is_reset(1, HEADERS_AGAIN)
    }),
    case("5.1", "closed by RST_STREAM: CONTINUATION", |link| {
        cancelled(link);
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_reset(1, &[Code::STREAM_CLOSED, Code::PROTOCOL])
    }),
    case("5.1", "closed by both ends: DATA", |link| {
        link.get(1);
        link.is_complete(1)?;
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_reset(1, &[Code::STREAM_CLOSED])
    }),
    case("5.1", "closed by both ends: HEADERS", |link| {
        link.get(1);
        link.is_complete(1)?;
        link.get(1);
        link.is_cut(HEADERS_AGAIN)
    }),
    case("5.1", "closed by both ends: CONTINUATION", |link| {
        link.get(1);
        link.is_complete(1)?;
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_cut(&[Code::STREAM_CLOSED, Code::PROTOCOL])
    }),
    case("5.1.1", "a client's stream with an even number", |link| {
        link.get(2);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("5.1.1", "a new stream with a lower number than the last one", |link| {
        link.get(5);
        link.get(3);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("5.1.2", "more streams at once than are allowed", |link| {
        let most = link.setting(setting::MAX_CONCURRENT_STREAMS).ok_or("Aya allows any number of streams")?;
        // Without a window no answer can end.
        link.set(setting::INITIAL_WINDOW_SIZE, 0);
        (0..=most).for_each(|number| link.get(2 * number + 1));
        link.is_reset(2 * most + 1, &[Code::PROTOCOL, Code::REFUSED_STREAM])
    }),
    // RFC 9113 §5.3.2 has taken priorities away: who does not look at them does not see what is wrong with these.
    case("5.3.1", "HEADERS that depend on their own stream", |link| {
        link.send(HEADERS, flag::ALL | flag::PRIORITY, 1, [priority(1, 255), get(&[])].concat());
        link.is_reset_or_answered(1)
    }),
    case("5.3.1", "PRIORITY that depends on its own stream", |link| {
        link.send(PRIORITY, flag::NONE, 1, priority(1, 255));
        link.get(1);
        link.is_reset_or_answered(1)
    }),
    case("5.4.1", "a connection error closes the connection", |link| {
        link.send(PING, flag::NONE, 3, [0; 8]);
        link.ends()
    }),
    case("5.4.1", "a connection error says so before", |link| {
        link.send(PING, flag::NONE, 3, [0; 8]);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("5.5", "an unknown frame", |link| {
        link.send(UNKNOWN, flag::NONE, 0, [0; 8]);
        link.is_alive()
    }),
    case("5.5", "an unknown frame within a head", |link| {
        link.send(HEADERS, flag::END_STREAM, 1, get(&[]));
        link.send(UNKNOWN, flag::NONE, 0, [0; 8]);
        link.is_cut(&[Code::PROTOCOL])
    }),
];

fn cancel(link: &mut Link) {
    link.send(RST_STREAM, flag::NONE, 1, Code::CANCEL.0.to_be_bytes());
}

/// A request that is given up before its body has come.
fn cancelled(link: &mut Link) {
    link.send(HEADERS, flag::END_HEADERS, 1, get(&[]));
    cancel(link);
}
