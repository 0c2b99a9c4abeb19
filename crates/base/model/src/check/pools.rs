//! Pools: endpoints that differ, checks that can be made.

mod sticky;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::checker::Checker;
use super::listeners::head_limit;
use super::parse;
use crate::document::{self, Document, OrOff, Status};
use crate::model::{
    ActiveCheck, BodyMatch, CheckKind, Connections, Endpoint, KindSettings, PassiveCheck, PeerCheck, Pool,
    PoolTimeouts, Preference, StatusRange, Subset, ValuePattern,
};
use crate::text::Place;

/// Kept in memory for every request on its way, so it has to stay small.
const MAX_REPLAY_BYTES: u64 = 16 << 20;

/// What counts as well when a check names no statuses.
const USUAL_STATUSES: StatusRange = StatusRange { first: 200, last: 299 };

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
    check_ejection(checker, &pool.ejection, &place.key("ejection"));
    check_connections(checker, &pool.connections, &place.key("connections"));
    check_timeouts(checker, &pool.timeouts, &place.key("timeouts"));
    Pool {
        endpoints: endpoints(checker, &pool.endpoints, &place.key("endpoints")),
        checks: checks(checker, &pool.health, &place.key("health")),
        preference: preference(checker, pool, node, place),
        sticky: pool.sticky.as_ref().and_then(|sticky| sticky::check(checker, sticky, &place.key("sticky"))),
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

fn endpoints(
    checker: &mut Checker<'_>,
    documents: &[document::Endpoint],
    place: &Place<'_>,
) -> Vec<Endpoint> {
    let mut seen = HashMap::new();
    let mut out: Vec<Endpoint> = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let place = place.index(index);
        let Some((host, port)) = checker.parsed(&document.address, parse::endpoint_address, &place) else {
            continue;
        };
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

fn checks(checker: &mut Checker<'_>, documents: &[document::Check], place: &Place<'_>) -> Vec<ActiveCheck> {
    let documents = documents.iter().enumerate();
    documents.filter_map(|(index, check)| active_check(checker, check, &place.index(index))).collect()
}

fn active_check(
    checker: &mut Checker<'_>,
    check: &document::Check,
    place: &Place<'_>,
) -> Option<ActiveCheck> {
    checker.positive(&[("interval", check.interval), ("timeout", check.timeout)], place);
    let kind = match asked(check).as_slice() {
        [one] => {
            only_what_it_uses(checker, check, one, place);
            check_kind(checker, check, place)
        }
        [first, second, ..] => {
            let message = format!("`{place}` has both `{first}` and `{second}`");
            checker.key_error(
                "two-checks",
                message,
                place,
                "write two checks as a list: `[tcp, {http: /healthz}]`",
            );
            return None;
        }
        [] => {
            if checker.clean {
                let message = format!("`{place}` does not say what is asked");
                checker.key_error("no-check", message, place, "add `http: /healthz` or `tcp: true`");
            }
            return None;
        }
    };
    Some(ActiveCheck {
        kind,
        interval: check.interval.duration(),
        timeout: check.timeout.duration(),
        rise: check.rise,
        fall: check.fall,
        jitter: check.jitter,
        port: check.port,
    })
}

/// What a check asks, by the keys that say it.
fn asked(check: &document::Check) -> Vec<&'static str> {
    let all = [
        ("tcp", check.tcp.is_some()),
        ("http", check.http.is_some()),
        ("agent", check.agent.is_some()),
        ("exec", check.exec.is_some()),
        ("icmp", check.icmp.is_some()),
    ];
    all.into_iter().filter(|(_, given)| *given).map(|(kind, _)| kind).collect()
}

fn check_kind(checker: &mut Checker<'_>, check: &document::Check, place: &Place<'_>) -> CheckKind {
    if let Some(path) = &check.http {
        return http_check(checker, check, path, place);
    }
    if check.agent.is_some() {
        return CheckKind::Agent { send: check.send.as_deref().map(Into::into) };
    }
    if let Some(words) = &check.exec {
        return exec_check(checker, words, &place.key("exec"));
    }
    if check.icmp.is_some() {
        return CheckKind::Icmp;
    }
    CheckKind::Tcp
}

fn exec_check(checker: &mut Checker<'_>, words: &[String], place: &Place<'_>) -> CheckKind {
    let program = words.first().map_or("", String::as_str);
    let place_of_program = if words.is_empty() { place } else { &place.index(0) };
    if program.is_empty() {
        let message = format!("`{place}` names no program");
        checker.error("bad-program", message, place_of_program, "write `[/usr/local/bin/check, --quick]`");
    } else if program.contains('/') && !program.starts_with('/') {
        let message = format!("where `{program}` is depends on the folder that Aya was started in");
        checker.error(
            "bad-program",
            message,
            place_of_program,
            "write its whole path, or only its name to look for it in PATH",
        );
    }
    let arguments = words.iter().skip(1).map(|word| word.as_str().into()).collect();
    CheckKind::Exec { program: program.into(), arguments }
}

/// Refuses keys that a check of this kind cannot use.
fn only_what_it_uses(checker: &mut Checker<'_>, check: &document::Check, kind: &str, place: &Place<'_>) {
    let (root, usual) = (checker.root, document::Check::default());
    for key in ["method", "host", "headers", "status", "body", "send", "rise", "fall", "port"] {
        let help = match (key, kind) {
            ("send", "agent") => continue,
            ("send", _) => "remove it, or check with `agent: true`",
            // The usual values may stand: a configuration that is spelled out has them.
            ("rise", "agent") if check.rise != usual.rise => HOLDS_AT_ONCE,
            ("fall", "agent") if check.fall != usual.fall => HOLDS_AT_ONCE,
            ("port", "icmp") => "remove it: an echo request goes to a machine, not to a port",
            ("rise" | "fall" | "port", _) | (_, "http") => continue,
            _ => "remove it, or check with `http: /healthz`",
        };
        if place.node(root).is_some_and(|node| node.entry(key).is_some()) {
            let message = format!("`{key}` has no meaning in a check with `{kind}`");
            checker.key_error("unused-setting", message, &place.key(key), help);
        }
    }
}

const HOLDS_AT_ONCE: &str = "remove it: what an agent says holds at once";

fn http_check(
    checker: &mut Checker<'_>,
    check: &document::Check,
    path: &str,
    place: &Place<'_>,
) -> CheckKind {
    let headers: Vec<(Arc<str>, Arc<str>)> = check
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase().into(), value.as_str().into()))
        .collect();
    if let Some(name) = check.headers.keys().find(|name| name.eq_ignore_ascii_case("host")) {
        let place = place.key("headers");
        checker.key_error(
            "unused-setting",
            "`host` is not set among the headers".to_owned(),
            &place.key(name),
            "write it beside `http`: `host: app.internal`",
        );
    }
    CheckKind::Http {
        method: check.method.as_deref().unwrap_or("GET").into(),
        path: path.into(),
        host: check.host.as_deref().map(Into::into),
        headers,
        statuses: statuses(checker, &check.status, &place.key("status")),
        body: check.body.as_deref().and_then(|body| body_match(checker, body, &place.key("body"))),
    }
}

