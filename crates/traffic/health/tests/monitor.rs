//! The monitor against real servers: who is asked when, and what follows for traffic.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base_kit::Moment;
use base_model::model::{CheckKind, PassiveCheck};
use stage::{
    Answer, DEADLINE, Server, SharedClock, Stage, check, endpoint, http, nobody, options, pool, soon, status,
    until,
};
use tokio::runtime::Handle;
use traffic_balance::{Health, Outcome};
use traffic_health::MonitorOptions;

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn the_first_round_decides_before_the_first_traffic() {
    let up = Server::start(status(200)).await;
    let sick = Server::start(status(500)).await;
    let mut rare = check(http());
    (rare.interval, rare.rise, rare.fall) = (LONG, 5, 5);
    let endpoints = vec![endpoint(up.address), endpoint(sick.address), endpoint(nobody().await)];
    let stage = Stage::new(&pool(endpoints, vec![rare]));
    assert!(stage.pool().eligible(Moment::ZERO).is_empty());
    assert!(stage.monitor.first_round(DEADLINE).await);
    let health: Vec<Health> = stage.pool().endpoints().iter().map(|endpoint| endpoint.health()).collect();
    assert_eq!(health, [Health::Up, Health::Down, Health::Down]);
    let mut told = stage.until_told(3).await;
    told.sort();
    assert_eq!(
        told,
        [
            "unchecked>down: http check: connect refused",
            "unchecked>down: http check: status 500, wanted 200-299",
            "unchecked>up: http check: status 200",
        ]
    );
}

#[tokio::test]
async fn the_first_round_ends_in_time_even_if_a_server_hangs() {
    let server = Server::start(Answer::Hang).await;
    let stage = Stage::new(&pool(vec![endpoint(server.address)], vec![check(http())]));
    assert!(!stage.monitor.first_round(Duration::from_millis(10)).await);
    assert_eq!(stage.endpoint(0).health(), Health::Unchecked);
    // Without checks there is nothing to wait for.
    let idle = Stage::new(&pool(vec![endpoint(server.address)], vec![]));
    assert!(idle.monitor.first_round(DEADLINE).await);
    assert_eq!(idle.endpoint(0).health(), Health::Up);
}

#[tokio::test]
async fn flapping_moves_it_only_as_rise_and_fall_say() {
    let server = Server::start(status(200)).await;
    server.next([200, 500, 500, 200, 500, 500, 500, 200, 500, 200, 200].map(status));
    let mut flapping = check(http());
    (flapping.rise, flapping.fall) = (2, 3);
    let pool = pool(vec![endpoint(server.address)], vec![flapping]);
    let stage = Stage::with(&pool, options(), server.counter());
    let told = stage.until_told(3).await;
    assert!(told[1].starts_with("up>down") && told[2].starts_with("down>up"), "{told:?}");
    // One check at a time: the number of requests says which of them decided.
    assert_eq!(stage.notes(), [1, 7, 11]);
}

#[tokio::test]
async fn a_server_that_dies_and_returns_is_left_out_meanwhile() {
    let server = Server::start(status(200)).await;
    let stage = Stage::new(&pool(vec![endpoint(server.address)], vec![check(http())]));
    stage.until_told(1).await;
    assert_eq!(stage.pool().eligible(Moment::ZERO).len(), 1);
    server.answer(status(503));
    stage.until_told(2).await;
    assert!(stage.pool().eligible(Moment::ZERO).is_empty());
    server.answer(status(200));
    stage.until_told(3).await;
    assert_eq!(stage.pool().eligible(Moment::ZERO).len(), 1);
}

#[tokio::test]
async fn all_checks_of_an_endpoint_must_pass() {
    let (traffic, health) = (Server::start(status(200)).await, Server::start(status(500)).await);
    let mut other_port = check(http());
    other_port.port = Some(health.address.port());
    let stage = Stage::new(&pool(vec![endpoint(traffic.address)], vec![check(CheckKind::Tcp), other_port]));
    until("down", || stage.endpoint(0).health() == Health::Down).await;
    assert!(health.last().contains(&format!("host: 127.0.0.1:{}\r\n", health.address.port())));
    health.answer(status(200));
    until("up", || stage.endpoint(0).health() == Health::Up).await;
    health.answer(status(500));
    until("down again", || stage.endpoint(0).health() == Health::Down).await;
}

