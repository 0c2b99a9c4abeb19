//! What one Aya passes on, as the next one reads it.

use std::net::{IpAddr, Ipv4Addr};

use base_kit::SeededRng;
use base_model::model::{Forwarded, ForwardedMode, ForwardedStyle};
use traffic_http::forwarding::{self, Hop};
use traffic_http::request_id::RequestId;
use traffic_http::trace_context::TraceContext;
use traffic_http::{
    BodyEvent, BodyReader, BodyWriter, Fields, Framing, HeadLimits, KnownField, Method, RequestHead,
    ResponseHead, Version, hygiene, via,
};

use super::request::LIMITS;

/// Of what is passed on: fields were added.
const ROOMY: HeadLimits =
    HeadLimits { max_head_bytes: 64 * 1024, max_fields: 100, max_target_bytes: 16 * 1024 };

/// A message as it was passed on.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    /// Its head as it was written.
    head: Vec<u8>,
    framing: Framing,
    data: Vec<u8>,
    trailers: Vec<u8>,
}

/// Messages of a client, and messages of an endpoint.
pub fn run(data: &[u8]) {
    check(data, read_request);
    check(data, read_response);
}

/// Reads one message, rewrites it if told to, and says how many bytes it took. `None`: there is none that is complete and good.
type Read = fn(&[u8], &HeadLimits, bool) -> Option<(usize, Message)>;

fn check(data: &[u8], read: Read) {
    let (mut wire, mut sent, mut rest) = (Vec::new(), Vec::new(), data);
    while let Some((taken, message)) = read(rest, &LIMITS, true) {
        assert!((1..=rest.len()).contains(&taken));
        write(&message, &mut wire);
        sent.push(message);
        rest = rest.get(taken..).unwrap_or_default();
    }
    let (mut received, mut rest) = (Vec::new(), wire.as_slice());
    while let Some((taken, message)) = read(rest, &ROOMY, false) {
        received.push(message);
        rest = rest.get(taken..).unwrap_or_default();
    }
    assert_eq!(received, sent, "{:?}", String::from_utf8_lossy(&wire));
    assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(rest));
}

fn write(message: &Message, wire: &mut Vec<u8>) {
    wire.extend_from_slice(&message.head);
    let mut writer = BodyWriter::new(message.framing);
    for piece in message.data.chunks(7) {
        let framed = writer.frame(piece.len()).map(|frame| {
            wire.extend_from_slice(frame.prefix());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(frame.suffix());
        });
        assert_eq!(framed, Ok(()));
    }
    // Trailers were read as lines of a body of their own, and are written as they were.
    if message.framing == Framing::Chunked {
        wire.extend_from_slice(b"0\r\n");
        wire.extend_from_slice(&message.trailers);
        wire.extend_from_slice(b"\r\n");
    } else {
        assert_eq!(writer.finish(None, wire), Ok(()));
    }
}

fn read_request(input: &[u8], limits: &HeadLimits, rewrites: bool) -> Option<(usize, Message)> {
    let mut head = RequestHead::new();
    let length = head.parse(input, limits).ok()??;
    let framing = head.framing().ok()?;
    head.expects_continue().ok()?;
    if head.method() == Method::Connect {
        return None;
    }
    let (used, data, trailers) = read_body(framing, input.get(length..)?)?;
    let before = (head.method(), head.path_and_query().to_vec());
    if rewrites {
        rewrite_request(&mut head, framing);
    }
    head.check_invariants();
    assert_eq!((head.method(), head.path_and_query().to_vec()), before);
    let mut encoded = Vec::new();
    head.encode(&mut encoded);
    Some((length + used, Message { head: encoded, framing, data, trailers }))
}

/// As the engine does it for an endpoint.
fn rewrite_request(head: &mut RequestHead, framing: Framing) {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut rng = SeededRng::new(1);
    if head.upgrade().is_some() {
        hygiene::strip_keeping_upgrade(head.fields_mut());
    } else {
        hygiene::strip_hop_by_hop(head.fields_mut());
    }
    if head.version() == Version::Http10 {
        head.fields_mut().remove_known(KnownField::Expect);
    }
    if framing == Framing::Chunked {
        head.fields_mut().set("transfer-encoding", b"chunked");
    }
    if head.host().is_empty() {
        head.set_host(b"endpoint:80");
    }
    let is_trusted = head.fields().len().is_multiple_of(2);
    let settings = Forwarded { mode: ForwardedMode::Append, style: ForwardedStyle::Both };
    forwarding::apply(head, settings, &Hop { peer, is_trusted, scheme: "http" });
    let version = head.version();
    via::append(head.fields_mut(), version, "aya");
    RequestId::ensure(head.fields_mut(), "x-request-id", is_trusted, &mut rng);
    TraceContext::ensure(head.fields_mut(), false, &mut rng);
    assert!(!has_hop_by_hop(head.fields()));
}

fn read_response(input: &[u8], limits: &HeadLimits, rewrites: bool) -> Option<(usize, Message)> {
    let mut head = ResponseHead::default();
    let length = head.parse(input, limits).ok()??;
    let framing = head.framing(Method::Get).ok()?;
    // Behind a switch of protocols come no messages; a body until close has nothing behind it.
    if head.is_switching() || framing == Framing::UntilClose {
        return None;
    }
    let (used, data, trailers) = read_body(framing, input.get(length..)?)?;
    let status = head.status();
    if rewrites {
        rewrite_response(&mut head, framing);
    }
    head.check_invariants();
    assert_eq!(head.status(), status);
    let mut encoded = Vec::new();
    head.encode(&mut encoded);
    Some((length + used, Message { head: encoded, framing, data, trailers }))
}

/// As the engine does it for a client.
fn rewrite_response(head: &mut ResponseHead, framing: Framing) {
    let (status, version) = (head.status(), head.version());
    if head.is_interim() {
        hygiene::strip_interim(head.fields_mut(), status);
    } else {
        hygiene::strip_hop_by_hop(head.fields_mut());
        hygiene::strip_forbidden_framing(head.fields_mut(), status);
        via::append(head.fields_mut(), version, "aya");
    }
    if framing == Framing::Chunked {
        head.fields_mut().set("transfer-encoding", b"chunked");
    }
    assert!(!has_hop_by_hop(head.fields()));
}

/// Whether something is left that is about one connection, other than what the engine itself has put there.
fn has_hop_by_hop(fields: &Fields) -> bool {
    let upgrades = fields.find("connection").is_some_and(|value| value == b"upgrade");
    let own = |name: &str| if upgrades { name == "connection" || name == "upgrade" } else { false };
    ["connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "proxy-authorization"]
        .iter()
        .any(|name| !own(name) && fields.find(name).is_some())
}

fn read_body(framing: Framing, input: &[u8]) -> Option<(usize, Vec<u8>, Vec<u8>)> {
    let mut reader = BodyReader::new(framing);
    let (mut data, mut taken) = (Vec::new(), 0);
    loop {
        let (used, event) = reader.read(input.get(taken..)?).ok()?;
        taken += used;
        match event {
            BodyEvent::NeedMore => return None,
            BodyEvent::Data(piece) => data.extend_from_slice(piece),
            BodyEvent::End => {
                let mut trailers = Vec::new();
                reader.trailers().encode(&mut trailers);
                return Some((taken, data, trailers));
            }
        }
    }
}
