//! The ring (Karger et al. 1997): each member owns the arcs before its points; a key belongs to the next point.

use super::Table;
use crate::balancer::Member;
use crate::methods::hash::{hash_key, mix};

/// Points of the heaviest member.
const MOST_POINTS: u64 = 1024;
/// Points of a member of weight 1 where weights are small: shares are then off by about 1/√160, 8 %.
const POINTS_PER_WEIGHT: u64 = 160;

#[derive(Debug, Default)]
pub(super) struct Ring {
    /// By rising place.
    points: Vec<(u64, u32)>,
    members: usize,
}

impl Table for Ring {
    fn fill(&mut self, members: &[Member]) {
        self.members = members.len();
        let heaviest = members.iter().map(|member| u64::from(member.weight)).max().unwrap_or(1);
        // How many points one has depends on its weight and the heaviest only, so that hardly any change moves the others' keys.
        let per_weight = (MOST_POINTS as f64 / heaviest as f64).min(POINTS_PER_WEIGHT as f64);
        self.points.clear();
        for (index, member) in (0_u32..).zip(members) {
            let name = hash_key(member.state.name().bytes());
            let count = (f64::from(member.weight) * per_weight).round().max(1.0) as u64;
            self.points.extend((0..count).map(|point| (mix(name ^ mix(point)), index)));
        }
        self.points.sort_unstable();
    }

    fn find(&self, key: u64, wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let start = self.points.partition_point(|(place, _)| *place < key);
        let (before, after) = self.points.split_at_checked(start)?;
        let mut owners = after.iter().chain(before).map(|(_, index)| *index as usize);
        owners.find(|&index| wanted(index))
    }

    fn check_invariants(&self) {
        assert!(self.points.is_sorted());
        assert!(self.points.iter().all(|(_, index)| (*index as usize) < self.members));
    }
}
