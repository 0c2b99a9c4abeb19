//! What happened, and when.

use std::fmt;
use std::time::Duration;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// A change worth a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Since 1970-01-01 UTC.
    pub(super) at: Duration,
    pub(super) what: String,
}

impl fmt::Display for Event {
    /// `14:02:11Z fragile left: http check: status 503`; the time is UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.at.as_secs() % SECONDS_PER_DAY;
        let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}Z {}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_begin_with_the_time_of_day() {
        let at = Duration::from_secs(SECONDS_PER_DAY * 3 + 14 * 3600 + 2 * 60 + 11);
        let event = Event { at, what: "fragile left".to_owned() };
        assert_eq!(event.to_string(), "14:02:11Z fragile left");
    }
}
