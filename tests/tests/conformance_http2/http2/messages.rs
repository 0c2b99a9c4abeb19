//! Requests: chapter 8. What is malformed is a stream error (RFC 9113 §8.1.1), and reaches no endpoint as a whole.

use super::super::frames::kind::{DATA, HEADERS, PUSH_PROMISE};
use super::super::frames::{Code, flag};
use super::super::heads::{block, get, get_with, get_without, post};
use super::super::link::{Link, Outcome};
use super::super::{Case, case};

pub(in super::super) const CASES: &[Case] = &[
    case("8.1", "a second head that does not end the request", |link| {
        link.post(1);
        link.send(DATA, flag::NONE, 1, "body");
        link.send(HEADERS, flag::END_HEADERS, 1, block(&[("x-test", "said")]));
        link.is_reset(1, &[Code::PROTOCOL])
    }),
    case("8.1.2", "a name with capitals", |link| malformed(link, get(&[("X-TEST", "said")]))),
    case("8.1.2.1", "an unknown pseudo-field", |link| malformed(link, get(&[(":test", "said")]))),
    case("8.1.2.1", "a pseudo-field of answers", |link| malformed(link, get(&[(":status", "200")]))),
    case("8.1.2.1", "a pseudo-field in trailers", |link| {
        link.post(1);
        link.send(DATA, flag::NONE, 1, "body");
        // As in h2spec this does not end the request, which is wrong as well; for one that does, see `pseudo_fields_in_trailers_reach_nobody`.
        link.send(HEADERS, flag::END_HEADERS, 1, block(&[(":method", "POST")]));
        link.is_reset(1, &[Code::PROTOCOL])
    }),
    case("8.1.2.1", "a pseudo-field behind a field", |link| {
        malformed(link, [block(&[("x-test", "said")]), get(&[])].concat())
    }),
    case("8.1.2.2", "a field that is about the connection", |link| {
        malformed(link, get(&[("connection", "keep-alive")]))
    }),
    case("8.1.2.2", "TE with more than trailers", |link| {
        malformed(link, get(&[("te", "trailers, deflate")]))
    }),
    case("8.1.2.3", "an empty :path", |link| malformed(link, get_with(":path", ""))),
    case("8.1.2.3", "no :method", |link| malformed(link, get_without(":method"))),
    case("8.1.2.3", "no :scheme", |link| malformed(link, get_without(":scheme"))),
    case("8.1.2.3", "no :path", |link| malformed(link, get_without(":path"))),
    case("8.1.2.3", "two :method", |link| malformed(link, get(&[(":method", "GET")]))),
    case("8.1.2.3", "two :scheme", |link| malformed(link, get(&[(":scheme", "http")]))),
    case("8.1.2.3", "two :path", |link| malformed(link, get(&[(":path", "/")]))),
    case("8.1.2.6", "DATA longer than Content-Length", |link| {
        link.send(HEADERS, flag::END_HEADERS, 1, post(&[("content-length", "1")]));
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_reset(1, &[Code::PROTOCOL])
    }),
    case("8.1.2.6", "several DATA longer than Content-Length", |link| {
        link.send(HEADERS, flag::END_HEADERS, 1, post(&[("content-length", "1")]));
        link.send(DATA, flag::NONE, 1, "body");
        link.send(DATA, flag::END_STREAM, 1, "body");
        link.is_reset(1, &[Code::PROTOCOL])
    }),
    case("8.2", "PUSH_PROMISE of a client", |link| {
        link.send(PUSH_PROMISE, flag::END_HEADERS, 1, [&3_u32.to_be_bytes()[..], &get(&[])].concat());
        link.is_cut(&[Code::PROTOCOL])
    }),
];

/// A request with this head is refused.
fn malformed(link: &mut Link, head: Vec<u8>) -> Outcome {
    link.send(HEADERS, flag::ALL, 1, head);
    link.is_reset(1, &[Code::PROTOCOL])
}
