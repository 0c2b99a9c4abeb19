//! The line of requests that wait until an endpoint of their pool has room.
//!
//! First come, first served, over all workers. Whoever ends a request looks at one number; only when somebody waits is the
//! lock taken.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A pool's line.
#[derive(Debug, Default)]
pub struct WaitingLine {
    /// Those in the line. Written under the lock, read without.
    ///
    /// Sequentially consistent, as the count of requests in flight is: either whoever ends a request sees the one that waits,
    /// or that one, which tries again once it stands in the line, sees the room.
    waiting: AtomicU32,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    next_number: u64,
    /// Those that were not called yet, by their numbers.
    places: VecDeque<(u64, Waker)>,
}

impl Line {
    fn find(&self, number: u64) -> Option<usize> {
        self.places.binary_search_by_key(&number, |(number, _)| *number).ok()
    }
}

impl WaitingLine {
    /// How many wait.
    pub fn len(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a place at the end of the line, unless `max` wait already. Whoever is first there looks for room once more before it
    /// waits: only room that is made from now on leads to a call.
    pub fn enter(self: &Arc<Self>, max: u32) -> Option<Place> {
        let number = self.with_line(|line| {
            if line.places.len() >= max as usize {
                return None;
            }
            line.next_number += 1;
            line.places.push_back((line.next_number, Waker::noop().clone()));
            Some(line.next_number)
        })?;
        Some(Place { line: Arc::clone(self), number: Some(number) })
    }

    /// Calls the first of the line: an endpoint has room for one.
    pub(crate) fn call_one(&self) {
        if self.is_empty() {
            return;
        }
        if let Some((_, waker)) = self.with_line(|line| line.places.pop_front()) {
            waker.wake();
        }
    }

    /// Calls all: who may take traffic has changed.
    pub(crate) fn call_all(&self) {
        if self.is_empty() {
            return;
        }
        let called = self.with_line(|line| std::mem::take(&mut line.places));
        called.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn with_line<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let mut line = self.lock();
        let result = change(&mut line);
        self.waiting.store(u32::try_from(line.places.len()).unwrap_or(u32::MAX), Ordering::SeqCst);
        result
    }

    /// Every change under the lock is complete when it can panic.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line. Resolves when it is called. Dropped after that, it calls the next one instead.
#[derive(Debug)]
pub struct Place {
    line: Arc<WaitingLine>,
    /// `None` once it has served its purpose.
    number: Option<u64>,
}

impl Place {
    /// Whether nobody is before it.
    pub fn is_first(&self) -> bool {
        let line = self.line.lock();
        line.places.front().map(|(number, _)| *number) == self.number
    }

    /// Leaves the line for good, with a turn or without one. The next one is called if there is room for it, too: that may have been
    /// made while nobody stood in the line.
    pub fn leave(mut self, has_room: impl FnOnce() -> bool) {
        self.step_out();
        if !self.line.is_empty() && has_room() {
            self.line.call_one();
        }
    }

    /// Waits on at the same place after a call that came to nothing, because somebody else was faster. As after
    /// [`WaitingLine::enter`], whoever is first looks for room once more.
    pub fn wait_on(&mut self) {
        let Some(number) = self.number else { return };
        self.line.with_line(|line| {
            if let Err(index) = line.places.binary_search_by_key(&number, |(number, _)| *number) {
                line.places.insert(index, (number, Waker::noop().clone()));
            }
        });
    }

    /// Gives up its place; whether it was in the line, and not called.
    fn step_out(&mut self) -> bool {
        let Some(number) = self.number.take() else { return false };
        self.line.with_line(|line| {
            let found = line.find(number);
            found.is_some_and(|index| line.places.remove(index).is_some())
        })
    }
}

impl Future for Place {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut line = self.line.lock();
        let index = self.number.and_then(|number| line.find(number));
        match index.and_then(|index| line.places.get_mut(index)) {
            Some((_, waker)) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.number.is_some() && !self.step_out() {
            self.line.call_one();
        }
    }
}

#[cfg(test)]
mod tests;
