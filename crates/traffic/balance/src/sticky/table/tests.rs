//! Tests of the table: what it keeps, what it forgets, and that it never grows.

use std::time::Duration;

use base_kit::{Rng, SeededRng};

use super::*;

const TTL: Duration = Duration::from_secs(1_024);

fn limits(max: u32) -> SessionLimits {
    SessionLimits { ttl: TTL, max }
}

fn at(seconds: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(seconds)
}

fn keys(seed: u64) -> impl Iterator<Item = SessionKey> {
    let mut rng = SeededRng::new(seed);
    std::iter::repeat_with(move || SessionKey(rng.next_u64()))
}

fn sweep_all(table: &SessionTable, now: Moment) {
    (0..SWEEPS).for_each(|_| table.sweep(now));
}

#[test]
fn as_many_as_the_limit_says_find_room_and_stay() {
    for max in [1, 10, 1_000, 100_000] {
        let table = SessionTable::new(limits(max));
        let keys: Vec<_> = keys(u64::from(max)).take(max as usize).collect();
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(table.put(*key, number as u32, at(1)), Stored::Fits, "{number} of {max}");
        }
        let right =
            |(number, key): (usize, &SessionKey)| table.find(*key, at(2)) == Some(number as u32 & 0xf_ffff);
        assert!(keys.iter().enumerate().all(right), "{max}");
        assert_eq!(table.len(), u64::from(max));
        table.check_invariants();
    }
}

#[test]
fn what_is_too_much_pushes_out_the_oldest_and_is_told() {
    let table = SessionTable::new(limits(500));
    let size = table.capacity();
    let keys: Vec<_> = keys(3).take(10 * size).collect();
    let evicted = keys
        .iter()
        .enumerate()
        .filter(|(number, key)| table.put(**key, 7, at(*number as u64 / 100)) == Stored::Evicted);
    let evicted = evicted.count();
    assert_eq!(table.len() as usize + evicted, keys.len(), "each is held, or pushed one out");
    assert!(table.len() as usize <= size && table.len() as usize > size * 9 / 10);
    table.check_invariants();
    let now = at(keys.len() as u64 / 100);
    let held = |keys: &[SessionKey]| keys.iter().filter(|key| table.find(**key, now).is_some()).count();
    assert!(held(&keys[keys.len() - size / 4..]) > size / 4 * 9 / 10, "the newest are there");
    assert_eq!(held(&keys[..size]), 0, "the oldest are gone");
}

#[test]
fn what_is_used_stays_and_what_is_not_goes() {
    let table = SessionTable::new(limits(100));
    let [used, unused] = [SessionKey(1 << 40), SessionKey(2 << 40)];
    table.put(used, 1, at(0));
    table.put(unused, 2, at(0));
    for seconds in (0..5_000).step_by(500) {
        assert_eq!(table.find(used, at(seconds)), Some(1), "after {seconds} s");
    }
    assert_eq!(table.find(unused, at(5_000)), None);
    assert_eq!(table.len(), 2);
    sweep_all(&table, at(5_000));
    assert_eq!(table.len(), 1);
    table.check_invariants();
    assert_eq!(table.find(used, at(5_000)), Some(1));
}

#[test]
fn a_time_to_live_is_what_it_says() {
    let table = SessionTable::new(limits(100));
    let key = SessionKey(1 << 40);
    table.put(key, 1, at(10));
    assert_eq!(table.find(key, at(10 + 1_024)), Some(1));
    table.put(key, 1, at(10));
    assert_eq!(table.find(key, at(10 + 1_026)), None);
}

#[test]
fn workers_whose_requests_began_earlier_do_not_age_a_session() {
    let table = SessionTable::new(limits(100));
    let key = SessionKey(1 << 40);
    table.put(key, 1, at(5_000));
    assert_eq!(table.find(key, at(4_000)), Some(1), "used after that request began");
    assert_eq!(table.find(key, at(5_000 + 1_024)), Some(1), "and its time was not put back");
}

