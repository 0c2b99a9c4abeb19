//! Tests of the levels of a pool, with figures worked out by hand.

use std::collections::HashMap;

use base_kit::{Rng, SeededRng};
use base_model::model::{Endpoint, Pool};

use super::*;
use crate::endpoint::{AdminState, AgentWish, Health};
use crate::fixture::{endpoint, pool};
use crate::pool::PoolState;
use crate::transition::CauseKind;

/// Tier and zone of each endpoint.
type Places<'a> = &'a [(u8, &'a str)];

/// A node in the zone `a`, with what the configuration says if nothing is given, but for this.
fn pool_at(places: Places<'_>, change: impl FnOnce(&mut Preference)) -> Arc<PoolState> {
    let place = |(number, (tier, zone)): (usize, &(u8, &str))| Endpoint {
        tier: *tier,
        zone: Some(*zone).filter(|zone| !zone.is_empty()).map(Into::into),
        ..endpoint(number, 1)
    };
    let mut settings: Pool = pool("p", places.iter().enumerate().map(place).collect());
    settings.preference.zone = Some("a".into());
    change(&mut settings.preference);
    PoolState::new(&settings)
}

/// Takes out all but those at these indices.
fn leave(pool: &PoolState, fit: &[usize]) {
    for (index, endpoint) in pool.endpoints().iter().enumerate() {
        let health = if fit.contains(&index) { Health::Up } else { Health::Down };
        endpoint.set_health(health, CauseKind::TcpCheck, "test");
    }
}

/// Number and share, in thousandths, of each level.
fn shares(pool: &PoolState) -> Vec<(u8, u32)> {
    let levels = pool.levels(Moment::ZERO);
    levels.iter().map(|level| (level.number, (level.share * 1e3).round() as u32)).collect()
}

/// The same when only those at these indices are fit.
fn shares_of(pool: &PoolState, fit: &[usize]) -> Vec<(u8, u32)> {
    leave(pool, fit);
    shares(pool)
}

const TWO_ZONES: Places<'_> = &[(0, "a"), (0, "a"), (0, "a"), (0, "b"), (0, "b"), (0, "b")];

#[test]
fn the_own_zone_takes_all_until_it_no_longer_suffices() {
    // Its equal part of 6 is 3, and 70 % of that is 2.1.
    let pool = pool_at(TWO_ZONES, |_| {});
    assert_eq!(shares_of(&pool, &[0, 1, 2, 3, 4, 5]), [(0, 1_000), (1, 0)]);
    assert_eq!(shares_of(&pool, &[0, 1, 3, 4, 5]), [(0, 952), (1, 48)]);
    assert_eq!(shares_of(&pool, &[0, 3, 4, 5]), [(0, 476), (1, 524)]);
    assert_eq!(shares_of(&pool, &[3, 4, 5]), [(1, 1_000)], "nothing near is left");
    assert_eq!(shares_of(&pool, &[0]), [(0, 1_000)], "nothing far is left");
    assert_eq!(shares_of(&pool, &[]), []);
}

#[test]
fn a_zone_is_measured_by_its_equal_part() {
    // 12 in three zones: 4 each, of which 2.8 suffice.
    let mut places = TWO_ZONES.to_vec();
    places.extend([(0, "c"); 6]);
    let all: Vec<usize> = (0..12).collect();
    let pool = pool_at(&places, |_| {});
    assert_eq!(shares_of(&pool, &all), [(0, 1_000), (1, 0)]);
    assert_eq!(shares_of(&pool, &all[1..]), [(0, 714), (1, 286)]);
    // One of six is too little for a zone, even if it is all that the zone has.
    let small = pool_at(&TWO_ZONES[2..], |_| {});
    assert_eq!(shares(&small), [(0, 714), (1, 286)], "1 of the 1.4 that would suffice");
    let whole = pool_at(&TWO_ZONES[2..], |preference| preference.zone_suffices = 0.0);
    assert_eq!(shares(&whole), [(0, 1_000), (1, 0)], "at 0 % a zone goes on to its last");
}

#[test]
fn endpoints_of_no_zone_are_a_zone() {
    let pool = pool_at(&[(0, "a"), (0, ""), (0, "")], |_| {});
    // 3 in two zones: 1.5 each, of which 1.05 would suffice.
    assert_eq!(shares(&pool), [(0, 952), (1, 48)]);
    let unzoned = pool_at(&[(0, ""), (0, "")], |_| {});
    assert_eq!(shares(&unzoned), [(1, 1_000)], "where nobody has a zone there is one level");
    let nowhere = pool_at(TWO_ZONES, |preference| preference.zone = None);
    assert_eq!(shares(&nowhere), [(0, 1_000)], "a node of no zone makes no difference between them");
}

#[test]
fn weights_count_not_heads() {
    let pool = pool_at(TWO_ZONES, |_| {});
    pool.set_weight("10.0.0.0:80", 4).unwrap();
    // 9 in two zones: 4.5 each, of which 3.15 suffice; the heavy one alone does.
    assert_eq!(shares_of(&pool, &[0, 3, 4, 5]), [(0, 1_000), (1, 0)]);
    assert_eq!(shares_of(&pool, &[1, 2, 3, 4, 5]), [(0, 635), (1, 365)]);
    pool.set_weight("10.0.0.0:80", 0).unwrap();
    // 5 in two zones: 2.5 each, of which 1.75 suffice.
    assert_eq!(shares_of(&pool, &[0, 1, 3, 4, 5]), [(0, 571), (1, 429)]);
}

const THREE_TIERS: Places<'_> = &[(0, "a"), (0, "a"), (1, "a"), (1, "a"), (4, "a"), (4, "a")];

#[test]
fn a_backup_takes_over_when_nothing_is_left() {
    let pool = pool_at(THREE_TIERS, |_| {});
    assert_eq!(shares_of(&pool, &[0, 1, 2, 3, 4, 5]), [(0, 1_000), (2, 0), (8, 0)]);
    assert_eq!(shares_of(&pool, &[1, 2, 3, 4, 5]), [(0, 1_000), (2, 0), (8, 0)]);
    assert_eq!(shares_of(&pool, &[3, 4, 5]), [(2, 1_000), (8, 0)]);
    assert_eq!(shares_of(&pool, &[5]), [(8, 1_000)]);
    assert_eq!(shares_of(&pool, &[1, 5]), [(0, 1_000), (8, 0)], "and gives back");
}

#[test]
fn tiers_spill_over_in_proportion() {
    let pool = pool_at(THREE_TIERS, |preference| preference.tier_suffices = 1.0);
    assert_eq!(shares_of(&pool, &[0, 2, 3, 4, 5]), [(0, 500), (2, 500), (8, 0)]);
    assert_eq!(shares_of(&pool, &[0, 2, 4, 5]), [(0, 500), (2, 250), (8, 250)]);
    // A half, a quarter and an eighth: together they have to do all of it.
    assert_eq!(shares_of(&pool, &[0, 2, 4]), [(0, 571), (2, 286), (8, 143)]);
    assert_eq!(shares_of(&pool, &[2, 4, 5]), [(2, 500), (8, 500)]);
    assert_eq!(shares_of(&pool, &[2]), [(2, 1_000)]);
}

#[test]
fn tiers_come_before_zones() {
    let places = [(0, "a"), (0, "a"), (0, "b"), (0, "b"), (1, "a"), (1, "b")];
    // Of the first tier 2 suffice, and of its half in the own zone 1.4.
    let pool = pool_at(&places, |preference| preference.tier_suffices = 0.5);
    assert_eq!(shares_of(&pool, &[0, 1, 2, 3, 4, 5]), [(0, 1_000), (1, 0), (2, 0), (3, 0)]);
    assert_eq!(shares_of(&pool, &[0, 2, 3, 4, 5]), [(0, 714), (1, 286), (2, 0), (3, 0)]);
    assert_eq!(shares_of(&pool, &[2, 3, 4, 5]), [(1, 1_000), (2, 0), (3, 0)], "far, before the backup near");
    assert_eq!(shares_of(&pool, &[2, 4, 5]), [(1, 500), (2, 500), (3, 0)]);
    assert_eq!(shares_of(&pool, &[0, 5]), [(0, 500), (3, 500)]);
}

#[test]
fn who_was_taken_out_on_purpose_is_missing_too() {
    let pool = pool_at(TWO_ZONES, |_| {});
    pool.set_admin_state("10.0.0.0:80", AdminState::Drain, "test").unwrap();
    assert_eq!(shares(&pool), [(0, 952), (1, 48)]);
}

#[test]
fn what_agents_leave_counts() {
    let pool = pool_at(TWO_ZONES, |_| {});
    let ask = |index: usize, percent: u32| {
        let wish = AgentWish { percent, ..AgentWish::READY };
        pool.endpoints()[index].set_agent(Some(wish), CauseKind::AgentCheck, "test");
    };
    ask(0, 50);
    assert_eq!(shares(&pool), [(0, 1_000), (1, 0)], "2.5 of the 2.1 that suffice");
    ask(1, 5);
    assert_eq!(shares(&pool), [(0, 738), (1, 262)], "1.55 of 2.1");
    ask(2, 300);
    assert_eq!(shares(&pool), [(0, 738), (1, 262)], "more than all of it is all of it");
}

#[test]
fn whatever_fails_all_traffic_has_a_place() {
    let mut rng = SeededRng::new(7);
    for _ in 0..300 {
        let zones = ["a", "b", "c", ""];
        let count = 1 + rng.below(9) as usize;
        let places: Vec<(u8, &str)> =
            (0..count).map(|_| (rng.below(3) as u8, zones[rng.below(4) as usize])).collect();
        let pool = pool_at(&places, |preference| {
            preference.tier_suffices = rng.below(101) as f64 / 100.0;
            preference.zone_suffices = rng.below(101) as f64 / 100.0;
            preference.panic_below = rng.below(101) as f64 / 100.0;
        });
        for _ in 0..20 {
            let fit: Vec<usize> = (0..count).filter(|_| rng.below(2) == 0).collect();
            leave(&pool, &fit);
            let levels = pool.levels(Moment::ZERO);
            let sum: f64 = levels.iter().map(|level| level.share).sum();
            assert!(levels.is_empty() || (sum - 1.0).abs() < 1e-9, "{places:?} {fit:?}: {levels:?}");
            assert!(levels.iter().all(|level| level.share >= 0.0 && !level.members.is_empty()));
            assert!(levels.is_sorted_by(|a, b| a.number < b.number));
            assert!(!levels.is_empty() || fit.is_empty());
        }
    }
}

#[test]
fn a_panic_stays_where_something_is_fit() {
    let places = [(0, "a"), (0, "a"), (0, "a"), (0, "b"), (1, "a")];
    let pool = pool_at(&places, |preference| preference.panic_below = 0.6);
    let sizes = |pool: &PoolState| -> Vec<usize> {
        pool.levels(Moment::ZERO).iter().map(|level| level.members.len()).collect()
    };
    assert_eq!(shares_of(&pool, &[0, 1, 2]), [(0, 1_000)], "60 % is no panic");
    // In a panic all are members; the shares go by who is fit.
    assert_eq!(shares_of(&pool, &[0, 3]), [(0, 714), (1, 286), (2, 0)]);
    assert_eq!(sizes(&pool), [3, 1, 1]);
    assert_eq!(
        shares_of(&pool, &[4]),
        [(0, 0), (1, 0), (2, 1_000)],
        "the backup that is fit, not what is dead"
    );
    assert_eq!(shares_of(&pool, &[]), [(0, 1_000), (1, 0), (2, 0)], "nothing is fit: as if all were");
    assert_eq!(sizes(&pool), [3, 1, 1]);
}

/// The names of what a node of this name uses.
fn subset_of(node: &str, size: u32, places: Places<'_>, out: &[usize]) -> Vec<String> {
    let pool = pool_at(places, |preference| preference.subset = Some(Subset { size, node: node.into() }));
    let fit: Vec<usize> = (0..places.len()).filter(|index| !out.contains(index)).collect();
    leave(&pool, &fit);
    pool.eligible(Moment::ZERO).iter().map(|member| member.state.name().to_owned()).collect()
}

#[test]
fn a_subset_hangs_on_the_name_of_the_node_alone() {
    let places = [(0, "a"); 20];
    let first = subset_of("edge-1", 5, &places, &[]);
    assert_eq!(first.len(), 5);
    assert_eq!(first, subset_of("edge-1", 5, &places, &[]));
    assert_ne!(first, subset_of("edge-2", 5, &places, &[]));
    assert_eq!(subset_of("edge-1", 20, &places, &[]).len(), 20, "as many as there are");
    assert_eq!(subset_of("edge-1", 99, &places, &[]).len(), 20, "or fewer");
    let larger = subset_of("edge-1", 6, &places, &[]);
    assert!(first.iter().all(|name| larger.contains(name)), "one more leaves the others");
}

#[test]
fn subsets_are_spread_evenly_over_many_nodes() {
    let mut uses: HashMap<String, u32> = HashMap::new();
    let nodes = 2_000;
    for node in 0..nodes {
        for name in subset_of(&format!("edge-{node}"), 5, &[(0, "a"); 20], &[]) {
            *uses.entry(name).or_default() += 1;
        }
    }
    // 500 of each, with a standard deviation of 19.
    assert!(uses.len() == 20 && uses.values().all(|uses| (415..585).contains(uses)), "{uses:?}");
}

#[test]
fn one_that_goes_is_replaced_by_one() {
    let places = [(0, "a"); 20];
    let mut heirs = BTreeSet::new();
    for node in 0..200 {
        let node = format!("edge-{node}");
        let before = subset_of(&node, 5, &places, &[]);
        let after = subset_of(&node, 5, &places, &[0]);
        let lost: Vec<_> = before.iter().filter(|name| !after.contains(name)).collect();
        let won: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
        if before.contains(&"10.0.0.0:80".to_owned()) {
            assert_eq!((lost.as_slice(), won.len()), (&[&"10.0.0.0:80".to_owned()][..], 1));
            heirs.insert(won[0].clone());
        } else {
            assert_eq!(before, after);
        }
    }
    assert!(heirs.len() > 10, "its nodes do not all move to the same: {heirs:?}");
}

#[test]
fn each_level_has_a_subset() {
    let names = subset_of("edge-1", 2, TWO_ZONES, &[]);
    assert_eq!(names.len(), 4);
    assert_eq!(subset_of("edge-1", 2, TWO_ZONES, &[0, 1, 2]).len(), 2);
}
