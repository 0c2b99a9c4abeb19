//! `least-connections`: the endpoint with the fewest requests in flight for its weight.

use std::sync::Arc;

use base_kit::{KindInfo, Moment, Rng, Status};

use crate::balancer::{
    Balancer, BalancerKind, Member, NoSettings, RequestFacts, SettingsError, read_settings,
};
use crate::endpoint::{EndpointId, EndpointState};

/// The kind.
pub(super) struct LeastConnectionsKind;

const NAME: &str = "least-connections";

impl BalancerKind for LeastConnectionsKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "The endpoint that would have the fewest requests in flight for its weight, counted over all \
                      workers; those that are equal take turns.",
            status: Status::Stable,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(NoSettings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let NoSettings {} = read_settings(NAME, settings)?;
        Ok(Box::new(LeastConnections::default()))
    }
}

#[derive(Debug)]
struct Entry {
    id: EndpointId,
    weight: u32,
    state: Arc<EndpointState>,
}

#[derive(Debug, Default)]
struct LeastConnections {
    entries: Vec<Entry>,
    /// Where the next look begins: right behind the last pick. Of several that are equal the first wins, so they take
    /// turns.
    start: usize,
    /// Whether the place to start from is still to be drawn.
    unplaced: bool,
}

/// The best so far.
#[derive(Clone, Copy)]
struct Best {
    index: usize,
    load: u64,
    weight: u64,
}

impl Best {
    /// `self.load / self.weight > load / weight`, without dividing. Below 2^48, so nothing overflows.
    const fn is_worse_than(self, load: u64, weight: u64) -> bool {
        self.load * weight > load * self.weight
    }
}

fn least(entries: &[Entry], offset: usize, tried: &[EndpointId], mut best: Option<Best>) -> Option<Best> {
    for (index, entry) in entries.iter().enumerate() {
        let (load, weight) = (u64::from(entry.state.in_flight()) + 1, u64::from(entry.weight));
        let better = best.is_none_or(|best| best.is_worse_than(load, weight));
        if better && !tried.contains(&entry.id) {
            best = Some(Best { index: offset + index, load, weight });
        }
    }
    best
}

impl Balancer for LeastConnections {
    fn update(&mut self, members: &[Member]) {
        let stays = self.entries.len() == members.len()
            && self.entries.iter().zip(members).all(|(entry, member)| entry.id == member.id);
        self.unplaced |= !stays;
        self.entries.clear();
        let entry = |member: &Member| Entry {
            id: member.id,
            weight: member.weight,
            state: Arc::clone(&member.state),
        };
        self.entries.extend(members.iter().map(entry));
    }

    fn pick(
        &mut self,
        _request: &RequestFacts,
        tried: &[EndpointId],
        _now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        if std::mem::take(&mut self.unplaced) {
            self.start = rng.below(self.entries.len() as u64) as usize;
        }
        let (before, after) = self.entries.split_at_checked(self.start)?;
        let best = least(after, self.start, tried, None);
        let best = least(before, 0, tried, best)?.index;
        self.start = if best + 1 < self.entries.len() { best + 1 } else { 0 };
        Some(best)
    }

    fn check_invariants(&self) {
        assert!(self.unplaced || self.start < self.entries.len().max(1), "{} is no place", self.start);
        assert!(self.entries.iter().all(|entry| entry.weight > 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, members, picks};
    use base_kit::SeededRng;

    #[test]
    fn equals_take_turns_and_a_busy_one_is_left_out() {
        let members = members(&[1, 1, 1, 1]);
        assert!(members[2].state.try_begin(10));
        let mut balancer = LeastConnections::default();
        balancer.update(&members);
        let picked = picks(&mut balancer, 300, 8);
        for index in [0, 1, 3] {
            assert_eq!(picked.iter().filter(|&&picked| picked == index).count(), 100);
        }
        members[2].state.end();
    }

    #[test]
    fn the_load_is_measured_by_weight() {
        let members = members(&[3, 1]);
        let mut balancer = LeastConnections::default();
        balancer.update(&members);
        let mut rng = SeededRng::new(8);
        for _ in 0..400 {
            let picked = balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng).unwrap();
            assert!(members[picked].state.try_begin(1_000));
        }
        assert_eq!((members[0].state.in_flight(), members[1].state.in_flight()), (300, 100));
    }
}
