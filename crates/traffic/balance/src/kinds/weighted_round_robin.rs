//! `weighted-round-robin`: turns in proportion to weight, spread as evenly as they go.
//!
//! Earliest deadline first: each member has its next turn at a point of virtual time, and `1 / weight` after a turn the
//! next one. A heap gives the earliest in O(log n), whatever the weights. The first turns lie at random within one
//! period, so workers do not walk in step.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashMap};

use base_kit::{KindInfo, Moment, Rng, Status};

use crate::balancer::{
    Balancer, BalancerKind, Member, NoSettings, RequestFacts, SettingsError, read_settings,
};
use crate::endpoint::EndpointId;

/// The kind.
pub(super) struct WeightedRoundRobinKind;

const NAME: &str = "weighted-round-robin";

impl BalancerKind for WeightedRoundRobinKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "Endpoints take turns in proportion to their weights, each one's turns spread evenly \
                      (smooth), so that a heavy endpoint gets no bursts.",
            status: Status::Stable,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(NoSettings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let NoSettings {} = read_settings(NAME, settings)?;
        Ok(Box::new(WeightedRoundRobin::default()))
    }
}

/// The period of weight 1 in virtual time. Large enough that dividing it by the largest weight loses nothing that
/// shows: less than one turn in 10 million. In 128 bits the time never runs out.
const PERIOD_OF_ONE: u128 = 1 << 40;

/// When a member has its next turn; ordered by that, then by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    at: u128,
    index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    id: EndpointId,
    weight: u32,
}

impl Entry {
    fn period(self) -> u128 {
        PERIOD_OF_ONE / u128::from(self.weight.max(1))
    }
}

#[derive(Debug, Default)]
struct WeightedRoundRobin {
    /// In the order given.
    entries: Vec<Entry>,
    /// One turn for each of them.
    turns: BinaryHeap<Reverse<Turn>>,
    /// Turns taken out while looking for one that was not tried; as large as `entries`, so that it never grows.
    aside: Vec<Reverse<Turn>>,
    /// The virtual time of the last pick.
    now: u128,
    /// Indices of new members, whose first turn is still to be drawn.
    unplaced: Vec<usize>,
}

impl WeightedRoundRobin {
    fn place(&mut self, rng: &mut dyn Rng) {
        while let Some(index) = self.unplaced.pop() {
            let Some(entry) = self.entries.get(index) else { continue };
            let phase = u128::from(rng.below(entry.period() as u64));
            self.turns.push(Reverse(Turn { at: self.now + phase, index }));
        }
    }
}

impl Balancer for WeightedRoundRobin {
    fn update(&mut self, members: &[Member]) {
        let entries: Vec<Entry> =
            members.iter().map(|member| Entry { id: member.id, weight: member.weight }).collect();
        if entries == self.entries {
            return;
        }
        // Who stays with its weight keeps its turn; all others draw a new one.
        let mut known = HashMap::with_capacity(self.entries.len());
        for Reverse(turn) in self.turns.drain() {
            if let Some(entry) = self.entries.get(turn.index) {
                known.insert(entry.id, (entry.weight, turn.at));
            }
        }
        self.unplaced.clear();
        self.turns.reserve(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match known.get(&entry.id) {
                Some(&(weight, at)) if weight == entry.weight => self.turns.push(Reverse(Turn { at, index })),
                _ => self.unplaced.push(index),
            }
        }
        self.aside.clear();
        self.aside.reserve(entries.len());
        self.entries = entries;
    }

    fn pick(
        &mut self,
        _request: &RequestFacts,
        tried: &[EndpointId],
        _now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        self.place(rng);
        let mut picked = None;
        while let Some(mut earliest) = self.turns.peek_mut() {
            let turn = earliest.0;
            let Some(entry) = self.entries.get(turn.index) else { break };
            if tried.contains(&entry.id) {
                self.aside.push(PeekMut::pop(earliest));
                continue;
            }
            earliest.0.at = turn.at + entry.period();
            // A turn that was passed over lies in the past; time does not go back for it.
            self.now = self.now.max(turn.at);
            picked = Some(turn.index);
            break;
        }
        self.turns.extend(self.aside.drain(..));
        picked
    }

    fn check_invariants(&self) {
        assert_eq!(self.turns.len() + self.unplaced.len(), self.entries.len(), "a turn for each member");
        assert!(self.aside.is_empty());
        let mut seen = vec![false; self.entries.len()];
        for index in self.turns.iter().map(|turn| turn.0.index).chain(self.unplaced.iter().copied()) {
            let first = seen.get_mut(index).is_some_and(|seen| !std::mem::replace(seen, true));
            assert!(first, "member {index} has two turns or is none");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, members, picks};
    use base_kit::SeededRng;

    #[test]
    fn turns_of_one_member_lie_evenly() {
        let mut balancer = WeightedRoundRobin::default();
        balancer.update(&members(&[5, 1, 1]));
        let picked = picks(&mut balancer, 7_000, 9);
        for index in [1, 2] {
            let places: Vec<usize> = (0..picked.len()).filter(|&place| picked[place] == index).collect();
            assert!(places.windows(2).all(|pair| (6..=8).contains(&(pair[1] - pair[0]))), "member {index}");
        }
        assert!(picked.windows(9).all(|window| window.iter().any(|&index| index != 0)));
    }

    #[test]
    fn counts_stay_near_the_share_all_the_time() {
        let weights = [65_535, 1_000, 7, 7, 300];
        let total: u32 = weights.iter().sum();
        let mut balancer = WeightedRoundRobin::default();
        balancer.update(&members(&weights));
        let mut counts = [0.0_f64; 5];
        for (place, index) in picks(&mut balancer, 200_000, 4).into_iter().enumerate() {
            counts[index] += 1.0;
            for (count, weight) in counts.iter().zip(weights) {
                let share = (place + 1) as f64 * f64::from(weight) / f64::from(total);
                assert!((count - share).abs() <= 5.0, "after {place}: {counts:?}");
            }
        }
    }

    #[test]
    fn members_that_stay_keep_their_turn() {
        let all = members(&[1, 1, 1, 1]);
        let mut balancer = WeightedRoundRobin::default();
        let mut rng = SeededRng::new(1);
        balancer.update(&all);
        let first: Vec<usize> =
            (0..3).filter_map(|_| balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng)).collect();
        let gone = first[2];
        let rest: Vec<Member> = all.iter().filter(|member| member.id != all[gone].id).cloned().collect();
        balancer.update(&rest);
        balancer.check_invariants();
        let next = balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng).unwrap();
        assert!(first.iter().all(|&index| all[index].id != rest[next].id), "the fourth was due");
    }
}
