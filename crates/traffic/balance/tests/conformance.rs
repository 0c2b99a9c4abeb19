//! What every balancer must do, whatever its kind, alone and with the selector around it: one suite over `kinds::ALL`.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

#[path = "conformance/play.rs"]
mod play;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base_kit::{Moment, Rng, SeededRng};
use serde_json::{Value, json};
use traffic_balance::{
    BalancerKind, CauseKind, Feedback, Health, InFlight, Outcome, PoolState, RequestFacts, Selector,
    hash_key, kinds,
};

use play::{Chooser, Play, endpoint, pool};

/// χ² with 4 degrees of freedom is above this in one of 100,000 fair runs.
const CHI_SQUARED_LIMIT: f64 = 28.5;

/// A way of choosing.
struct Way {
    kind: &'static dyn BalancerKind,
    settings: Value,
    is_selected: bool,
    /// For messages.
    name: String,
}

impl Way {
    fn chooser(&self) -> Chooser {
        if self.is_selected {
            return Chooser::Selected(Selector::new(self.kind, self.settings.clone()).unwrap());
        }
        Chooser::alone(self.kind.build(&self.settings).unwrap())
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.info().name == kind
    }
}

/// These settings of all kinds that take them, alone and in a selector.
fn ways(settings: &Value) -> impl Iterator<Item = Way> {
    let fitting = kinds::ALL.iter().filter(move |kind| kind.build(settings).is_ok());
    fitting.flat_map(move |kind| {
        [false, true].map(|is_selected| {
            let around = if is_selected { "selector of " } else { "" };
            let name = format!("{around}{} {settings}", kind.info().name);
            Way { kind: *kind, settings: settings.clone(), is_selected, name }
        })
    })
}

/// The kinds that can ask endpoints what they have to do, set up to do so.
fn askers() -> Vec<Way> {
    ways(&json!({"probe": "/load"})).collect()
}

/// All kinds as they are without settings.
fn each_plain(test: impl Fn(&Way, &str)) {
    ways(&Value::Null).for_each(|way| test(&way, &way.name));
}

/// The same, and those that ask.
fn each_way(test: impl Fn(&Way, &str)) {
    ways(&Value::Null).chain(askers()).for_each(|way| test(&way, &way.name));
}

fn client(number: u64) -> RequestFacts {
    let client = IpAddr::from((number as u32).to_be_bytes());
    RequestFacts { client, key: Some(hash_key(number.to_be_bytes())) }
}

fn each_kind(test: impl Fn(&dyn BalancerKind, &str)) {
    for kind in kinds::ALL {
        test(*kind, kind.info().name);
    }
}

fn chi_squared(counts: &[u64], weights: &[u32]) -> f64 {
    let total: u32 = weights.iter().sum();
    let picks: u64 = counts.iter().sum();
    let part = |(&count, &weight): (&u64, &u32)| {
        let expected = picks as f64 * f64::from(weight) / f64::from(total);
        (count as f64 - expected).powi(2) / expected
    };
    counts.iter().zip(weights).map(part).sum()
}

#[test]
fn kinds_introduce_themselves() {
    let names: HashSet<_> = kinds::ALL.iter().map(|kind| kind.info().name).collect();
    assert_eq!(names.len(), kinds::ALL.len());
    assert!(kinds::find(kinds::DEFAULT).is_some());
    each_kind(|kind, name| {
        assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'), "{name}");
        assert_eq!(kinds::find(name).map(BalancerKind::info), Some(kind.info()));
        let summary = kind.info().summary;
        assert!(summary.ends_with('.') && summary.starts_with(char::is_uppercase), "{name}: {summary}");
        assert!(summary.contains("weight"), "{name} says what it does with weights");
        let schema = kind.schema();
        assert_eq!(schema.get("type").and_then(|kind| kind.as_str()), Some("object"), "{name}");
        assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{name}");
    });
}

