//! Sessions in heads: which one a request belongs to, and what the client is told of it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use base_kit::Moment;
use traffic_balance::{EndpointState, NamedBy, Session, Stickiness};
use traffic_http::{Fields, KnownField, RequestHead};
use traffic_route::{any_cookie_value, without_quotes};

use crate::life::Life;
use crate::plan::PoolPlan;
use crate::relay::Lookup;
use crate::upstream::{LocalPool, Turn};

/// Answers with a status from here on bind nobody: a client is not tied to an endpoint that fails.
const FIRST_UNBOUND_STATUS: u16 = 500;

impl Life<'_> {
    /// Finds the session that the request belongs to. A cookie of Aya's own goes no further.
    pub(super) fn find_session(&mut self, local: &LocalPool) {
        let Some(sessions) = &local.sessions else { return };
        let (worker, exchange) = (self.worker, &mut *self.exchange);
        let (client, now) = (exchange.record.client, exchange.record.started);
        let mut sessions = sessions.borrow_mut();
        sessions.refresh(&local.state, now, &|endpoint| worker.reach(endpoint));
        exchange.session = session_of(&sessions.stickiness, &exchange.request, client, now);
        if let Some(name) = exchange.session.endpoint.and_then(|endpoint| sessions.name(endpoint)) {
            exchange.notes.bound_to(name);
        }
        if let NamedBy::OwnCookie(name) = sessions.stickiness.named_by() {
            exchange.request.fields_mut().remove_cookie(name);
        }
    }

    /// Binds the session to the endpoint that has answered. Looks at the answer as the client gets it.
    pub(super) fn bind_session(&mut self, turn: &Turn, local: &LocalPool) {
        let Some(sessions) = &local.sessions else { return };
        let sessions = sessions.borrow();
        let exchange = &mut *self.exchange;
        let now = exchange.record.started + exchange.record.first_byte.unwrap_or_default();
        let head = &mut exchange.reply.head;
        let (status, is_switching) = (head.status(), head.is_switching());
        let fields = head.fields_mut();
        let (named, is_own) = match sessions.stickiness.named_by() {
            NamedBy::OwnCookie(_) => (None, true),
            NamedBy::Cookie(name) => (cookie_set(fields, name), false),
            NamedBy::Header(name) => (fields.find(name), false),
            // There are none in answers to requests.
            NamedBy::Client | NamedBy::ConnectionId => (None, false),
        };
        let binds = status < FIRST_UNBOUND_STATUS && !(is_own && is_for_everybody(fields));
        let bound = sessions.stickiness.answered(exchange.session, turn.state.id(), (named, binds), now);
        sessions.count(&bound);
        exchange.notes.session_outcome = bound.outcome;
        if let Some(cookie) = bound.set_cookie {
            fields.append_known(KnownField::SetCookie, cookie);
            if !is_switching {
                keep_from_shared_caches(fields);
            }
        }
    }
}

/// The session that a request names. Of several cookies of the name, the first that is known counts.
pub(crate) fn session_of(
    stickiness: &Stickiness,
    request: &RequestHead,
    client: IpAddr,
    now: Moment,
) -> Session {
    let mut session = Session::default();
    match stickiness.named_by() {
        NamedBy::Client => session = stickiness.find_client(client, now),
        NamedBy::ConnectionId => {}
        NamedBy::Header(name) => {
            session = stickiness.find(request.fields().find(name).unwrap_or_default(), now);
        }
        NamedBy::OwnCookie(name) | NamedBy::Cookie(name) => {
            any_cookie_value(&Lookup(request.fields()), name, &mut |value| {
                session = stickiness.find(value, now);
                session.is_known()
            });
        }
    }
    session
}

/// What would keep a request with an endpoint, if its pool is sticky.
#[derive(Debug)]
pub struct SessionChoice {
    /// The endpoint that it would go to first, if the request alone tells.
    pub endpoint: Option<Arc<EndpointState>>,
    /// What tells that, or does not, in words.
    pub why: String,
}

