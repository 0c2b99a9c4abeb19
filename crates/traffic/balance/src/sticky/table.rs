//! Which endpoint a session is bound to: a table of fixed size that all workers share, without a lock.
//!
//! An entry is one number of 64 bits, read and written as a whole: 28 bits that tell keys apart, the low 20 bits of the endpoint's id, and
//! when it was last used. Eight of them are a bucket, which is a cache line; a key may stand in two buckets. So a look-up touches two
//! lines at most, and a table that is half full turns next to nobody away (Azar, Broder, Karlin and Upfal, "Balanced Allocations", 1999).
//!
//! Two keys that agree in their bucket and their 28 bits share an entry. That is one in some millions, and means that a client follows another
//! one's session to its endpoint, which is where the balancer might have sent it as well.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use base_kit::Moment;
use base_model::model::SessionLimits;

/// Entries that are looked at together: 64 bytes, one cache line.
const BUCKET: usize = 8;
/// Parts of its time to live in which an entry's age is counted. An entry in use is written once in each, and not more often.
const PARTS_OF_TTL: u64 = 1_024;
/// The same after the time to live was changed: so few are still fine enough, so many leave time to sweep.
const OTHER_PARTS_OF_TTL: RangeInclusive<u64> = 64..=16 * PARTS_OF_TTL;
/// Of the time of last use, in such parts.
const TIME_BITS: u32 = 16;
/// Ages from here on are those of entries that were used after the moment they are compared with.
const FUTURE: u64 = 1 << (TIME_BITS - 1);
/// Of the endpoint's id.
pub(super) const ID_BITS: u32 = 20;
/// Calls of [`SessionTable::sweep`] that go through all of it.
const SWEEPS: usize = 128;
/// How often an entry is tried to be written against other workers, who then bring newer ones.
const ATTEMPTS: usize = 8;

const ID_SHIFT: u32 = TIME_BITS;
const TAG_SHIFT: u32 = TIME_BITS + ID_BITS;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
/// No entry. A tag is never 0.
const EMPTY: u64 = 0;

const _: () = assert!(size_of::<Bucket>() == 64);
// What is over stays so for at least 16 times the first time to live. By then it is swept.
const _: () = assert!(*OTHER_PARTS_OF_TTL.end() + 16 * PARTS_OF_TTL <= FUTURE);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; BUCKET]);

/// A hashed key of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionKey(u64);

/// What became of an entry that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It has a place.
    Fits,
    /// It took the place of a session that was still in use.
    Evicted,
}

/// The sessions of a pool. Memory does not grow with them.
pub struct SessionTable {
    max: u32,
    buckets: Box<[Bucket]>,
    /// Drawn for each table, so that nobody can aim at a bucket.
    seed: RandomState,
    /// Nanoseconds in a part of the first time to live.
    part_nanos: u64,
    /// The time to live, in such parts.
    life_parts: AtomicU64,
    used: AtomicU64,
    /// The next bucket to be swept.
    broom: AtomicUsize,
}

impl SessionTable {
    /// Room for twice as many sessions as the limit says, so that none that is in use has to go before the limit is reached.
    pub(super) fn new(limits: SessionLimits) -> Self {
        let entries = (limits.max as usize).saturating_mul(2).next_power_of_two().max(2 * BUCKET);
        let part_nanos = nanos(limits.ttl).div_ceil(PARTS_OF_TTL).max(1);
        Self {
            max: limits.max,
            buckets: (0..entries / BUCKET).map(|_| Bucket::default()).collect(),
            seed: RandomState::new(),
            part_nanos,
            life_parts: AtomicU64::new(nanos(limits.ttl).div_ceil(part_nanos)),
            used: AtomicU64::new(0),
            broom: AtomicUsize::new(0),
        }
    }

    /// Takes over other settings, as far as the table can be the same; whether it can.
    fn adopt(&self, limits: SessionLimits) -> bool {
        let life_parts = nanos(limits.ttl).div_ceil(self.part_nanos);
        let fits = self.max == limits.max && OTHER_PARTS_OF_TTL.contains(&life_parts);
        if fits {
            self.life_parts.store(life_parts, Ordering::Relaxed);
        }
        fits
    }

    /// How many sessions it can hold at all.
    pub const fn capacity(&self) -> usize {
        self.buckets.len() * BUCKET
    }

