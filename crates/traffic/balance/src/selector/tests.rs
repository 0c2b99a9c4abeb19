//! Tests of what stands around any balancer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base_kit::SeededRng;
use base_model::model::{Endpoint, Pool};
use serde_json::{Value, json};

use super::*;
use crate::endpoint::{Health, InFlight};
use crate::fixture::{endpoint, pool};
use crate::methods::hash::hash_key;
use crate::transition::CauseKind;
use crate::{AdminState, kinds};

fn at(millis: u64) -> Moment {
    Moment::ZERO + Duration::from_millis(millis)
}

fn selector(kind: &str, settings: Value) -> Selector {
    Selector::new(kinds::find(kind).unwrap(), settings).unwrap()
}

/// Request number so much, of its own client and with its own key.
fn request(number: u64) -> RequestFacts {
    let client = IpAddr::from((number as u32).to_be_bytes());
    RequestFacts { client, key: Some(hash_key(number.to_be_bytes())) }
}

/// Endpoints at these tiers and zones; the node is in the zone `a`.
fn pool_at(places: &[(u8, &str)], change: impl FnOnce(&mut Pool)) -> Arc<PoolState> {
    let place = |(number, (tier, zone)): (usize, &(u8, &str))| Endpoint {
        tier: *tier,
        zone: Some((*zone).into()),
        ..endpoint(number, 1)
    };
    let mut settings = pool("p", places.iter().enumerate().map(place).collect());
    settings.preference.zone = Some("a".into());
    change(&mut settings);
    PoolState::new(&settings)
}

fn set_health(pool: &PoolState, index: usize, health: Health) {
    pool.endpoints()[index].set_health(health, CauseKind::TcpCheck, "test");
}

/// Which part of so many requests each endpoint gets, by the last part of its address. Of them, so many are in flight at a time.
fn parts(selector: &mut Selector, count: u64, in_flight: usize, now: Moment) -> HashMap<usize, f64> {
    let (mut rng, mut tried) = (SeededRng::new(3), Vec::new());
    let mut running: VecDeque<InFlight> = VecDeque::new();
    let mut counts: HashMap<usize, f64> = HashMap::new();
    for number in 0..count {
        let pick = selector.pick(&request(number), &mut tried, now, &mut rng).unwrap();
        let state = Arc::clone(&selector.members()[pick.index].state);
        let last = state.name().trim_end_matches(":80").rsplit_once('.').unwrap().1.parse().unwrap();
        *counts.entry(last).or_default() += 1.0 / count as f64;
        running.push_back(InFlight::begin(&state, u32::MAX).unwrap());
        if running.len() > in_flight {
            running.pop_front();
        }
    }
    selector.check_invariants();
    counts
}

/// All that one request is given, one after the other.
fn order(selector: &mut Selector, rng: &mut SeededRng, now: Moment) -> Vec<(u8, Arc<str>)> {
    let (mut tried, mut order) = (Vec::new(), Vec::new());
    while let Some(pick) = selector.pick(&request(1), &mut tried, now, rng) {
        let member = &selector.members()[pick.index];
        assert!(!tried.contains(&member.id), "{} came twice", member.state.name());
        tried.push(member.id);
        order.push((pick.level, Arc::from(member.state.name())));
        assert!(order.len() <= selector.members().len());
    }
    order
}

#[test]
fn every_candidate_is_reached_once_whatever_stands_around() {
    let places = [(0, "a"), (0, "a"), (0, "b"), (1, "a"), (1, "b"), (1, "b"), (2, "c")];
    for kind in kinds::ALL {
        let pool = pool_at(&places, |pool| {
            pool.slow_start = Duration::from_secs(30);
            pool.preference.tier_suffices = 1.0;
        });
        for index in [0, 3] {
            set_health(&pool, index, Health::Down);
            set_health(&pool, index, Health::Up);
        }
        set_health(&pool, 1, Health::Down);
        let mut selector = selector(kind.info().name, Value::Null);
        let mut rng = SeededRng::new(1);
        for round in 0..200 {
            selector.refresh(&pool, at(round));
            let order = order(&mut selector, &mut rng, at(round));
            let names: HashSet<_> = order.iter().map(|(_, name)| Arc::clone(name)).collect();
            assert_eq!(names.len(), 6, "{}: {order:?}", kind.info().name);
            selector.check_invariants();
        }
    }
}

#[test]
fn what_the_drawn_level_lacks_comes_from_the_others_in_their_order() {
    let pool = pool_at(&[(2, "a"), (1, "a"), (0, "a"), (0, "a")], |_| {});
    let mut selector = selector("round-robin", Value::Null);
    selector.refresh(&pool, at(0));
    let levels: Vec<u8> =
        order(&mut selector, &mut SeededRng::new(1), at(0)).iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [0, 0, 2, 4]);
}

