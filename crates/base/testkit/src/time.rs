//! Waiting for something to become true, with a deadline.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use base_kit::{Clock, Moment, MonotonicClock};

/// How long a play waits for what must happen. Far longer than it takes on a slow machine under load.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks at a condition: short against everything that is waited for.
const POLL: Duration = Duration::from_millis(5);

/// Measures how long something took.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Moment);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(MonotonicClock.now())
    }

    /// Time since the start.
    pub fn elapsed(self) -> Duration {
        MonotonicClock.now() - self.0
    }
}

/// Waits until the condition gives a value.
///
/// # Panics
/// After [`PATIENCE`], naming `what` was waited for.
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(PATIENCE, what, condition)
}

/// As [`wait_for`], for what takes longer: ten thousand of something.
///
/// # Panics
/// After this time, naming `what` was waited for.
pub fn wait_at_most<T>(patience: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(watch.elapsed() < patience, "waited {patience:?} in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// Waits until the condition holds.
///
/// # Panics
/// After [`PATIENCE`], naming `what` was waited for.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Watches that the condition does not come true for the whole span.
///
/// # Panics
/// When it does.
pub fn never_within(span: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let watch = Stopwatch::start();
    while watch.elapsed() < span {
        assert!(!condition(), "{what}, after {:?}", watch.elapsed());
        std::thread::sleep(POLL);
    }
}

/// A gate that stays shut until the play opens it: lets a backend wait for its cue.
#[derive(Debug, Default)]
pub struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// A shut gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it for good.
    pub fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits until it is open; gives up silently after [`PATIENCE`], so that no thread outlives its play for long.
    pub fn pass(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(open, PATIENCE, |open| !*open));
    }
}
