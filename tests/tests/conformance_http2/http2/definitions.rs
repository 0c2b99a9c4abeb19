//! What is wrong with frames of each type, and codes of errors: chapters 6 and 7, but for windows.

use super::super::frames::kind::{CONTINUATION, DATA, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS};
use super::super::frames::{Code, flag, goaway, padded, priority, setting, settings};
use super::super::heads::{filler, get, post};
use super::super::{Case, case};

pub(in super::super) const CASES: &[Case] = &[
    case("6.1", "DATA on stream 0", |link| {
        link.send(DATA, flag::END_STREAM, 0, "body");
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.1", "DATA on a stream that is half-closed", |link| {
        link.hold(1);
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_reset(1, &[Code::STREAM_CLOSED])
    }),
    case("6.1", "DATA with more padding than payload", |link| {
        link.send(HEADERS, flag::END_HEADERS, 1, post(&[("content-length", "4")]));
        link.send(DATA, flag::END_STREAM | flag::PADDED, 1, padded(b"body", 6, 0));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.2", "HEADERS to be continued, and PRIORITY", |link| {
        link.send(HEADERS, flag::NONE, 1, get(&[]));
        link.send(PRIORITY, flag::NONE, 1, priority(0, 255));
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.2", "HEADERS to be continued, and HEADERS of another stream", |link| {
        link.send(HEADERS, flag::NONE, 1, get(&[]));
        link.get(3);
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.2", "HEADERS on stream 0", |link| {
        link.get(0);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.2", "HEADERS with more padding than payload", |link| {
        let head = get(&[]);
        link.send(HEADERS, flag::ALL | flag::PADDED, 1, padded(&head, head.len() + 2, 0));
        link.is_reset(1, &[Code::PROTOCOL])
    }),
    case("6.3", "PRIORITY on stream 0", |link| {
        link.send(PRIORITY, flag::NONE, 0, priority(0, 255));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.3", "PRIORITY of another length than 5", |link| {
        link.get(1);
        link.send(PRIORITY, flag::NONE, 1, [0x80, 0, 0, 1]);
        link.is_reset(1, &[Code::FRAME_SIZE])
    }),
    case("6.4", "RST_STREAM on stream 0", |link| {
        link.send(RST_STREAM, flag::NONE, 0, Code::CANCEL.0.to_be_bytes());
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.4", "RST_STREAM on a stream that is idle", |link| {
        link.send(RST_STREAM, flag::NONE, 1, Code::CANCEL.0.to_be_bytes());
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.4", "RST_STREAM of another length than 4", |link| {
        link.get(1);
        link.send(RST_STREAM, flag::NONE, 1, [0; 3]);
        link.is_cut(&[Code::FRAME_SIZE])
    }),
    case("6.5", "an acknowledgement of SETTINGS with a payload", |link| {
        link.send(SETTINGS, flag::ACK, 0, [0]);
        link.is_cut(&[Code::FRAME_SIZE])
    }),
    case("6.5", "SETTINGS on a stream", |link| {
        link.send(SETTINGS, flag::NONE, 1, settings(&[(setting::MAX_CONCURRENT_STREAMS, 100)]));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.5", "SETTINGS whose length is no multiple of 6", |link| {
        link.send(SETTINGS, flag::NONE, 0, [0, 3, 0]);
        link.is_cut(&[Code::PROTOCOL, Code::FRAME_SIZE])
    }),
    case("6.5.2", "ENABLE_PUSH of neither 0 nor 1", |link| {
        link.set(setting::ENABLE_PUSH, 2);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.5.2", "INITIAL_WINDOW_SIZE above the largest", |link| {
        link.set(setting::INITIAL_WINDOW_SIZE, 1 << 31);
        link.is_cut(&[Code::FLOW_CONTROL])
    }),
    case("6.5.2", "MAX_FRAME_SIZE below the smallest", |link| {
        link.set(setting::MAX_FRAME_SIZE, (1 << 14) - 1);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.5.2", "MAX_FRAME_SIZE above the largest", |link| {
        link.set(setting::MAX_FRAME_SIZE, 1 << 24);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.5.2", "an unknown setting", |link| {
        link.set(setting::UNKNOWN, 1);
        link.is_alive()
    }),
    case("6.5.3", "the last of two values counts", |link| {
        let name = setting::INITIAL_WINDOW_SIZE;
        link.send(SETTINGS, flag::NONE, 0, settings(&[(name, 100), (name, 1)]));
        link.is_acknowledged()?;
        link.get(1);
        link.gets_data(1, 1)
    }),
    case("6.5.3", "SETTINGS are acknowledged", |link| {
        link.set(setting::MAX_CONCURRENT_STREAMS, 100);
        link.is_acknowledged()
    }),
    case("6.7", "PING is answered with the same bytes", |link| {
        link.send(PING, flag::NONE, 0, b"the same");
        link.pongs(b"the same")
    }),
    case("6.7", "an answer to PING is not answered", |link| {
        link.send(PING, flag::ACK, 0, b"not this");
        link.send(PING, flag::NONE, 0, b"but this");
        link.pongs(b"but this")
    }),
    case("6.7", "PING on a stream", |link| {
        link.send(PING, flag::NONE, 1, [0; 8]);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.7", "PING of another length than 8", |link| {
        link.send(PING, flag::NONE, 0, [0; 6]);
        link.is_cut(&[Code::FRAME_SIZE])
    }),
    case("6.8", "GOAWAY on a stream", |link| {
        link.send(GOAWAY, flag::NONE, 1, goaway(0, Code::NONE, ""));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.10", "several CONTINUATIONs behind HEADERS", |link| {
        link.send(HEADERS, flag::END_STREAM, 1, get(&[]));
        link.send(CONTINUATION, flag::NONE, 1, filler(1));
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_answered(1)
    }),
    case("6.10", "CONTINUATION to be continued, and DATA", |link| {
        link.send(HEADERS, flag::NONE, 1, post(&[]));
        link.send(CONTINUATION, flag::NONE, 1, filler(1));
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.10", "CONTINUATION on stream 0", |link| {
        link.send(HEADERS, flag::END_STREAM, 1, get(&[]));
        link.send(CONTINUATION, flag::END_HEADERS, 0, filler(1));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.10", "CONTINUATION behind HEADERS that are complete", |link| {
        link.get(1);
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.10", "CONTINUATION behind one that completes the head", |link| {
        link.send(HEADERS, flag::END_STREAM, 1, get(&[]));
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.10", "CONTINUATION behind DATA", |link| {
        link.send(HEADERS, flag::NONE, 1, post(&[]));
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("7", "GOAWAY with an unknown code", |link| {
        link.send(GOAWAY, flag::NONE, 0, goaway(0, Code::UNKNOWN, ""));
        link.is_alive_or_ends()
    }),
    case("7", "RST_STREAM with an unknown code", |link| {
        link.post(1);
        link.send(RST_STREAM, flag::NONE, 1, Code::UNKNOWN.0.to_be_bytes());
        link.is_alive()
    }),
];
