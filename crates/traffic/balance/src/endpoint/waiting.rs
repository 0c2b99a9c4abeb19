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

    /// Takes a place at the end of the line, unless `max` wait already. Look for room once more before waiting: only room
    /// that is made from now on leads to a call.
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

    /// Leaves the line for good: there was room.
    pub fn leave(mut self) {
        if let Some(number) = self.number.take() {
            self.line.with_line(|line| line.find(number).map(|index| line.places.remove(index)));
        }
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
        let Some(number) = self.number else { return };
        let was_waiting = self.line.with_line(|line| match line.find(number) {
            Some(index) => line.places.remove(index).is_some(),
            None => false,
        });
        if !was_waiting {
            self.line.call_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_called(place: &mut Place) -> bool {
        Pin::new(place).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn first_come_first_served() {
        let line = Arc::new(WaitingLine::default());
        let mut places: Vec<Place> = (0..3).map(|_| line.enter(3).unwrap()).collect();
        assert!(line.enter(3).is_none(), "the line has its limit");
        assert!(!places.iter_mut().any(is_called));
        line.call_one();
        assert_eq!(places.iter_mut().map(is_called).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(line.len(), 2);
        line.call_all();
        assert!(places.iter_mut().all(is_called));
        assert!(line.is_empty());
    }

    #[test]
    fn a_call_is_passed_on_by_whoever_is_gone() {
        let line = Arc::new(WaitingLine::default());
        let (first, second) = (line.enter(9).unwrap(), line.enter(9).unwrap());
        let mut third = line.enter(9).unwrap();
        drop(second);
        assert_eq!(line.len(), 2, "whoever leaves before the call calls nobody");
        line.call_one();
        assert!(!is_called(&mut third));
        drop(first);
        assert!(is_called(&mut third), "the first was called and is gone");
    }

    #[test]
    fn room_that_was_used_is_not_passed_on() {
        let line = Arc::new(WaitingLine::default());
        let first = line.enter(9).unwrap();
        let mut second = line.enter(9).unwrap();
        line.call_one();
        first.leave();
        assert!(!is_called(&mut second));
    }
}
