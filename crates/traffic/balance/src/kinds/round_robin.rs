//! `round-robin`: one after the other, heavier ones more often, in whole rounds.
//!
//! Interleaved weighted round robin: in round `r` of a cycle (from 0) every member whose weight is more than `r` has one
//! turn. Members are kept by falling weight, so a round is a walk over the first few of them and a pick costs O(1).
//! With equal weights this is the plain rotation.

use base_kit::{KindInfo, Moment, Rng, Status};

use crate::balancer::{
    Balancer, BalancerKind, Member, NoSettings, RequestFacts, SettingsError, read_settings,
};
use crate::endpoint::EndpointId;

/// The kind.
pub(super) struct RoundRobinKind;

const NAME: &str = "round-robin";

impl BalancerKind for RoundRobinKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "Endpoints take turns in whole rounds; weight 3 gives three turns where weight 1 gives one, \
                      and equal weights give equal turns.",
            status: Status::Stable,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(NoSettings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let NoSettings {} = read_settings(NAME, settings)?;
        Ok(Box::new(RoundRobin::default()))
    }
}

/// A member and its turns per cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    id: EndpointId,
    /// In the members last given.
    index: usize,
    /// Weight, divided by what all weights have in common.
    turns: u32,
}

#[derive(Debug, Default)]
struct RoundRobin {
    /// By falling weight, otherwise in the order given.
    order: Vec<Turn>,
    /// How many of them have a turn in this round: the first so many.
    active: usize,
    /// Whose turn is next, in `order`.
    next: usize,
    round: u32,
    /// Whether the place to start from is still to be drawn.
    unplaced: bool,
}

impl RoundRobin {
    /// Draws a place in the cycle, each turn as likely as the other, so that workers do not walk in step.
    fn place(&mut self, rng: &mut dyn Rng) {
        self.unplaced = false;
        let total = self.order.iter().map(|turn| u64::from(turn.turns)).sum();
        let mut turn = rng.below(total);
        let mut rounds_before = 0_u32;
        // From the lightest on: until its turns are used up all members are active, after that one less.
        for active in (1..=self.order.len()).rev() {
            let Some(lightest) = self.order.get(active - 1) else { break };
            let width = active as u64;
            let turns = u64::from(lightest.turns - rounds_before) * width;
            if turn < turns {
                self.active = active;
                self.round = rounds_before + (turn / width) as u32;
                self.next = (turn % width) as usize;
                return;
            }
            turn -= turns;
            rounds_before = lightest.turns;
        }
    }

    /// The turn that is due; moves on.
    fn advance(&mut self) -> Option<Turn> {
        let due = self.order.get(self.next).copied();
        self.next += 1;
        if self.next >= self.active {
            self.begin_round();
        }
        due
    }

    fn begin_round(&mut self) {
        self.next = 0;
        self.round += 1;
        if self.order.first().is_none_or(|heaviest| self.round >= heaviest.turns) {
            self.round = 0;
            self.active = self.order.len();
        }
        let over = |turn: &Turn| turn.turns <= self.round;
        while self.active > 0 && self.order.get(self.active - 1).is_some_and(over) {
            self.active -= 1;
        }
    }
}

impl Balancer for RoundRobin {
    fn update(&mut self, members: &[Member]) {
        let common =
            members.iter().fold(0, |divisor, member| greatest_common_divisor(divisor, member.weight));
        let turn = |(index, member): (usize, &Member)| Turn {
            id: member.id,
            index,
            turns: member.weight / common.max(1),
        };
        let mut order: Vec<Turn> = members.iter().enumerate().map(turn).collect();
        order.sort_by_key(|turn| std::cmp::Reverse(turn.turns));
        if order != self.order {
            self.order = order;
            self.unplaced = true;
        }
    }

    fn pick(
        &mut self,
        _request: &RequestFacts,
        tried: &[EndpointId],
        _now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        if self.order.is_empty() {
            return None;
        }
        if self.unplaced {
            self.place(rng);
        }
        // A retry uses up turns like any request, so that the endpoint after a broken one is not asked twice as often.
        for _ in 0..=tried.len().min(self.order.len()) {
            let due = self.advance()?;
            if !tried.contains(&due.id) {
                return Some(due.index);
            }
        }
        // A heavy endpoint that was tried can have all turns for long: look further without using turns up.
        let (before, after) = self.order.split_at_checked(self.next)?;
        after.iter().chain(before).find(|turn| !tried.contains(&turn.id)).map(|turn| turn.index)
    }

    fn check_invariants(&self) {
        assert!(self.order.is_sorted_by_key(|turn| std::cmp::Reverse(turn.turns)));
        if self.order.is_empty() || self.unplaced {
            return;
        }
        assert!(self.next < self.active && self.active <= self.order.len(), "{self:?}");
        let active = self.order.iter().filter(|turn| turn.turns > self.round).count();
        assert_eq!(active, self.active, "round {}", self.round);
    }
}

const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, members, picks};
    use base_kit::SeededRng;

    #[test]
    fn equal_weights_give_the_plain_rotation() {
        let mut balancer = RoundRobin::default();
        balancer.update(&members(&[7, 7, 7]));
        let picked = picks(&mut balancer, 9, 1);
        for window in picked.windows(2) {
            assert_eq!((window[0] + 1) % 3, window[1], "{picked:?}");
        }
    }

    #[test]
    fn a_cycle_holds_each_member_as_often_as_it_weighs() {
        for seed in 0..50 {
            let mut balancer = RoundRobin::default();
            balancer.update(&members(&[10, 30, 20]));
            let picked = picks(&mut balancer, 6, seed);
            let count = |index| picked.iter().filter(|&&picked| picked == index).count();
            assert_eq!((count(0), count(1), count(2)), (1, 3, 2), "seed {seed}: {picked:?}");
            balancer.check_invariants();
        }
    }

    #[test]
    fn every_place_of_the_cycle_is_a_start() {
        let members = members(&[3, 1]);
        let mut starts = std::collections::HashSet::new();
        for seed in 0..200 {
            let mut balancer = RoundRobin::default();
            balancer.update(&members);
            starts.insert(picks(&mut balancer, 4, seed));
        }
        assert_eq!(starts.len(), 4, "{starts:?}");
    }

    #[test]
    fn the_same_members_again_do_not_move_the_turn() {
        let members = members(&[1, 1, 1, 1]);
        let mut balancer = RoundRobin::default();
        let mut rng = SeededRng::new(3);
        balancer.update(&members);
        let first = balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng).unwrap();
        balancer.update(&members);
        assert_eq!(balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng), Some((first + 1) % 4));
    }

    #[test]
    fn a_light_endpoint_is_found_behind_a_heavy_one_that_was_tried() {
        let members = members(&[65_535, 1]);
        let mut balancer = RoundRobin::default();
        balancer.update(&members);
        let mut rng = SeededRng::new(5);
        for _ in 0..100 {
            assert_eq!(balancer.pick(&CLIENT, &[members[0].id], Moment::ZERO, &mut rng), Some(1));
        }
    }
}
