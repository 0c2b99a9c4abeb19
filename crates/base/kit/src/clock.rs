//! Time as a number that somebody hands in.

use std::cell::Cell;
use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in monotonic time: nanoseconds since an origin that is the same for the whole process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// Later than every moment that a clock gives; a deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment this many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Saturates at [`Moment::NEVER`].
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// Where the time comes from: the machine, or a simulation.
pub trait Clock {
    /// The present moment. Never goes back.
    fn now(&self) -> Moment;

    /// Calendar time since 1970-01-01 UTC, for logs and headers only: it may jump.
    fn since_epoch(&self) -> Duration;
}

/// The machine's monotonic clock. All its copies share one origin: the machine's start.
#[derive(Clone, Copy, Debug, Default)]
pub struct MonotonicClock;

impl Clock for MonotonicClock {
    /// Read several times per request, so straight from the system: `Instant` would add checks and a subtraction.
    fn now(&self) -> Moment {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Moment(time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned())
    }

    fn since_epoch(&self) -> Duration {
        WallClock.since_epoch()
    }
}

/// Calendar time, for logs and headers only: it may jump.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl WallClock {
    /// Time since 1970-01-01 UTC; zero if the machine's clock is before that.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the calendar clock")]
    pub fn since_epoch(self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A clock that moves when told to: for tests and simulations. Its calendar begins in 1970.
#[derive(Debug, Default)]
pub struct ManualClock(Cell<u64>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub const fn at(start: Moment) -> Self {
        Self(Cell::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.0.set((self.now() + span).0);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.0.get())
    }

    fn since_epoch(&self) -> Duration {
        Duration::from_nanos(self.0.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate_instead_of_wrapping() {
        assert_eq!(Moment::NEVER + Duration::from_secs(1), Moment::NEVER);
        assert_eq!(Moment::ZERO.since(Moment::from_nanos(5)), Duration::ZERO);
    }

    #[test]
    fn the_real_clock_never_goes_back() {
        let first = MonotonicClock.now();
        assert!(first > Moment::ZERO);
        assert!(MonotonicClock.now() >= first);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        clock.advance(Duration::from_millis(3));
        assert_eq!(clock.now() - Moment::ZERO, Duration::from_millis(3));
    }
}
