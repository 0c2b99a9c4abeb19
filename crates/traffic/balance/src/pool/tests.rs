//! Tests of pools and of the endpoints in them.

use std::time::Duration;

use base_model::model::{ActiveCheck, CheckKind, PassiveCheck};

use super::*;
use crate::fixture::{endpoint, pool, pool_of};
use crate::transition::Outcome;

const POLICY: PassiveCheck = PassiveCheck {
    consecutive_failures: 3,
    eject_for: Duration::from_secs(10),
    max_eject_for: Duration::from_secs(60),
    max_share: 0.5,
    peers: None,
};
const BROKEN: Outcome = Outcome::Unreachable("connect-failed");

fn at(seconds: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(seconds)
}

fn fail(endpoint: &EndpointState, times: u32, now: Moment) -> Vec<Transition> {
    (0..times).filter_map(|_| endpoint.record(BROKEN, &POLICY, now)).collect()
}

fn names(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.state.name()).collect()
}

#[test]
fn failures_in_a_row_eject_and_time_brings_back() {
    let pool = pool_of("p", 2);
    let sick = Arc::clone(&pool.endpoints()[0]);
    assert_eq!(fail(&sick, 2, at(1)), []);
    let epoch = pool.epoch();
    let transitions = fail(&sick, 1, at(1));
    assert_eq!((transitions[0].from, transitions[0].to), ("up", "ejected"));
    assert_eq!(transitions[0].cause, "3 failures in a row, the last: connect-failed; for 10s");
    assert!(pool.epoch() > epoch);
    assert_eq!(names(&pool.eligible(at(1))), ["10.0.0.1:80"]);
    pool.check_invariants();

    assert_eq!(fail(&sick, 30, at(2)), [], "an ejected endpoint is not ejected again");
    assert_eq!(pool.tend(at(10)), []);
    let epoch = pool.epoch();
    let transitions = pool.tend(at(11));
    assert_eq!((transitions[0].from, transitions[0].to), ("ejected", "degraded"));
    assert_eq!(pool.tend(at(12)), []);
    assert!(pool.epoch() > epoch);
    assert_eq!(sick.share_percent(at(12)), 5, "it begins with a trickle");
    let transitions: Vec<Transition> = (13..100).flat_map(|second| pool.tend(at(second))).collect();
    assert_eq!(transitions.len(), 1, "{transitions:?}");
    assert_eq!((transitions[0].from, transitions[0].to), ("degraded", "up"));
    assert_eq!(pool.next_expiry(), Moment::NEVER);
    assert_eq!(fail(&sick, 2, at(12)), [], "the row begins anew");
    assert_eq!(pool.eligible(at(12)).len(), 2);
}

#[test]
fn without_peers_an_ejection_ends_in_a_slow_start() {
    let settings = Pool {
        slow_start: Duration::from_secs(10),
        passive: POLICY,
        ..pool("p", vec![endpoint(0, 1), endpoint(1, 1)])
    };
    let pool = PoolState::new(&settings);
    let sick = Arc::clone(&pool.endpoints()[0]);
    assert_eq!(fail(&sick, 3, at(1)).len(), 1);
    let told = pool.tend(at(11));
    assert_eq!((told[0].from, told[0].to), ("ejected", "up"));
    assert_eq!(sick.share_percent(at(11)), 10);
    assert_eq!(sick.share_percent(at(16)), 55);
    assert_eq!(sick.share_percent(at(21)), 100);
    assert_eq!(pool.endpoints()[1].share_percent(at(21)), 100);
}

