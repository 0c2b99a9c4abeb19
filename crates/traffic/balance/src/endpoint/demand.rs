//! Whether a pool is asked for anything: what only traffic makes necessary rests while there is none.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by requests of all workers, taken back by whoever looks now and then. One that is overlooked in the instant of taking it back does
/// no harm: it counts as in flight, and the next one is noted.
#[derive(Debug, Default)]
pub(crate) struct Demand(AtomicBool);

impl Demand {
    /// Notes a request. One read, unless it is the first since the last look.
    pub(super) fn note(&self) {
        if !self.is_there() {
            self.0.store(true, Ordering::Release);
        }
    }

    /// Whether there was a request since the last look.
    pub(crate) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same, and from now on counts what comes from now on.
    pub(crate) fn take_back(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}
