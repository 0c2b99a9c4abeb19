//! Chance, from a seed and a name: who is taken out of a run changes nothing for the others.

use std::time::Duration;

use base_kit::{Rng, SeededRng};

/// A source of chance for one actor.
pub(crate) struct Dice(SeededRng);

impl Dice {
    /// That of an actor, by the names that lead to it.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        // FNV-1a; the generator itself mixes.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
        Self(SeededRng::new(hash))
    }

    /// A generator of its own for somebody else.
    pub(crate) fn generator(&mut self) -> SeededRng {
        SeededRng::new(self.0.next_u64())
    }

    /// In `0..bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// One of them, each as often as its weight says.
    pub(crate) fn weighted<T: Copy>(&mut self, among: &[(usize, T)]) -> T {
        let mut left = self.below(among.iter().map(|(weight, _)| weight).sum());
        for &(weight, one) in among {
            if left < weight {
                return one;
            }
            left -= weight;
        }
        among[0].1
    }

    /// A seed for somebody else.
    pub(crate) fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From `least` to `most` milliseconds.
    pub(crate) fn millis(&mut self, least: usize, most: usize) -> Duration {
        Duration::from_millis(self.between(least, most) as u64)
    }
}
