use std::time::Duration;

use base_kit::SeededRng;
use serde_json::json;

use super::*;
use crate::fixture::{CLIENT, members};

fn answer(millis: u64) -> Feedback {
    Feedback::FirstByte { latency: Duration::from_millis(millis), others: 0, status: 200, retry_after: None }
}

/// How often each of these is picked, with nothing in flight.
fn counts(balancer: &mut dyn Balancer, members: &[Member], now: Moment) -> Vec<u32> {
    let mut rng = SeededRng::new(3);
    let mut counts = vec![0; members.len()];
    for _ in 0..1_000 {
        counts[balancer.pick(&CLIENT, &[], now, &mut rng).unwrap()] += 1;
    }
    counts
}

fn prequal(members: &[Member]) -> Box<dyn Balancer> {
    let mut balancer = PrequalKind.build(&serde_json::Value::Null).unwrap();
    balancer.update(members);
    balancer
}

#[test]
fn slow_endpoints_get_little() {
    let members = members(&[1; 16]);
    let mut balancer = prequal(&members);
    let now = Moment::from_nanos(1_000_000_000);
    for (number, member) in members.iter().enumerate() {
        balancer.feedback(&member.state, answer(if number < 2 { 160 } else { 10 }), now);
    }
    let counts = counts(&mut *balancer, &members, now);
    assert_eq!(counts[0] + counts[1], 0, "{counts:?}");
    assert!(counts[2..].iter().all(|&count| count > 20), "{counts:?}");
}

#[test]
fn busy_endpoints_get_nothing_however_quick() {
    let members = members(&[1; 16]);
    let mut balancer = prequal(&members);
    let now = Moment::from_nanos(1_000_000_000);
    for (number, member) in members.iter().enumerate() {
        balancer.feedback(&member.state, answer(if number == 0 { 1 } else { 10 }), now);
    }
    (0..100).for_each(|_| assert!(members[0].state.try_begin(u32::MAX)));
    let counts = counts(&mut *balancer, &members, now);
    assert!(counts[0] < 5, "{counts:?}");
}

#[test]
fn failing_fast_attracts_nothing() {
    let members = members(&[1; 16]);
    let mut balancer = prequal(&members);
    let now = Moment::from_nanos(1_000_000_000);
    for member in &members[1..] {
        balancer.feedback(&member.state, answer(10), now);
    }
    balancer.feedback(&members[0].state, Feedback::Failed, now);
    assert_eq!(counts(&mut *balancer, &members, now)[0], 0);
}

fn asking(members: &[Member], settings: &serde_json::Value) -> Box<dyn Balancer> {
    let mut balancer = PrequalKind.build(settings).unwrap();
    balancer.update(members);
    balancer
}

fn told(in_flight: u32, millis: u64) -> ProbeAnswer {
    ProbeAnswer { in_flight: Some(in_flight), latency: Some(Duration::from_millis(millis)) }
}

/// A second's worth of requests, each with its probes answered at once as `answer` says.
fn counts_probed(
    balancer: &mut dyn Balancer,
    members: &[Member],
    answer: impl Fn(usize) -> ProbeAnswer,
) -> Vec<u32> {
    let mut rng = SeededRng::new(4);
    let mut counts = vec![0; members.len()];
    for millis in 0..1_000 {
        let now = Moment::from_nanos(1_000_000_000) + Duration::from_millis(millis);
        counts[balancer.pick(&CLIENT, &[], now, &mut rng).unwrap()] += 1;
        while let Some(index) = balancer.next_probe(now, &mut rng) {
            balancer.probed(&members[index].state, answer(index), now);
        }
    }
    counts
}

#[test]
fn what_endpoints_say_counts_more_than_what_aya_sees() {
    let members = members(&[1; 4]);
    // Aya sees all of them idle; the first is busy for others, and quick all the same.
    let mut balancer = asking(&members, &json!({"probe": "/load"}));
    let counts =
        counts_probed(&mut *balancer, &members, |index| if index == 0 { told(50, 5) } else { told(0, 10) });
    assert!(counts[0] < 50 && counts[1..].iter().all(|&count| count > 200), "{counts:?}");
    let mut balancer = asking(&members, &json!({"probe": "/load"}));
    let counts = counts_probed(&mut *balancer, &members, |index| told(0, if index < 2 { 50 } else { 10 }));
    assert!(counts[0] + counts[1] < 250 && counts[2].min(counts[3]) > 300, "{counts:?}");
}

#[test]
fn an_idle_endpoint_that_fails_draws_nothing() {
    let members = members(&[1; 16]);
    let mut balancer = asking(&members, &json!({"probe": "/load"}));
    let failure =
        Feedback::FirstByte { latency: Duration::from_millis(1), others: 0, status: 500, retry_after: None };
    for _ in 0..50 {
        balancer.feedback(&members[0].state, failure, Moment::from_nanos(1_000_000_000));
    }
    let counts = counts_probed(&mut *balancer, &members, |index| told(if index == 0 { 0 } else { 5 }, 10));
    assert!(counts[0] <= 2, "{counts:?}");
}

#[test]
fn fractions_of_probes_add_up() {
    let members = members(&[1; 20]);
    let mut balancer = asking(&members, &json!({"probe": "/load", "probes": 0.25, "idle-interval": "10s"}));
    let mut rng = SeededRng::new(4);
    let now = Moment::from_nanos(1_000_000_000);
    let mut probes = Vec::new();
    for _ in 0..8 {
        assert!(balancer.pick(&CLIENT, &[], now, &mut rng).is_some());
        probes.push(balancer.next_probe(now, &mut rng).is_some());
    }
    assert_eq!(probes, [false, false, false, true, false, false, false, true]);
}

#[test]
fn settings_out_of_range_are_refused() {
    for settings in [
        json!({"probe": "load"}),
        json!({"probe": "/a b"}),
        json!({"probe": "/a\r\nX: y"}),
        json!({"probe-timeout": "0s"}),
        json!({"idle-interval": "0s"}),
        json!({"probes": 0}),
        json!({"pool-size": 1}),
        json!({"cold-quantile": 1.5}),
        json!({"max-age": "0s"}),
        json!({"decay": "0s"}),
    ] {
        assert!(PrequalKind.build(&settings).is_err(), "{settings}");
    }
}
