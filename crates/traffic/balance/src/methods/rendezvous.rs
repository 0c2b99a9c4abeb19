//! Rendezvous hashing: each member gets a pseudo-random score for a key, and the highest wins.
//!
//! Weighted (Thaler and Ravishankar 1998; weights after Schindelhauer and Schomaker 2005). When a member leaves, only its keys
//! move; when one comes, it takes its share from all. The order of the members does not matter. Looks at all members.

use crate::balancer::Member;
use crate::endpoint::EndpointId;
use crate::methods::hash::{hash_key, mix};

#[derive(Debug)]
struct Entry {
    id: EndpointId,
    /// Of its name, not of its id: other workers, instances and later lives must agree.
    name_hash: u64,
    weight: f64,
}

/// Members to be scored.
#[derive(Debug, Default)]
pub(crate) struct Rendezvous(Vec<Entry>);

impl Rendezvous {
    /// Scores these members.
    pub(crate) fn new(members: &[Member]) -> Self {
        let entry = |member: &Member| Entry {
            id: member.id,
            name_hash: hash_key(member.state.name().bytes()),
            weight: f64::from(member.weight),
        };
        Self(members.iter().map(entry).collect())
    }

    /// Whose score for the key is the highest, of those not tried.
    pub(crate) fn pick(&self, key: u64, tried: &[EndpointId]) -> Option<usize> {
        self.find_where(key, &mut |index| self.0.get(index).is_some_and(|entry| !tried.contains(&entry.id)))
    }

    /// The same, of those that are wanted.
    pub(crate) fn find_where(&self, key: u64, wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let mut best: Option<(f64, u64, usize)> = None;
        for (index, entry) in self.0.iter().enumerate() {
            let score = score(key, entry);
            // Equal scores are as good as impossible; the name decides, so that the order of members never does.
            let better = best.is_none_or(|(best, name, _)| (score, entry.name_hash) > (best, name));
            if better && wanted(index) {
                best = Some((score, entry.name_hash, index));
            }
        }
        best.map(|(_, _, index)| index)
    }

    /// Asserts that the state is sound; for tests and simulations.
    pub(crate) fn check_invariants(&self) {
        assert!(self.0.iter().all(|entry| entry.weight >= 1.0));
    }
}

/// The member's score for a key: `-weight / ln(u)` with `u` in (0, 1) from both hashes.
fn score(key: u64, entry: &Entry) -> f64 {
    let bits = mix(key ^ entry.name_hash) >> 11;
    let unit = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
    -entry.weight / unit.ln()
}