#[test]
fn default_settings_build_and_unknown_ones_do_not() {
    each_kind(|kind, name| {
        assert!(kind.build(&serde_json::json!({})).is_ok(), "{name}");
        let error = kind.build(&serde_json::json!({"no-such-setting": 1})).err().unwrap();
        assert_eq!(error.kind, name);
        assert!(error.to_string().contains("no-such-setting"), "{error}");
        assert!(kind.build(&serde_json::json!([])).is_err(), "{name} takes a list");
    });
}

#[test]
fn an_empty_pool_gives_nobody() {
    each_way(|way, name| {
        let mut rng = SeededRng::new(1);
        let mut chooser = way.chooser();
        let mut pick = |chooser: &mut Chooser| chooser.pick(&client(1), &[], Moment::ZERO, &mut rng);
        assert_eq!(pick(&mut chooser), None, "{name} before any update");
        let pool = pool(&[1, 2]);
        chooser.refresh(&pool, Moment::ZERO);
        chooser.check_invariants();
        let gone = pool.endpoints();
        gone.iter().for_each(|endpoint| drop(pool.remove_endpoint(endpoint.name()).unwrap()));
        chooser.refresh(&pool, Moment::ZERO);
        assert_eq!(pick(&mut chooser), None, "{name} after all left");
        chooser.feedback(&gone[0], Feedback::Failed, Moment::ZERO);
        chooser.check_invariants();
    });
}

/// Whom checks find sick gets nothing, even if that leaves nobody; whom failures in traffic took out gets something, if else
/// nobody did.
#[test]
fn sick_endpoints_get_nothing_and_suspects_something() {
    each_way(|way, name| {
        let pool = pool(&[1, 2, 3]);
        let mut play = Play::new(way.chooser(), Arc::clone(&pool), 10, 1);
        play.run(20);
        let endpoints = pool.endpoints();
        let set = |health: Health| {
            endpoints
                .iter()
                .for_each(|endpoint| drop(endpoint.set_health(health, CauseKind::HttpCheck, "test")));
        };
        set(Health::Down);
        assert!(play.picks(20).is_empty(), "{name}: all are sick");
        play.check_invariants();
        endpoints[1].set_health(Health::Up, CauseKind::HttpCheck, "test");
        assert_eq!(play.picks(20), [0; 20], "{name}: one is well");
        set(Health::Up);
        fail(&pool, &[0, 1]);
        assert_eq!(play.picks(20), [0; 20], "{name}: two are ejected");
        endpoints[2].set_health(Health::Down, CauseKind::HttpCheck, "test");
        let counts = play.count(200);
        assert!(counts.len() == 2 && counts.iter().all(|&count| count > 0), "{name}: {counts:?}");
        play.check_invariants();
    });
}

/// Enough requests of these endpoints fail in a row to take them out for a second.
fn fail(pool: &PoolState, numbers: &[usize]) {
    let policy = play::passive();
    let now = Moment::ZERO + Duration::from_secs(1);
    for number in numbers {
        let endpoint = &pool.endpoints()[*number];
        for _ in 0..policy.consecutive_failures {
            endpoint.record(Outcome::Unreachable("test"), &policy, now);
        }
        assert!(endpoint.is_ejected(now));
    }
}

#[test]
fn every_candidate_comes_exactly_once() {
    each_way(|way, name| {
        let mut rng = SeededRng::new(2);
        for count in [1, 2, 3, 10, 100] {
            let weights: Vec<u32> = (0..count).map(|index| 1 + index * index % 7 * 300).collect();
            let mut chooser = way.chooser();
            chooser.refresh(&pool(&weights), Moment::ZERO);
            for request in 0..20 {
                let mut tried = Vec::new();
                while let Some(index) = chooser.pick(&client(request), &tried, Moment::ZERO, &mut rng) {
                    let id = chooser.members()[index].id;
                    assert!(!tried.contains(&id), "{name}: {index} of {count} twice");
                    tried.push(id);
                    chooser.check_invariants();
                }
                assert_eq!(tried.len(), weights.len(), "{name}");
            }
        }
    });
}

