//! What heads cost: nanoseconds for parsing, editing and encoding a typical request and response.
//!
//! `cargo run --release -p traffic-http --example head_cost`; under `valgrind --tool=callgrind`, pass a small number of
//! rounds as argument and divide.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base_kit::{Clock, MonotonicClock, SeededRng};
use base_model::model::{Forwarded, ForwardedMode, ForwardedStyle};
use traffic_http::forwarding::{self, Hop};
use traffic_http::request_id::RequestId;
use traffic_http::trace_context::TraceContext;
use traffic_http::{HeadLimits, Method, RequestHead, ResponseHead, hygiene, via};

/// Ten fields, as a browser sends them.
const REQUEST: &[u8] = b"GET /products/4711/reviews?page=2&sort=newest HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Referer: https://shop.example.com/products/4711\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Cache-Control: max-age=0\r\n\
    Connection: keep-alive\r\n\r\n";

/// Eight fields, as a server answers.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx\r\n\
    Date: Thu, 20 Nov 2025 10:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 128\r\n\
    Last-Modified: Wed, 19 Nov 2025 10:00:00 GMT\r\n\
    ETag: \"691d9e40-80\"\r\n\
    Cache-Control: public, max-age=60\r\n\
    Connection: keep-alive\r\n\r\n";

/// Runs of each measurement; the fastest is printed, because the others were disturbed.
const REPEATS: u32 = 15;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let limits = HeadLimits::default();
    let mut out = Vec::new();
    let mut request = RequestHead::new();
    let mut response = ResponseHead::default();
    let mut rng = SeededRng::new(1);

    measure("request: parse", rounds, || {
        request.clear();
        black_box(request.parse(black_box(REQUEST), &limits)).is_ok()
    });
    measure("request: parse, framing, persists, encode", rounds, || {
        out.clear();
        request.clear();
        let is_parsed = black_box(request.parse(black_box(REQUEST), &limits)).is_ok();
        let _ = black_box((request.framing(), request.persists()));
        request.encode(&mut out);
        is_parsed && !black_box(&out).is_empty()
    });
    measure("request: parse, hygiene, forwarding, via, trace, id, encode", rounds, || {
        out.clear();
        request.clear();
        let is_parsed = black_box(request.parse(black_box(REQUEST), &limits)).is_ok();
        let _ = black_box((request.framing(), request.persists()));
        as_gateway(&mut request, &mut rng);
        request.encode(&mut out);
        is_parsed && !black_box(&out).is_empty()
    });
    measure("response: parse, framing, hygiene, encode", rounds, || {
        out.clear();
        response.clear();
        let is_parsed = black_box(response.parse(black_box(RESPONSE), &limits)).is_ok();
        let _ = black_box((response.framing(Method::Get), response.persists()));
        hygiene::strip_hop_by_hop(response.fields_mut());
        response.encode(&mut out);
        is_parsed && !black_box(&out).is_empty()
    });
}

fn as_gateway(request: &mut RequestHead, rng: &mut SeededRng) {
    let settings = Forwarded { mode: ForwardedMode::Append, style: ForwardedStyle::XForwarded };
    let peer = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    forwarding::apply(request, settings, &Hop { peer, is_trusted: false, scheme: "http" });
    hygiene::strip_hop_by_hop(request.fields_mut());
    let received = request.version();
    via::append(request.fields_mut(), received, "aya");
    TraceContext::ensure(request.fields_mut(), true, rng);
    RequestId::ensure(request.fields_mut(), "x-request-id", false, rng);
}

fn measure(name: &str, rounds: u32, mut once: impl FnMut() -> bool) {
    let mut best = Duration::MAX;
    for _ in 0..REPEATS {
        let start = MonotonicClock.now();
        for _ in 0..rounds {
            assert!(once(), "{name}");
        }
        best = best.min(MonotonicClock.now() - start);
    }
    println!("{:>7.1} ns  {name}", best.as_nanos() as f64 / f64::from(rounds));
}
