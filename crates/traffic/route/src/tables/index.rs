//! A hash index: from a hash to the place of an entry that is stored elsewhere.
//!
//! Eight bytes a slot and at most half full, so that one look-up in a large table touches one cache line.
//!
//! The hash is keyed at random, so that names from outside cannot be chosen to meet in one slot. It is foldhash and not
//! SipHash, which costs five times as much for a host name: only configured names are ever stored here, so whoever found
//! the key out could make his own requests walk the longest run of slots, and nothing more.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

/// Built once for a known number of entries.
#[derive(Debug)]
pub(crate) struct HashIndex {
    /// A power of two of them, or none.
    slots: Box<[Slot]>,
    key: SeedableRandomState,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    fingerprint: u32,
    /// [`VACANT`] if there is none.
    place: u32,
}

const VACANT: u32 = u32::MAX;

/// The part of the keys that all indices of the process share.
static SHARED_SEED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(random_bits()));

/// From the operating system: the keys of the standard library's hash maps are.
fn random_bits() -> u64 {
    RandomState::new().hash_one(0)
}

impl Default for HashIndex {
    fn default() -> Self {
        Self::for_entries(0)
    }
}

impl HashIndex {
    /// Room for `count` entries.
    pub(crate) fn for_entries(count: usize) -> Self {
        let length = if count == 0 { 0 } else { (count * 2).next_power_of_two() };
        let vacant = Slot { fingerprint: 0, place: VACANT };
        Self {
            slots: vec![vacant; length].into(),
            key: SeedableRandomState::with_seed(random_bits(), &SHARED_SEED),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The hash of `bytes` in the name space `space`.
    pub(crate) fn hash(&self, space: u32, bytes: &[u8]) -> u64 {
        let mut hasher = self.key.build_hasher();
        hasher.write_u32(space);
        hasher.write(bytes);
        hasher.finish()
    }

    /// Adds an entry. There are never more than the index was made for; an index for none takes none.
    pub(crate) fn insert(&mut self, hash: u64, place: u32) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.place == VACANT {
                *slot = Slot { fingerprint: fingerprint(hash), place };
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// The entry of this hash that `is_it` knows.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.place == VACANT {
                return None;
            }
            if slot.fingerprint == fingerprint(hash) && is_it(slot.place) {
                return Some(slot.place);
            }
            at = (at + 1) & mask;
        }
    }
}

/// The half of the hash that does not choose the slot.
fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_and_nothing_else() {
        let names: Vec<String> = (0..1_000).map(|number| format!("name-{number}")).collect();
        let mut index = HashIndex::for_entries(names.len());
        for (place, name) in names.iter().enumerate() {
            let hash = index.hash(1, name.as_bytes());
            index.insert(hash, place as u32);
        }
        let look_up = |space: u32, name: &str| {
            index.find(index.hash(space, name.as_bytes()), |place| names[place as usize] == name)
        };
        for (place, name) in names.iter().enumerate() {
            assert_eq!(look_up(1, name), Some(place as u32));
        }
        assert_eq!(look_up(1, "other"), None);
        assert_eq!(look_up(2, "name-1"), None, "the name space is part of the hash");
        assert_eq!(HashIndex::default().find(0, |_| true), None);
    }
}
