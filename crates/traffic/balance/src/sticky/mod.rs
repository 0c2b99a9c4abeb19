//! Stickiness: a session stays with the endpoint that served it first, whatever the balancer would choose.
//!
//! Pure: it is told what a request and an answer say, and says which endpoint to try first and what to tell the client. A session is known
//! by a cookie of Aya's own, or by a key (address, learned cookie or field) in a [`SessionTable`] that all workers share.

mod cookie;
mod table;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use base_kit::Moment;
use base_model::model::{SessionName, Sticky, StickySource};

use self::cookie::CookieBook;
use self::table::{ID_BITS, SessionKey};
use crate::endpoint::{EndpointId, EndpointState};

pub(crate) use self::table::kept_or_new;
pub use self::table::{SessionTable, Stored};

/// What a request says of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The endpoint it is bound to, as far as that is still there.
    pub endpoint: Option<EndpointId>,
    claim: Claim,
    key: Option<SessionKey>,
    /// Whether its cookie was signed with an older key.
    is_dated: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Claim {
    /// It names no session.
    #[default]
    None,
    /// It names one that nobody knows.
    Unknown,
    /// It names one that is bound to an endpoint, or was to one that is gone.
    Bound,
}

/// What became of a request's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOutcome {
    /// The endpoint that it is bound to has answered.
    Kept,
    /// There was none; now it is bound.
    New,
    /// It was bound to an endpoint that could not answer; another one has.
    Moved,
    /// The request named one that nobody knows: forged, of another key, forgotten.
    Unknown,
}

impl SessionOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kept, Self::New, Self::Moved, Self::Unknown];

    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::New => "new",
            Self::Moved => "moved",
            Self::Unknown => "unknown",
        }
    }
}

/// What to do about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound<'a> {
    /// To be counted; `None` if there is no session.
    pub outcome: Option<SessionOutcome>,
    /// The value of a `Set-Cookie` line that the client is to get.
    pub set_cookie: Option<&'a [u8]>,
    /// What became of the session in the table, if it was written there.
    pub stored: Option<Stored>,
}

