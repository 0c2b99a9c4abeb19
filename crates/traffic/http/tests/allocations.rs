//! In steady state a message allocates nothing: heads, bodies and outputs are reused.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here is a failed test")]
#![expect(
    unsafe_code,
    reason = "a counting allocator is an unsafe trait; it hands everything on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;

use base_kit::SeededRng;
use base_model::model::{Forwarded, ForwardedMode, ForwardedStyle};
use traffic_http::{
    BodyEvent, BodyReader, BodyWriter, Framing, HeadLimits, Method, RequestHead, ResponseHead, forwarding,
    hygiene, request_id::RequestId, trace_context::TraceContext, via,
};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed on unchanged to the system's allocator; counting touches a plain thread-local number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUEST: &[u8] =
    b"POST http://shop.example:8080/cart?item=1 HTTP/1.1\r\nHost: other\r\nUser-Agent: test/1.0\r\n\
    Accept: */*\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-Other: 1\r\nX_Real_IP: 2\r\nX_Tier: 3\r\nTE: trailers\r\n\
    Connection: keep-alive, x-private\r\nX-Private: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKS: &[u8] = b"5;e=1\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 11\r\nConnection: keep-alive\r\n\r\n";

/// What is kept from message to message.
#[derive(Default)]
struct Reused {
    request: RequestHead,
    response: ResponseHead,
    answer: ResponseHead,
    out: Vec<u8>,
}

/// One request with its body, and the response to it, as a gateway handles them.
fn exchange(reused: &mut Reused, reader: &mut BodyReader, peer: IpAddr, rng: &mut SeededRng) {
    let Reused { request, response, answer, out } = reused;
    let limits = HeadLimits::default();
    out.clear();
    assert_eq!(request.parse(REQUEST, &limits), Ok(Some(REQUEST.len())));
    let framing = request.framing().unwrap();
    let trusted = [ipnet::IpNet::from(peer)];
    assert_eq!(forwarding::client_address(request.fields(), peer, &trusted), IpAddr::from([192, 0, 2, 2]));
    let settings = Forwarded { mode: ForwardedMode::Append, style: ForwardedStyle::Both };
    forwarding::apply(request, settings, &forwarding::Hop { peer, is_trusted: true, scheme: "http" });
    hygiene::strip_hop_by_hop(request.fields_mut());
    let received = request.version();
    via::append(request.fields_mut(), received, "aya");
    TraceContext::ensure(request.fields_mut(), true, rng);
    RequestId::ensure(request.fields_mut(), "x-request-id", false, rng);
    request.set_path_and_query(b"/new?x");
    request.set_host(b"endpoint");
    request.fields_mut().set("transfer-encoding", b"chunked");
    request.encode(out);

    reader.reset(framing);
    let mut writer = BodyWriter::new(framing);
    let mut rest = CHUNKS;
    while !reader.is_done() {
        let (used, event) = reader.read(rest).unwrap();
        rest = &rest[used..];
        if let BodyEvent::Data(data) = event {
            let frame = writer.frame(data.len()).unwrap();
            out.extend_from_slice(frame.prefix());
            out.extend_from_slice(data);
            out.extend_from_slice(frame.suffix());
        }
    }
    writer.finish(Some(reader.trailers()), out).unwrap();

    assert_eq!(response.parse(RESPONSE, &limits), Ok(Some(RESPONSE.len())));
    assert_eq!(response.framing(Method::Post), Ok(Framing::Length(11)));
    hygiene::strip_hop_by_hop(response.fields_mut());
    response.fields_mut().remove("server");
    response.encode(out);
    answer.reset(503);
    answer.fields_mut().set("content-length", b"0");
    answer.encode(out);
    request.clear();
    response.clear();
}

#[test]
fn a_message_allocates_nothing_once_the_memory_is_there() {
    let mut reused = Reused::default();
    let mut reader = BodyReader::new(Framing::Empty);
    let mut rng = SeededRng::new(1);
    let peer: IpAddr = "2001:db8::1".parse().unwrap();
    exchange(&mut reused, &mut reader, peer, &mut rng);
    let before = COUNT.get();
    for _ in 0..100 {
        exchange(&mut reused, &mut reader, peer, &mut rng);
    }
    assert!(before > 0, "the allocator counts");
    assert_eq!(COUNT.get() - before, 0);
}