#[test]
fn requests_are_spread_as_the_levels_share() {
    let places = [(0, "a"), (0, "a"), (0, "a"), (0, "b"), (0, "b"), (0, "b")];
    for kind in kinds::ALL {
        let name = kind.info().name;
        let pool = pool_at(&places, |_| {});
        set_health(&pool, 1, Health::Down);
        set_health(&pool, 2, Health::Down);
        let mut selector = selector(name, Value::Null);
        selector.refresh(&pool, at(0));
        let parts = parts(&mut selector, 20_000, 0, at(0));
        // One of the 2.1 that would suffice.
        assert!((parts[&0] - 0.476).abs() < 0.02, "{name}: {parts:?}");
        assert!([3, 4, 5].iter().all(|far| (parts[far] - 0.175).abs() < 0.03), "{name}: {parts:?}");
    }
}

#[test]
fn what_belongs_together_is_not_torn_apart_by_levels() {
    let places = [(0, "a"), (0, "b"), (0, "b"), (0, "b"), (0, "b"), (0, "b")];
    for (kind, settings) in
        [("source-hash", Value::Null), ("consistent-hash", json!({"key": {"header": "x"}}))]
    {
        let pool = pool_at(&places, |_| {});
        // Two workers, or two instances.
        let mut both = [selector(kind, settings.clone()), selector(kind, settings)];
        assert!(both.iter_mut().all(|selector| selector.refresh(&pool, at(0))));
        let mut near = 0;
        for number in 0..2_000 {
            let mut picks = both.iter_mut().enumerate().map(|(seed, selector)| {
                let mut rng = SeededRng::new(seed as u64 * 1_000 + number);
                selector.pick(&request(number), &mut Vec::new(), at(0), &mut rng).unwrap()
            });
            let (one, other) = (picks.next().unwrap(), picks.next().unwrap());
            assert_eq!(one, other, "{kind}");
            near += u32::from(one.level == 0);
        }
        // One of 2.1.
        assert!((900..1_000).contains(&near), "{kind}: {near}");
    }
}

#[test]
fn weights_hold_within_a_level() {
    let pool = pool_at(&[(0, "a"), (0, "a"), (1, "a")], |pool| pool.endpoints[1].weight = 3);
    let mut selector = selector("random", Value::Null);
    selector.refresh(&pool, at(0));
    let parts = parts(&mut selector, 20_000, 0, at(0));
    assert!((parts[&1] - 0.75).abs() < 0.02 && !parts.contains_key(&2), "{parts:?}");
}

/// How much the first endpoint of ten gets, of its fair share, so long after it came back, with a slow start of ten seconds.
fn fair_part_after(kind: &str, millis: u64) -> (f64, HashMap<usize, f64>) {
    let pool = pool_at(&[(0, "a"); 10], |pool| pool.slow_start = Duration::from_secs(10));
    set_health(&pool, 0, Health::Down);
    set_health(&pool, 0, Health::Up);
    let mut selector = selector(kind, Value::Null);
    selector.refresh(&pool, at(0));
    parts(&mut selector, 1, 0, at(0));
    let parts = parts(&mut selector, 20_000, 60, at(millis));
    (parts.get(&0).copied().unwrap_or_default() * 10.0, parts)
}

#[test]
fn slow_start_holds_with_every_balancer() {
    for kind in kinds::ALL {
        let name = kind.info().name;
        let mut before = 0.0;
        // It begins with a tenth, and after half of the time it has 55 %.
        for (millis, share) in [(0, 0.1), (5_000, 0.55), (9_000, 0.91)] {
            let (part, _) = fair_part_after(name, millis);
            assert!(part < share * 1.1 && part > before, "{name} after {millis} ms: {part}");
            assert!(part > share * 0.7, "{name} after {millis} ms: {part}");
            before = part;
        }
        let (part, _) = fair_part_after(name, 10_000);
        assert!(part > 0.8, "{name}: {part}");
    }
}

#[test]
fn what_a_newcomer_does_not_get_is_spread_over_all_others() {
    for kind in ["round-robin", "weighted-round-robin", "random", "least-connections"] {
        let (_, parts) = fair_part_after(kind, 0);
        assert!((1..10).all(|other| (parts[&other] - 0.11).abs() < 0.015), "{kind}: {parts:?}");
    }
}

#[test]
fn newcomers_do_not_push_each_other_forward() {
    for kind in ["round-robin", "least-connections", "power-of-two"] {
        let pool = pool_at(&[(0, "a"); 10], |pool| pool.slow_start = Duration::from_secs(10));
        for index in 0..6 {
            set_health(&pool, index, Health::Down);
            set_health(&pool, index, Health::Up);
        }
        let mut selector = selector(kind, Value::Null);
        selector.refresh(&pool, at(0));
        let parts = parts(&mut selector, 20_000, 60, at(0));
        let new: f64 = (0..6).filter_map(|index| parts.get(&index)).sum();
        assert!((new - 0.06).abs() < 0.01, "{kind}: {parts:?}");
    }
}