fn statuses(checker: &mut Checker<'_>, documents: &[Status], place: &Place<'_>) -> Vec<StatusRange> {
    if documents.is_empty() {
        return vec![USUAL_STATUSES];
    }
    let documents = documents.iter().enumerate();
    let range = |(index, status): (usize, &Status)| match status {
        Status::Code(code) => Some(StatusRange { first: *code, last: *code }),
        Status::Range(text) => checker.parsed(text, parse::status_range, &place.index(index)),
    };
    documents.filter_map(range).collect()
}

fn body_match(checker: &mut Checker<'_>, text: &str, place: &Place<'_>) -> Option<BodyMatch> {
    Some(match checker.parsed(text, parse::value_pattern, place)? {
        ValuePattern::Regex(pattern) => BodyMatch::Regex(pattern),
        _ => BodyMatch::Contains(text.into()),
    })
}

fn check_ejection(checker: &mut Checker<'_>, ejection: &OrOff<document::Ejection>, place: &Place<'_>) {
    let OrOff::On(ejection) = ejection else { return };
    checker.positive(&[("for", ejection.span)], place);
    if ejection.max_for < ejection.span && checker.clean {
        let message = format!("`max-for` is {}, less than `for`, {}", ejection.max_for, ejection.span);
        let help = format!("write at least `{}`", ejection.span);
        checker.error("bad-limit", message, &place.key("max-for"), help);
    }
    if let OrOff::On(peers) = &ejection.peers {
        checker.positive(&[("interval", peers.interval)], &place.key("peers"));
    }
}