#[test]
fn a_panic_is_told_once_and_with_its_cause() {
    let mut settings = pool("p", (0..4).map(|number| endpoint(number, 1)).collect());
    settings.preference.panic_below = 0.5;
    let pool = PoolState::new(&settings);
    let set = |index: usize, health| {
        pool.endpoints()[index].set_health(health, CauseKind::TcpCheck, "test");
        pool.tend(at(1))
    };
    assert_eq!(set(0, Health::Down), []);
    assert_eq!(set(1, Health::Down), [], "half is enough");
    assert!(!pool.is_in_panic());
    let told = set(2, Health::Down);
    assert_eq!((told.len(), told[0].from, told[0].to), (1, "calm", "panic"));
    assert_eq!((&*told[0].endpoint, told[0].kind), ("*", CauseKind::PanicThreshold));
    assert_eq!(told[0].cause, "25% of the weight is fit, less than 50%: all endpoints get traffic");
    assert!(pool.is_in_panic() && pool.eligible(at(1)).len() == 4);
    assert_eq!(set(3, Health::Down), [], "it is one already");
    // One that was taken out on purpose does not count, and gets nothing.
    pool.set_admin_state("10.0.0.0:80", AdminState::Maintenance, "test").unwrap();
    pool.set_admin_state("10.0.0.1:80", AdminState::Drain, "test").unwrap();
    assert_eq!(pool.tend(at(2)), []);
    assert_eq!(names(&pool.eligible(at(2))), ["10.0.0.2:80", "10.0.0.3:80"]);
    let told = set(3, Health::Up);
    assert_eq!((told[0].from, told[0].to), ("panic", "calm"));
    assert_eq!(told[0].cause, "50% of the weight is fit, at least 50%");
    assert_eq!(names(&pool.eligible(at(2))), ["10.0.0.3:80"]);
    // A configuration may end it, or begin it.
    assert_eq!(set(3, Health::Down).len(), 1);
    settings.preference.panic_below = 0.0;
    pool.reconcile(&settings);
    assert_eq!(pool.tend(at(3))[0].to, "calm");
    assert!(pool.eligible(at(3)).is_empty());
}

#[test]
fn what_was_never_checked_is_no_reason_to_panic() {
    let mut settings = pool("p", (0..3).map(|number| endpoint(number, 1)).collect());
    settings.preference.panic_below = 0.5;
    settings.checks = vec![ActiveCheck {
        kind: CheckKind::Tcp,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 1,
        jitter: 0.0,
        port: None,
        tls: None,
        proxy_protocol: None,
    }];
    let pool = PoolState::new(&settings);
    assert_eq!(pool.tend(at(0)), []);
    assert!(pool.eligible(at(0)).is_empty(), "nothing gets traffic before its first check");
    let set = |index: usize, health| {
        pool.endpoints()[index].set_health(health, CauseKind::TcpCheck, "test");
        pool.tend(at(1))
    };
    assert_eq!(set(0, Health::Up), []);
    assert_eq!(names(&pool.eligible(at(1))), ["10.0.0.0:80"]);
    set(1, Health::Down);
    let told = set(0, Health::Down);
    assert_eq!(told[0].to, "panic");
    assert_eq!(names(&pool.eligible(at(1))), ["10.0.0.0:80", "10.0.0.1:80"], "the third is still unknown");
}

#[test]
fn a_success_ends_the_row_of_failures() {
    let pool = pool_of("p", 2);
    let endpoint = &pool.endpoints()[0];
    for _ in 0..10 {
        assert_eq!(fail(endpoint, 2, at(1)), []);
        assert_eq!(endpoint.record(Outcome::Success, &POLICY, at(1)), None);
    }
    assert_eq!(fail(endpoint, 3, at(1)).len(), 1);
}

#[test]
fn the_last_failure_is_kept_whatever_became_of_it() {
    let pool = pool_of("p", 2);
    let endpoint = &pool.endpoints()[0];
    assert_eq!(endpoint.last_failure(), None);
    let off = PassiveCheck { consecutive_failures: 0, ..POLICY };
    endpoint.record(Outcome::Failure("bad-response"), &off, at(1));
    endpoint.record(BROKEN, &off, at(2));
    endpoint.record(Outcome::Success, &off, at(3));
    let last = endpoint.last_failure().unwrap();
    assert_eq!((last.cause, last.at), ("connect-failed", at(2)));
}

#[test]
fn zero_failures_switch_ejection_off() {
    let pool = pool_of("p", 2);
    let off = PassiveCheck { consecutive_failures: 0, ..POLICY };
    assert!((0..100).all(|_| pool.endpoints()[0].record(BROKEN, &off, at(1)).is_none()));
    assert_eq!(pool.eligible(at(1)).len(), 2);
}

#[test]
fn the_last_eligible_endpoint_is_not_ejected() {
    let alone = pool_of("p", 1);
    assert_eq!(fail(&alone.endpoints()[0], 100, at(1)), []);
    assert_eq!(alone.eligible(at(1)).len(), 1);

    let pool = pool_of("p", 3);
    let endpoints = pool.endpoints();
    endpoints[2].set_health(Health::Down, CauseKind::HttpCheck, "test");
    assert_eq!(fail(&endpoints[0], 3, at(1)).len(), 1);
    assert_eq!(fail(&endpoints[1], 100, at(1)), []);
    assert!(endpoints[1].is_eligible(at(1)));
    // Once the other is back, it can be ejected.
    assert_eq!(pool.tend(at(11)).len(), 1);
    assert_eq!(fail(&endpoints[1], 3, at(11)).len(), 1);
}