#[tokio::test]
async fn endpoints_of_the_api_are_found_and_left() {
    let (first, added) = (Server::start(status(200)).await, Server::start(status(200)).await);
    let stage = Stage::new(&pool(vec![endpoint(first.address)], vec![check(http())]));
    stage.until_told(1).await;
    let state = stage.pool().add_endpoint(&endpoint(added.address)).unwrap();
    assert_eq!(state.health(), Health::Unchecked);
    until("the added one is up", || state.health() == Health::Up).await;

    stage.pool().remove_endpoint(state.name()).unwrap();
    stage.monitor.refresh();
    stage.monitor.check_invariants();
    // A check under way may still arrive; after it there is none. Those of the other endpoint go on meanwhile.
    until("its last check ends", || added.open.load(Ordering::SeqCst) == 0).await;
    let (last, others) = (added.count(), first.count());
    until("many checks of the other", || first.count() > others + 20).await;
    assert!(added.count() <= last + 1);
}

#[tokio::test]
async fn a_reload_leaves_checks_that_stay_alone() {
    let (old, new) = (Server::start(status(200)).await, Server::start(status(200)).await);
    let mut once = check(http());
    once.interval = LONG;
    let mut configured = pool(vec![endpoint(old.address)], vec![once]);
    let stage = Stage::with(&configured, MonitorOptions { first_spread: Duration::ZERO, ..options() }, || 0);
    stage.until_told(1).await;
    configured.endpoints.push(endpoint(new.address));
    for _ in 0..5 {
        stage.reload(&configured);
    }
    until("the new one is up", || stage.endpoint(1).health() == Health::Up).await;
    assert_eq!((old.count(), new.count()), (1, 1));

    // Another check begins at once, and the endpoint stays in service meanwhile.
    old.answer(Answer::Held(b"HTTP/1.1 500 Oh\r\n\r\n".to_vec()));
    configured.checks[0].fall = 2;
    configured.checks[0].interval = Duration::from_millis(1);
    stage.reload(&configured);
    until("asked again", || old.count() == 2).await;
    assert_eq!(stage.endpoint(0).health(), Health::Up);
    old.answer(status(500));
    old.released.notify_waiters();
    until("down", || stage.endpoint(0).health() == Health::Down).await;
    assert!(old.count() >= 3, "two failures, as `fall` says");
}