/// Says what would keep a request with an endpoint, and takes out what the endpoint does not get to see.
pub(crate) fn choose_session(
    pool: &PoolPlan,
    request: &mut Cow<'_, RequestHead>,
    client: IpAddr,
) -> Option<SessionChoice> {
    let mut stickiness = Stickiness::new(pool.settings.sticky.as_ref()?, pool.state.sessions())?;
    stickiness.update(&pool.state.endpoints());
    let session = session_of(&stickiness, request, client, Moment::ZERO);
    let why = match stickiness.named_by() {
        NamedBy::Client => "the client's address: the running process knows where it has been".to_owned(),
        NamedBy::ConnectionId => {
            "the connection id in packets: the running process knows who has chosen it".to_owned()
        }
        NamedBy::Cookie(name) if session.is_named() => {
            format!("the cookie `{name}`: the running process knows who has set it")
        }
        NamedBy::Header(name) if session.is_named() => {
            format!("the field `{name}`: the running process knows who has named it")
        }
        NamedBy::Cookie(name) => format!("no cookie `{name}`: the balancer chooses"),
        NamedBy::Header(name) => format!("no field `{name}`: the balancer chooses"),
        NamedBy::OwnCookie(name) if !session.is_named() => {
            format!("no cookie `{name}`: the balancer chooses, and the answer sets it")
        }
        NamedBy::OwnCookie(name) if session.is_known() => format!("the cookie `{name}` names the endpoint"),
        NamedBy::OwnCookie(name) if stickiness.can_tell() => {
            format!("the cookie `{name}` is not known: the balancer chooses, and the answer replaces it")
        }
        NamedBy::OwnCookie(name) => {
            format!("the cookie `{name}`: its key is not here, only the running process can tell")
        }
    };
    if let NamedBy::OwnCookie(name) = stickiness.named_by() {
        request.to_mut().fields_mut().remove_cookie(name);
    }
    let is_it = |endpoint: &&Arc<EndpointState>| Some(endpoint.id()) == session.endpoint;
    let endpoint = pool.state.endpoints().iter().find(is_it).map(Arc::clone);
    Some(SessionChoice { endpoint, why })
}

/// The value that an answer gives a cookie; the last one, as clients see it.
fn cookie_set<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    fields.values(KnownField::SetCookie).rev().find_map(|line| {
        let pair = line.split(|&byte| byte == b';').next()?;
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (own, value) = (pair.get(..equals)?, pair.get(equals + 1..)?.trim_ascii());
        (own.trim_ascii() == name.as_bytes()).then(|| without_quotes(value))
    })
}

/// Whether shared caches are invited to keep the answer (RFC 9111 §5.2.2.9, §5.2.2.10). With a cookie in it they could not, or would hand
/// one client's to all others.
fn is_for_everybody(fields: &Fields) -> bool {
    has_directive(fields, &[b"public", b"s-maxage"])
}

/// A cache between Aya and its clients must not hand the cookie on. Where directives disagree, the strictest holds (RFC 9111 §4.2.1).
fn keep_from_shared_caches(fields: &mut Fields) {
    if !has_directive(fields, &[b"private", b"no-store"]) {
        fields.append_known(KnownField::CacheControl, b"private");
    }
}

fn has_directive(fields: &Fields, names: &[&[u8]]) -> bool {
    let directives =
        fields.values(KnownField::CacheControl).flat_map(|line| line.split(|&byte| byte == b','));
    directives
        .map(|directive| directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii())
        .any(|directive| names.iter().any(|name| directive.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        lines.iter().for_each(|(name, value)| fields.append(name, value.as_bytes()));
        fields
    }

    #[test]
    fn the_last_cookie_that_an_answer_sets_counts() {
        let fields = fields(&[
            ("set-cookie", "id=old; Path=/a"),
            ("Set-Cookie", "other=x"),
            ("Set-Cookie", " id = \"new\" ; HttpOnly"),
            ("set-cookie", "ids=1"),
            ("set-cookie", "id"),
        ]);
        assert_eq!(cookie_set(&fields, "id"), Some(&b"new"[..]));
        assert_eq!(cookie_set(&fields, "other"), Some(&b"x"[..]));
        assert_eq!(cookie_set(&fields, "none"), None);
    }

    #[test]
    fn caches_are_told_once() {
        let after = |lines: &[(&str, &str)]| {
            let mut fields = fields(lines);
            keep_from_shared_caches(&mut fields);
            let text = |value| String::from_utf8_lossy(value).into_owned();
            fields.values(KnownField::CacheControl).map(text).collect::<Vec<_>>()
        };
        assert_eq!(after(&[]), ["private"]);
        assert_eq!(after(&[("cache-control", "max-age=60")]), ["max-age=60", "private"]);
        assert_eq!(after(&[("cache-control", "No-Store , max-age=0")]), ["No-Store , max-age=0"]);
        assert_eq!(after(&[("cache-control", "private=\"x\"")]), ["private=\"x\""]);
    }

    #[test]
    fn what_is_for_everybody_says_so() {
        let says = |value| is_for_everybody(&fields(&[("cache-control", value)]));
        assert!(says("max-age=1, Public") && says("s-maxage=60"));
        assert!(!says("max-age=1") && !says("private") && !is_for_everybody(&fields(&[])));
    }
}