#[test]
fn who_was_tried_and_is_gone_does_not_matter() {
    each_way(|way, name| {
        let gone: Vec<_> = pool(&[1; 50]).eligible(Moment::ZERO).iter().map(|member| member.id).collect();
        let mut chooser = way.chooser();
        chooser.refresh(&pool(&[1, 1, 1]), Moment::ZERO);
        for request in 0..100 {
            let picked = chooser.pick(&client(request), &gone, Moment::ZERO, &mut SeededRng::new(request));
            assert!(picked.is_some(), "{name}");
        }
    });
}

#[test]
fn weights_are_respected() {
    const WEIGHTS: [u32; 5] = [1, 2, 3, 4, 10];
    each_plain(|way, name| {
        for seed in 0..5 {
            let mut play = Play::new(way.chooser(), pool(&WEIGHTS), 400, seed);
            play.run(2_000);
            let chi_squared = chi_squared(&play.count(20_000), &WEIGHTS);
            assert!(chi_squared < CHI_SQUARED_LIMIT, "{name}, seed {seed}: χ² {chi_squared}");
        }
    });
}

#[test]
fn a_changed_weight_counts_from_then_on() {
    each_plain(|way, name| {
        let pool = pool(&[4, 4, 4, 4, 4]);
        let mut play = Play::new(way.chooser(), Arc::clone(&pool), 400, 3);
        play.run(2_000);
        let weights = [1, 10, 4, 2, 3];
        for (endpoint, weight) in pool.endpoints().iter().zip(weights) {
            pool.set_weight(endpoint.name(), weight).unwrap();
        }
        play.run(20_000);
        let chi_squared = chi_squared(&play.count(20_000), &weights);
        assert!(chi_squared < CHI_SQUARED_LIMIT, "{name}: χ² {chi_squared}");
    });
}

#[test]
fn members_come_and_go_while_feedback_of_the_gone_arrives() {
    each_way(|way, name| {
        for seed in 0..3 {
            let pool = pool(&[1, 2, 3]);
            let mut chance = SeededRng::new(seed);
            let mut play = Play::new(way.chooser(), Arc::clone(&pool), 50, seed);
            for step in 0..500 {
                let endpoints = pool.endpoints();
                let any = endpoints.get(chance.below(endpoints.len().max(1) as u64) as usize);
                match (chance.below(4), any) {
                    (0, _) => drop(pool.add_endpoint(&endpoint(10 + step, 1 + chance.below(9) as u32))),
                    (1, Some(any)) => drop(pool.remove_endpoint(any.name())),
                    (2, Some(any)) => pool.set_weight(any.name(), chance.below(4) as u32).unwrap(),
                    _ => {}
                }
                play.run(5);
                play.check_invariants();
                pool.check_invariants();
            }
            let states = play.finish_all();
            assert!(states.iter().all(|state| state.in_flight() == 0), "{name}, seed {seed}");
        }
    });
}

#[test]
fn a_run_repeats_from_its_seed() {
    each_way(|way, name| {
        let run = |seed| {
            let pool = pool(&[3, 1, 1, 7]);
            let mut play = Play::new(way.chooser(), Arc::clone(&pool), 10, seed);
            let mut picks = play.picks(500);
            pool.add_endpoint(&endpoint(9, 4)).unwrap();
            pool.remove_endpoint("10.0.0.0:80").unwrap();
            picks.extend(play.picks(500));
            picks
        };
        for seed in 0..5 {
            assert_eq!(run(seed), run(seed), "{name}, seed {seed}");
        }
        assert_ne!(run(1), run(2), "{name}");
    });
}

