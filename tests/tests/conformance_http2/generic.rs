//! What every endpoint takes: the group `generic`. Its sections are h2spec's own.

use super::frames::kind::{
    CONTINUATION, DATA, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use super::frames::{Code, exclusive, flag, goaway, padded, priority, setting, settings};
use super::heads::{block, get, get_with, huffman, integer, plain, post, table_size};
use super::link::{Link, Outcome};
use super::{Case, beginning, case};

/// `user-agent` without a value, in the static table.
const USER_AGENT: usize = 58;
/// How literals begin (RFC 7541 §6.2): to be indexed, not indexed, never to be indexed; and how many bits are left for the name's index.
const INDEXED: (u8, u32) = (0x40, 6);
const NOT_INDEXED: (u8, u32) = (0x00, 4);
const NEVER_INDEXED: (u8, u32) = (0x10, 4);

/// Strings in Huffman's code, from RFC 7541 appendix C.4.3: `custom-key` and `custom-value`.
const CUSTOM_KEY: &[u8] = &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
const CUSTOM_VALUE: &[u8] = &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf];

pub(super) const CASES: &[Case] = &[
    beginning("1", "a client's preface is taken", |link| {
        link.begin();
        link.is_greeted()
    }),
    case("2", "PRIORITY for a stream that is idle", |link| {
        link.send(PRIORITY, flag::NONE, 1, priority(0, 255));
        link.is_alive()
    }),
    case("2", "WINDOW_UPDATE behind the end of the request", |link| {
        link.hold(1);
        link.send(WINDOW_UPDATE, flag::NONE, 1, 1_u32.to_be_bytes());
        link.gets_data(1, 1)
    }),
    case("2", "PRIORITY behind the end of the request", |link| {
        link.hold(1);
        link.send(PRIORITY, flag::NONE, 1, priority(0, 255));
        link.send(WINDOW_UPDATE, flag::NONE, 1, 1_u32.to_be_bytes());
        link.gets_data(1, 1)
    }),
    case("2", "RST_STREAM behind the end of the request", |link| {
        link.get(1);
        link.send(RST_STREAM, flag::NONE, 1, Code::CANCEL.0.to_be_bytes());
        link.is_alive()
    }),
    case("2", "PRIORITY for a stream that is closed", |link| {
        link.get(1);
        link.is_complete(1)?;
        link.send(PRIORITY, flag::NONE, 1, priority(0, 255));
        link.is_alive()
    }),
    case("3.1", "a body in one DATA frame", |link| {
        link.post(1);
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_answered(1)
    }),
    case("3.1", "a body in several DATA frames", |link| {
        link.post(1);
        link.send(DATA, flag::NONE, 1, "body");
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_answered(1)
    }),
    case("3.1", "DATA with padding", |link| {
        link.post(1);
        link.send(DATA, flag::END_STREAM | flag::PADDED, 1, padded(b"body", 5, 5));
        link.is_answered(1)
    }),
    case("3.2", "HEADERS", |link| {
        link.get(1);
        link.is_answered(1)
    }),
    case("3.2", "HEADERS with padding", |link| {
        link.send(HEADERS, flag::ALL | flag::PADDED, 1, padded(&get(&[]), 8, 8));
        link.is_answered(1)
    }),
    case("3.2", "HEADERS with a priority", |link| {
        link.send(HEADERS, flag::ALL | flag::PRIORITY, 1, [priority(0, 255), get(&[])].concat());
        link.is_answered(1)
    }),
    case("3.3", "PRIORITY with the least weight", |link| prioritized(link, 1, priority(0, 0))),
    case("3.3", "PRIORITY with the greatest weight", |link| prioritized(link, 1, priority(0, 255))),
    case("3.3", "PRIORITY with a dependency", |link| prioritized(link, 3, priority(1, 0))),
    case("3.3", "PRIORITY with an exclusive dependency", |link| prioritized(link, 1, exclusive(0, 0))),
    case("3.3", "PRIORITY for a later stream than the one that is opened", |link| {
        prioritized(link, 3, priority(0, 255))
    }),
    case("3.4", "RST_STREAM", |link| {
        link.post(1);
        link.send(RST_STREAM, flag::NONE, 1, Code::CANCEL.0.to_be_bytes());
        link.is_alive()
    }),
    case("3.5", "SETTINGS with all that is defined", |link| {
        let all = [
            (setting::HEADER_TABLE_SIZE, 4096),
            (setting::ENABLE_PUSH, 1),
            (setting::MAX_CONCURRENT_STREAMS, 100),
            (setting::INITIAL_WINDOW_SIZE, 65_535),
            (setting::MAX_FRAME_SIZE, 16_384),
            (setting::MAX_HEADER_LIST_SIZE, 100),
        ];
        link.send(SETTINGS, flag::NONE, 0, settings(&all));
        link.is_acknowledged()
    }),
    case("3.7", "PING", |link| {
        link.send(PING, flag::NONE, 0, b"answer\0\0");
        link.pongs(b"answer\0\0")
    }),
    case("3.8", "GOAWAY", |link| {
        link.send(GOAWAY, flag::NONE, 0, goaway(0, Code::NONE, "enough"));
        link.is_alive_or_ends()
    }),
    case("3.9", "WINDOW_UPDATE for the connection", |link| {
        link.send(WINDOW_UPDATE, flag::NONE, 0, 1_u32.to_be_bytes());
        link.is_alive()
    }),
    case("3.9", "WINDOW_UPDATE for a stream", |link| {
        link.get(1);
        link.send(WINDOW_UPDATE, flag::NONE, 1, 1_u32.to_be_bytes());
        link.is_answered(1)
    }),
    case("3.10", "a head that one CONTINUATION completes", |link| {
        let head = get(&[]);
        link.send(HEADERS, flag::END_STREAM, 1, &head[..5]);
        link.send(CONTINUATION, flag::END_HEADERS, 1, &head[5..]);
        link.is_answered(1)
    }),
    case("3.10", "a head that several CONTINUATIONs complete", |link| {
        let head = get(&[]);
        link.send(HEADERS, flag::END_STREAM, 1, &head[..5]);
        link.send(CONTINUATION, flag::NONE, 1, &head[5..10]);
        link.send(CONTINUATION, flag::END_HEADERS, 1, &head[10..]);
        link.is_answered(1)
    }),
    case("4", "GET", |link| {
        link.get(1);
        link.is_answered(1)
    }),
    case("4", "HEAD", |link| {
        link.send(HEADERS, flag::ALL, 1, get_with(":method", "HEAD"));
        link.is_answered(1)
    }),
    case("4", "POST", |link| {
        link.post(1);
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_answered(1)
    }),
    case("4", "POST with trailers", |link| {
        link.send(HEADERS, flag::END_HEADERS, 1, post(&[("trailer", "x-test")]));
        link.send(DATA, flag::NONE, 1, "body");
        link.send(HEADERS, flag::ALL, 1, block(&[("x-test", "said")]));
        link.is_answered(1)
    }),
    // Section 5: every representation of a field. h2spec writes names out that its titles call indexed, and packs one that they call plain:
    // here each case sends what its title says.
    case("5", "an indexed field", |link| with_field(link, &integer(0x80, 7, USER_AGENT))),
    case("5", "to be indexed, indexed name", |link| named_by_index(link, INDEXED, &plain(b"case"))),
    case("5", "to be indexed, indexed name, packed", |link| {
        named_by_index(link, INDEXED, &huffman(CUSTOM_VALUE))
    }),
    case("5", "to be indexed, new name", |link| named_anew(link, INDEXED, &new_plain())),
    case("5", "to be indexed, new name, packed", |link| named_anew(link, INDEXED, &new_packed())),
    case("5", "not indexed, indexed name", |link| named_by_index(link, NOT_INDEXED, &plain(b"case"))),
    case("5", "not indexed, indexed name, packed", |link| {
        named_by_index(link, NOT_INDEXED, &huffman(CUSTOM_VALUE))
    }),
    case("5", "not indexed, new name", |link| named_anew(link, NOT_INDEXED, &new_plain())),
    case("5", "not indexed, new name, packed", |link| named_anew(link, NOT_INDEXED, &new_packed())),
    case("5", "never indexed, indexed name", |link| named_by_index(link, NEVER_INDEXED, &plain(b"case"))),
    case("5", "never indexed, indexed name, packed", |link| {
        named_by_index(link, NEVER_INDEXED, &huffman(CUSTOM_VALUE))
    }),
    case("5", "never indexed, new name", |link| named_anew(link, NEVER_INDEXED, &new_plain())),
    case("5", "never indexed, new name, packed", |link| named_anew(link, NEVER_INDEXED, &new_packed())),
    case("5", "the table's size changes", |link| resized(link, &[128])),
    case("5", "the table's size changes twice", |link| resized(link, &[128, 4096])),
];

