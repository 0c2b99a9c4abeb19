//! Where input is cut.

use base_kit::{Rng, SeededRng};

/// Lengths that input of so many bytes grows to: byte by byte, or in a few leaps. Which of both, and where, depends on the input alone,
/// so that a finding can be repeated.
pub(super) fn lengths(input: &[u8]) -> Vec<usize> {
    let seed = input.iter().fold(input.len() as u64, |seed, &byte| {
        seed.wrapping_mul(0x100_0000_01b3).wrapping_add(u64::from(byte))
    });
    let mut rng = SeededRng::new(seed);
    if rng.below(2) == 0 {
        return (0..input.len()).collect();
    }
    let mut lengths: Vec<_> = (0..5).map(|_| rng.below(input.len() as u64 + 1) as usize).collect();
    lengths.sort_unstable();
    lengths
}