#[test]
fn when_all_are_new_nobody_is() {
    let pool = pool_at(&[(0, "a"); 3], |pool| pool.slow_start = Duration::from_secs(10));
    for index in 0..3 {
        set_health(&pool, index, Health::Down);
        set_health(&pool, index, Health::Up);
    }
    let mut selector = selector("round-robin", Value::Null);
    selector.refresh(&pool, at(0));
    let parts = parts(&mut selector, 3_000, 0, at(0));
    assert!(parts.values().all(|part| (part - 1.0 / 3.0).abs() < 0.01), "{parts:?}");
}

#[test]
fn a_newcomer_serves_when_it_is_alone() {
    let pool = pool_at(&[(0, "a"), (0, "a")], |pool| pool.slow_start = Duration::from_secs(10));
    set_health(&pool, 0, Health::Down);
    set_health(&pool, 0, Health::Up);
    let mut selector = selector("round-robin", Value::Null);
    selector.refresh(&pool, at(0));
    let mut tried = vec![pool.endpoints()[1].id()];
    for _ in 0..50 {
        let pick = selector.pick(&request(0), &mut tried, at(0), &mut SeededRng::new(1)).unwrap();
        assert_eq!(selector.members()[pick.index].state.name(), "10.0.0.0:80");
        assert_eq!(tried.len(), 1, "what was passed over is not left in the list");
    }
}

#[test]
fn a_pool_may_be_empty_and_fill_up() {
    let pool = pool_at(&[], |_| {});
    let mut selector = selector("least-connections", Value::Null);
    let (mut rng, mut tried) = (SeededRng::new(1), Vec::new());
    assert!(selector.refresh(&pool, at(0)));
    assert!(!selector.refresh(&pool, at(0)), "nothing has changed");
    assert_eq!(selector.pick(&request(0), &mut tried, at(0), &mut rng), None);
    let backup = Endpoint { tier: 1, zone: Some("a".into()), ..endpoint(7, 1) };
    pool.add_endpoint(&backup).unwrap();
    assert!(selector.refresh(&pool, at(1)));
    let pick = selector.pick(&request(0), &mut tried, at(1), &mut rng);
    assert_eq!(pick, Some(Pick { index: 0, level: 2 }));
    pool.add_endpoint(&Endpoint { zone: Some("a".into()), ..endpoint(8, 1) }).unwrap();
    selector.refresh(&pool, at(2));
    let pick = selector.pick(&request(0), &mut tried, at(2), &mut rng).unwrap();
    assert_eq!((pick.level, selector.members()[pick.index].state.name()), (0, "10.0.0.8:80"));
    pool.set_admin_state("10.0.0.8:80", AdminState::Maintenance, "test").unwrap();
    selector.refresh(&pool, at(3));
    let pick = selector.pick(&request(0), &mut tried, at(3), &mut rng);
    assert_eq!(pick, Some(Pick { index: 0, level: 2 }), "an empty level is passed over");
    selector.check_invariants();
}

#[test]
fn probes_go_where_traffic_goes_and_their_answers_find_their_level() {
    let pool = pool_at(&[(0, "a"), (0, "a"), (0, "b"), (0, "b"), (1, "a")], |_| {});
    let mut selector = selector("prequal", json!({"probe": "/load"}));
    selector.refresh(&pool, at(0));
    assert_eq!(selector.probing().unwrap().path, "/load");
    let mut rng = SeededRng::new(1);
    let mut asked = HashSet::new();
    for round in 0..200 {
        let now = at(round * 250);
        selector.pick(&request(round), &mut Vec::new(), now, &mut rng).unwrap();
        while let Some(index) = selector.next_probe(now, &mut rng) {
            let state = Arc::clone(&selector.members()[index].state);
            asked.insert(state.name().to_owned());
            selector.probed(&state, ProbeAnswer::default(), now);
        }
    }
    // Of 4 in two zones 1.4 near ones suffice.
    assert_eq!(asked, HashSet::from(["10.0.0.0:80".to_owned(), "10.0.0.1:80".to_owned()]));
    set_health(&pool, 0, Health::Down);
    selector.refresh(&pool, at(60_000));
    for round in 0..200 {
        let now = at(60_000 + round * 250);
        selector.pick(&request(round), &mut Vec::new(), now, &mut rng).unwrap();
        while let Some(index) = selector.next_probe(now, &mut rng) {
            asked.insert(selector.members()[index].state.name().to_owned());
        }
    }
    assert!(asked.contains("10.0.0.2:80") && !asked.contains("10.0.0.4:80"), "{asked:?}");
    selector.check_invariants();
}

#[test]
fn feedback_about_those_that_are_gone_does_no_harm() {
    let pool = pool_at(&[(0, "a"), (1, "a")], |_| {});
    let mut selector = selector("peak-ewma", Value::Null);
    let gone = pool.remove_endpoint("10.0.0.1:80").unwrap();
    selector.refresh(&pool, at(0));
    selector.feedback(&gone, Feedback::Started, at(0));
    selector.feedback(&gone, Feedback::Failed, at(1));
    assert!(selector.pick(&request(0), &mut Vec::new(), at(1), &mut SeededRng::new(1)).is_some());
    selector.check_invariants();
}
