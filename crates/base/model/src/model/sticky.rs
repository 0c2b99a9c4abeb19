//! Sessions that stay with their endpoint.

use std::sync::Arc;
use std::time::Duration;

use super::Secret;

/// What a session is known by.
#[derive(Clone, Debug, PartialEq)]
pub enum Sticky {
    /// A cookie of Aya's own, which names the endpoint.
    Cookie(StickyCookie),
    /// The client's address.
    Source(StickySource),
    /// What endpoints name their sessions by.
    Learn(StickyLearn),
}

impl Sticky {
    /// The word in the document and the API.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Cookie(_) => "cookie",
            Self::Source(_) => "source",
            Self::Learn(_) => "learn",
        }
    }

    /// Whether only datagrams of QUIC have what it looks at.
    pub const fn is_of_quic(&self) -> bool {
        matches!(self, Self::Learn(StickyLearn { from: SessionName::ConnectionId, .. }))
    }

    /// How many sessions are kept, and how long; `None` if the clients keep them.
    pub const fn limits(&self) -> Option<SessionLimits> {
        match self {
            Self::Cookie(_) => None,
            Self::Source(StickySource { limits, .. }) | Self::Learn(StickyLearn { limits, .. }) => {
                Some(*limits)
            }
        }
    }
}

/// A cookie that names the endpoint. Its attributes are those of RFC 6265, fit for a `Set-Cookie` line as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct StickyCookie {
    /// A token.
    pub name: Arc<str>,
    /// The first signs, all verify. Empty: a key of the process's own is to be put in.
    pub keys: Vec<Secret>,
    /// How long clients keep it; until they are closed if `None`.
    pub max_age: Option<Duration>,
    /// Where clients send it.
    pub path: Arc<str>,
    /// The domain whose hosts get it; only the host that set it if `None`.
    pub domain: Option<Arc<str>>,
    /// Only sent over TLS.
    pub secure: bool,
    /// Hidden from scripts.
    pub http_only: bool,
    /// Whether other sites' pages make clients send it.
    pub same_site: SameSite,
}

/// Whether other sites' pages make clients send a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When somebody follows a link.
    Lax,
    /// Always; clients want `secure` for it.
    None,
}

/// The client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StickySource {
    /// Bits of an IPv4 address that count; 1 to 32.
    pub prefix: u8,
    /// Bits of an IPv6 address that count; 1 to 128.
    pub prefix6: u8,
    /// How many sessions, and how long.
    pub limits: SessionLimits,
}

/// What endpoints name their sessions by.
#[derive(Clone, Debug, PartialEq)]
pub struct StickyLearn {
    /// Where the session's name stands.
    pub from: SessionName,
    /// How many sessions, and how long.
    pub limits: SessionLimits,
}

/// Where the name of a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionName {
    /// In this cookie, which endpoints set.
    Cookie(Arc<str>),
    /// In this field, of requests and answers; in lower case.
    Header(Arc<str>),
    /// In packets of QUIC: the connection id that the endpoint has chosen (RFC 9000 §5.1).
    ConnectionId,
}

/// How many sessions are kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Since a session was last used; at least a second.
    pub ttl: Duration,
    /// Sessions that find room at once; at least 1.
    pub max: u32,
}
