//! The requests that a worker remembers.

use base_kit::Moment;
use base_model::model::Decisions as Settings;
use base_signal::{Counter, Shard, families};

use crate::decisions::decision::Decision;
use crate::decisions::notes::Notes;
use crate::decisions::over::{End, Over};

/// A switch of protocols takes as long as the two sides like: that is not slow.
const SWITCHING: u16 = 101;

/// The requests that a worker remembers: the latest, and apart from them the latest that went wrong, so that many good ones do
/// not push out the few that are asked about.
pub(crate) struct Decisions {
    settings: Option<Settings>,
    latest: Ring,
    failures: Ring,
    allowance: Allowance,
    kept_latest: Counter,
    kept_failures: Counter,
    skipped: Counter,
}

/// How many ordinary requests may still be remembered now: a second's worth at most.
///
/// Without it a busy worker would write through all of its ring's memory every few hundredths of a second, for nothing: nobody can
/// ask so fast.
#[derive(Default)]
struct Allowance {
    left: f64,
    seen: Moment,
}

/// The last so many. Memory grows with what comes, then stays.
#[derive(Default)]
struct Ring {
    #[expect(clippy::vec_box, reason = "what moves when it grows, while requests wait, are pointers")]
    slots: Vec<Box<Decision>>,
    /// Where the next one goes: the oldest is there.
    next: usize,
    capacity: usize,
}

impl Decisions {
    pub(crate) fn new(settings: Option<Settings>, shard: &Shard) -> Self {
        let kept = |why| shard.counter(&families::DECISIONS_KEPT, &[why]);
        let mut decisions = Self {
            settings: None,
            latest: Ring::default(),
            failures: Ring::default(),
            allowance: Allowance::default(),
            kept_latest: kept("latest"),
            kept_failures: kept("failure"),
            skipped: shard.counter(&families::DECISIONS_SKIPPED, &[]),
        };
        decisions.configure(settings);
        decisions
    }

    /// Follows a reload. What is remembered stays, as far as there is still room for it.
    pub(crate) fn configure(&mut self, settings: Option<Settings>) {
        self.latest.resize(settings.map_or(0, |settings| settings.keep));
        self.failures.resize(settings.map_or(0, |settings| settings.failures));
        self.settings = settings;
    }

    /// Whether any request is remembered.
    pub(crate) const fn is_on(&self) -> bool {
        self.settings.is_some()
    }

    /// Remembers a request, if it is one to be remembered. Whether it was something out of the ordinary is handed to `over`, which tells
    /// the rest of it.
    pub(crate) fn offer<'a>(&mut self, notes: &Notes, end: &End, over: impl FnOnce(bool) -> Over<'a>) {
        let Some(settings) = self.settings.filter(|_| notes.is_on()) else { return };
        let is_slow = end.total >= settings.slow && end.status != SWITCHING;
        let was_hard = || notes.attempts().any(|(_, attempt)| attempt.setback.is_some());
        let stands_out = is_slow || end.is_failure() || was_hard();
        let (ring, kept) = if stands_out && self.failures.capacity > 0 {
            (&mut self.failures, &self.kept_failures)
        } else if self.latest.capacity > 0 && self.allowance.takes_one(settings.rate, end.started + end.total)
        {
            (&mut self.latest, &self.kept_latest)
        } else {
            return self.skipped.increment();
        };
        kept.increment();
        if let Some(place) = ring.next() {
            place.replace(notes, end, over(stands_out));
        }
    }

    /// All that is remembered, those that went wrong first, each sort from new to old.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.failures.iter().chain(self.latest.iter())
    }
}

impl Allowance {
    fn takes_one(&mut self, rate: u32, now: Moment) -> bool {
        let rate = f64::from(rate);
        self.left = (self.left + now.since(self.seen).as_secs_f64() * rate).min(rate);
        self.seen = now;
        let takes = self.left >= 1.0;
        if takes {
            self.left -= 1.0;
        }
        takes
    }
}

impl Ring {
    /// Where the next one goes, with the oldest still in it.
    fn next(&mut self) -> Option<&mut Decision> {
        if self.next == self.slots.len() {
            self.slots.push(Box::default());
        }
        let place = self.next;
        self.next = (place + 1) % self.capacity.max(1);
        self.slots.get_mut(place).map(|slot| &mut **slot)
    }