#[test]
fn imbalance_is_bounded() {
    const MEMBERS: usize = 20;
    const PICKS: usize = 20_000;
    each_way(|way, name| {
        let mut play = Play::new(way.chooser(), pool(&[5; MEMBERS]), 200, 7);
        // It prefers who was quick of late by however little: among equals that is chance.
        if way.is("prequal") {
            play = play.with_latency(Duration::from_millis(5));
        }
        let counts = play.count(PICKS);
        let fair = (PICKS / MEMBERS) as f64;
        // Five times the spread of pure chance.
        let bound = 5.0 * fair.sqrt();
        assert!(counts.iter().all(|&count| (count as f64 - fair).abs() < bound), "{name}: {counts:?}");
    });
}

#[test]
fn nobody_starves() {
    each_way(|way, name| {
        let mut play = Play::new(way.chooser(), pool(&[100, 1, 100, 50, 1]), 500, 11);
        for window in 0..20 {
            // 20 times as many requests as a cycle holds: chance leaves one out once in 10^8 windows.
            let counts = play.count(20 * 252);
            assert!(counts.iter().all(|&count| count > 0), "{name}, window {window}: {counts:?}");
        }
    });
}

#[test]
fn workers_do_not_walk_in_step() {
    const WEIGHTS: [u32; 5] = [4; 5];
    each_way(|way, name| {
        let pool = pool(&WEIGHTS);
        let mut firsts = [0; 5];
        for worker in 0..1_000 {
            let mut chooser = way.chooser();
            chooser.refresh(&pool, Moment::ZERO);
            let mut rng = SeededRng::new(worker);
            let facts = client(rng.next_u64());
            firsts[chooser.pick(&facts, &[], Moment::ZERO, &mut rng).unwrap()] += 1;
        }
        let chi_squared = chi_squared(&firsts, &WEIGHTS);
        assert!(chi_squared < CHI_SQUARED_LIMIT, "{name}: first picks {firsts:?}");
    });
}

/// The names of the endpoints that so many keys go to.
fn holders(chooser: &mut Chooser, pool: &PoolState, keys: u64) -> Vec<String> {
    chooser.refresh(pool, Moment::ZERO);
    let mut rng = SeededRng::new(0);
    let mut pick = |key| {
        let index = chooser.pick(&client(key * 7919), &[], Moment::ZERO, &mut rng).unwrap();
        chooser.members()[index].state.name().to_owned()
    };
    (0..keys).map(&mut pick).collect()
}

#[test]
fn few_keys_move_when_members_change() {
    const KEYS: u64 = 20_000;
    let plain = ways(&Value::Null).filter(|way| way.kind.build(&Value::Null).unwrap().needs().client);
    let methods = ["ring", "rendezvous"].map(|method| json!({"method": method}));
    for way in plain.chain(methods.iter().flat_map(ways)) {
        // Maglev trades some of this for even shares.
        let is_exact = !way.is("consistent-hash") || way.settings != Value::Null;
        let name = &way.name;
        for weights in [[1_u32; 20], std::array::from_fn(|index| 1 + index as u32 % 3)] {
            let pool = pool(&weights);
            let mut chooser = way.chooser();
            let before = holders(&mut chooser, &pool, KEYS);

            let gone = pool.remove_endpoint(pool.endpoints()[3].name()).unwrap();
            let after = holders(&mut chooser, &pool, KEYS);
            let share = f64::from(gone.weight()) / f64::from(weights.iter().sum::<u32>());
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            assert!(moved as f64 / KEYS as f64 <= share + 0.05, "{name}: one of 20 left");
            let is_its_own = |(before, after): (&String, &String)| before == after || before == gone.name();
            let only_its_own = before.iter().zip(&after).all(is_its_own);
            assert!(only_its_own || !is_exact, "{name}: a key moved though its endpoint stayed");

            // Now at the end of the list: the order does not matter.
            pool.add_endpoint(&endpoint(3, gone.weight())).unwrap();
            assert_eq!(holders(&mut chooser, &pool, KEYS), before, "{name}: back as it was");
        }
    }
}

