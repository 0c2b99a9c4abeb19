//! The bounds of every histogram, and how a duration finds its bucket.

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// Upper bounds in nanoseconds, each included in its bucket: about four a decade, 0.1 ms to 60 s. One bucket more takes what
/// is longer. The steps are 1, 2, 3, 5 because people read them without a calculator.
pub const BOUNDS: [u64; 24] = [
    MILLISECOND / 10,
    MILLISECOND / 5,
    MILLISECOND * 3 / 10,
    MILLISECOND / 2,
    MILLISECOND,
    2 * MILLISECOND,
    3 * MILLISECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
    20 * MILLISECOND,
    30 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    200 * MILLISECOND,
    300 * MILLISECOND,
    500 * MILLISECOND,
    1_000 * MILLISECOND,
    2_000 * MILLISECOND,
    3_000 * MILLISECOND,
    5_000 * MILLISECOND,
    10_000 * MILLISECOND,
    20_000 * MILLISECOND,
    30_000 * MILLISECOND,
    60_000 * MILLISECOND,
];

/// Buckets of a histogram: one per bound, and the rest.
pub(crate) const COUNT: usize = BOUNDS.len() + 1;

/// For each power of two, how many bounds lie below it, and the next two bounds. No power of two holds more than two
/// bounds before the next one, so two comparisons finish the search.
const OCTAVES: [Octave; 64] = octaves();

#[derive(Clone, Copy)]
struct Octave {
    start: u8,
    next: [u64; 2],
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time: an index out of range does not build")]
const fn octaves() -> [Octave; 64] {
    let mut table = [Octave { start: 0, next: [u64::MAX; 2] }; 64];
    let mut octave = 0;
    while octave < 64 {
        let lowest = 1_u64 << octave;
        let mut start = 0;
        while start < BOUNDS.len() && BOUNDS[start] < lowest {
            start += 1;
        }
        let mut next = [u64::MAX; 2];
        let mut offset = 0;
        while offset < 2 && start + offset < BOUNDS.len() {
            next[offset] = BOUNDS[start + offset];
            offset += 1;
        }
        if start + 2 < BOUNDS.len() {
            assert!(BOUNDS[start + 2] >= lowest.saturating_mul(2) - 1, "three bounds in one octave");
        }
        table[octave] = Octave { start: start as u8, next };
        octave += 1;
    }
    table
}

/// The bucket of a duration: a table look-up and two comparisons, whatever the duration.
pub(crate) fn index(nanos: u64) -> usize {
    let octave = 63 - (nanos | 1).leading_zeros() as usize;
    let Some(Octave { start, next: [first, second] }) = OCTAVES.get(octave).copied() else {
        return COUNT - 1;
    };
    usize::from(start) + usize::from(nanos > first) + usize::from(nanos > second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(nanos: u64) -> usize {
        BOUNDS.iter().position(|&bound| nanos <= bound).unwrap_or(BOUNDS.len())
    }

    #[test]
    fn bounds_grow() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn every_border_falls_into_the_bucket_a_search_finds() {
        let borders = BOUNDS.iter().copied().chain((0..64).map(|shift| 1_u64 << shift));
        for border in borders.chain([0, u64::MAX]) {
            for nanos in [border.saturating_sub(1), border, border.saturating_add(1)] {
                assert_eq!(index(nanos), searched(nanos), "{nanos} ns");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_duration_falls_into_the_bucket_a_search_finds(nanos in 0..120_000_000_000_u64) {
            proptest::prop_assert_eq!(index(nanos), searched(nanos));
        }
    }
}
