//! The configuration of a run, and how the operator changes it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base_model::Model;
use base_model::model::{
    Action, Connections, Decisions, Driver, Endpoint, Forwarded, ForwardedMode, ForwardedStyle, Host,
    KindSettings, Listener, ListenerTimeouts, LogLevel, Match, Operation, PassiveCheck, PathPattern,
    PeerCheck, Pool, PoolTimeouts, Protocol, RequestId, Route, SameSite, Secret, SessionLimits, SessionName,
    Share, Sticky, StickyCookie, StickyLearn, StickySource,
};

use crate::dice::Dice;
use crate::scenario::{Part, Scenario};

/// Where Aya listens.
pub(crate) const FRONT: &str = "10.9.9.9:80";
/// What endpoints are asked beside requests.
pub(crate) const PROBE_PATH: &str = "/load";
/// The cookie that Aya sets, and the field that endpoints name their sessions in.
pub(crate) const COOKIE: &str = "aya-node";
pub(crate) const SESSION_FIELD: &str = "x-session";

/// More than a run can have.
const ALL_REQUESTS: usize = 100_000;

/// The pools; each has endpoints of its own.
pub(crate) const POOLS: [&str; 2] = ["a", "b"];
/// Endpoints are counted on from here for each pool.
const NUMBERS: u32 = 100;

/// The address of an endpoint by its number.
fn address(number: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, (number / NUMBERS) as u8, (number % NUMBERS) as u8 + 1], 80))
}

/// The endpoint at an address.
pub(crate) fn endpoint_at(address: SocketAddr) -> u32 {
    match address.ip() {
        IpAddr::V4(ip) => u32::from(ip.octets()[2]) * NUMBERS + u32::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => unreachable!("nobody has such an address"),
    }
}

/// Where an endpoint belongs, and how it is called there.
pub(crate) fn pool_and_name(number: u32) -> (&'static str, String) {
    (POOLS[(number / NUMBERS) as usize], address(number).to_string())
}

/// The configuration that a run begins with.
pub(crate) fn first(scenario: &Scenario, dice: &mut Dice) -> Model {
    let patient = scenario.is_calm();
    let pools = POOLS.iter().map(|name| pool(name, scenario, dice)).collect();
    let routes = POOLS.iter().enumerate().map(|(index, name)| route(name, index, patient, dice)).collect();
    let listener = listener(scenario, dice);
    let decisions = Decisions { keep: ALL_REQUESTS, rate: u32::MAX, failures: 0, slow: Duration::MAX };
    let operation = Operation {
        workers: None,
        io: Driver::Auto,
        busy_poll: false,
        drain: dice.millis(500, 5_000),
        admin: None,
        access_log: None,
        log_level: LogLevel::Error,
        decisions: Some(decisions),
        history: None,
    };
    Model { listeners: vec![listener], routes, pools, operation }
}

/// What an operator makes of it.
pub(crate) fn next(model: &Model, scenario: &Scenario, dice: &mut Dice) -> Model {
    let mut model = model.clone();
    let index = dice.below(model.pools.len());
    match dice.below(5) {
        0 => model.pools[index].endpoints = endpoints(index, scenario, dice),
        1 => model.pools[index].balance = balance(dice),
        2 => {
            let fresh = pool("a", scenario, dice);
            let pool = &mut model.pools[index];
            (pool.timeouts, pool.connections) = (fresh.timeouts, fresh.connections);
        }
        3 => model.listeners[0] = listener(scenario, dice),
        _ => {
            let name = Arc::clone(&model.pools[index].name);
            model.pools[index] = pool(&name, scenario, dice);
        }
    }
    model
}

fn listener(scenario: &Scenario, dice: &mut Dice) -> Listener {
    let patient = scenario.is_calm();
    let span = |dice: &mut Dice, least, most| {
        if patient { Duration::from_secs(60) } else { dice.millis(least, most) }
    };
    Listener {
        name: "front".into(),
        bind: FRONT.parse().into_iter().collect(),
        protocol: Protocol::Http,
        pass_through: Vec::new(),
        tls: None,
        http2: None,
        proxy_protocol: Vec::new(),
        trusted_proxies: Vec::new(),
        forwarded: Forwarded { mode: ForwardedMode::Append, style: ForwardedStyle::Both },
        request_id: RequestId { header: Some("x-request-id".into()), trust: false },
        via: Some("aya".into()),
        max_connections: Some(dice.weighted(&[(3, 1000), (1, 2)])),
        max_head_bytes: 16 << 10,
        max_fields: 100,
        max_target_bytes: 8 << 10,
        timeouts: ListenerTimeouts {
            tls_handshake: Duration::from_secs(10),
            request_head: span(dice, 300, 2_000),
            body_progress: span(dice, 300, 1_500),
            send_progress: span(dice, 300, 1_500),
            half_close: span(dice, 50, 1_000),
            idle: span(dice, 200, 3_000),
            lifetime: None,
        },
    }
}