#[test]
fn requests_that_fail_everywhere_take_out_a_share_at_most() {
    let pool = pool_of("p", 6);
    let poison = |endpoint: &EndpointState, times| {
        let outcomes = [Outcome::Failure("upstream-closed"), Outcome::Broken("response-broken")];
        outcomes
            .into_iter()
            .cycle()
            .take(times)
            .filter_map(|outcome| endpoint.record(outcome, &POLICY, at(1)))
            .count()
    };
    let ejected: usize = pool.endpoints().iter().map(|endpoint| poison(endpoint, 100)).sum();
    assert_eq!((ejected, pool.eligible(at(1)).len()), (3, 3));
    // Those that cannot be reached go nevertheless.
    let ejected: usize = pool.endpoints().iter().map(|endpoint| fail(endpoint, 100, at(1)).len()).sum();
    assert_eq!((ejected, pool.eligible(at(1)).len()), (2, 1));
}

#[test]
fn ejected_endpoints_serve_when_all_others_are_gone() {
    let pool = pool_of("p", 2);
    let endpoints = pool.endpoints();
    fail(&endpoints[0], 3, at(1));
    endpoints[1].set_health(Health::Down, CauseKind::HttpCheck, "test");
    assert!(!endpoints[0].is_eligible(at(1)));
    assert_eq!(names(&pool.eligible(at(1))), ["10.0.0.0:80"]);
    endpoints[0].set_health(Health::Down, CauseKind::HttpCheck, "test");
    assert_eq!(pool.eligible(at(1)).len(), 0);
}

#[test]
fn endpoints_that_fail_at_the_same_time_do_not_all_go() {
    for _ in 0..50 {
        let pool = pool_of("p", 4);
        std::thread::scope(|scope| {
            for endpoint in pool.endpoints().iter() {
                let endpoint = Arc::clone(endpoint);
                scope.spawn(move || fail(&endpoint, 20, at(1)));
            }
        });
        let left = pool.endpoints().iter().filter(|endpoint| endpoint.is_eligible(at(1))).count();
        assert_eq!(left, 1);
        pool.check_invariants();
    }
}

#[test]
fn whoever_sees_the_last_epoch_sees_the_last_change() {
    for last in [Health::Up, Health::Down] {
        let pool = pool_of("p", 1);
        let endpoint = Arc::clone(&pool.endpoints()[0]);
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers = [(); 3].map(|()| {
                scope.spawn(|| {
                    let (mut epoch, mut eligible) = (0, 0);
                    loop {
                        let done = done.load(Ordering::Acquire);
                        let now = pool.epoch();
                        if now != epoch {
                            (epoch, eligible) = (now, pool.eligible(at(0)).len());
                        } else if done {
                            return eligible;
                        }
                    }
                })
            });
            for turn in 0..5_000 {
                endpoint.set_health(
                    if turn % 2 == 0 { Health::Down } else { Health::Up },
                    CauseKind::HttpCheck,
                    "test",
                );
            }
            endpoint.set_health(last, CauseKind::HttpCheck, "test");
            let epoch = pool.epoch();
            done.store(true, Ordering::Release);
            let expected = usize::from(last == Health::Up);
            assert!(epoch > 5_000);
            assert!(workers.into_iter().all(|worker| worker.join().unwrap() == expected));
        });
    }
}

#[test]
fn health_and_admin_state_decide_and_are_told_once() {
    let pool = pool_of("p", 2);
    let endpoint = Arc::clone(&pool.endpoints()[0]);
    let epoch = pool.epoch();
    let down = endpoint.set_health(Health::Down, CauseKind::HttpCheck, "timed out").unwrap();
    assert_eq!((down.from, down.to, &*down.cause, &*down.pool), ("up", "down", "timed out", "p"));
    assert_eq!(endpoint.set_health(Health::Down, CauseKind::HttpCheck, "refused"), None);
    assert_eq!(pool.epoch(), epoch + 1);
    assert!(!endpoint.is_eligible(at(0)));
    endpoint.set_health(Health::Up, CauseKind::HttpCheck, "answers");

    let drain = pool.set_admin_state("10.0.0.0:80", AdminState::Drain, "API").unwrap().unwrap();
    assert_eq!((drain.from, drain.to), ("ready", "drain"));
    assert_eq!(pool.set_admin_state("10.0.0.0:80", AdminState::Drain, "API"), Ok(None));
    assert_eq!(names(&pool.eligible(at(0))), ["10.0.0.1:80"]);
    assert!(pool.set_admin_state("10.9.9.9:80", AdminState::Drain, "API").is_err());
}

