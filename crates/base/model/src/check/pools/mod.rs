//! Pools: endpoints that differ, and how they are reached.

mod ejection;
mod health;
mod preference;
mod sticky;
mod tls;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::checker::Checker;
use super::listeners::{head_limit, pool_http2};
use super::parse;
use crate::document::{self, Document};
use crate::model::{
    Connections, Endpoint, KindSettings, PassiveCheck, Pool, PoolTimeouts, Preference, ProxyVersion, Udp,
};
use crate::text::Place;

/// Kept in memory for every request on its way, so it has to stay small.
const MAX_REPLAY_BYTES: u64 = 16 << 20;

/// All pools of the document, in its order.
pub(super) fn check(checker: &mut Checker<'_>, document: &Document) -> Vec<Pool> {
    let top = Place::ROOT.key("pools");
    let one = |(name, pool): (&String, _)| one(checker, name, pool, &document.node, &top.key(name));
    document.pools.iter().map(one).collect()
}

fn one(
    checker: &mut Checker<'_>,
    name: &str,
    pool: &document::Pool,
    node: &document::Node,
    place: &Place<'_>,
) -> Pool {
    head_limit(checker, pool.limits.head, place);
    if pool.replay.bytes() > MAX_REPLAY_BYTES {
        let message = format!("{} of every request body is too much to keep", pool.replay);
        checker.error("bad-limit", message, &place.key("replay"), "write at most `16MiB`");
    }
    ejection::check(checker, &pool.ejection, &place.key("ejection"));
    check_connections(checker, &pool.connections, &place.key("connections"));
    check_timeouts(checker, &pool.timeouts, &place.key("timeouts"));
    checker.positive(&[("timeout", pool.udp.timeout)], &place.key("udp"));
    let tls = pool.tls.as_ref().and_then(|tls| tls::check(checker, tls, &place.key("tls"))).map(Arc::new);
    Pool {
        endpoints: endpoints(checker, pool, &place.key("endpoints")),
        checks: health::check(checker, pool, tls.as_ref(), &place.key("health")),
        preference: preference::check(checker, pool, node, place),
        sticky: pool.sticky.as_ref().and_then(|sticky| sticky::check(checker, sticky, &place.key("sticky"))),
        tls,
        http2: pool.http2.on().and_then(|granted| pool_http2(checker, granted, &place.key("http2"))),
        ..Pool::unchecked(name, pool)
    }
}

/// `{kind: name, …}` taken apart.
fn balance(value: &serde_json::Value) -> KindSettings {
    let mut settings = value.as_object().cloned().unwrap_or_default();
    let name = settings.shift_remove("kind");
    let name = name.as_ref().or(Some(value)).and_then(serde_json::Value::as_str).unwrap_or_default();
    KindSettings { name: name.into(), settings: serde_json::Value::Object(settings) }
}

fn endpoints(checker: &mut Checker<'_>, pool: &document::Pool, place: &Place<'_>) -> Vec<Endpoint> {
    let mut seen = HashMap::new();
    let mut out: Vec<Endpoint> = Vec::new();
    for (index, document) in pool.endpoints.iter().enumerate() {
        let place = place.index(index);
        let Some((host, port)) = checker.parsed(&document.address, parse::endpoint_address, &place) else {
            continue;
        };
        let port = port.unwrap_or_else(|| usual_port(pool.tls.is_some()));
        if let Some(first) = seen.insert((host.clone(), port), index) {
            let first = place.sibling(first).span(checker.root);
            let message = format!("the endpoint `{}` is in this pool twice", document.address);
            checker.clash(
                "duplicate-endpoint",
                message,
                (&place, first, "first given here"),
                "remove one; a larger share is written `{address: …, weight: 2}`",
            );
        }
        let zone = document.zone.as_deref().map(Into::into);
        out.push(Endpoint { host, port, weight: document.weight, tier: document.tier.unwrap_or(0), zone });
    }
    weights(checker, &out, place);
    out
}

/// Of an endpoint that is given without one.
pub(super) const fn usual_port(is_over_tls: bool) -> u16 {
    if is_over_tls { 443 } else { 80 }
}

