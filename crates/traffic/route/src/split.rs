//! Traffic divided by weight.

use base_kit::Rng;
use base_model::model::Share;

/// Shares ready to be drawn from, in O(log n).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Shares with a weight above zero, each with the sum of the weights up to and with it.
    shares: Box<[(u64, usize)]>,
    total: u64,
}

impl Split {
    /// `None` if no share has a weight.
    pub fn compile(shares: &[Share]) -> Option<Self> {
        let mut total = 0_u64;
        let shares: Box<[_]> = shares
            .iter()
            .filter(|share| share.weight > 0)
            .map(|share| {
                total += u64::from(share.weight);
                (total, share.pool)
            })
            .collect();
        (total > 0).then_some(Self { shares, total })
    }

    /// A pool (its index in the model), each as often as its weight says. A single share needs no random number.
    pub fn pick(&self, rng: &mut dyn Rng) -> usize {
        if let [(_, pool)] = *self.shares {
            return pool;
        }
        let drawn = rng.below(self.total);
        let place = self.shares.partition_point(|&(sum, _)| sum <= drawn);
        // `drawn` is below the last sum, so that there always is one.
        self.shares.get(place).map_or(0, |&(_, pool)| pool)
    }

    /// The pools that can be picked.
    pub fn pools(&self) -> impl Iterator<Item = usize> + '_ {
        self.shares.iter().map(|&(_, pool)| pool)
    }
}

#[cfg(test)]
mod tests {
    use base_kit::SeededRng;

    use super::*;

    fn share(pool: usize, weight: u32) -> Share {
        Share { pool, weight }
    }

    #[test]
    fn shares_are_drawn_by_weight_and_never_at_zero() {
        let split = Split::compile(&[share(4, 95), share(9, 0), share(2, 5)]).unwrap();
        let mut rng = SeededRng::new(3);
        let mut drawn = [0_u32; 10];
        for _ in 0..100_000 {
            drawn[split.pick(&mut rng)] += 1;
        }
        assert_eq!(drawn[9], 0);
        assert_eq!(drawn[4] + drawn[2], 100_000);
        assert!((4_700..5_300).contains(&drawn[2]), "{drawn:?}");
        assert_eq!(split.pools().collect::<Vec<_>>(), [4, 2]);
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let split = Split::compile(&[share(0, u32::MAX), share(1, u32::MAX)]).unwrap();
        let mut rng = SeededRng::new(1);
        assert!((0..100).any(|_| split.pick(&mut rng) == 1));
    }

    #[test]
    fn nothing_to_draw_from_is_no_split() {
        assert_eq!(Split::compile(&[]), None);
        assert_eq!(Split::compile(&[share(1, 0)]), None);
        assert_eq!(Split::compile(&[share(7, 1)]).unwrap().pick(&mut SeededRng::new(0)), 7);
    }
}