    /// How many it holds; those that are over count until they are swept.
    pub fn len(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key that these bytes stand for, in this table only.
    pub(super) fn key(&self, bytes: &[u8]) -> SessionKey {
        SessionKey(self.seed.hash_one(bytes))
    }

    /// The low bits of the id of the endpoint that the session is bound to. From now on its time runs anew.
    pub(super) fn find(&self, key: SessionKey, now: Moment) -> Option<u32> {
        let tag = tag(key);
        for slot in self.places(key) {
            let entry = slot.load(Ordering::Relaxed);
            if entry == EMPTY || entry >> TAG_SHIFT != tag || self.is_over(entry, now) {
                continue;
            }
            if self.age(entry, now) > 0 {
                // Whoever was faster has written something newer.
                let used = self.dated(entry, now);
                let _ = slot.compare_exchange(entry, used, Ordering::Relaxed, Ordering::Relaxed);
            }
            return Some((entry >> ID_SHIFT & ID_MASK) as u32);
        }
        None
    }

    /// Binds the session to the endpoint with this id. Takes the place of the same key, else an empty one, else that of a session that is
    /// over, else that of the one that was not used for longest.
    pub(super) fn put(&self, key: SessionKey, id: u32, now: Moment) -> Stored {
        let entry = self.dated(tag(key) << TAG_SHIFT | (u64::from(id) & ID_MASK) << ID_SHIFT, now);
        for _ in 0..ATTEMPTS {
            let Some((slot, before)) = self.place_for(key, now) else { break };
            if slot.compare_exchange(before, entry, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                continue;
            }
            if before == EMPTY {
                self.used.fetch_add(1, Ordering::Relaxed);
            }
            let is_other = before != EMPTY && before >> TAG_SHIFT != entry >> TAG_SHIFT;
            let evicts = is_other && !self.is_over(before, now);
            return if evicts { Stored::Evicted } else { Stored::Fits };
        }
        // Others filled the buckets all the while: they have pushed this one out.
        Stored::Evicted
    }

    /// Takes out sessions that are over, in a part of the table at each call. To be called several times a second: it keeps the count of
    /// sessions true, and times from going round.
    pub fn sweep(&self, now: Moment) {
        let part = self.buckets.len().div_ceil(SWEEPS);
        let start = self.broom.fetch_add(part, Ordering::Relaxed) & (self.buckets.len() - 1);
        for slot in self.buckets.iter().skip(start).take(part).flat_map(|bucket| &bucket.0) {
            let entry = slot.load(Ordering::Relaxed);
            if entry != EMPTY
                && self.is_over(entry, now)
                && slot.compare_exchange(entry, EMPTY, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                self.used.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// The place that an entry for this key should take, and what is there.
    fn place_for(&self, key: SessionKey, now: Moment) -> Option<(&AtomicU64, u64)> {
        let tag = tag(key);
        let [first, second] = self.pair(key).map(|bucket| bucket.map_or(0, occupied));
        // The emptier bucket first. Reversed places give the second bucket before the first.
        let prefers_second = second < first;
        let mut best: Option<(u64, &AtomicU64, u64)> = None;
        for (index, slot) in self.places(key).enumerate() {
            let entry = slot.load(Ordering::Relaxed);
            let is_preferred = (index >= BUCKET) == prefers_second;
            let rank = match entry {
                _ if entry != EMPTY && entry >> TAG_SHIFT == tag => return Some((slot, entry)),
                EMPTY if is_preferred => u64::MAX,
                EMPTY => u64::MAX - 1,
                _ => self.age(entry, now),
            };
            if best.is_none_or(|(highest, ..)| rank > highest) {
                best = Some((rank, slot, entry));
            }
        }
        best.map(|(_, slot, entry)| (slot, entry))
    }

    /// The places where an entry for this key may stand.
    fn places(&self, key: SessionKey) -> impl Iterator<Item = &AtomicU64> {
        self.pair(key).into_iter().flatten().flat_map(|bucket| &bucket.0)
    }

    /// The two buckets of this key, which are different.
    fn pair(&self, key: SessionKey) -> [Option<&Bucket>; 2] {
        let mask = self.buckets.len() - 1;
        // The high bits tell keys apart; these are others.
        let first = key.0 as usize & mask;
        // An odd number: never a step of 0 to the other one. Taken from the tag, which spreads the pairs.
        let step = (tag(key) as usize).wrapping_mul(0x9e37_79b1) | 1;
        [self.buckets.get(first), self.buckets.get((first ^ step) & mask)]
    }

    fn entries(&self) -> impl Iterator<Item = &AtomicU64> {
        self.buckets.iter().flat_map(|bucket| &bucket.0)
    }

    /// The entry, last used now.
    const fn dated(&self, entry: u64, now: Moment) -> u64 {
        entry & !TIME_MASK | self.time(now)
    }

    const fn time(&self, now: Moment) -> u64 {
        (now.as_nanos() / self.part_nanos) & TIME_MASK
    }

    /// How long ago an entry was used, in parts of the time to live. Other workers may have used it since `now`: that is new.
    const fn age(&self, entry: u64, now: Moment) -> u64 {
        let age = self.time(now).wrapping_sub(entry & TIME_MASK) & TIME_MASK;
        if age >= FUTURE { 0 } else { age }
    }

    fn is_over(&self, entry: u64, now: Moment) -> bool {
        self.age(entry, now) > self.life_parts.load(Ordering::Relaxed)
    }

    /// Asserts that the state is sound; for tests and simulations. Nobody may write meanwhile.
    pub fn check_invariants(&self) {
        let held = self.entries().filter(|slot| slot.load(Ordering::Relaxed) != EMPTY).count();
        assert_eq!(self.len(), held as u64, "the count of sessions");
        assert!(self.buckets.len().is_power_of_two() && self.buckets.len() >= 2);
    }
}

impl fmt::Debug for SessionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTable")
            .field("max", &self.max)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// What tells keys of one bucket apart; never 0.
const fn tag(key: SessionKey) -> u64 {
    let tag = key.0 >> TAG_SHIFT;
    if tag == 0 { 1 } else { tag }
}

fn occupied(bucket: &Bucket) -> usize {
    bucket.0.iter().filter(|slot| slot.load(Ordering::Relaxed) != EMPTY).count()
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The table that a pool should have: the one there is, as far as its settings are those.
pub(crate) fn kept_or_new(before: Option<Arc<SessionTable>>, limits: SessionLimits) -> Arc<SessionTable> {
    before.filter(|table| table.adopt(limits)).unwrap_or_else(|| Arc::new(SessionTable::new(limits)))
}

#[cfg(test)]
mod tests;