fn check_connections(checker: &mut Checker<'_>, connections: &document::Connections, place: &Place<'_>) {
    checker.positive(&[("idle", connections.idle), ("queue-timeout", connections.queue_timeout)], place);
}

fn preference(
    checker: &mut Checker<'_>,
    pool: &document::Pool,
    node: &document::Node,
    place: &Place<'_>,
) -> Preference {
    if pool.subset.is_some() && node.name.is_none() {
        let message = format!("`{place}` uses a subset, but this node has no name to choose it by");
        let help = "give each node its own: `node: {name: ${HOSTNAME}}`";
        checker.key_error("no-node-name", message, &place.key("subset"), help);
    }
    if node.zone.is_none() && checker.clean {
        let zoned = pool.endpoints.iter().position(|endpoint| endpoint.zone.is_some());
        if let Some(index) = zoned {
            let message = "zones make no difference: it is not said which one this node is in".to_owned();
            let help = "write it at the top: `node: {zone: ${ZONE}}`";
            let place = place.key("endpoints");
            checker.warning("no-node-zone", message, &place.index(index), help);
        }
    }
    let subset = |size| Some(Subset { size, node: node.name.as_deref()?.into() });
    Preference {
        zone: node.zone.as_deref().map(Into::into),
        subset: pool.subset.and_then(subset),
        ..Preference::from(pool)
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

    /// What needs no look at the document's places: all but endpoints, stickiness and checks.
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
            host: pool.host.as_deref().map(Into::into),
            replay_bytes: pool.replay.length(),
            max_head_bytes: pool.limits.head.length(),
        }
    }
}

impl From<&OrOff<document::Ejection>> for PassiveCheck {
    fn from(ejection: &OrOff<document::Ejection>) -> Self {
        match ejection {
            OrOff::On(on) => Self {
                consecutive_failures: on.consecutive_failures.on().copied().unwrap_or(0),
                eject_for: on.span.duration(),
                max_eject_for: on.max_for.duration(),
                peers: on.peers.on().map(PeerCheck::from),
            },
            OrOff::Off => Self {
                consecutive_failures: 0,
                eject_for: Duration::ZERO,
                max_eject_for: Duration::ZERO,
                peers: None,
            },
        }
    }
}

impl Default for PassiveCheck {
    /// As in a document that says nothing about it.
    fn default() -> Self {
        Self::from(&document::Pool::default().ejection)
    }
}

impl From<&document::Peers> for PeerCheck {
    fn from(peers: &document::Peers) -> Self {
        Self {
            interval: peers.interval.duration(),
            requests: peers.requests,
            errors: peers.errors.on().map(|percent| percent.share()),
            slower: peers.slower.on().copied(),
            slower_by: peers.slower_by.duration(),
            max_share: peers.max_share.share(),
        }
    }
}

impl From<&document::Pool> for Preference {
    /// Without what the node is called and where it is.
    fn from(pool: &document::Pool) -> Self {
        Self {
            zone: None,
            tier_suffices: pool.spill_over.tiers.share(),
            zone_suffices: pool.spill_over.zones.share(),
            panic_below: pool.panic.share(),
            subset: None,
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
