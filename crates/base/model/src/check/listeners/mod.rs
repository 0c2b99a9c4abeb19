//! Listeners: addresses that do not collide, limits and times that make sense.

mod pass_through;
mod tcp;
mod tls;
mod udp;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use base_kit::{ByteSize, TimeSpan};

use super::checker::{Checker, Names};
use super::parse;
use crate::diagnostic::Span;
use crate::document::{self, Document, OrOff};
use crate::limits::MAX_HEAD_BYTES;
use crate::model::{
    Forwarded, ForwardedMode, ForwardedStyle, Http2, Listener, ListenerTimeouts, ListenerTls, Offered, Pool,
    Protocol, RequestId, Route,
};
use crate::text::Place;

/// Smaller heads are not worth listening for.
const SMALLEST_HEAD_BYTES: u64 = 1 << 10;

/// How long a connection may be silent if nothing is said: that of a browser between two requests; that of a database's client between two
/// questions.
const IDLE_HTTP: TimeSpan = TimeSpan::from_secs(75);
const IDLE_TCP: TimeSpan = TimeSpan::from_secs(3600);

/// What HTTP/2 grants unasked (RFC 9113 §6.9.2): with less, bodies would only crawl.
const SMALLEST_WINDOW: ByteSize = ByteSize::from_kib(64);
/// Windows are counted in 31 bits.
const MAX_WINDOW_BYTES: u64 = 1 << 30;

/// Fields that say how the message is framed or where it goes: an id there would break it.
const FIELDS_WITH_A_MEANING: &[&str] =
    &["connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade", "via"];

/// All listeners of the document, in its order.
pub(super) fn check(checker: &mut Checker<'_>, document: &Document, names: &Names<'_>) -> Vec<Listener> {
    let top = Place::ROOT.key("listeners");
    let mut taken = Taken::default();
    let listeners = document.listeners.iter();
    let listeners = listeners
        .map(|(name, listener)| one(checker, (&mut taken, names), name, listener, &top.key(name)))
        .collect();
    admin_address(checker, &mut taken, document);
    listeners
}

