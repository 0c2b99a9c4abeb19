//! What a gateway spends on the heads of one exchange, in instructions: stable where times are not.
//!
//! `cargo run --release -p traffic-http --example exchange_cost` runs itself in callgrind, once with N and once with 2N
//! exchanges, up to each step, and prints what each step adds. Needs valgrind.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made has nothing to go on with")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use base_kit::SeededRng;
use base_model::model::{Forwarded, ForwardedMode, ForwardedStyle};
use traffic_http::forwarding::{self, Hop};
use traffic_http::request_id::RequestId;
use traffic_http::trace_context::TraceContext;
use traffic_http::{HeadLimits, Method, RequestHead, ResponseHead, hygiene, via};

const REQUEST: &[u8] = b"GET /products/4711?page=2 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Cookie: session=0123456789abcdef\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx\r\n\
    Date: Thu, 20 Nov 2025 10:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 128\r\n\r\n";

/// What is done, in order.
const STEPS: [&str; 12] = [
    "request: parse",
    "request: framing, persists, continue, upgrade",
    "request: hygiene",
    "request: forwarding",
    "request: via",
    "request: id",
    "request: trace",
    "request: encode",
    "response: parse",
    "response: framing, persists, hygiene",
    "response: via, id",
    "response: encode",
];

/// Exchanges of the shorter run.
const ROUNDS: u64 = 2_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    if let (Some(steps), Some(rounds)) = (arguments.next(), arguments.next()) {
        return run(steps, rounds);
    }
    let mut before = 0;
    let mut show = |name: &str, total: u64| {
        println!("{:>6} {total:>6}  {name}", total - before);
        before = total;
    };
    println!("{:>6} {:>6}  instructions per exchange", "step", "sum");
    show("loop", per_round(0));
    for (index, step) in STEPS.iter().enumerate() {
        show(step, per_round(index as u64 + 1));
    }
}

fn per_round(steps: u64) -> u64 {
    (instructions(steps, 2 * ROUNDS) - instructions(steps, ROUNDS)) / ROUNDS
}

/// How many instructions a process executes that does the first `steps` of so many exchanges.
fn instructions(steps: u64, rounds: u64) -> u64 {
    let myself = std::env::current_exe().expect("a program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(myself)
        .args([steps.to_string(), rounds.to_string()])
        .output()
        .expect("valgrind runs");
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, count) = report.split_once("Collected :").expect("callgrind reports a sum");
    count.split_whitespace().next().and_then(|count| count.parse().ok()).expect("the sum is a number")
}

fn run(steps: u64, rounds: u64) {
    let limits = HeadLimits::default();
    let (mut request, mut response, mut out) = (RequestHead::new(), ResponseHead::default(), Vec::new());
    let mut rng = SeededRng::new(1);
    for _ in 0..black_box(rounds) {
        out.clear();
        let id = handle_request(black_box(steps), &mut request, &mut out, &mut rng, &limits);
        handle_response(black_box(steps), &mut response, &mut out, id.as_ref(), &limits);
        black_box(&out);
    }
}

#[inline(never)]
fn handle_request(
    steps: u64,
    request: &mut RequestHead,
    out: &mut Vec<u8>,
    rng: &mut SeededRng,
    limits: &HeadLimits,
) -> Option<RequestId> {
    let mut id = None;
    if steps > 0 {
        request.clear();
        black_box(request.parse(black_box(REQUEST), limits)).expect("the request is valid");
    }
    if steps > 1 {
        let _ = black_box((request.framing(), request.persists(), request.expects_continue()));
        let _ = black_box(request.upgrade());
    }
    if steps > 2 {
        hygiene::strip_hop_by_hop(request.fields_mut());
    }
    if steps > 3 {
        let settings = Forwarded { mode: ForwardedMode::Append, style: ForwardedStyle::XForwarded };
        let peer = black_box(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
        forwarding::apply(request, settings, &Hop { peer, is_trusted: false, scheme: "http" });
    }
    if steps > 4 {
        let received = request.version();
        via::append(request.fields_mut(), received, black_box("aya"));
    }
    if steps > 5 {
        id = Some(RequestId::ensure(request.fields_mut(), black_box("x-request-id"), false, rng));
    }
    if steps > 6 {
        TraceContext::ensure(request.fields_mut(), false, rng);
    }
    if steps > 7 {
        request.encode(out);
    }
    id
}

#[inline(never)]
fn handle_response(
    steps: u64,
    response: &mut ResponseHead,
    out: &mut Vec<u8>,
    id: Option<&RequestId>,
    limits: &HeadLimits,
) {
    if steps > 8 {
        response.clear();
        black_box(response.parse(black_box(RESPONSE), limits)).expect("the response is valid");
    }
    if steps > 9 {
        let _ = black_box((response.framing(Method::Get), response.persists()));
        let status = response.status();
        hygiene::strip_hop_by_hop(response.fields_mut());
        hygiene::strip_forbidden_framing(response.fields_mut(), status);
    }
    if let (true, Some(id)) = (steps > 10, id) {
        let received = response.version();
        via::append(response.fields_mut(), received, black_box("aya"));
        response.fields_mut().set(black_box("x-request-id"), id.as_bytes());
    }
    if steps > 11 {
        response.encode(out);
    }
}