/// Where a request names its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy<'a> {
    /// In a cookie of Aya's own, which endpoints do not get to see.
    OwnCookie(&'a str),
    /// In a cookie of the endpoints'.
    Cookie(&'a str),
    /// In this field.
    Header(&'a str),
    /// By its client.
    Client,
    /// By the connection id in its packets of QUIC.
    ConnectionId,
}

/// One worker's knowledge of a pool's sessions.
pub struct Stickiness {
    method: Method,
    /// By the low bits of their ids, as the table holds them.
    endpoints: HashMap<u32, EndpointId>,
}

enum Method {
    Cookie(CookieBook),
    Source(StickySource, Arc<SessionTable>),
    Learn(SessionName, Arc<SessionTable>),
}

impl Stickiness {
    /// As the pool's settings say. `table` is that of the pool; without one, sessions that need it are not kept.
    pub fn new(settings: &Sticky, table: Option<Arc<SessionTable>>) -> Option<Self> {
        let method = match settings {
            Sticky::Cookie(cookie) => Method::Cookie(CookieBook::new(cookie)),
            Sticky::Source(source) => Method::Source(*source, table?),
            Sticky::Learn(learn) => Method::Learn(learn.from.clone(), table?),
        };
        Some(Self { method, endpoints: HashMap::new() })
    }

    /// All endpoints of the pool, whatever their state. Called when the pool's epoch moved.
    pub fn update(&mut self, endpoints: &[Arc<EndpointState>]) {
        if let Method::Cookie(book) = &mut self.method {
            book.update(endpoints);
        }
        self.endpoints = endpoints.iter().map(|endpoint| (low_bits(endpoint.id()), endpoint.id())).collect();
    }

    /// Where requests name their session.
    pub fn named_by(&self) -> NamedBy<'_> {
        match &self.method {
            Method::Cookie(book) => NamedBy::OwnCookie(book.name()),
            Method::Source(..) => NamedBy::Client,
            Method::Learn(SessionName::Cookie(name), _) => NamedBy::Cookie(name),
            Method::Learn(SessionName::Header(name), _) => NamedBy::Header(name),
            Method::Learn(SessionName::ConnectionId, _) => NamedBy::ConnectionId,
        }
    }

    /// Whether it can be told here what a cookie of Aya's own says: not where the key is the running process's own.
    pub fn can_tell(&self) -> bool {
        !matches!(&self.method, Method::Cookie(book) if !book.has_key())
    }

    /// The session that a request names so; one that it does not name if that is empty.
    pub fn find(&self, name: &[u8], now: Moment) -> Session {
        match &self.method {
            _ if name.is_empty() => Session::default(),
            Method::Cookie(book) => match book.find(name) {
                Some(signed) => Session {
                    endpoint: Some(signed.endpoint),
                    claim: Claim::Bound,
                    key: None,
                    is_dated: !signed.is_current,
                },
                None => Session { claim: Claim::Unknown, ..Session::default() },
            },
            Method::Learn(_, table) => self.look_up(table, table.key(name), Claim::Unknown, now),
            Method::Source(..) => Session::default(),
        }
    }

    /// The session of a client.
    pub fn find_client(&self, client: IpAddr, now: Moment) -> Session {
        match &self.method {
            Method::Source(source, table) => {
                let key = table.key(&network(source, client));
                self.look_up(table, key, Claim::None, now)
            }
            _ => Session::default(),
        }
    }

    fn look_up(&self, table: &SessionTable, key: SessionKey, otherwise: Claim, now: Moment) -> Session {
        let found = table.find(key, now);
        Session {
            endpoint: found.and_then(|bits| self.endpoints.get(&bits)).copied(),
            claim: if found.is_some() { Claim::Bound } else { otherwise },
            key: Some(key),
            is_dated: false,
        }
    }

    /// An endpoint has answered. `named` is what its answer names the session, `binds` whether the answer is one that ties a client to
    /// its endpoint.
    pub fn answered(
        &self,
        session: Session,
        endpoint: EndpointId,
        (named, binds): (Option<&[u8]>, bool),
        now: Moment,
    ) -> Bound<'_> {
        let is_kept = session.endpoint == Some(endpoint);
        let mut bound = Bound { outcome: session.outcome(is_kept), set_cookie: None, stored: None };
        if !binds {
            return bound;
        }
        match &self.method {
            Method::Cookie(book) => {
                if !is_kept || session.is_dated {
                    bound.set_cookie = book.line(endpoint);
                }
            }
            Method::Source(_, table) | Method::Learn(_, table) => {
                let named = named.filter(|name| !name.is_empty()).map(|name| table.key(name));
                let key = named.or_else(|| session.key.filter(|_| self.takes(session.claim)));
                if let Some(key) = key.filter(|key| !is_kept || session.key != Some(*key)) {
                    bound.stored = Some(table.put(key, low_bits(endpoint), now));
                }
            }
        }
        let is_bound = bound.set_cookie.is_some() || bound.stored.is_some();
        if session.claim == Claim::None && is_bound {
            bound.outcome = Some(SessionOutcome::New);
        }
        bound
    }

    /// Whether a session is bound because a request names it. A cookie that no endpoint was seen to set is not: whoever makes up cookies
    /// must not fill the table with them.
    fn takes(&self, claim: Claim) -> bool {
        claim != Claim::Unknown || !matches!(self.method, Method::Learn(SessionName::Cookie(_), _))
    }
}

impl Session {
    /// Whether the request names a session at all.
    pub fn is_named(&self) -> bool {
        self.claim != Claim::None
    }

    /// Whether the session that it names was bound once.
    pub fn is_known(&self) -> bool {
        self.claim == Claim::Bound
    }

    fn outcome(&self, is_kept: bool) -> Option<SessionOutcome> {
        match self.claim {
            Claim::None => None,
            Claim::Unknown => Some(SessionOutcome::Unknown),
            Claim::Bound if is_kept => Some(SessionOutcome::Kept),
            Claim::Bound => Some(SessionOutcome::Moved),
        }
    }
}

/// The part of the address that counts. IPv4 in the form of IPv6 is IPv4.
fn network(source: &StickySource, client: IpAddr) -> [u8; 17] {
    let (family, bits, prefix) = match client.to_canonical() {
        IpAddr::V4(ip) => (4, u128::from(ip.to_bits()) << 96, source.prefix),
        IpAddr::V6(ip) => (6, ip.to_bits(), source.prefix6),
    };
    let rest = 128_u32.saturating_sub(u32::from(prefix));
    let network = bits.checked_shr(rest).and_then(|bits| bits.checked_shl(rest)).unwrap_or(0);
    let mut bytes = [family; 17];
    if let Some((_, address)) = bytes.split_first_mut() {
        address.copy_from_slice(&network.to_be_bytes());
    }
    bytes
}

/// What the table holds of an id. Endpoints whose ids are a million apart would be taken for each other; a pool has ten thousand at most.
fn low_bits(id: EndpointId) -> u32 {
    (id.number() & ((1 << ID_BITS) - 1)) as u32
}

#[cfg(test)]
mod tests;
