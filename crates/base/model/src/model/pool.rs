//! Where traffic goes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Host, Http2, PoolTls, Sticky};

/// Endpoints that serve the same thing, and how traffic is spread over them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name in the document.
    pub name: Arc<str>,
    /// In the order of the document; may be empty (endpoints can be added at run time). Addresses are unique.
    pub endpoints: Vec<Endpoint>,
    /// Balancer kind and its settings.
    pub balance: KindSettings,
    /// What keeps a session with its endpoint, if anything does.
    pub sticky: Option<Sticky>,
    /// Active checks; all must pass.
    pub checks: Vec<ActiveCheck>,
    /// What is learned from traffic.
    pub passive: PassiveCheck,
    /// How long an endpoint that comes (back) takes to get all of its share; zero gives it all at once.
    pub slow_start: Duration,
    /// Which endpoints are preferred, and when others take over.
    pub preference: Preference,
    /// Limits of connections to each endpoint.
    pub connections: Connections,
    /// How long endpoints may take.
    pub timeouts: PoolTimeouts,
    /// Over TLS, like this; `None`: without.
    pub tls: Option<Arc<PoolTls>>,
    /// HTTP/2 where the endpoint agrees to it in the TLS handshake, and always without TLS, with this much granted; `None`: HTTP/1.1.
    pub http2: Option<Http2>,
    /// How sessions over UDP come to their end.
    pub udp: Udp,
    /// How connections to endpoints say who the client is, if they do.
    pub proxy_protocol: Option<ProxyVersion>,
    /// The `Host` sent to endpoints; `None` passes the client's on.
    pub host: Option<Arc<str>>,
    /// Request bodies up to this many bytes are kept until the answer begins, so that a request can be sent again.
    pub replay_bytes: usize,
    /// Longest response head, in bytes; at most 256 KiB.
    pub max_head_bytes: usize,
}

/// How sessions over UDP come to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Without a datagram either way.
    pub timeout: Duration,
    /// Datagrams that answer each of the client's; a session that has had them all is over. `None`: nobody knows.
    pub replies: Option<u32>,
}

impl Default for Udp {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), replies: None }
    }
}

/// The versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
}

/// One server.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Host and port.
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
    /// Share of traffic relative to the others; 0 takes no new traffic. At most 65,535.
    pub weight: u32,
    /// 0 takes traffic first; the next ones are its backup. At most 15.
    pub tier: u8,
    /// Where it is; `None` if that is not said.
    pub zone: Option<Arc<str>>,
}

impl Endpoint {
    /// One of weight 1 in the first tier.
    pub const fn new(host: Host, port: u16) -> Self {
        Self { host, port, weight: 1, tier: 0, zone: None }
    }

    /// The address, if no name has to be looked up for it.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// The name of a kind and its settings, checked against the kind's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct KindSettings {
    /// As the kind's `KindInfo::name`.
    pub name: Arc<str>,
    /// An object, without `kind`; deserialises into the kind's settings.
    pub settings: serde_json::Value,
}

/// A check that asks the endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveCheck {
    /// What is asked.
    pub kind: CheckKind,
    /// From the end of one check to the start of the next.
    pub interval: Duration,
    /// For one check, all of it.
    pub timeout: Duration,
    /// Successes in a row that bring a sick endpoint back. Of no use with [`CheckKind::Agent`].
    pub rise: u32,
    /// Failures in a row that take a healthy one out. Of no use with [`CheckKind::Agent`].
    pub fall: u32,
    /// Share of the interval (0 to 1) by which it is varied at random.
    pub jitter: f64,
    /// Asked on this port instead of the endpoint's.
    pub port: Option<u16>,
    /// Asked over TLS.
    pub tls: Option<Arc<PoolTls>>,
    /// How its connections say that nobody's client is behind them, where the endpoint wants to be told.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CheckKind {
    /// A connection is accepted.
    Tcp,
    /// A TLS handshake comes to its end. Of no use without [`ActiveCheck::tls`].
    Tls,
    /// An agent says in one line how the endpoint is.
    Agent {
        /// Sent to it first, with a line end; nothing if `None`.
        send: Option<Arc<str>>,
    },
    /// The machine answers an echo request.
    Icmp,
    /// A datagram is answered.
    Udp {
        /// What is sent; at most 1,200 bytes.
        send: Arc<[u8]>,
        /// What the answer holds; anything if `None`.
        expect: Option<Arc<[u8]>>,
    },
    /// A program ends with exit status 0.
    Exec {
        /// An absolute path, or a name that is looked for in `PATH`.
        program: Arc<str>,
        /// What it is given.
        arguments: Vec<Arc<str>>,
    },
    /// The health service of gRPC says that it serves.
    Grpc {
        /// The service that is asked about; empty for the endpoint as a whole.
        service: Arc<str>,
        /// The authority that is named; the endpoint's own if `None`.
        host: Option<Arc<str>>,
    },
    /// A request is answered as wanted.
    Http {
        /// `GET` if not given.
        method: Arc<str>,
        /// Origin-form.
        path: Arc<str>,
        /// The `Host` sent; the endpoint's own if `None`.
        host: Option<Arc<str>>,
        /// Further fields.
        headers: Vec<(Arc<str>, Arc<str>)>,
        /// One of these; 200–299 if not given.
        statuses: Vec<StatusRange>,
        /// What the body (its first 64 KiB) must hold.
        body: Option<BodyMatch>,
    },
}

