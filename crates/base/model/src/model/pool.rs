//! Where traffic goes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Sticky;

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
    /// Limits of connections to each endpoint.
    pub connections: Connections,
    /// How long endpoints may take.
    pub timeouts: PoolTimeouts,
    /// The `Host` sent to endpoints; `None` passes the client's on.
    pub host: Option<Arc<str>>,
    /// Request bodies up to this many bytes are kept until the answer begins, so that a request can be sent again.
    pub replay_bytes: usize,
    /// Longest response head, in bytes; at most 256 KiB.
    pub max_head_bytes: usize,
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
}

impl Endpoint {
    /// One of weight 1.
    pub const fn new(host: Host, port: u16) -> Self {
        Self { host, port, weight: 1 }
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

/// How an endpoint's machine is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// By address.
    Ip(std::net::IpAddr),
    /// By a name that is looked up again and again.
    Name(Arc<str>),
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
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// A connection is accepted.
    Tcp,
    /// An agent says in one line how the endpoint is.
    Agent {
        /// Sent to it first, with a line end; nothing if `None`.
        send: Option<Arc<str>>,
    },
    /// The machine answers an echo request.
    Icmp,
    /// A program ends with exit status 0.
    Exec {
        /// An absolute path, or a name that is looked for in `PATH`.
        program: Arc<str>,
        /// What it is given.
        arguments: Vec<Arc<str>>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// 100 to 599.
    pub first: u16,
    /// At least `first`.
    pub last: u16,
}

/// What a body must hold.
#[derive(Clone, Debug, PartialEq)]
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
    /// For how long it is ejected.
    pub eject_for: Duration,
}

/// Limits of connections to each endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// In use at once, over all workers.
    pub max: u32,
    /// Kept idle by each worker.
    pub max_idle: u32,
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
