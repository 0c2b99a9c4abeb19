//! How many cores there are to use.

use std::num::NonZeroUsize;
use std::thread;

/// The cores that this process may use: as its affinity and the quota of its control group allow; at least one.
pub fn usable_cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