#[test]
fn the_api_adds_removes_and_weighs() {
    let pool = pool_of("p", 1);
    let epoch = pool.epoch();
    let added = pool.add_endpoint(&endpoint(7, 5)).unwrap();
    assert_eq!((added.name(), added.weight(), added.health()), ("10.0.0.7:80", 5, Health::Up));
    let twice = pool.add_endpoint(&endpoint(7, 1));
    assert_eq!(twice.unwrap_err().to_string(), "pool `p` has an endpoint `10.0.0.7:80` already");
    assert!(pool.epoch() > epoch);

    pool.set_weight("10.0.0.0:80", 0).unwrap();
    assert_eq!(names(&pool.eligible(at(0))), ["10.0.0.7:80"]);
    assert_eq!(pool.endpoint("10.0.0.0:80").unwrap().configured_weight(), 1);
    assert_eq!(pool.set_weight("10.0.0.0:80", 65_536), Err(PoolChangeError::WeightTooLarge(65_536)));
    assert!(pool.set_weight("10.0.0.9:80", 1).is_err());

    assert!(added.try_begin(1));
    let removed = pool.remove_endpoint("10.0.0.7:80").unwrap();
    removed.end();
    assert_eq!(removed.in_flight(), 0);
    assert!(pool.remove_endpoint("10.0.0.7:80").is_err());
    assert_eq!(pool.endpoints().len(), 1);
    pool.check_invariants();
}

#[test]
fn a_full_pool_takes_no_more() {
    let pool = PoolState::new(&pool("p", (0..MAX_ENDPOINTS_PER_POOL).map(|n| endpoint(n, 1)).collect()));
    let refused = pool.add_endpoint(&endpoint(MAX_ENDPOINTS_PER_POOL, 1)).unwrap_err();
    assert_eq!(refused, PoolChangeError::Full("p".into()));
}

#[test]
fn a_name_takes_no_traffic_before_it_is_found() {
    let by_name = Endpoint::new(Host::Name("app.internal".into()), 8080);
    let pool = PoolState::new(&pool("p", vec![by_name]));
    let endpoint = Arc::clone(&pool.endpoints()[0]);
    assert_eq!((endpoint.name(), endpoint.health()), ("app.internal:8080", Health::Unchecked));
    endpoint.set_health(Health::Up, CauseKind::HttpCheck, "test");
    assert!(!endpoint.is_eligible(at(0)));
    let epoch = pool.epoch();
    endpoint.set_address("192.0.2.7:8080".parse().ok());
    assert!(pool.epoch() > epoch);
    assert!(endpoint.is_eligible(at(0)));
}

#[test]
fn in_flight_is_limited_and_ends_with_its_guard() {
    let pool = pool_of("p", 1);
    let endpoint = Arc::clone(&pool.endpoints()[0]);
    let running: Vec<_> = (0..5).filter_map(|_| crate::InFlight::begin(&endpoint, 3)).collect();
    assert_eq!((running.len(), endpoint.in_flight()), (3, 3));
    drop(running);
    assert_eq!(endpoint.in_flight(), 0);
}

#[test]
fn an_endpoint_configured_by_its_address_stays_there() {
    let pool = pool_of("p", 1);
    let endpoint = &pool.endpoints()[0];
    let epoch = pool.epoch();
    endpoint.set_address(None);
    assert_eq!(endpoint.address(), "10.0.0.0:80".parse().ok());
    assert_eq!(pool.epoch(), epoch);
    pool.check_invariants();
}

#[test]
fn an_endpoint_outlives_its_pool() {
    let pool = pool_of("p", 2);
    let endpoint = Arc::clone(&pool.endpoints()[0]);
    drop(pool);
    assert_eq!(fail(&endpoint, 10, at(1)), []);
    assert!(endpoint.set_health(Health::Down, CauseKind::HttpCheck, "test").is_some());
}

#[test]
fn the_in_flight_count_has_its_own_cache_lines() {
    assert_eq!(std::mem::align_of::<EndpointState>(), 128);
}
