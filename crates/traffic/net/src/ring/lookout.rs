//! Looking out for more before the thread goes to sleep.
//!
//! To fall asleep and to be woken takes some microseconds on both sides, and whoever just had something to do often has more to do in a moment. What the
//! kernel has for a ring is seen in shared memory, so that looking costs no system call. As long as it pays, that is.

use std::time::Duration;

use base_kit::Clock;

/// How long one look-out takes at most: not much more than sleeping and waking, and less than anybody notices who waits for this thread's timers
/// or listeners.
const LONGEST: Duration = Duration::from_micros(20);
/// What one that brought something is worth, in ones that did not: a third of them must bring something.
const WORTH: u32 = 2;
/// The most that is saved up: so many in a row may bring nothing.
const MOST_CREDIT: u32 = 16;
/// Without credit, one of so many rests is used to try again.
const RESTS_PER_TRIAL: u32 = 32;

/// Look-outs, by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusyPolls {
    /// Something came.
    pub found: u64,
    /// Nothing came in time.
    pub nothing: u64,
}

/// Decides whether to look out, by what it brought lately.
#[derive(Debug, Default)]
pub(super) struct LookOut {
    credit: u32,
    /// Rests since the last trial.
    rests: u32,
    pub(super) counts: BusyPolls,
}

impl LookOut {
    /// Looks out for something to come, unless that has brought too little lately; tells whether it came.
    pub(super) fn look(&mut self, clock: &impl Clock, mut has_come: impl FnMut() -> bool) -> bool {
        if !self.is_worthwhile() {
            return false;
        }
        let end = clock.now() + LONGEST;
        while clock.now() < end {
            if has_come() {
                self.credit = (self.credit + WORTH).min(MOST_CREDIT);
                self.counts.found += 1;
                return true;
            }
        }
        self.credit = self.credit.saturating_sub(1);
        self.counts.nothing += 1;
        false
    }

    fn is_worthwhile(&mut self) -> bool {
        if self.credit == 0 {
            self.rests = (self.rests + 1) % RESTS_PER_TRIAL;
        }
        self.credit > 0 || self.rests == 0
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use base_kit::{ManualClock, Moment};

    use super::*;

    /// Time passes at each look, which finds something after so many.
    fn look(look_out: &mut LookOut, needed: u32) -> (bool, u32) {
        let clock = ManualClock::at(Moment::ZERO);
        let looks = Cell::new(0);
        let came = look_out.look(&clock, || {
            clock.advance(Duration::from_micros(1));
            looks.set(looks.get() + 1);
            looks.get() == needed
        });
        (came, looks.get())
    }

    /// With credit for exactly this many that bring nothing.
    fn with_credit(credit: u32) -> LookOut {
        LookOut { credit, ..LookOut::default() }
    }

    #[test]
    fn what_comes_soon_is_seen_and_what_comes_late_is_not_waited_for() {
        assert_eq!(look(&mut with_credit(1), 7), (true, 7));
        assert_eq!(look(&mut with_credit(1), u32::MAX), (false, 20));
    }

    #[test]
    fn who_never_finds_anything_rarely_looks() {
        let mut look_out = with_credit(MOST_CREDIT);
        let tried = (0..MOST_CREDIT + 10 * RESTS_PER_TRIAL).filter(|_| look(&mut look_out, u32::MAX).1 > 0);
        assert_eq!(tried.count() as u32, MOST_CREDIT + 10);
        assert_eq!(look_out.counts, BusyPolls { found: 0, nothing: u64::from(MOST_CREDIT) + 10 });
    }

    #[test]
    fn a_trial_that_brings_something_is_followed_by_others() {
        let mut look_out = LookOut::default();
        let first = (1..).find(|_| look(&mut look_out, 1).0);
        assert_eq!(first, Some(RESTS_PER_TRIAL));
        assert!(look(&mut look_out, 1).0);
    }

    /// A third brings something: just enough.
    #[test]
    fn it_goes_on_while_a_third_brings_something() {
        let mut look_out = with_credit(WORTH);
        for rest in 0..300 {
            let needed = if rest % 3 == 0 { 1 } else { u32::MAX };
            assert!(look(&mut look_out, needed).1 > 0, "{rest}");
        }
    }
}
