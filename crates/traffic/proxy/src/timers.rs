//! Deadlines for connections: setting one costs a store, not a system timer.
//!
//! A connection sets a new deadline several times per request and almost never meets one. So a deadline that is later than the
//! one already queued is only written down; when the queued one comes, the timer looks again and queues itself anew.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base_kit::{Moment, prefetch};
use slab::Slab;
use tokio::sync::Notify;

/// One worker's deadlines. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    entries: RefCell<Slab<Entry>>,
    queue: RefCell<BinaryHeap<Reverse<Queued>>>,
    /// Grows with every timer made.
    serials: Cell<u32>,
    /// When the driver will look next.
    next_look: Cell<Moment>,
    earlier: Notify,
}

#[derive(Debug)]
struct Entry {
    deadline: Moment,
    /// The earliest moment in the queue for this entry; `NEVER` if none.
    queued: Moment,
    /// Distinguishes this entry from an earlier one in the same slot.
    serial: u32,
    expired: bool,
    /// Whether [`Timers::hurry`] may bring the deadline forward.
    idle: bool,
    /// Expired for good, whatever deadline is set.
    doomed: bool,
    group: Arc<str>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    at: Moment,
    slot: usize,
    serial: u32,
}

impl Timers {
    /// No deadlines.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.entries.borrow().len()
    }

    /// A timer for one task. Not set. The group is the listener's name.
    pub(crate) fn timer(&self, group: Arc<str>) -> Timer {
        let mut entries = self.0.entries.borrow_mut();
        let vacant = entries.vacant_entry();
        let slot = vacant.key();
        let serial = self.0.serials.get().wrapping_add(1);
        self.0.serials.set(serial);
        vacant.insert(Entry {
            deadline: Moment::NEVER,
            queued: Moment::NEVER,
            serial,
            expired: false,
            idle: false,
            doomed: false,
            group,
            waker: None,
        });
        Timer { timers: self.clone(), slot }
    }

    /// Wakes what is due. Gives the moment at which to call again, unless [`Timers::earlier`] tells to come before.
    pub(crate) fn advance(&self, now: Moment) -> Moment {
        loop {
            let due = {
                let mut queue = self.0.queue.borrow_mut();
                match queue.peek() {
                    Some(Reverse(first)) if first.at <= now => queue.pop().map(|Reverse(due)| due),
                    other => {
                        let next = other.map_or(Moment::NEVER, |Reverse(first)| first.at);
                        self.0.next_look.set(next);
                        return next;
                    }
                }
            };
            if let Some(due) = due {
                self.fire_or_requeue(due, now);
            }
        }
    }

    fn fire_or_requeue(&self, due: Queued, now: Moment) {
        let mut entries = self.0.entries.borrow_mut();
        let Some(entry) = entries.get_mut(due.slot) else { return };
        if entry.serial != due.serial || entry.queued != due.at {
            return; // of a timer that is gone, or queued again for an earlier moment
        }
        entry.queued = Moment::NEVER;
        if entry.deadline <= now {
            entry.expired = true;
            if let Some(waker) = &entry.waker {
                waker.wake_by_ref();
            }
        } else if entry.deadline != Moment::NEVER {
            entry.queued = entry.deadline;
            self.0.queue.borrow_mut().push(Reverse(Queued { at: entry.deadline, ..due }));
        }
    }

    /// Resolves when a deadline was set that lies before the moment [`Timers::advance`] gave.
    pub(crate) async fn earlier(&self) {
        self.0.earlier.notified().await;
    }

    /// Brings the deadlines of idle timers forward to `latest`, in the groups that are wanted: they drain.
    pub(crate) fn hurry(&self, latest: Moment, wanted: impl Fn(&str) -> bool) {
        let idle = |entry: &Entry| entry.idle && wanted(&entry.group);
        for slot in self.slots(idle) {
            self.set(slot, latest, true, true);
        }
    }

    /// Has all timers expire at once and for good, in the groups that are wanted: their time to drain is over.
    pub(crate) fn doom(&self, wanted: impl Fn(&str) -> bool) {
        for slot in self.slots(|entry| wanted(&entry.group)) {
            if let Some(entry) = self.0.entries.borrow_mut().get_mut(slot) {
                entry.doomed = true;
                entry.waker.iter().for_each(Waker::wake_by_ref);
            }
        }
    }

    fn slots(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<usize> {
        let entries = self.0.entries.borrow();
        entries.iter().filter(|(_, entry)| wanted(entry)).map(|(slot, _)| slot).collect()
    }

    fn set(&self, slot: usize, deadline: Moment, idle: bool, only_earlier: bool) {
        let mut entries = self.0.entries.borrow_mut();
        let Some(entry) = entries.get_mut(slot) else { return };
        if only_earlier && entry.deadline <= deadline {
            return;
        }
        entry.deadline = deadline;
        entry.idle = idle;
        entry.expired = false;
        if deadline < entry.queued {
            entry.queued = deadline;
            self.0.queue.borrow_mut().push(Reverse(Queued { at: deadline, slot, serial: entry.serial }));
            if deadline < self.0.next_look.get() {
                self.0.next_look.set(deadline);
                self.0.earlier.notify_one();
            }
        }
    }
}

