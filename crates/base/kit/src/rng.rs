//! Randomness as a value that somebody hands in.

/// A source of random numbers. Not for secrets.
pub trait Rng {
    /// 64 random bits.
    fn next_u64(&mut self) -> u64;

    /// A number in `0..bound`, each as likely as the other; 0 when `bound` is 0.
    /// Multiply-shift (Lemire, "Fast Random Integer Generation in an Interval", 2019) without the rejection
    /// step: the bias is below `bound / 2^64`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`, with 53 random bits.
    fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A fast generator that repeats itself from its seed.
#[derive(Clone, Debug)]
pub struct SeededRng(fastrand::Rng);

impl SeededRng {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A generator with a seed from the operating system.
    pub fn from_system() -> Self {
        Self(fastrand::Rng::new())
    }
}

impl Rng for SeededRng {
    fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (SeededRng::new(7), SeededRng::new(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut rng = SeededRng::new(1);
        let mut seen = [0_u32; 5];
        for _ in 0..5_000 {
            seen[usize::try_from(rng.below(5)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 850), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert!((0..1_000).map(|_| rng.unit()).all(|unit| (0.0..1.0).contains(&unit)));
    }
}
