//! The events of a stream of messages do not depend on how it was split, nothing panics, and what was encoded is
//! parsed as the same.

use std::net::{IpAddr, Ipv4Addr};

use base_kit::SeededRng;
use base_model::model::{Forwarded, ForwardedMode, ForwardedStyle};
use proptest::prelude::*;
use traffic_http::{
    BodyEvent, BodyReader, BodyWriter, Framing, HeadLimits, Method, RequestHead, forwarding, hygiene,
    request_id, trace_context, via,
};

use crate::stream::{Role, assert_same_however_split};

const LIMITS: HeadLimits = HeadLimits { max_head_bytes: 600, max_fields: 8, max_target_bytes: 64 };

/// Lines that heads are put together from: mostly good ones.
fn field_line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[A-Za-z-]{1,12}: ?[a-z ,;=]{0,20}\r\n",
        2 => prop::sample::select(vec!["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "Connection: close, x\r\n", "Host: b\r\n", "X: y\n", "X : y\r\n", " fold\r\n", "X: \r\r\n", ": y\r\n",
            "Content-Length: 5, 5\r\n", "Content_Length: 1\r\n", "X: \u{e9}\r\n", "\n",
        ]).prop_map(str::to_owned),
    ]
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("hello".to_owned()),
        3 => Just(String::new()),
        3 => prop::collection::vec("[a-z]{1,20}", 0..4).prop_map(|chunks| {
            chunks.iter().map(|chunk| format!("{:x};e\r\n{chunk}\r\n", chunk.len())).collect::<String>()
                + "0\r\nX-Sum: 1\r\nHost: b\r\n\r\n"
        }),
        1 => Just("5\r\nhello\r\n0\r\n\r\n".to_owned()),
        1 => Just("5\nhello".to_owned()),
    ]
}

fn message(role: Role) -> impl Strategy<Value = String> {
    let start = match role {
        Role::Server => vec![
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "POST /a?b HTTP/1.1\r\nHost: a\r\n",
            "\r\nPUT http://b/c HTTP/1.0\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n",
            "GET /a",
            "G(T / HTTP/1.1\r\n",
            "GET /#  HTTP/1.1\r\n",
            "GET / HTTQ/1.1\r\n",
            "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: a\r\n",
        ],
        Role::Client(_) => vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 404\r\n",
            "HTTP/1.1 103 Early\r\n",
            "HTTP/1.1 204 \r\n",
            "HTTP/1.1 20 x\r\n",
            "HTTP/3.0 200 OK\r\n",
            "\r\nHTTP/1.1 200 OK\r\n",
        ],
    };
    (prop::sample::select(start), prop::collection::vec(field_line(), 0..6), body())
        .prop_map(|(start, lines, body)| format!("{start}{}\r\n{body}", lines.concat()))
}

