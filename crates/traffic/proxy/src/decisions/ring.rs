//! The requests that a worker remembers.

use base_kit::Moment;
use base_model::model::Decisions as Settings;
use base_signal::{Counter, Shard, families};

use crate::decisions::Decision;

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
    #[expect(clippy::vec_box, reason = "they change places with those of requests under way, as pointers")]
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

    /// Remembers a request, if it is one to be remembered. In its place `decision` then holds an older one, as memory for the
    /// next request. Whether it was something out of the ordinary is handed to `finish`, which fills in what is missing.
    pub(crate) fn offer(&mut self, decision: &mut Box<Decision>, finish: impl FnOnce(&mut Decision, bool)) {
        let Some(settings) = self.settings.filter(|_| decision.is_on) else { return };
        let is_slow = decision.total >= settings.slow && decision.status != SWITCHING;
        let stands_out = is_slow || decision.has_failed() || decision.was_hard();
        if stands_out && self.failures.capacity > 0 {
            finish(decision, true);
            self.kept_failures.increment();
            return self.failures.put(decision);
        }
        let now = decision.started + decision.total;
        if self.latest.capacity == 0 || !self.allowance.takes_one(settings.rate, now) {
            return self.skipped.increment();
        }
        finish(decision, stands_out);
        self.kept_latest.increment();
        self.latest.put(decision);
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
    fn put(&mut self, decision: &mut Box<Decision>) {
        match self.slots.get_mut(self.next) {
            Some(oldest) => std::mem::swap(oldest, decision),
            None => self.slots.push(std::mem::take(decision)),
        }
        self.next = (self.next + 1) % self.capacity.max(1);
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

/// A request as tests need it.
#[cfg(test)]
pub(super) fn example(path: &str, status: u16) -> Box<Decision> {
    let mut decision = Box::<Decision>::default();
    decision.begin(true);
    decision.status = status;
    decision.started = Moment::ZERO + std::time::Duration::from_secs(100);
    let names = crate::decisions::Names {
        method: b"GET",
        host: b"a.test",
        path: path.as_bytes(),
        listener: "web",
        route: Some("r"),
        pool: Some(("p", "round-robin")),
    };
    decision.finish(&names, None);
    decision
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base_signal::Registry;

    use super::*;

    fn decisions(keep: usize, failures: usize, rate: u32) -> Decisions {
        let settings = Settings { keep, rate, failures, slow: Duration::from_secs(1) };
        Decisions::new(Some(settings), &Registry::new().shard())
    }

    fn offer(decisions: &mut Decisions, path: &str, status: u16) -> Box<Decision> {
        let mut decision = example(path, status);
        decisions.offer(&mut decision, |_, _| {});
        decision
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
        let mut slow = example("/slow", 200);
        slow.total = Duration::from_secs(1);
        decisions.offer(&mut slow, |_, stands_out| assert!(stands_out));
        assert_eq!(paths(&decisions), ["/slow", "/bad", "/3", "/2"]);
    }

    #[test]
    fn a_full_ring_gives_the_oldest_back_as_memory() {
        let mut decisions = decisions(1, 0, 100);
        offer(&mut decisions, "/1", 200);
        assert_eq!(offer(&mut decisions, "/2", 503).path(), b"/1", "failures: 0 treats them like the others");
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
                let mut decision = example("/", if number % 2 == 0 { 200 } else { 502 });
                decision.started = Moment::ZERO + Duration::from_secs(second);
                decisions.offer(&mut decision, |_, _| {});
            }
            decisions.iter().filter(|decision| !decision.has_failed()).count() - before
        };
        assert_eq!([kept_in(100, 80), kept_in(100, 80), kept_in(101, 10), kept_in(102, 80)], [20, 0, 5, 20]);
        assert_eq!(kept_in(1_000, 80), 20, "what was not used is not saved up");
        assert_eq!(decisions.iter().filter(|decision| decision.has_failed()).count(), 165);
    }
}
