//! `power-of-two`: the less loaded of two endpoints drawn at random.
//!
//! Two choices instead of one shorten the longest queue from log n / log log n to log log n (Azar, Broder, Karlin and Upfal
//! 1994; Mitzenmacher 1996), without looking at all endpoints, and without all instances rushing to the same one.

use std::sync::Arc;

use base_kit::{KindInfo, Moment, Rng, Status};

use crate::balancer::{
    Balancer, BalancerKind, Member, NoSettings, RequestFacts, SettingsError, read_settings,
};
use crate::endpoint::{EndpointId, EndpointState};
use crate::methods::draw::Urn;

/// The kind.
pub(super) struct PowerOfTwoKind;

const NAME: &str = "power-of-two";

impl BalancerKind for PowerOfTwoKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "Of two endpoints drawn at random, heavier ones more often, the one that has fewer requests in \
                      flight for its weight.",
            status: Status::Stable,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(NoSettings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let NoSettings {} = read_settings(NAME, settings)?;
        Ok(Box::new(PowerOfTwo::default()))
    }
}

#[derive(Debug)]
struct Entry {
    weight: u32,
    state: Arc<EndpointState>,
}

#[derive(Debug, Default)]
pub(super) struct PowerOfTwo {
    urn: Urn,
    entries: Vec<Entry>,
}

impl PowerOfTwo {
    /// Whether the second has clearly less to do; of two that are equal the first drawn stays.
    fn prefers(&self, second: usize, first: usize) -> bool {
        let (Some(first), Some(second)) = (self.entries.get(first), self.entries.get(second)) else {
            return false;
        };
        let load = |entry: &Entry| u64::from(entry.state.in_flight()) + 1;
        // Below 2^48, so nothing overflows.
        load(second) * u64::from(first.weight) < load(first) * u64::from(second.weight)
    }
}

impl Balancer for PowerOfTwo {
    fn update(&mut self, members: &[Member]) {
        self.urn.fill(members);
        self.entries.clear();
        let entry = |member: &Member| Entry { weight: member.weight, state: Arc::clone(&member.state) };
        self.entries.extend(members.iter().map(entry));
    }

    fn pick(
        &mut self,
        _request: &RequestFacts,
        tried: &[EndpointId],
        _now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        let (first, second) = self.urn.draw_two(tried, rng)?;
        Some(second.filter(|&second| self.prefers(second, first)).unwrap_or(first))
    }

    fn check_invariants(&self) {
        self.urn.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, members};
    use base_kit::SeededRng;

    #[test]
    fn the_busier_of_two_is_never_picked() {
        let members = members(&[1, 1]);
        assert!(members[0].state.try_begin(10));
        let mut balancer = PowerOfTwo::default();
        balancer.update(&members);
        let mut rng = SeededRng::new(1);
        for _ in 0..100 {
            assert_eq!(balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng), Some(1));
        }
    }

    #[test]
    fn the_busiest_of_many_is_picked_never_and_the_next_hardly() {
        let members = members(&[1; 4]);
        for (member, load) in members.iter().zip([3, 2, 1, 0]) {
            (0..load).for_each(|_| assert!(member.state.try_begin(10)));
        }
        let mut balancer = PowerOfTwo::default();
        balancer.update(&members);
        let mut rng = SeededRng::new(1);
        let mut counts = [0_u32; 4];
        for _ in 0..6_000 {
            counts[balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng).unwrap()] += 1;
        }
        // Of the six pairs each wins those in which it is the idler.
        for (count, pairs) in counts.into_iter().zip([0, 1, 2, 3]) {
            assert!(count.abs_diff(pairs * 1_000) < 150, "{counts:?}");
        }
    }
}