/// A stream of messages, sometimes with a byte replaced, and how it is split.
fn messages(role: Role) -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let messages =
        prop::collection::vec(message(role), 1..4).prop_map(|messages| messages.concat().into_bytes());
    let mutation = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (messages, mutation, prop::collection::vec(any::<prop::sample::Index>(), 0..6), any::<bool>()).prop_map(
        |(mut input, mutation, cuts, is_dripping)| {
            if let Some((index, byte)) = mutation {
                let at = index.index(input.len());
                input[at] = byte;
            }
            let mut lengths: Vec<_> = cuts.iter().map(|cut| cut.index(input.len())).collect();
            if is_dripping {
                lengths = (0..input.len()).collect();
            }
            lengths.push(input.len());
            lengths.sort_unstable();
            (input, lengths)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn requests_do_not_depend_on_the_split((input, lengths) in messages(Role::Server)) {
        assert_same_however_split(Role::Server, LIMITS, &input, &lengths);
    }

    #[test]
    fn responses_do_not_depend_on_the_split((input, lengths) in messages(Role::Client(Method::Get))) {
        assert_same_however_split(Role::Client(Method::Get), LIMITS, &input, &lengths);
    }

    #[test]
    fn random_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
        let dripping: Vec<_> = (0..=input.len()).collect();
        for role in [Role::Server, Role::Client(Method::Get)] {
            assert_same_however_split(role, LIMITS, &input, &dripping);
        }
        for framing in [Framing::Empty, Framing::Length(50), Framing::Chunked, Framing::UntilClose] {
            let mut reader = BodyReader::new(framing);
            let mut rest = input.as_slice();
            while let Ok((used, BodyEvent::Data(_))) = reader.read(rest) {
                rest = &rest[used..];
            }
        }
    }

    #[test]
    fn what_is_encoded_is_parsed_as_the_same(input in message(Role::Server)) {
        let mut first = RequestHead::new();
        if let Ok(Some(_)) = first.parse(input.as_bytes(), &LIMITS) {
            let mut out = Vec::new();
            first.encode(&mut out);
            if first.host().is_empty() {
                return Ok(()); // HTTP/1.0 without Host has no faithful form in HTTP/1.1.
            }
            let mut second = RequestHead::new();
            prop_assert_eq!(second.parse(&out, &LIMITS), Ok(Some(out.len())));
            prop_assert_eq!(second.method_bytes(), first.method_bytes());
            prop_assert_eq!((second.path(), second.query()), (first.path(), first.query()));
            prop_assert_eq!(second.host(), first.host());
            prop_assert!(second.fields().iter().eq(first.fields().iter()));
            if first.version() == second.version() {
                prop_assert_eq!(second.framing(), first.framing());
            }
        }
    }

    #[test]
    fn what_a_gateway_does_to_a_head_leaves_it_valid(input in message(Role::Server), is_trusted: bool, seed: u64) {
        let mut head = RequestHead::new();
        if let Ok(Some(_)) = head.parse(input.as_bytes(), &LIMITS) {
            let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let trusted = [ipnet::IpNet::from(peer)];
            let mut rng = SeededRng::new(seed);
            forwarding::client_address(head.fields(), peer, &trusted);
            let settings = Forwarded { mode: ForwardedMode::Append, style: ForwardedStyle::Both };
            forwarding::apply(&mut head, settings, &forwarding::Hop { peer, is_trusted, scheme: "http" });
            hygiene::strip_hop_by_hop(head.fields_mut());
            via::append(head.fields_mut(), traffic_http::Version::Http11, "aya");
            trace_context::TraceContext::ensure(head.fields_mut(), true, &mut rng);
            request_id::RequestId::ensure(head.fields_mut(), "x-request-id", is_trusted, &mut rng);
            head.set_host(b"endpoint.internal");
            head.set_path_and_query(b"/new?x");
            head.check_invariants();
            let mut out = Vec::new();
            head.encode(&mut out);
            let limits = HeadLimits { max_fields: 100, max_head_bytes: 10_000, ..LIMITS };
            let mut again = RequestHead::new();
            prop_assert_eq!(again.parse(&out, &limits), Ok(Some(out.len())));
            prop_assert!(again.fields().iter().eq(head.fields().iter()));
        }
    }

    #[test]
    fn chunks_that_are_written_are_read(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6)) {
        let mut writer = BodyWriter::new(Framing::Chunked);
        let mut wire = Vec::new();
        for piece in &pieces {
            let frame = writer.frame(piece.len()).unwrap();
            wire.extend_from_slice(frame.prefix());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(frame.suffix());
        }
        writer.finish(None, &mut wire).unwrap();
        let mut reader = BodyReader::new(Framing::Chunked);
        let (mut data, mut rest) = (Vec::new(), wire.as_slice());
        while !reader.is_done() {
            let (used, event) = reader.read(rest).unwrap();
            rest = &rest[used..];
            if let BodyEvent::Data(piece) = event {
                data.extend_from_slice(piece);
            }
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(data, pieces.concat());
    }
}