fn weights(checker: &mut Checker<'_>, endpoints: &[Endpoint], place: &Place<'_>) {
    let sum: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
    if sum > u64::from(u32::MAX) {
        let message = format!("the weights of `{place}` sum to {sum}, more than {}", u32::MAX);
        checker.key_error("weight-overflow", message, place, "divide all weights by the same number");
    }
    if !checker.clean {
        return;
    }
    if endpoints.is_empty() {
        let message =
            format!("`{place}` is empty: the pool answers 503 until endpoints are added at run time");
        checker.warning("no-endpoints", message, place, "add endpoints, or leave it if that is meant");
    } else if sum == 0 {
        let message = format!("all weights of `{place}` are 0: the pool takes no traffic");
        checker.warning("no-weight", message, place, "give at least one endpoint a weight");
    }
}

fn check_connections(checker: &mut Checker<'_>, connections: &document::Connections, place: &Place<'_>) {
    checker.positive(&[("idle", connections.idle), ("queue-timeout", connections.queue_timeout)], place);
    // The usual value may stand: a configuration that is spelled out has it.
    let usual = document::Connections::default().queue_timeout;
    if connections.queue == 0 && connections.queue_timeout != usual && checker.clean {
        let message = "`queue-timeout` makes no difference: with `queue: 0` no request waits".to_owned();
        let help = "remove it, or let some wait: `queue: 100`";
        checker.warning("unused-setting", message, &place.key("queue-timeout"), help);
    }
}

fn check_timeouts(checker: &mut Checker<'_>, times: &document::PoolTimeouts, place: &Place<'_>) {
    let all = [
        ("connect", times.connect),
        ("first-byte", times.first_byte),
        ("response-progress", times.response_progress),
        ("send-progress", times.send_progress),
    ];
    checker.positive(&all, place);
}

impl Pool {
    /// A pool of these endpoints, with all else as in a document that says no more about it.
    pub fn new(name: &str, endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints, ..Self::unchecked(name, &document::Pool::default()) }
    }

    /// What needs no look at the document's places: all but endpoints, stickiness, checks and TLS.
    fn unchecked(name: &str, pool: &document::Pool) -> Self {
        Self {
            name: name.into(),
            endpoints: Vec::new(),
            balance: balance(&pool.balance),
            sticky: None,
            checks: Vec::new(),
            passive: PassiveCheck::from(&pool.ejection),
            slow_start: pool.slow_start.on().map_or(Duration::ZERO, |span| span.duration()),
            preference: Preference::from(pool),
            connections: Connections::from(&pool.connections),
            timeouts: PoolTimeouts::from(&pool.timeouts),
            tls: None,
            http2: None,
            udp: Udp { timeout: pool.udp.timeout.duration(), replies: pool.udp.replies },
            proxy_protocol: pool.proxy_protocol.map(Into::into),
            host: pool.host.as_deref().map(Into::into),
            replay_bytes: pool.replay.length(),
            max_head_bytes: pool.limits.head.length(),
        }
    }
}

impl From<document::ProxyVersion> for ProxyVersion {
    fn from(document: document::ProxyVersion) -> Self {
        match document {
            document::ProxyVersion::V1 => Self::V1,
            document::ProxyVersion::V2 => Self::V2,
        }
    }
}

impl From<&document::Connections> for Connections {
    fn from(document: &document::Connections) -> Self {
        Self {
            max: document.max,
            // More idle ones than there may be at all cannot be kept.
            max_idle: document.max_idle.min(document.max),
            queue: document.queue,
            queue_timeout: document.queue_timeout.duration(),
            idle_timeout: document.idle.duration(),
        }
    }
}

impl From<&document::PoolTimeouts> for PoolTimeouts {
    fn from(times: &document::PoolTimeouts) -> Self {
        Self {
            connect: times.connect.duration(),
            first_byte: times.first_byte.duration(),
            response_progress: times.response_progress.duration(),
            send_progress: times.send_progress.duration(),
        }
    }
}