#[tokio::test]
async fn a_check_that_goes_takes_its_verdict_along() {
    let server = Server::start(status(500)).await;
    let both = pool(vec![endpoint(server.address)], vec![check(CheckKind::Tcp), check(http())]);
    let stage = Stage::new(&both);
    until("down", || stage.endpoint(0).health() == Health::Down).await;
    assert!(stage.monitor.first_round(DEADLINE).await);
    stage.reload(&pool(both.endpoints.clone(), vec![check(CheckKind::Tcp)]));
    assert_eq!(stage.endpoint(0).health(), Health::Up);

    stage.reload(&both);
    until("down", || stage.endpoint(0).health() == Health::Down).await;
    stage.reload(&pool(both.endpoints, vec![]));
    assert_eq!(stage.endpoint(0).health(), Health::Up);
    // Nothing asks any more that could change that.
    let count = server.count();
    stage.monitor.refresh();
    assert!(server.count() <= count + 1);
    assert_eq!(stage.endpoint(0).health(), Health::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_leaves_no_task() {
    let server = Server::start(Answer::Hang).await;
    let before = Handle::current().metrics().num_alive_tasks();
    let endpoints = (1..=50).map(|port| endpoint(([127, 0, 0, 1], port).into())).collect();
    let mut hanging = check(http());
    hanging.port = Some(server.address.port());
    let configured = pool(endpoints, vec![check(CheckKind::Tcp), hanging]);
    let stage = Stage::new(&configured);
    until("probes hang", || server.open.load(Ordering::SeqCst) == 50).await;
    soon("stop", stage.monitor.stop()).await;
    until("the server's side ends, too", || server.open.load(Ordering::SeqCst) == 0).await;
    until("no task", || Handle::current().metrics().num_alive_tasks() <= before).await;
    stage.reload(&configured);
    assert!(stage.monitor.first_round(DEADLINE).await, "nothing starts after the end");

    let dropped = Stage::new(&configured);
    until("probes hang", || server.open.load(Ordering::SeqCst) == 50).await;
    drop(dropped);
    until("no task", || Handle::current().metrics().num_alive_tasks() <= before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_probes_run_at_once() {
    const ENDPOINTS: u16 = 300;
    const AT_ONCE: usize = 100;
    let server = Server::start(Answer::Held(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;
    let endpoints = (1..=ENDPOINTS).map(|port| endpoint(([127, 0, 0, 1], port).into())).collect();
    let mut once = check(http());
    (once.interval, once.port) = (LONG, Some(server.address.port()));
    let options = MonitorOptions { probes_at_once: AT_ONCE, ..options() };
    let stage = Stage::with(&pool(endpoints, vec![once]), options, || 0);
    until("as many as may", || server.open.load(Ordering::SeqCst) == AT_ONCE).await;
    server.answer(status(200));
    server.released.notify_waiters();
    assert!(soon("all were asked", stage.monitor.first_round(DEADLINE)).await);
    assert_eq!(server.most_open.load(Ordering::SeqCst), AT_ONCE);
    assert_eq!(stage.pool().eligible(Moment::ZERO).len(), usize::from(ENDPOINTS));
}

#[tokio::test]
async fn checks_that_bring_an_endpoint_up_end_its_ejection() {
    let (sick, other) = (Server::start(status(200)).await, Server::start(status(200)).await);
    let clock = Arc::new(SharedClock::default());
    let options = MonitorOptions { clock: Arc::clone(&clock) as _, ..options() };
    let endpoints = vec![endpoint(sick.address), endpoint(other.address)];
    let stage = Stage::with(&pool(endpoints, vec![check(http())]), options, || 0);
    stage.until_told(2).await;
    let policy = PassiveCheck { consecutive_failures: 1, eject_for: LONG, ..PassiveCheck::default() };
    let ejected = stage.endpoint(0).record(Outcome::Failure("closed"), &policy, Moment::ZERO).unwrap();
    assert_eq!((ejected.from, ejected.to, ejected.kind.word()), ("up", "ejected", "consecutive-failures"));
    sick.answer(status(503));
    assert!(stage.until_told(3).await[2].starts_with("ejected>down"));
    // Nothing new is learned from requests that were under way.
    assert_eq!(stage.endpoint(0).record(Outcome::Failure("closed"), &policy, Moment::ZERO), None);
    sick.answer(status(200));
    assert!(stage.until_told(4).await[3].starts_with("down>up"));
    assert!(stage.endpoint(0).is_eligible(Moment::ZERO), "up is up");
    stage.registry.check_invariants();
}

#[tokio::test]
async fn ejections_end_when_their_time_is_over() {
    let clock = Arc::new(SharedClock::default());
    let options = MonitorOptions { clock: Arc::clone(&clock) as _, ..options() };
    let endpoints = vec![endpoint(nobody().await), endpoint(nobody().await)];
    let stage = Stage::with(&pool(endpoints, vec![]), options, || 0);
    let policy = PassiveCheck {
        consecutive_failures: 1,
        eject_for: Duration::from_secs(10),
        ..PassiveCheck::default()
    };
    stage.endpoint(0).record(Outcome::Failure("connect-failed"), &policy, Moment::ZERO).unwrap();
    let epoch = stage.pool().epoch();
    stage.monitor.refresh();
    assert!(stage.told().is_empty());
    clock.0.store(10_000_000_000, Ordering::SeqCst);
    let told = stage.until_told(1).await;
    assert!(told[0].starts_with("ejected>degraded"), "{told:?}");
    assert!(stage.pool().epoch() > epoch);
}