fn one(
    checker: &mut Checker<'_>,
    (taken, names): (&mut Taken, &Names<'_>),
    name: &str,
    listener: &document::Listener,
    place: &Place<'_>,
) -> Listener {
    let protocol = match listener.protocol {
        document::Protocol::Udp => udp::protocol(checker, listener, names, place),
        _ => tcp::protocol(checker, listener, names, place),
    };
    let limits = &listener.limits;
    head_limit(checker, limits.head, place);
    if limits.target > limits.head || limits.target.bytes() == 0 {
        let place = place.key("limits");
        let place = place.key("target");
        let message = format!("the target may be {}, the whole head {}", limits.target, limits.head);
        checker.error("bad-limit", message, &place, "write more than zero and at most as much as `head`");
    }
    Listener {
        name: name.into(),
        bind: addresses(
            checker,
            taken,
            (&listener.bind, Transport::of(listener.protocol)),
            &place.key("bind"),
        ),
        protocol,
        pass_through: pass_through::check(checker, listener, names, place),
        tls: tls(checker, listener, place),
        http2: listener
            .http2
            .on()
            .filter(|_| protocol == Protocol::Http)
            .and_then(|granted| http2(checker, granted, &place.key("http2"))),
        proxy_protocol: networks(checker, &listener.proxy_protocol, &place.key("proxy-protocol")),
        trusted_proxies: networks(checker, &listener.trusted_proxies, &place.key("trusted-proxies")),
        forwarded: forwarded(listener.forwarded),
        request_id: request_id(checker, &listener.request_id, &place.key("request-id")),
        via: listener.via.on().map(|via| via.as_str().into()),
        max_connections: listener.max_connections,
        max_head_bytes: limits.head.length(),
        max_fields: limits.fields as usize,
        max_target_bytes: limits.target.length(),
        timeouts: timeouts(checker, listener, &place.key("timeouts")),
    }
}

fn tls(
    checker: &mut Checker<'_>,
    listener: &document::Listener,
    place: &Place<'_>,
) -> Option<Arc<ListenerTls>> {
    let offered = match listener.protocol {
        document::Protocol::Tcp | document::Protocol::Udp => Offered::Nothing,
        document::Protocol::Http if listener.http2.on().is_some() => Offered::Http2,
        document::Protocol::Http => Offered::Http1,
    };
    tls::check(checker, listener.tls.as_ref()?, offered, &place.key("tls")).map(Arc::new)
}

/// Refuses pools that cannot serve those who use them.
pub(super) fn users_of_pools(
    checker: &mut Checker<'_>,
    (listeners, routes): (&[Listener], &[Route]),
    pools: &[Pool],
) {
    tcp::users_of_pools(checker, (listeners, routes), pools);
    udp::users_of_pools(checker, (listeners, routes), pools);
}

/// Windows that flow control can count with (RFC 9113 §6.9.1), and in which something fits.
fn http2(checker: &mut Checker<'_>, granted: &document::Http2, place: &Place<'_>) -> Option<Http2> {
    let stream_window = window(checker, granted.stream_window, SMALLEST_WINDOW, &place.key("stream-window"));
    let least = granted.stream_window.max(SMALLEST_WINDOW);
    let connection_window =
        window(checker, granted.connection_window, least, &place.key("connection-window"));
    Some(Http2 {
        max_streams: granted.max_streams,
        stream_window: stream_window?,
        connection_window: connection_window?,
    })
}

/// The same for endpoints. Answers of many clients come over one connection: there is room for what all of them leave lying, so that none holds
/// up the others.
pub(super) fn pool_http2(
    checker: &mut Checker<'_>,
    granted: &document::PoolHttp2,
    place: &Place<'_>,
) -> Option<Http2> {
    let stream_window = window(checker, granted.stream_window, SMALLEST_WINDOW, &place.key("stream-window"))?;
    let all = u64::from(stream_window) * u64::from(granted.max_streams);
    let connection_window = u32::try_from(all.min(MAX_WINDOW_BYTES)).ok()?;
    Some(Http2 { max_streams: granted.max_streams, stream_window, connection_window })
}

fn window(checker: &mut Checker<'_>, size: ByteSize, least: ByteSize, place: &Place<'_>) -> Option<u32> {
    let most = ByteSize::from_bytes(MAX_WINDOW_BYTES);
    if (least..=most).contains(&size) {
        return u32::try_from(size.bytes()).ok();
    }
    let message = format!("a window of {size} is out of range");
    checker.error("bad-limit", message, place, format!("write from `{least}` to `{most}`"));
    None
}

/// Bounds that hold for heads in both directions.
pub(super) fn head_limit(checker: &mut Checker<'_>, head: ByteSize, place: &Place<'_>) {
    if (SMALLEST_HEAD_BYTES..=MAX_HEAD_BYTES).contains(&head.bytes()) {
        return;
    }
    let place = place.key("limits");
    let place = place.key("head");
    let (least, most) = (ByteSize::from_bytes(SMALLEST_HEAD_BYTES), ByteSize::from_bytes(MAX_HEAD_BYTES));
    let help = format!("write from `{least}` to `{most}`");
    checker.error("bad-limit", format!("a head of {head} is out of range"), &place, help);
}

fn addresses(
    checker: &mut Checker<'_>,
    taken: &mut Taken,
    (texts, transport): (&[String], Transport),
    place: &Place<'_>,
) -> Vec<SocketAddr> {
    let mut out = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let place = place.index(index);
        let addresses = checker.parsed(text, parse::bind_address, &place).unwrap_or_default();
        taken.claim(checker, (&addresses, transport), &place);
        out.extend(addresses);
    }
    out
}

/// The admin port must not be one of the traffic.
fn admin_address(checker: &mut Checker<'_>, taken: &mut Taken, document: &Document) {
    let Some(admin) = &document.admin else { return };
    let top = Place::ROOT.key("admin");
    let addresses = parse::bind_address(&admin.bind).unwrap_or_default();
    taken.claim(checker, (&addresses, Transport::Tcp), &top.key("bind"));
}

/// What ports are of: both have their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    const fn of(protocol: document::Protocol) -> Self {
        match protocol {
            document::Protocol::Udp => Self::Udp,
            document::Protocol::Http | document::Protocol::Tcp => Self::Tcp,
        }
    }
}

/// Addresses that somebody listens on, by port.
#[derive(Default)]
struct Taken(HashMap<(Transport, u16), Vec<Claim>>);

/// An address, where it is written, and whose it is.
type Claim = (SocketAddr, Span, String);

