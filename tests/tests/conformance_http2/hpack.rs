//! Heads that cannot be decoded (RFC 7541): the group `hpack`. Each one is a connection error, since both sides have different tables from then on
//! (RFC 9113 §4.3).

use super::frames::kind::HEADERS;
use super::frames::{Code, flag, setting};
use super::heads::{get, huffman, integer, plain, table_size};
use super::link::{Link, Outcome};
use super::{Case, case};

/// In no table: the static one has 61 entries, the dynamic one none.
const NO_INDEX: usize = 70;
/// The size of a dynamic table until somebody says otherwise (RFC 9113 §6.5.2).
const USUAL_TABLE_BYTES: u32 = 4096;

/// `a`, five bits of it, with three bits of padding as they must be.
const A: u8 = 0b0001_1111;

pub(super) const CASES: &[Case] = &[
    case("2.3.3", "an indexed field whose index is in no table", |link| {
        behind_request(link, &integer(0x80, 7, NO_INDEX))
    }),
    case("2.3.3", "a literal whose name's index is in no table", |link| {
        behind_request(link, &[integer(0x40, 6, NO_INDEX), plain(b"")].concat())
    }),
    case("4.2", "the table's size changes at the end of a head", |link| behind_request(link, &table_size(1))),
    case("5.2", "Huffman's code with more than seven bits of padding", |link| {
        behind_request(link, &valued(&[A, 0xff]))
    }),
    case("5.2", "Huffman's code with zeros for padding", |link| {
        behind_request(link, &valued(&[A & 0b1111_1000]))
    }),
    case("5.2", "Huffman's code with the end of the string in it", |link| {
        // `a`, the thirty bits of the end, and `a` again: no padding is left.
        behind_request(link, &valued(&[A, 0xff, 0xff, 0xff, 0b1110_0011]))
    }),
    case("6.1", "an indexed field with index 0", |link| behind_request(link, &integer(0x80, 7, 0))),
    case("6.3", "the table's size becomes larger than the settings allow", |link| {
        let most = link.setting(setting::HEADER_TABLE_SIZE).unwrap_or(USUAL_TABLE_BYTES);
        let update = table_size(most as usize + 1);
        link.send(HEADERS, flag::ALL, 1, [update, get(&[])].concat());
        link.is_cut(&[Code::COMPRESSION])
    }),
];

/// A field whose value is this Huffman code.
fn valued(code: &[u8]) -> Vec<u8> {
    [&[0][..], &plain(b"x-test"), &huffman(code)].concat()
}

/// Sends the usual request and these bytes at the end of its head, which cannot be decoded then.
fn behind_request(link: &mut Link, bytes: &[u8]) -> Outcome {
    link.send(HEADERS, flag::ALL, 1, [&get(&[])[..], bytes].concat());
    link.is_cut(&[Code::COMPRESSION])
}
