//! How a connection begins, and frames as such: chapters 3 and 4 (RFC 9113 §3.4, §4).

use super::super::frames::kind::{CONTINUATION, DATA, HEADERS, PING, PRIORITY, UNKNOWN};
use super::super::frames::{Code, FRAME_BYTES, flag, priority};
use super::super::heads::{filler, get};
use super::super::{Case, beginning, case};

/// Flags that no frame gives a meaning to, but END_HEADERS, which a PING does not have.
const MEANINGLESS: u8 = 0x16;
/// In front of a stream's number.
const RESERVED_BIT: u32 = 1 << 31;

pub(in super::super) const CASES: &[Case] = &[
    beginning("3.5", "a server says its settings first", |link| {
        link.begin();
        link.is_greeted()
    }),
    beginning("3.5", "something else than the preface", |link| {
        // On a port that is also there for HTTP/1.1 it is a bad request of that; GOAWAY may be left out (RFC 9113 §3.4).
        link.send_bytes(b"NOT THE PREFACE OF A CLIENT\r\n\r\n");
        link.ends()
    }),
    case("4.1", "a frame of an unknown type", |link| {
        link.send(UNKNOWN, flag::NONE, 0, [0; 8]);
        link.is_alive()
    }),
    case("4.1", "flags that are not defined", |link| {
        link.send(PING, MEANINGLESS, 0, b"flagged!");
        link.pongs(b"flagged!")
    }),
    case("4.1", "the reserved bit", |link| {
        link.send(PING, MEANINGLESS, RESERVED_BIT, b"reserved");
        link.pongs(b"reserved")
    }),
    case("4.2", "DATA as large as every server takes", |link| {
        link.post(1);
        link.send(DATA, flag::END_STREAM, 1, [b'x'; FRAME_BYTES]);
        link.is_answered(1)
    }),
    case("4.2", "DATA that is too large", |link| {
        link.post(1);
        link.send(DATA, flag::END_STREAM, 1, [b'x'; FRAME_BYTES + 1]);
        link.is_reset(1, &[Code::FRAME_SIZE])
    }),
    case("4.2", "HEADERS that are too large", |link| {
        link.send(HEADERS, flag::ALL, 1, [get(&[]), filler(5)].concat());
        link.is_cut(&[Code::FRAME_SIZE])
    }),
    case("4.3", "a head that ends within a field", |link| {
        link.send(HEADERS, flag::ALL, 1, [0x40]);
        link.is_cut(&[Code::COMPRESSION])
    }),
    case("4.3", "PRIORITY within a head", |link| {
        link.send(HEADERS, flag::NONE, 1, get(&[]));
        link.send(PRIORITY, flag::NONE, 1, priority(0, 255));
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("4.3", "HEADERS of another stream within a head", |link| {
        link.send(HEADERS, flag::NONE, 1, get(&[]));
        link.get(3);
        link.send(CONTINUATION, flag::END_HEADERS, 1, filler(1));
        link.is_cut(&[Code::PROTOCOL])
    }),
];
