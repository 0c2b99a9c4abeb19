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

#[test]
fn settings_out_of_range_are_refused() {
    for settings in [
        json!({"probes": 0}),
        json!({"pool-size": 1}),
        json!({"cold-quantile": 1.5}),
        json!({"max-age": "0s"}),
        json!({"decay": "0s"}),
    ] {
        assert!(PrequalKind.build(&settings).is_err(), "{settings}");
    }
}
