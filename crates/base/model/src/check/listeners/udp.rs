//! Listeners that pass datagrams on.

use super::tcp::ABOUT_REQUESTS;
use crate::check::checker::{Checker, Names, reference};
use crate::document;
use crate::model::{Action, Listener, Pool, Protocol, ProxyVersion, Route, Sticky, Udp};
use crate::text::Place;

/// What of a listener is about connections. Where there are none, it cannot be had.
const ABOUT_CONNECTIONS: [&str; 2] = ["tls", "pass-through"];

/// Where datagrams go.
pub(super) fn protocol(
    checker: &mut Checker<'_>,
    listener: &document::Listener,
    names: &Names<'_>,
    place: &Place<'_>,
) -> Protocol {
    for key in ABOUT_CONNECTIONS.map(|key| place.key(key)) {
        if checker.is_written(&key) {
            let message = format!("`{key}` is for connections, and with `protocol: udp` there are none");
            checker.key_error("needs-connections", message, &key, "remove it, or write `protocol: tcp`");
        }
    }
    for key in ABOUT_REQUESTS.iter().chain(&["timeouts"]).map(|key| place.key(key)) {
        if checker.is_written(&key) {
            let message =
                format!("`{key}` makes no difference: with `protocol: udp` there are only datagrams");
            checker.warning(
                "unused-setting",
                message,
                &key,
                "remove it; the pool's `udp` says when sessions are over",
            );
        }
    }
    if listener.pool.is_none() && checker.clean {
        let message = format!("`{place}` passes datagrams on, and does not say where to");
        checker.key_error("no-pool", message, place, "name a pool: `pool: NAME`");
    }
    let name = listener.pool.as_deref();
    let pool = name.and_then(|name| reference(checker, "pool", name, &names.pools, &place.key("pool")));
    // Without one, an error was found.
    Protocol::Udp { pool: pool.unwrap_or_default() }
}

/// Refuses what a pool cannot do with datagrams, and says what it does not need without them.
pub(super) fn users_of_pools(
    checker: &mut Checker<'_>,
    (listeners, routes): (&[Listener], &[Route]),
    pools: &[Pool],
) {
    let top = Place::ROOT.key("pools");
    for (index, pool) in pools.iter().enumerate() {
        let place = top.key(&pool.name);
        let leads_there = |route: &&Route| matches!(&route.action, Action::Proxy(shares) if shares.iter().any(|share| share.pool == index));
        if pool.sticky.as_ref().is_some_and(Sticky::is_of_quic)
            && let Some(route) = routes.iter().find(leads_there)
        {
            let message = format!("requests of route `{}` have no connection id of QUIC", route.name);
            let help = "write `source` or `{cookie: NAME}`, or give the route a pool of its own";
            checker.key_error("needs-datagrams", message, &place.key("sticky"), help);
        }
        users_of_pool(checker, listeners, (index, pool), &place);
    }
}

fn users_of_pool(
    checker: &mut Checker<'_>,
    listeners: &[Listener],
    (index, pool): (usize, &Pool),
    place: &Place<'_>,
) {
    let uses = |listener: &&Listener| listener.protocol == Protocol::Udp { pool: index };
    let Some(listener) = listeners.iter().find(uses) else {
        if pool.udp != Udp::default() && checker.clean {
            let key = place.key("udp");
            let message = format!("`{key}` makes no difference: no listener passes datagrams to the pool");
            checker.warning("unused-setting", message, &key, "remove it");
        }
        return;
    };
    let name = &listener.name;
    if pool.tls.is_some() {
        let message = format!("what `listeners.{name}` passes on are datagrams, and TLS is for connections");
        let help = "remove it, or give the listener a pool of its own";
        checker.key_error("needs-connections", message, &place.key("tls"), help);
    }
    if pool.proxy_protocol == Some(ProxyVersion::V1) {
        let message =
            format!("what `listeners.{name}` passes on are datagrams, for which version 1 has no words");
        checker.key_error("needs-connections", message, &place.key("proxy-protocol"), "write `v2`");
    }
}