fn route(name: &str, pool: usize, patient: bool, dice: &mut Dice) -> Route {
    let limited = !patient && dice.percent(40);
    Route {
        name: name.into(),
        listeners: Vec::new(),
        matches: Match { path: Some(PathPattern::Prefix(format!("/{name}").into())), ..Match::default() },
        filters: Vec::new(),
        action: Action::Proxy(vec![Share { pool, weight: 1 }]),
        request_timeout: limited.then(|| dice.millis(500, 4_000)),
        attempts: dice.between(1, 4) as u32,
    }
}

fn pool(name: &str, scenario: &Scenario, dice: &mut Dice) -> Pool {
    let patient = scenario.is_calm();
    let span = |dice: &mut Dice, least, most| {
        if patient { Duration::from_secs(60) } else { dice.millis(least, most) }
    };
    let index = POOLS.iter().position(|known| *known == name).unwrap_or_default();
    let mut pool = Pool::new(name, endpoints(index, scenario, dice));
    pool.balance = balance(dice);
    pool.sticky = if dice.percent(50) { Some(sticky(dice)) } else { None };
    pool.passive = passive(dice);
    pool.slow_start = if dice.percent(30) { dice.millis(100, 5_000) } else { Duration::ZERO };
    pool.preference.panic_below = dice.pick(&[0.0, 0.0, 0.0, 0.5]);
    let is_narrow = dice.percent(40);
    pool.connections = Connections {
        max: if is_narrow { dice.between(1, 3) as u32 } else { 1_000 },
        max_idle: dice.pick(&[0, 1, 8, 64]),
        queue: if patient { 1_000 } else { dice.pick(&[0, 1, 4, 100]) },
        queue_timeout: span(dice, 100, 1_500),
        idle_timeout: dice.millis(500, 4_000),
    };
    pool.timeouts = PoolTimeouts {
        connect: span(dice, 100, 800),
        first_byte: span(dice, 200, 2_000),
        response_progress: span(dice, 200, 1_500),
        send_progress: span(dice, 200, 1_500),
    };
    pool.replay_bytes = dice.pick(&[0, 100, 4 << 10, 64 << 10]);
    pool
}

fn endpoints(pool: usize, scenario: &Scenario, dice: &mut Dice) -> Vec<Endpoint> {
    let keeps_all = !scenario.has(Part::Operator);
    let of = |number: u32, dice: &mut Dice| {
        let mut endpoint = Endpoint::new(Host::Ip(address(pool as u32 * NUMBERS + number).ip()), 80);
        endpoint.weight = dice.pick(&[1, 1, 1, 3]);
        endpoint.tier = dice.pick(&[0, 0, 0, 0, 1]);
        endpoint
    };
    let drawn: Vec<_> = (0..scenario.endpoints).map(|number| (dice.percent(70), of(number, dice))).collect();
    let kept: Vec<_> =
        drawn.iter().filter(|(kept, _)| keeps_all || *kept).map(|(_, one)| one.clone()).collect();
    if kept.is_empty() { drawn.into_iter().map(|(_, one)| one).take(1).collect() } else { kept }
}

fn balance(dice: &mut Dice) -> KindSettings {
    let kind = dice.pick(traffic_balance::kinds::ALL).info().name;
    let settings = match kind {
        "prequal" if dice.percent(70) => serde_json::json!({"probe": PROBE_PATH}),
        _ => serde_json::json!({}),
    };
    KindSettings { name: kind.into(), settings }
}

fn sticky(dice: &mut Dice) -> Sticky {
    let limits = SessionLimits { ttl: dice.millis(1_000, 20_000), max: dice.pick(&[2, 1_000]) };
    match dice.below(4) {
        0 => Sticky::Source(StickySource { prefix: 32, prefix6: 64, limits }),
        1 => Sticky::Learn(StickyLearn { from: SessionName::Header(SESSION_FIELD.into()), limits }),
        _ => Sticky::Cookie(StickyCookie {
            name: COOKIE.into(),
            keys: vec![Secret::new("a secret of a simulated world")],
            max_age: None,
            path: "/".into(),
            domain: None,
            secure: false,
            http_only: true,
            same_site: SameSite::Lax,
        }),
    }
}

fn passive(dice: &mut Dice) -> PassiveCheck {
    let eject_for = dice.millis(300, 3_000);
    let peers = PeerCheck {
        interval: dice.millis(200, 1_000),
        requests: 5,
        errors: Some(0.1),
        slower: Some(3.0),
        slower_by: Duration::from_millis(10),
    };
    PassiveCheck {
        consecutive_failures: dice.pick(&[0, 1, 2, 5]),
        eject_for,
        max_eject_for: eject_for * 4,
        peers: dice.percent(50).then_some(peers),
        max_share: dice.pick(&[0.5, 1.0]),
    }
}
