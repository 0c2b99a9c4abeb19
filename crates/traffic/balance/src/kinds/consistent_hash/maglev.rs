//! Maglev's table (Eisenbud et al. 2016): members take turns in claiming places of a table, each in an order of its own; a key
//! belongs to whoever holds its place.

use super::Table;
use crate::balancer::Member;
use crate::methods::hash::{hash_key, mix};

/// Places of the table: primes, many times as many as members, so that shares are off by some per cent at most. Another size moves
/// nearly all keys, so the first one is large enough for nearly all pools.
const SIZES: [usize; 3] = [65_537, 655_373, 6_553_621];
/// Places per member, at least.
const PLACES_PER_MEMBER: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Maglev {
    /// Who holds each place.
    places: Vec<u32>,
    members: usize,
}

/// A member while the table is filled.
struct Claimant {
    index: u32,
    name: u64,
    offset: usize,
    step: usize,
    /// How many places it has tried.
    tries: usize,
    /// Its weight, as a share of the heaviest one's, and how many turns it has saved up.
    share: f64,
    saved: f64,
}

/// Places drawn for a key before they are gone through one by one.
const MOST_DRAWS: usize = 16;

impl Maglev {
    /// Multiplying by the size maps the key evenly, without a division.
    fn place_of(&self, key: u64) -> usize {
        ((u128::from(key) * self.places.len() as u128) >> 64) as usize
    }

    fn claimants(members: &[Member], size: usize) -> Vec<Claimant> {
        let heaviest = members.iter().map(|member| member.weight).max().unwrap_or(1);
        let claimant = |(index, member): (u32, &Member)| {
            let name = hash_key(member.state.name().bytes());
            Claimant {
                index,
                name,
                offset: (name % size as u64) as usize,
                step: 1 + (mix(name) % (size as u64 - 1)) as usize,
                tries: 0,
                share: f64::from(member.weight) / f64::from(heaviest),
                saved: 0.0,
            }
        };
        let mut claimants: Vec<_> = (0..).zip(members).map(claimant).collect();
        // The order of the members must not matter: all workers and instances make the same table.
        claimants.sort_by_key(|claimant| claimant.name);
        claimants
    }
}

impl Claimant {
    /// The next free place in its own order.
    fn claim(&mut self, places: &mut [u32]) -> bool {
        let size = places.len();
        while self.tries < size {
            let place = (self.offset + self.tries * self.step) % size;
            self.tries += 1;
            if let Some(holder) = places.get_mut(place).filter(|holder| **holder == NOBODY) {
                *holder = self.index;
                return true;
            }
        }
        false
    }
}

/// Holds a place that is free. No pool has so many members.
const NOBODY: u32 = u32::MAX;

impl Table for Maglev {
    fn fill(&mut self, members: &[Member]) {
        self.members = members.len();
        self.places.clear();
        if members.is_empty() {
            return;
        }
        let wanted = members.len() * PLACES_PER_MEMBER;
        let size = SIZES.into_iter().find(|size| *size >= wanted).unwrap_or(SIZES[2]);
        self.places.resize(size, NOBODY);
        let mut claimants = Self::claimants(members, size);
        let mut free = size;
        while free > 0 {
            for claimant in &mut claimants {
                claimant.saved += claimant.share;
                if claimant.saved < 1.0 || free == 0 {
                    continue;
                }
                claimant.saved -= 1.0;
                free -= usize::from(claimant.claim(&mut self.places));
            }
        }
    }

    fn find(&self, key: u64, wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        // Who comes next for a key is drawn from it again, so that an endpoint's keys go to all others when it is left out.
        let keys = std::iter::once(key).chain((0..).map(|attempt| mix(key ^ mix(attempt))));
        let draws = keys.take(self.members.min(MOST_DRAWS));
        let mut drawn = draws.filter_map(|key| self.places.get(self.place_of(key)));
        if let Some(&holder) = drawn.find(|&&holder| wanted(holder as usize)) {
            return Some(holder as usize);
        }
        let (before, after) = self.places.split_at_checked(self.place_of(key))?;
        after.iter().chain(before).map(|holder| *holder as usize).find(|&holder| wanted(holder))
    }

    fn check_invariants(&self) {
        assert!(self.places.iter().all(|holder| (*holder as usize) < self.members));
    }
}
