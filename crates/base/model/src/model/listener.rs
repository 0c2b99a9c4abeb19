//! How traffic comes in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::{HostPattern, ListenerTls};

/// A set of addresses with one protocol and one way of treating clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name in the document.
    pub name: Arc<str>,
    /// At least one address.
    pub bind: Vec<SocketAddr>,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Connections over TLS that are passed on as they are, whatever is spoken else.
    pub pass_through: Vec<PassThrough>,
    /// What clients are shown and asked for, where they come over TLS.
    pub tls: Option<Arc<ListenerTls>>,
    /// What clients that speak HTTP/2 are granted; `None`: it is not spoken.
    pub http2: Option<Http2>,
    /// Who says by the PROXY protocol whom a connection is from.
    pub proxy_protocol: Vec<IpNet>,
    /// Whose `Forwarded` and `X-Forwarded-*` fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What is told to endpoints about the client.
    pub forwarded: Forwarded,
    /// The request id.
    pub request_id: RequestId,
    /// The pseudonym in `Via`; `None` leaves `Via` alone.
    pub via: Option<Arc<str>>,
    /// Connections open at once, over all workers; more wait in the kernel's queue. `None`: whoever puts this to work decides.
    pub max_connections: Option<u32>,
    /// Longest request head, in bytes; at most 256 KiB.
    pub max_head_bytes: usize,
    /// Most header fields in a request head.
    pub max_fields: usize,
    /// Longest request target, in bytes.
    pub max_target_bytes: usize,
    /// How long clients may take.
    pub timeouts: ListenerTimeouts,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (and 1.0), and HTTP/2 unless it is switched off.
    Http,
    /// Whatever clients and endpoints agree upon.
    Tcp {
        /// Index in [`crate::Model::pools`]; `None` where only what [`Listener::pass_through`] takes goes anywhere.
        pool: Option<usize>,
    },
    /// Datagrams, which belong together by whom they are from.
    Udp {
        /// Index in [`crate::Model::pools`].
        pool: usize,
    },
}

/// Connections over TLS that are passed on as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassThrough {
    /// Names that clients ask for; all, if there are none.
    pub names: Vec<HostPattern>,
    /// Protocols of which a client speaks one at least; whatever it speaks, if there are none.
    pub alpn: Vec<Arc<str>>,
    /// Index in [`crate::Model::pools`].
    pub pool: usize,
}

impl Listener {
    /// The pools that connections or datagrams are passed on to.
    pub fn pools(&self) -> impl Iterator<Item = usize> {
        self.pass_through.iter().map(|entry| entry.pool).chain(self.protocol.pool())
    }
}

impl Protocol {
    /// As operators write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp { .. } => "tcp",
            Self::Udp { .. } => "udp",
        }
    }

    /// The pool that connections and datagrams go to which nothing else takes.
    pub const fn pool(self) -> Option<usize> {
        match self {
            Self::Http => None,
            Self::Tcp { pool } => pool,
            Self::Udp { pool } => Some(pool),
        }
    }
}

/// What the other side of an HTTP/2 connection is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2 {
    /// Requests under way at once.
    pub max_streams: u32,
    /// Bytes of one body that may be under way before some were taken.
    pub stream_window: u32,
    /// The same for all bodies of a connection together.
    pub connection_window: u32,
}

/// How the fields that name the client are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// What happens to what is there.
    pub mode: ForwardedMode,
    /// Which fields are meant.
    pub style: ForwardedStyle,
}

/// What happens to forwarding fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedMode {
    /// Fields from trusted proxies are kept and the peer is added; from others, replaced.
    Append,
    /// What the client sent is dropped, the peer alone is named.
    Replace,
    /// What the client sent is dropped, and nothing is told.
    Drop,
}

/// Which forwarding fields are written. Those not written are dropped, unless they come from a trusted proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedStyle {
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Both.
    Both,
}

/// The field that carries the request id to the endpoint and back to the client.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestId {
    /// Field name, in lower case; `None` switches the field off (logs still have an id).
    pub header: Option<Arc<str>>,
    /// Whether an id that a trusted proxy sent is kept.
    pub trust: bool,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From accepting the connection to the end of the TLS handshake.
    pub tls_handshake: Duration,
    /// From the first byte of a request head (or from accepting the connection) to its last.
    pub request_head: Duration,
    /// Without a byte of the request body.
    pub body_progress: Duration,
    /// Without the client taking a byte of its answer.
    pub send_progress: Duration,
    /// How long an answer may still take when the client has stopped sending (a closed connection looks the same); then
    /// the request is given up.
    pub half_close: Duration,
    /// Between two requests of a connection, and without a byte either way where it is not HTTP that is spoken.
    pub idle: Duration,
    /// How long a connection that is passed on may last; `None`: for as long as its two sides like.
    pub lifetime: Option<Duration>,
}
