//! When checks that rest go on: all whose time has come, at once.
//!
//! Twenty thousand alarms of the runtime's are as many entries in lists that nobody has looked at for seconds. Here those who rest until the
//! same moment are side by side, and one alarm wakes them all.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base_kit::prefetch_task;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Wakers by the moment for which they wait. A place is empty when its rest was dropped.
type Resting = BTreeMap<Instant, Vec<Option<Waker>>>;

/// How far ahead of whoever is woken memory is fetched: it comes from afar, and so many are under way at once at most.
const AHEAD: usize = 8;

/// Bytes of a task that are fetched: what a check's takes.
const TASK: usize = 1024;

/// Who rests until when.
pub(crate) struct Turns {
    /// Turns are counted from here.
    start: Instant,
    resting: Mutex<Resting>,
    /// Rings when somebody rests until an earlier moment than all others.
    earlier: Notify,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { start: now(), resting: Mutex::default(), earlier: Notify::new() }
    }

    /// Rests for so long, and then until the next turn begins. Turns of the same length begin together.
    pub(crate) fn rest(&self, pause: Duration, turn: Duration) -> Rest<'_> {
        Rest { turns: self, until: self.after(now(), pause, turn), place: None }
    }

    /// The begin of the first turn after a pause.
    pub(super) fn after(&self, now: Instant, pause: Duration, turn: Duration) -> Instant {
        self.start + begin_of_turn((now - self.start) + pause, turn)
    }

    /// Wakes whose time has come, until it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            // Made before looking, so that a ring in between is not missed.
            let earlier = self.earlier.notified();
            let first = self.lock().first_key_value().map(|(until, _)| *until);
            match first {
                None => earlier.await,
                Some(until) if timeout_at(until, earlier).await.is_ok() => {}
                Some(_) => self.wake(now()),
            }
        }
    }

    fn wake(&self, now: Instant) {
        loop {
            let mut resting = self.lock();
            let Some(turn) = resting.first_entry().filter(|turn| *turn.key() <= now) else { return };
            let mut woken = turn.remove();
            drop(resting);
            for place in 0..woken.len() {
                woken.get(place + AHEAD).and_then(Option::as_ref).inspect(|waker| prefetch_task(waker, TASK));
                woken.get_mut(place).and_then(Option::take).into_iter().for_each(Waker::wake);
            }
        }
    }

    /// A waker for a moment, and its place among those.
    fn enter(&self, until: Instant, waker: Waker) -> usize {
        let mut resting = self.lock();
        let is_first = resting.first_key_value().is_none_or(|(first, _)| until < *first);
        let turn = resting.entry(until).or_default();
        turn.push(Some(waker));
        let place = turn.len() - 1;
        drop(resting);
        if is_first {
            self.earlier.notify_one();
        }
        place
    }

    /// Puts another waker, or none, in a place that is still there. Gives the one that was there, to be dropped without the lock: the task
    /// that goes with it may have a rest of its own to end.
    fn replace(&self, until: Instant, place: usize, waker: Option<Waker>) -> Option<Waker> {
        let mut resting = self.lock();
        let there = resting.get_mut(&until).and_then(|turn| turn.get_mut(place))?;
        std::mem::replace(there, waker)
    }

    /// No code under the lock can leave it half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rest. Dropped, nobody is woken.
pub(crate) struct Rest<'turns> {
    turns: &'turns Turns,
    until: Instant,
    /// Among those who rest until the same moment.
    place: Option<usize>,
}

impl Future for Rest<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (turns, until) = (self.turns, self.until);
        if now() >= until {
            self.place = None;
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        match self.place {
            None => self.place = Some(turns.enter(until, waker)),
            Some(place) => drop(turns.replace(until, place, Some(waker))),
        }
        Poll::Pending
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            drop(self.turns.replace(self.until, place, None));
        }
    }
}

/// The time of the runtime's alarms, not that of a clock which a test may hold still while checks go on.
#[expect(clippy::disallowed_methods, reason = "what is waited for and what is read must be one time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The first begin of a turn that is not before this time.
fn begin_of_turn(time: Duration, turn: Duration) -> Duration {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let over = nanos(time).checked_rem(nanos(turn)).unwrap_or_default();
    let rest = if over == 0 { 0 } else { nanos(turn) - over };
    time + Duration::from_nanos(rest)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::{AbortHandle, JoinSet};
    use tokio::time::sleep_until;

    use super::*;

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn rests_end_with_a_turn() {
        let begin = |time: u64| begin_of_turn(millis(time), millis(10));
        assert_eq!([begin(2_000), begin(2_003), begin(1_999)], [2_000, 2_010, 2_000].map(millis));
        assert_eq!(begin_of_turn(millis(7), Duration::ZERO), millis(7), "no turn, no wait for it");
    }

    /// Tasks that rest, and how many have rested.
    struct Stage {
        turns: Arc<Turns>,
        rested: Arc<AtomicUsize>,
        tasks: JoinSet<()>,
    }

    impl Stage {
        fn new() -> Self {
            let mut stage =
                Self { turns: Arc::new(Turns::new()), rested: Arc::default(), tasks: JoinSet::new() };
            let turns = Arc::clone(&stage.turns);
            stage.tasks.spawn(async move { turns.run().await });
            stage
        }

        fn rest(&mut self, pause: u64, turn: u64) -> AbortHandle {
            let (turns, rested) = (Arc::clone(&self.turns), Arc::clone(&self.rested));
            self.tasks.spawn(async move {
                turns.rest(millis(pause), millis(turn)).await;
                rested.fetch_add(1, Ordering::Relaxed);
            })
        }

        /// How many have rested at this time.
        async fn rested_at(&self, time: u64) -> usize {
            sleep_until(self.turns.start + millis(time)).await;
            self.rested.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_whose_turn_has_come_are_woken_and_no_others() {
        let mut stage = Stage::new();
        for pause in [21, 25, 30, 31] {
            stage.rest(pause, 10);
        }
        assert_eq!(stage.rested_at(5).await, 0);
        // The alarm was set for later ones.
        stage.rest(1, 2);
        assert_eq!(
            [stage.rested_at(8).await, stage.rested_at(29).await, stage.rested_at(32).await],
            [1, 1, 4]
        );
        assert_eq!(stage.rested_at(1_000).await, 5);
        assert!(stage.turns.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_dropped_is_forgotten() {
        let mut stage = Stage::new();
        let [_, dropped, _] = [10, 10, 10].map(|pause| stage.rest(pause, 10));
        assert_eq!(stage.rested_at(5).await, 0);
        dropped.abort();
        assert_eq!(stage.rested_at(6).await, 0);
        let waiting: Vec<bool> = stage.turns.lock().values().flatten().map(Option::is_some).collect();
        assert_eq!(waiting, [true, false, true], "nothing of a task that is gone is kept");
        assert_eq!(stage.rested_at(15).await, 2);
    }
}