    /// From new to old.
    fn iter(&self) -> impl Iterator<Item = &Decision> {
        let (newer, older) = self.slots.split_at(self.next.min(self.slots.len()));
        newer.iter().rev().chain(older.iter().rev()).map(|decision| &**decision)
    }

    fn resize(&mut self, capacity: usize) {
        if capacity == self.capacity {
            return;
        }
        // From old to new, without the oldest if there are too many.
        let next = self.next.min(self.slots.len());
        self.slots.rotate_left(next);
        self.slots.drain(..self.slots.len().saturating_sub(capacity));
        self.slots.shrink_to_fit();
        self.capacity = capacity;
        self.next = self.slots.len() % capacity.max(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base_signal::Registry;

    use super::*;
    use crate::decisions::over::example;

    fn decisions(keep: usize, failures: usize, rate: u32) -> Decisions {
        let settings = Settings { keep, rate, failures, slow: Duration::from_secs(1) };
        Decisions::new(Some(settings), &Registry::new().shard())
    }

    fn offer_at(decisions: &mut Decisions, path: &str, status: u16, second: u64, total: Duration) {
        let mut notes = Notes::default();
        notes.begin(true);
        let started = Moment::ZERO + Duration::from_secs(second);
        let end = End { started, total, status, reason: None };
        decisions.offer(&notes, &end, |stands_out| {
            assert_eq!(stands_out, status >= 500 || !total.is_zero());
            example(path)
        });
    }

    fn offer(decisions: &mut Decisions, path: &str, status: u16) {
        offer_at(decisions, path, status, 100, Duration::ZERO);
    }

    fn paths(decisions: &Decisions) -> Vec<String> {
        decisions.iter().map(|decision| String::from_utf8_lossy(decision.path()).into_owned()).collect()
    }

    #[test]
    fn a_flood_of_good_ones_leaves_the_bad_ones() {
        let mut decisions = decisions(2, 2, 100);
        for (path, status) in [("/bad", 503), ("/1", 200), ("/2", 200), ("/3", 404)] {
            offer(&mut decisions, path, status);
        }
        assert_eq!(paths(&decisions), ["/bad", "/3", "/2"]);
        offer_at(&mut decisions, "/slow", 200, 100, Duration::from_secs(1));
        assert_eq!(paths(&decisions), ["/slow", "/bad", "/3", "/2"]);
    }

    #[test]
    fn without_room_for_failures_they_are_treated_like_the_others() {
        let mut decisions = decisions(1, 0, 100);
        offer(&mut decisions, "/1", 200);
        offer(&mut decisions, "/2", 503);
        assert_eq!(paths(&decisions), ["/2"]);
    }

    #[test]
    fn a_smaller_ring_keeps_the_latest_and_a_larger_one_all() {
        let mut decisions = decisions(4, 0, 100);
        let paths_after = |decisions: &mut Decisions, keep| {
            decisions.configure(Some(Settings { keep, rate: 100, failures: 0, slow: Duration::MAX }));
            paths(decisions)
        };
        for number in 0..6 {
            offer(&mut decisions, &format!("/{number}"), 200);
        }
        assert_eq!(paths_after(&mut decisions, 3), ["/5", "/4", "/3"]);
        assert_eq!(paths_after(&mut decisions, 4), ["/5", "/4", "/3"]);
        offer(&mut decisions, "/6", 200);
        offer(&mut decisions, "/7", 200);
        assert_eq!(paths(&decisions), ["/7", "/6", "/5", "/4"]);
        decisions.configure(None);
        assert!(paths(&decisions).is_empty() && !decisions.is_on());
    }

    #[test]
    fn what_is_over_the_rate_is_left_out_but_no_failure() {
        let mut decisions = decisions(1_000, 1_000, 20);
        let mut kept_in = |second: u64, requests: usize| {
            let before = decisions.iter().filter(|decision| !decision.has_failed()).count();
            for number in 0..requests {
                let status = if number % 2 == 0 { 200 } else { 502 };
                offer_at(&mut decisions, "/", status, second, Duration::ZERO);
            }
            decisions.iter().filter(|decision| !decision.has_failed()).count() - before
        };
        assert_eq!([kept_in(100, 80), kept_in(100, 80), kept_in(101, 10), kept_in(102, 80)], [20, 0, 5, 20]);
        assert_eq!(kept_in(1_000, 80), 20, "what was not used is not saved up");
        assert_eq!(decisions.iter().filter(|decision| decision.has_failed()).count(), 165);
    }
}
