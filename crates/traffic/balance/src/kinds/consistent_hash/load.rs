//! Bounded loads (Mirrokni, Thorup and Zadimoghaddam 2016): no endpoint gets more than a factor of its fair share.

use crate::balancer::Member;
use crate::endpoint::EndpointState;

/// The requests in flight of all members are added up once in so many picks per member: on average each pick looks at this many.
const LOOKS_PER_PICK: usize = 8;

#[derive(Debug)]
pub(super) struct LoadBound {
    factor: f64,
    /// Each member's share of the total weight.
    shares: Vec<f64>,
    /// Requests in flight over all members, when last added up.
    total: f64,
    picks_left: usize,
}

impl LoadBound {
    pub(super) const fn new(factor: f64) -> Self {
        Self { factor, shares: Vec::new(), total: 0.0, picks_left: 0 }
    }

    pub(super) fn fill(&mut self, members: &[Member]) {
        let total: f64 = members.iter().map(|member| f64::from(member.weight)).sum();
        self.shares.clear();
        self.shares.extend(members.iter().map(|member| f64::from(member.weight) / total));
        self.picks_left = 0;
    }

    /// Adds up what is in flight, if it is time to.
    pub(super) fn look<'a>(&mut self, states: impl Iterator<Item = &'a EndpointState>) {
        if self.picks_left > 0 {
            self.picks_left -= 1;
            return;
        }
        self.total = states.map(|state| f64::from(state.in_flight())).sum();
        self.picks_left = self.shares.len() / LOOKS_PER_PICK;
    }

    /// Whether a member with so many in flight may get one more.
    pub(super) fn has_room(&self, index: usize, in_flight: u32) -> bool {
        let share = self.shares.get(index).copied().unwrap_or_default();
        let most = (self.factor * share * (self.total + 1.0)).ceil();
        f64::from(in_flight) < most
    }
}
