//! Rendezvous hashing: each member gets a pseudo-random score for a key, and the highest wins.
//!
//! Weighted (Thaler and Ravishankar 1998; weights after Schindelhauer and Schomaker 2005). When a member leaves, only its keys
//! move; when one comes, it takes its share from all. The order of the members does not matter.
//!
//! Keys are scored by the bucket that they fall in, and who is first for a bucket is kept: the first key of a bucket looks at all
//! members, later ones at none, unless that one is not wanted. Buckets make shares less even: with N of them for each member by a
//! factor of 1/√N, which is 4 % of 100 members and less than what the clients themselves do.

use std::cell::Cell;

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

/// As many as Maglev's table has places, in half of the memory: 128 KiB. Always the same number, as another one would move nearly all keys.
const BUCKET_BITS: u32 = 16;
/// So many are looked at for each key, and nothing is kept: most pools are small, and with them are many.
const FEW: usize = 16;
/// Of a bucket that no key has come for yet.
const UNKNOWN: u16 = u16::MAX;

/// Members to be scored.
#[derive(Debug, Default)]
pub(crate) struct Rendezvous {
    entries: Vec<Entry>,
    /// Who is first for each bucket.
    firsts: Vec<Cell<u16>>,
}

impl Rendezvous {
    /// Scores these members.
    pub(crate) fn new(members: &[Member]) -> Self {
        let entry = |member: &Member| Entry {
            id: member.id,
            name_hash: hash_key(member.state.name().bytes()),
            weight: f64::from(member.weight),
        };
        let buckets = if members.len() > FEW { 1 << BUCKET_BITS } else { 0 };
        Self { entries: members.iter().map(entry).collect(), firsts: vec![Cell::new(UNKNOWN); buckets] }
    }

    /// Whose score for the key is the highest, of those not tried.
    pub(crate) fn pick(&self, key: u64, tried: &[EndpointId]) -> Option<usize> {
        self.find_where(key, &mut |index| {
            self.entries.get(index).is_some_and(|entry| !tried.contains(&entry.id))
        })
    }

    /// The same, of those that are wanted.
    pub(crate) fn find_where(&self, key: u64, wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let bucket = key >> (u64::BITS - BUCKET_BITS);
        if let Some(first) = self.firsts.get(bucket as usize) {
            if first.get() == UNKNOWN {
                let found = self.best(bucket, &mut |_| true)?;
                first.set(u16::try_from(found).unwrap_or(UNKNOWN));
            }
            let first = usize::from(first.get());
            if wanted(first) {
                return Some(first);
            }
        }
        self.best(bucket, wanted)
    }

    /// Whose score for the bucket is the highest, of those that are wanted.
    fn best(&self, bucket: u64, wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let mut best = Best { score: 0.0, name_hash: 0, index: None };
        for (index, entry) in self.entries.iter().enumerate() {
            let unit = unit(bucket, entry);
            // As -ln(u) is never less than 1 - u, most are out before anything is worked out exactly.
            if entry.weight < best.score * (1.0 - unit) || !wanted(index) {
                continue;
            }
            let score = -entry.weight / logarithm(unit);
            // Equal scores are as good as impossible; the name decides, so that the order of members never does.
            if (score, entry.name_hash) > (best.score, best.name_hash) {
                best = Best { score, name_hash: entry.name_hash, index: Some(index) };
            }
        }
        best.index
    }

    /// Asserts that the state is sound; for tests and simulations.
    pub(crate) fn check_invariants(&self) {
        assert!(self.entries.iter().all(|entry| entry.weight >= 1.0));
        let is_right = |(bucket, first): (usize, &Cell<u16>)| {
            first.get() == UNKNOWN || self.best(bucket as u64, &mut |_| true) == Some(first.get().into())
        };
        // Some of them, as each costs a look at all members.
        assert!(self.firsts.iter().enumerate().step_by(997).all(is_right), "another one is first by now");
    }
}

/// The best so far.
struct Best {
    score: f64,
    name_hash: u64,
    index: Option<usize>,
}

/// A pseudo-random number in (0, 1) for both. The member's score is `-weight / ln` of it.
#[inline]
fn unit(bucket: u64, entry: &Entry) -> f64 {
    let bits = mix(bucket ^ entry.name_hash) >> 11;
    (bits as f64 + 0.5) / (1_u64 << 53) as f64
}

/// The natural logarithm of a number in (0, 1), to a few millionths: one of these per member and request, and the same bits on
/// every machine, which the system's own does not promise.
fn logarithm(number: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const ONE: u64 = 1023 << 52;
    let bits = number.to_bits();
    let mut exponent = ((bits >> 52) as f64) - 1023.0;
    let mut mantissa = f64::from_bits((bits & MANTISSA) | ONE);
    // Around one, so that numbers just below one keep their precision.
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    // 2 artanh(s), as a series; |s| is at most 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0)));
    exponent * std::f64::consts::LN_2 + 2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_right_over_the_whole_range() {
        let just_below_one = 1.0 - f64::EPSILON;
        let numbers = (1..100_000).map(|step| f64::from(step) / 100_000.0);
        for number in numbers.chain([just_below_one, 1e-16, 0.5, std::f64::consts::FRAC_1_SQRT_2]) {
            let (ours, exact) = (logarithm(number), number.ln());
            assert!((ours / exact - 1.0).abs() < 1e-5, "ln({number}) = {exact}, not {ours}");
        }
    }
}
