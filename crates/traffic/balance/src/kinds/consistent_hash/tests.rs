use super::*;
use crate::fixture::{CLIENT, members};
use base_kit::SeededRng;
use serde_json::json;

fn balancer(settings: serde_json::Value, members: &[Member]) -> Box<dyn Balancer> {
    let mut balancer = ConsistentHashKind.build(&settings).unwrap();
    balancer.update(members);
    balancer
}

fn pick(balancer: &mut dyn Balancer, key: Option<u64>) -> usize {
    let request = RequestFacts { key, ..CLIENT };
    balancer.pick(&request, &[], Moment::ZERO, &mut SeededRng::new(key.unwrap_or(7))).unwrap()
}

fn holders(balancer: &mut dyn Balancer, keys: u64) -> Vec<usize> {
    (0..keys).map(|key| pick(balancer, Some(hash_key(key.to_be_bytes())))).collect()
}

const METHODS: [&str; 3] = ["maglev", "ring", "rendezvous"];

#[test]
fn the_key_is_what_was_asked_for() {
    let cases = [
        (json!({"key": {"header": "x-user"}}), Some(KeySource::Header("x-user".into()))),
        (json!({"key": {"cookie": "id"}}), Some(KeySource::Cookie("id".into()))),
        (json!({"key": {"query": "q"}}), Some(KeySource::Query("q".into()))),
        (json!({"key": "path"}), Some(KeySource::Path)),
        (json!({"key": "host"}), Some(KeySource::Host)),
        (json!({}), None),
    ];
    for (settings, source) in cases {
        let needs = ConsistentHashKind.build(&settings).unwrap().needs();
        assert_eq!(needs, FactsNeeded { client: source.is_none(), key: source, ..FactsNeeded::default() });
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for settings in [
        json!({"key": {"header": ""}}),
        json!({"key": "port"}),
        json!({"method": "modulo"}),
        json!({"load-factor": 0.9}),
        json!({"load-factor": 1e9}),
    ] {
        assert!(ConsistentHashKind.build(&settings).is_err(), "{settings}");
    }
}

#[test]
fn requests_without_the_key_go_anywhere() {
    let members = members(&[1; 10]);
    let mut balancer = balancer(json!({"key": {"header": "x-user"}}), &members);
    let mut rng = SeededRng::new(1);
    let mut counts = [0_u32; 10];
    for _ in 0..1_000 {
        counts[balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng).unwrap()] += 1;
    }
    assert!(counts.iter().all(|count| (50..=160).contains(count)), "{counts:?}");
}

#[test]
fn keys_move_to_many_and_only_as_many_as_must() {
    for method in METHODS {
        let members = members(&[1, 2, 1, 3, 1, 1, 2, 1, 1, 1]);
        let mut balancer = balancer(json!({"key": "path", "method": method}), &members);
        let before = holders(&mut *balancer, 20_000);
        let (gone, rest) = members.split_last().unwrap();
        balancer.update(rest);
        let after = holders(&mut *balancer, 20_000);
        let moved =
            before.iter().zip(&after).filter(|(before, after)| before != after).count() as f64 / 20_000.0;
        let share = f64::from(gone.weight) / 14.0;
        assert!(moved <= share + 0.05, "{method}: {moved}");
        let last = members.len() - 1;
        let stayed = |(before, after): (&usize, &usize)| before == after || *before == last;
        assert!(
            before.iter().zip(&after).all(stayed) || method == "maglev",
            "{method}: a key moved for nothing"
        );
        let heirs: std::collections::HashSet<_> = before
            .iter()
            .zip(&after)
            .filter(|(before, _)| **before == last)
            .map(|(_, after)| *after)
            .collect();
        assert_eq!(heirs.len(), rest.len(), "{method}: all inherit");
    }
}

#[test]
fn shares_follow_weights() {
    for (method, tolerance) in [("maglev", 0.03), ("ring", 0.15), ("rendezvous", 0.03)] {
        let weights = [1, 2, 4, 8, 1, 4];
        let members = members(&weights);
        let mut balancer = balancer(json!({"key": "path", "method": method}), &members);
        let mut counts = [0_u32; 6];
        holders(&mut *balancer, 100_000).into_iter().for_each(|index| counts[index] += 1);
        for (count, weight) in counts.into_iter().zip(weights) {
            let ratio = f64::from(count) / (100_000.0 * f64::from(weight) / 20.0);
            assert!((ratio - 1.0).abs() < tolerance + 0.01 * f64::from(8 / weight), "{method}: {counts:?}");
        }
    }
}

#[test]
fn a_busy_endpoint_passes_the_rest_on() {
    for method in METHODS {
        let members = members(&[1; 10]);
        let mut balancer = balancer(json!({"key": "path", "method": method, "load-factor": 1.25}), &members);
        // Everybody asks for the same.
        for _ in 0..1_000 {
            let index = pick(&mut *balancer, Some(42));
            assert!(members[index].state.try_begin(u32::MAX));
        }
        let most = members.iter().map(|member| member.state.in_flight()).max().unwrap();
        assert!(most <= 126, "{method}: {most} of 1,000 at one of ten");
    }
}

#[test]
fn a_full_house_still_takes_requests() {
    let members = members(&[1, 1]);
    let mut balancer = balancer(json!({"load-factor": 1.0}), &members);
    members.iter().for_each(|member| (0..50).for_each(|_| assert!(member.state.try_begin(100))));
    for client in 0..20_u64 {
        pick(&mut *balancer, Some(client));
    }
}