#[test]
fn another_time_to_live_keeps_the_sessions_and_another_size_does_not() {
    let table = kept_or_new(None, limits(100));
    let key = SessionKey(1 << 40);
    table.put(key, 1, at(0));
    let with_ttl = |ttl| SessionLimits { ttl, ..limits(100) };
    let longer = kept_or_new(Some(Arc::clone(&table)), with_ttl(4 * TTL));
    assert!(Arc::ptr_eq(&table, &longer));
    assert_eq!(longer.find(key, at(3_000)), Some(1));
    let shorter = kept_or_new(Some(longer), with_ttl(TTL / 16));
    assert_eq!(shorter.find(key, at(3_100)), None);
    assert!(Arc::ptr_eq(&table, &shorter));
    for limits in [with_ttl(TTL / 100), with_ttl(TTL * 100), limits(101)] {
        let other = kept_or_new(Some(Arc::clone(&table)), limits);
        assert!(other.is_empty() && !Arc::ptr_eq(&table, &other));
    }
}

#[test]
fn a_key_has_one_entry_however_often_it_is_bound() {
    let table = SessionTable::new(limits(1));
    let all: Vec<_> = keys(9).take(3).collect();
    for round in 0..100 {
        for key in &all {
            assert_eq!(table.put(*key, round, at(1)), Stored::Fits);
            assert_eq!(table.find(*key, at(1)), Some(round));
        }
    }
    assert_eq!(table.len(), 3);
}

#[test]
fn the_same_bytes_are_another_key_in_another_table() {
    let (one, other) = (SessionTable::new(limits(1)), SessionTable::new(limits(1)));
    assert_eq!(one.key(b"abc"), one.key(b"abc"));
    assert_ne!(one.key(b"abc"), other.key(b"abc"), "nobody can aim at a bucket");
}

/// Random operations against a map. No more sessions than the limit, so the table may forget none.
#[test]
fn it_says_what_a_map_would_say() {
    for seed in 0..50 {
        let mut rng = SeededRng::new(seed);
        let table = SessionTable::new(limits(256));
        let keys: Vec<_> = keys(seed).take(256).collect();
        let mut map = std::collections::HashMap::new();
        let mut now = 0;
        for _ in 0..2_000 {
            now += rng.below(3);
            let index = rng.below(256) as usize;
            // Some way from the end of an entry's time, which is rounded.
            let expected = map.get(&index).copied().filter(|(_, used)| now - used < 1_023);
            let is_sure = map.get(&index).is_none_or(|(_, used)| !(1_023..=1_026).contains(&(now - used)));
            match rng.below(4) {
                0 => {
                    let id = rng.below(1 << 20) as u32;
                    assert_eq!(table.put(keys[index], id, at(now)), Stored::Fits);
                    map.insert(index, (id, now));
                }
                1 => table.sweep(at(now)),
                _ if is_sure => {
                    assert_eq!(table.find(keys[index], at(now)), expected.map(|(id, _)| id), "seed {seed}");
                    if let Some((id, _)) = expected {
                        map.insert(index, (id, now));
                    }
                }
                _ => {}
            }
        }
        table.check_invariants();
    }
}

/// Workers that write at once never tear an entry: whatever is found was put there for that key.
#[test]
fn workers_at_once_lose_nothing_but_what_is_pushed_out() {
    let table = SessionTable::new(limits(64));
    let keys: Vec<_> = keys(5).take(1_000).collect();
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let (table, keys) = (&table, &keys);
            scope.spawn(move || {
                let mut rng = SeededRng::new(worker);
                for step in 0..50_000 {
                    let index = rng.below(1_000) as usize;
                    let now = at(step / 10);
                    if rng.below(2) == 0 {
                        table.put(keys[index], index as u32, now);
                    } else if let Some(id) = table.find(keys[index], now) {
                        assert_eq!(id as usize, index);
                    }
                    if step % 1_000 == 0 {
                        table.sweep(now);
                    }
                }
            });
        }
    });
    table.check_invariants();
    assert!(table.len() as usize <= table.capacity());
}