/// Statuses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    /// 100 to 599.
    pub first: u16,
    /// At least `first`.
    pub last: u16,
}

/// What a body must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BodyMatch {
    /// This text.
    Contains(Arc<str>),
    /// `~ …`; valid.
    Regex(Arc<str>),
}

/// What is learned from traffic about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassiveCheck {
    /// Failures in a row (connect failed, no answer, broken answer) that eject an endpoint; 0 switches it off.
    pub consecutive_failures: u32,
    /// For how long it is ejected the first time; for twice as long each time that it is soon needed again.
    pub eject_for: Duration,
    /// At most for so long; not less than `eject_for`.
    pub max_eject_for: Duration,
    /// How endpoints are compared with each other; `None` switches it off.
    pub peers: Option<PeerCheck>,
    /// At most this share of the endpoints (0 to 1), and at least one, is out or gets less for what was seen of their requests. Those that
    /// cannot be reached are not counted in.
    pub max_share: f64,
}

/// How the endpoints of a pool are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerCheck {
    /// How often.
    pub interval: Duration,
    /// Requests that are needed for a judgement; at least 5.
    pub requests: u32,
    /// A larger share of failures than the others have, by this (0 to 1), is too much; `None` does not look at failures.
    pub errors: Option<f64>,
    /// So many times as slow as the median of the others' slowest times of late is too slow (at least 1.5); `None` does not look at
    /// times.
    pub slower: Option<f64>,
    /// And slower by at least this.
    pub slower_by: Duration,
}

/// Which endpoints are preferred, and when others take over.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    /// The zone of this node: its endpoints come first. `None` makes no difference between zones.
    pub zone: Option<Arc<str>>,
    /// Share (0 to 1) of a tier's weight that suffices for all of its traffic.
    pub tier_suffices: f64,
    /// Share (0 to 1) of a zone's equal part of the tier's weight that suffices for all of the zone's traffic.
    pub zone_suffices: f64,
    /// Below this share (0 to 1) of the weight that is fit, all endpoints get traffic.
    pub panic_below: f64,
    /// Only so many endpoints are used, chosen by the node's name.
    pub subset: Option<Subset>,
}

/// Some of the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset {
    /// How many; at least 1.
    pub size: u32,
    /// The name of the node that they are chosen by.
    pub node: Arc<str>,
}

/// Limits of connections to each endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// In use at once, over all workers.
    pub max: u32,
    /// Kept idle by each worker.
    pub max_idle: u32,
    /// Requests that wait while `max` are in use at each endpoint, over all workers.
    pub queue: u32,
    /// How long one waits.
    pub queue_timeout: Duration,
    /// How long one is kept idle.
    pub idle_timeout: Duration,
}

/// How long endpoints may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolTimeouts {
    /// To connect.
    pub connect: Duration,
    /// From the last byte of the request sent to the first of the answer.
    pub first_byte: Duration,
    /// Without a byte of the answer's body.
    pub response_progress: Duration,
    /// Without taking a byte of the request.
    pub send_progress: Duration,
}