#[test]
fn a_thousand_members_get_their_share() {
    each_way(|way, name| {
        // One answer each would tell fast from slow by chance alone.
        let play = Play::new(way.chooser(), pool(&[1; 1_000]), 2_000, 13);
        let mut play = play.with_latency(Duration::from_millis(5));
        let counts = play.count(8_000);
        // Of eight each, chance leaves out one in three thousand and gives more than thirty to one in a billion.
        let left_out = counts.iter().filter(|&&count| count == 0).count();
        assert!(left_out <= 5 && counts.iter().all(|&count| count <= 30), "{name}: {counts:?}");
        play.check_invariants();
    });
}

#[test]
fn nobody_is_asked_unless_the_kind_says_how() {
    each_plain(|way, name| {
        let mut play = Play::new(way.chooser(), pool(&[1; 20]), 20, 1);
        assert!(way.kind.build(&Value::Null).unwrap().probing().is_none(), "{name}");
        play.run(100);
        play.rest(Duration::from_secs(10));
        assert_eq!(play.probes, 0, "{name}");
    });
    let asked = |way: &Way| way.kind.build(&way.settings).unwrap().probing().unwrap().path;
    assert_eq!(askers().iter().map(asked).collect::<Vec<_>>(), ["/load"; 2], "alone and in a selector");
}

#[test]
fn who_asks_asks_for_requests_and_at_rest_and_ends_each_time() {
    for count in [1, 2, 5, 40] {
        for way in askers() {
            let mut play = Play::new(way.chooser(), pool(&vec![1; count]), 20, 1);
            let due = |requests: usize| if count == 1 { 0 } else { requests };
            play.run(1_000);
            assert!(play.probes.abs_diff(due(3_000)) <= 16, "{count}: {} for 1,000 requests", play.probes);
            let before = play.probes;
            play.rest(Duration::from_secs(10));
            assert_eq!(play.probes - before, due(50), "five a second without requests");
        }
    }
}

#[test]
fn answers_to_probes_count_by_weight() {
    const WEIGHTS: [u32; 5] = [1, 2, 3, 4, 10];
    for way in askers() {
        // Requests cluster where samples are of use, so they are no independent draws: shares are compared, not chances.
        let play = Play::new(way.chooser(), pool(&WEIGHTS), 400, 1);
        let mut play = play.with_latency(Duration::from_millis(5));
        play.run(2_000);
        let counts = play.count(20_000);
        for (count, weight) in counts.iter().zip(WEIGHTS) {
            let expected = 1_000 * u64::from(weight);
            assert!(count.abs_diff(expected) * 10 < expected, "{counts:?}");
        }
    }
}

#[test]
fn counts_in_flight_are_exact_over_threads() {
    const LIMIT: u32 = 5;
    const THREADS: u32 = 8;
    let endpoints = pool(&[1, 1]).endpoints();
    let running = [AtomicU32::new(0), AtomicU32::new(0)];
    let most = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (endpoints, running, most) = (&endpoints, &running, &most);
            scope.spawn(move || {
                let mut rng = SeededRng::new(thread.into());
                let mut own = Vec::new();
                for _ in 0..20_000 {
                    let place = rng.below(2) as usize;
                    if let Some(begun) = InFlight::begin(&endpoints[place], LIMIT) {
                        let others = running[place].fetch_add(1, Ordering::SeqCst);
                        assert!(others < LIMIT, "never more at once than the limit");
                        own.push((place, begun));
                    }
                    most.fetch_max(endpoints[place].in_flight(), Ordering::Relaxed);
                    if own.len() > rng.below(4) as usize {
                        let (place, begun) = own.swap_remove(0);
                        running[place].fetch_sub(1, Ordering::SeqCst);
                        drop(begun);
                    }
                }
                for (place, begun) in own {
                    running[place].fetch_sub(1, Ordering::SeqCst);
                    drop(begun);
                }
            });
        }
    });
    // Those that are just being refused count for an instant.
    assert!(most.load(Ordering::Relaxed) <= LIMIT + THREADS, "never wrapped below zero");
    assert!(endpoints.iter().all(|endpoint| endpoint.in_flight() == 0));
}
