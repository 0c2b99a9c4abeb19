//! Listeners that pass connections on as they are.

use crate::check::checker::{Checker, Names, reference};
use crate::document;
use crate::model::{Listener, Pool, Protocol, Sticky};
use crate::text::Place;

/// What of a listener is about requests. Where there are none, it does nothing.
const ABOUT_REQUESTS: [&str; 6] = ["http2", "trusted-proxies", "forwarded", "request-id", "via", "limits"];
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
        (document::Protocol::Tcp, None) => {
            if checker.clean {
                let message = format!("`{place}` passes connections on, and does not say where to");
                checker.key_error("no-pool", message, place, "name a pool: `pool: NAME`");
            }
            Protocol::Http
        }
        (document::Protocol::Tcp, Some(pool)) => {
            without_effect(checker, place);
            let found = reference(checker, "pool", pool, &names.pools, &place.key("pool"));
            found.map_or(Protocol::Http, |pool| Protocol::Tcp { pool })
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

/// Refuses pools whose sessions only requests can tell apart, where connections are passed on to them.
pub(in crate::check) fn sessions_of_connections(
    checker: &mut Checker<'_>,
    listeners: &[Listener],
    pools: &[Pool],
) {
    let top = Place::ROOT.key("pools");
    for listener in listeners {
        let Protocol::Tcp { pool } = listener.protocol else { continue };
        let Some(pool) = pools.get(pool) else { continue };
        if let Some(sticky @ (Sticky::Cookie(_) | Sticky::Learn(_))) = &pool.sticky {
            let (name, word) = (&listener.name, sticky.word());
            let message = format!(
                "connections of `listeners.{name}` bring nothing that `sticky: {word}` could know them by"
            );
            let place = top.key(&pool.name);
            let help = "write `sticky: source`, or give the listener a pool of its own";
            checker.key_error("needs-requests", message, &place.key("sticky"), help);
        }
    }
}