impl Taken {
    /// Says so if one of them is taken. Port 0 is any free one, so it never is.
    fn claim(
        &mut self,
        checker: &mut Checker<'_>,
        (addresses, transport): (&[SocketAddr], Transport),
        place: &Place<'_>,
    ) {
        let span = place.span(checker.root);
        let mut told = false;
        for address in addresses.iter().filter(|address| address.port() != 0) {
            let others = self.0.entry((transport, address.port())).or_default();
            if let Some((other, first, owner)) = others.iter().find(|(other, ..)| collide(address, other)) {
                let message = if address == other {
                    format!("the address {address} is listened on twice")
                } else {
                    format!("the address {address} is already covered by {other}")
                };
                if !told {
                    let note = format!("first here, in `{owner}`");
                    checker.clash(
                        "address-in-use",
                        message,
                        (place, *first, &note),
                        "give one of them another port or address",
                    );
                }
                told = true;
            } else {
                others.push((*address, span, place.to_string()));
            }
        }
    }
}

/// Same port assumed. IPv6 sockets take IPv6 only, so the families do not collide.
fn collide(a: &SocketAddr, b: &SocketAddr) -> bool {
    a.ip() == b.ip() || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()))
}

/// Networks; the first stage has checked their form.
pub(super) fn networks(checker: &mut Checker<'_>, texts: &[String], place: &Place<'_>) -> Vec<ipnet::IpNet> {
    let texts = texts.iter().enumerate();
    texts.filter_map(|(index, text)| checker.parsed(text, parse::network, &place.index(index))).collect()
}

fn forwarded(forwarded: document::Forwarded) -> Forwarded {
    Forwarded {
        mode: match forwarded.mode {
            document::ForwardedMode::Append => ForwardedMode::Append,
            document::ForwardedMode::Replace => ForwardedMode::Replace,
            document::ForwardedMode::Drop => ForwardedMode::Drop,
        },
        style: match forwarded.style {
            document::ForwardedStyle::XForwarded => ForwardedStyle::XForwarded,
            document::ForwardedStyle::Forwarded => ForwardedStyle::Forwarded,
            document::ForwardedStyle::Both => ForwardedStyle::Both,
        },
    }
}

fn request_id(
    checker: &mut Checker<'_>,
    request_id: &OrOff<document::RequestId>,
    place: &Place<'_>,
) -> RequestId {
    let OrOff::On(request_id) = request_id else { return RequestId { header: None, trust: false } };
    let header = request_id.header.to_ascii_lowercase();
    if FIELDS_WITH_A_MEANING.contains(&header.as_str()) {
        let message =
            format!("the field `{header}` cannot carry the request id: it has a meaning of its own");
        checker.error("bad-value", message, place, "use a field such as `x-request-id`");
    }
    RequestId { header: Some(header.into()), trust: request_id.trust }
}

fn timeouts(checker: &mut Checker<'_>, listener: &document::Listener, place: &Place<'_>) -> ListenerTimeouts {
    let times = &listener.timeouts;
    let usual = match listener.protocol {
        document::Protocol::Http => IDLE_HTTP,
        // Over UDP it is the pool that says when a session is over.
        document::Protocol::Tcp | document::Protocol::Udp => IDLE_TCP,
    };
    let idle = times.idle.unwrap_or(usual);
    let all = [
        ("tls-handshake", times.tls_handshake),
        ("request-head", times.request_head),
        ("body-progress", times.body_progress),
        ("send-progress", times.send_progress),
        ("half-close", times.half_close),
        ("idle", idle),
    ];
    checker.positive(&all, place);
    checker.positive(times.lifetime.map(|lifetime| ("lifetime", lifetime)).as_slice(), place);
    let passes_on = listener.protocol == document::Protocol::Tcp || !listener.pass_through.is_empty();
    if times.lifetime.is_some() && !passes_on && checker.clean {
        let place = place.key("lifetime");
        let message = format!("`{place}` makes no difference: no connections are passed on here");
        checker.warning("unused-setting", message, &place, "remove it");
    }
    ListenerTimeouts {
        tls_handshake: times.tls_handshake.duration(),
        request_head: times.request_head.duration(),
        body_progress: times.body_progress.duration(),
        send_progress: times.send_progress.duration(),
        half_close: times.half_close.duration(),
        idle: idle.duration(),
        lifetime: times.lifetime.map(TimeSpan::duration),
    }
}
