//! Listeners that pass connections on as they are.

use crate::check::checker::{Checker, Names, reference};
use crate::document;
use crate::model::{Action, Listener, Pool, Protocol, Route, Sticky};
use crate::text::Place;

/// What of a listener is about requests. Where there are none, it does nothing.
pub(super) const ABOUT_REQUESTS: [&str; 6] =
    ["http2", "trusted-proxies", "forwarded", "request-id", "via", "limits"];
/// The same of its times.
const TIMES_OF_REQUESTS: [&str; 3] = ["request-head", "body-progress", "send-progress"];

/// What is spoken, and where it goes if that is not for routes to say.
pub(super) fn protocol(
    checker: &mut Checker<'_>,
    listener: &document::Listener,
    names: &Names<'_>,
    place: &Place<'_>,
) -> Protocol {
    match (listener.protocol, &listener.pool) {
        (document::Protocol::Http, None) => Protocol::Http,
        (document::Protocol::Http, Some(pool)) => {
            let message = format!("`{place}` speaks HTTP, and its requests go where routes lead them");
            let help = format!("add a route `{{pool: {pool}}}` in place of it, or write `protocol: tcp`");
            checker.key_error("pool-of-requests", message, &place.key("pool"), &help);
            Protocol::Http
        }
        (_, None) => {
            without_effect(checker, place);
            // What ends here has to go somewhere.
            if checker.clean && (listener.pass_through.is_empty() || listener.tls.is_some()) {
                let message = format!("`{place}` passes connections on, and does not say where to");
                checker.key_error("no-pool", message, place, "name a pool: `pool: NAME`");
            }
            Protocol::Tcp { pool: None }
        }
        (_, Some(pool)) => {
            without_effect(checker, place);
            Protocol::Tcp { pool: reference(checker, "pool", pool, &names.pools, &place.key("pool")) }
        }
    }
}

fn without_effect(checker: &mut Checker<'_>, place: &Place<'_>) {
    let times = place.key("timeouts");
    let all = ABOUT_REQUESTS.iter().map(|key| place.key(key));
    for key in all.chain(TIMES_OF_REQUESTS.iter().map(|key| times.key(key))) {
        if checker.is_written(&key) {
            let message = format!("`{key}` makes no difference: with `protocol: tcp` there are no requests");
            checker.warning("unused-setting", message, &key, "remove it");
        }
    }
}

/// Refuses pools that cannot serve those who use them: whole connections, or requests that share them.
pub(super) fn users_of_pools(
    checker: &mut Checker<'_>,
    (listeners, routes): (&[Listener], &[Route]),
    pools: &[Pool],
) {
    let top = Place::ROOT.key("pools");
    for (index, pool) in pools.iter().enumerate() {
        let place = top.key(&pool.name);
        if let Some(listener) = listeners.iter().find(|listener| listener.pools().any(|used| used == index)) {
            sessions_of_connections(checker, listener, pool, &place);
        }
        let passes = |listener: &&Listener| listener.pass_through.iter().any(|entry| entry.pool == index);
        if let Some(listener) = listeners.iter().find(passes).filter(|_| pool.tls.is_some()) {
            let name = &listener.name;
            let message = format!("what `listeners.{name}` passes through is encrypted already");
            let help = "remove it, or have the listener pass such connections to a pool of their own";
            checker.key_error("tls-twice", message, &place.key("tls"), help);
        }
        if pool.proxy_protocol.is_some()
            && let Some(route) = routes.iter().find(|route| leads_to(route, index))
        {
            let name = &route.name;
            let message = format!(
                "requests of many clients share the connections that route `{name}` uses, so these are nobody's"
            );
            let help = "remove it: endpoints are told of the client in fields (`forwarded`); or give connections that are passed on a pool of their own";
            checker.key_error("needs-connections", message, &place.key("proxy-protocol"), help);
        }
    }
}

fn leads_to(route: &Route, pool: usize) -> bool {
    matches!(&route.action, Action::Proxy(shares) if shares.iter().any(|share| share.pool == pool))
}

/// Sessions that only requests can tell apart are none of connections.
fn sessions_of_connections(checker: &mut Checker<'_>, listener: &Listener, pool: &Pool, place: &Place<'_>) {
    let Some(sticky @ (Sticky::Cookie(_) | Sticky::Learn(_))) = &pool.sticky else { return };
    if matches!(listener.protocol, Protocol::Udp { .. }) && sticky.is_of_quic() {
        return;
    }
    let (name, word) = (&listener.name, sticky.word());
    let message =
        format!("connections of `listeners.{name}` bring nothing that `sticky: {word}` could know them by");
    let help = "write `sticky: source`, or give the listener a pool of its own";
    checker.key_error("needs-requests", message, &place.key("sticky"), help);
}