/// The deadline of one task.
#[derive(Debug)]
pub(crate) struct Timer {
    timers: Timers,
    slot: usize,
}

impl Timer {
    /// Sets the deadline, in place of any earlier one.
    pub(crate) fn set(&self, deadline: Moment) {
        self.timers.set(self.slot, deadline, false, false);
    }

    /// Sets the deadline of a connection between two requests: a drain may shorten it.
    pub(crate) fn set_idle(&self, deadline: Moment) {
        self.timers.set(self.slot, deadline, true, false);
    }

    /// Has what is kept of it come nearer: it is about to be set.
    pub(crate) fn prefetch(&self) {
        self.timers.0.entries.borrow().get(self.slot).inspect(|entry| prefetch(*entry));
    }

    /// Whether its time to drain is over: whatever it waits for is cut.
    pub(crate) fn is_doomed(&self) -> bool {
        self.timers.0.entries.borrow().get(self.slot).is_some_and(|entry| entry.doomed)
    }

    /// Ready once the deadline has come.
    pub(crate) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut entries = self.timers.0.entries.borrow_mut();
        let Some(entry) = entries.get_mut(self.slot) else { return Poll::Ready(()) };
        if entry.expired || entry.doomed {
            return Poll::Ready(());
        }
        match &entry.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => entry.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.timers.0.entries.borrow_mut().try_remove(self.slot);
    }
}

/// The deadline came first.
#[derive(Debug)]
pub(crate) struct Expired;

/// Waits for a future until the timer, which the caller has set, expires.
pub(crate) async fn within<T>(timer: &Timer, future: impl Future<Output = T>) -> Result<T, Expired> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(Expired)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    fn expired(timer: &Timer) -> bool {
        timer.poll_expired(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_deadline_expires_when_it_comes_and_not_before() {
        let timers = Timers::new();
        let timer = timers.timer("web".into());
        timer.set(at(5));
        assert_eq!(timers.advance(at(4)), at(5));
        assert!(!expired(&timer));
        timers.advance(at(5));
        assert!(expired(&timer));
        timer.set(at(9));
        assert!(!expired(&timer), "setting it anew takes the expiry back");
    }

    #[test]
    fn putting_a_deadline_off_queues_nothing_until_the_old_one_comes() {
        let timers = Timers::new();
        let timer = timers.timer("web".into());
        for second in 5..100 {
            timer.set(at(second));
        }
        assert_eq!(timers.0.queue.borrow().len(), 1);
        assert_eq!(timers.advance(at(5)), at(99));
        assert!(!expired(&timer));
    }

    #[test]
    fn an_earlier_deadline_counts_at_once() {
        let timers = Timers::new();
        let timer = timers.timer("web".into());
        timer.set(at(60));
        timers.advance(at(0));
        timer.set(at(2));
        timers.advance(at(2));
        assert!(expired(&timer));
    }

    #[test]
    fn a_slot_used_again_is_not_woken_by_its_former_deadline() {
        let timers = Timers::new();
        let old = timers.timer("web".into());
        old.set(at(5));
        drop(old);
        let new = timers.timer("web".into());
        new.set(at(50));
        timers.advance(at(10));
        assert!(!expired(&new));
        assert_eq!(timers.0.entries.borrow().len(), 1);
    }

    #[test]
    fn a_drain_hurries_idle_timers_only() {
        let timers = Timers::new();
        let (idle, busy) = (timers.timer("web".into()), timers.timer("web".into()));
        idle.set_idle(at(60));
        busy.set(at(60));
        timers.hurry(at(1), |group| group == "web");
        timers.advance(at(1));
        assert!(expired(&idle) && !expired(&busy));
    }

    #[test]
    fn a_doomed_timer_cannot_be_put_off() {
        let timers = Timers::new();
        let (web, other) = (timers.timer("web".into()), timers.timer("other".into()));
        timers.doom(|group| group == "web");
        web.set(at(60));
        assert!(expired(&web) && !expired(&other));
    }
}