/// Sends PRIORITY for a stream, and then a request on the first one, which is answered.
fn prioritized(link: &mut Link, stream: u32, payload: Vec<u8>) -> Outcome {
    link.send(PRIORITY, flag::NONE, stream, payload);
    link.get(1);
    link.is_answered(1)
}

/// A request with this field, as it is encoded, is answered.
fn with_field(link: &mut Link, field: &[u8]) -> Outcome {
    link.send(HEADERS, flag::ALL, 1, [&get(&[])[..], field].concat());
    link.is_answered(1)
}

fn named_by_index(link: &mut Link, (pattern, bits): (u8, u32), value: &[u8]) -> Outcome {
    with_field(link, &[&integer(pattern, bits, USER_AGENT)[..], value].concat())
}

fn named_anew(link: &mut Link, (pattern, bits): (u8, u32), name_and_value: &[u8]) -> Outcome {
    with_field(link, &[&integer(pattern, bits, 0)[..], name_and_value].concat())
}

fn new_plain() -> Vec<u8> {
    [plain(b"custom-key"), plain(b"custom-value")].concat()
}

fn new_packed() -> Vec<u8> {
    [huffman(CUSTOM_KEY), huffman(CUSTOM_VALUE)].concat()
}

/// A request before which the dynamic table gets these sizes.
fn resized(link: &mut Link, sizes: &[usize]) -> Outcome {
    let updates: Vec<u8> = sizes.iter().flat_map(|size| table_size(*size)).collect();
    link.send(HEADERS, flag::ALL, 1, [updates, get(&[])].concat());
    link.is_answered(1)
}
