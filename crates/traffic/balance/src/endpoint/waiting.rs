//! The line of requests that wait until an endpoint of their pool has room.
//!
//! First come, first served, over all workers. Those of a session wait for room at one endpoint; the others for room at any.
//! Whoever ends a request looks at one number; only when somebody waits is the lock taken.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::EndpointId;

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
    waiting: VecDeque<Waiting>,
    /// Those that were called and are not back yet, and where there is room for them.
    called: Vec<(u64, EndpointId)>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    /// Where there must be room; anywhere if not given.
    only: Option<EndpointId>,
    waker: Waker,
}

impl Line {
    fn find(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |waiting| waiting.number).ok()
    }

    /// Whether one of the first so many wants the room that one who waits for this could use.
    fn is_wanted(&self, only: Option<EndpointId>, first: usize) -> bool {
        let wants_it = |waiting: &Waiting| waiting.only.is_none() || waiting.only == only;
        self.waiting.iter().take(first).any(wants_it)
    }

    /// Takes out the first one that room at this endpoint is good for.
    fn call(&mut self, endpoint: EndpointId) -> Option<Waker> {
        let is_good = |waiting: &Waiting| waiting.only.is_none_or(|only| only == endpoint);
        let place = self.waiting.iter().position(is_good)?;
        let Waiting { number, waker, .. } = self.waiting.remove(place)?;
        self.called.push((number, endpoint));
        Some(waker)
    }

    /// Takes one out that has been called; where to, if to one endpoint.
    fn take_called(&mut self, number: u64) -> Option<EndpointId> {
        let place = self.called.iter().position(|(called, _)| *called == number)?;
        Some(self.called.swap_remove(place).1)
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

    /// Whether nobody waits for the room that one who comes now could use: at one endpoint, or at any.
    pub fn is_free(&self, only: Option<EndpointId>) -> bool {
        self.is_empty() || !self.lock().is_wanted(only, usize::MAX)
    }

    /// Takes a place at the end of the line, unless `max` wait already: for room at one endpoint, or at any. Look for room once
    /// more before waiting: only room that is made from now on leads to a call.
    pub fn enter(self: &Arc<Self>, max: u32, only: Option<EndpointId>) -> Option<Place> {
        let number = self.with_line(|line| {
            if line.waiting.len() >= max as usize {
                return None;
            }
            line.next_number += 1;
            line.waiting.push_back(Waiting { number: line.next_number, only, waker: Waker::noop().clone() });
            Some(line.next_number)
        })?;
        Some(Place { line: Arc::clone(self), number: Some(number) })
    }

    /// Calls the first of those that this endpoint is good for: it has room for one.
    pub(crate) fn call_one(&self, endpoint: EndpointId) {
        if self.is_empty() {
            return;
        }
        if let Some(waker) = self.with_line(|line| line.call(endpoint)) {
            waker.wake();
        }
    }

    /// Calls all: who may take traffic has changed.
    pub(crate) fn call_all(&self) {
        if self.is_empty() {
            return;
        }
        let called = self.with_line(|line| std::mem::take(&mut line.waiting));
        called.into_iter().for_each(|waiting| waiting.waker.wake());
    }

    fn with_line<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let mut line = self.lock();
        let result = change(&mut line);
        self.waiting.store(u32::try_from(line.waiting.len()).unwrap_or(u32::MAX), Ordering::SeqCst);
        result
    }

    /// Every change under the lock is complete when it can panic.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line. Resolves when it is called. Dropped after that, it calls the next one instead, unless all were called.
#[derive(Debug)]
pub struct Place {
    line: Arc<WaitingLine>,
    /// `None` once it has served its purpose.
    number: Option<u64>,
}

impl Place {
    /// Whether nobody before it waits for the same: room that was made before this place was taken has called nobody.
    pub fn is_first(&self) -> bool {
        let line = self.line.lock();
        let Some(index) = self.number.and_then(|number| line.find(number)) else { return false };
        let only = line.waiting.get(index).and_then(|waiting| waiting.only);
        !line.is_wanted(only, index)
    }

    /// Leaves the line for good: there was room.
    pub fn leave(mut self) {
        if let Some(number) = self.number.take() {
            self.line.with_line(|line| {
                line.take_called(number);
                line.find(number).map(|index| line.waiting.remove(index))
            });
        }
    }
}

impl Future for Place {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut line = self.line.lock();
        let index = self.number.and_then(|number| line.find(number));
        match index.and_then(|index| line.waiting.get_mut(index)) {
            Some(waiting) => {
                waiting.waker.clone_from(context.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let unused = self.line.with_line(|line| {
            let index = line.find(number);
            index.map(|index| line.waiting.remove(index));
            line.take_called(number)
        });
        if let Some(endpoint) = unused {
            self.line.call_one(endpoint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_called(place: &mut Place) -> bool {
        Pin::new(place).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    const HERE: EndpointId = EndpointId(1);
    const THERE: EndpointId = EndpointId(2);

    #[test]
    fn first_come_first_served() {
        let line = Arc::new(WaitingLine::default());
        let mut places: Vec<Place> = (0..3).map(|_| line.enter(3, None).unwrap()).collect();
        assert!(line.enter(3, None).is_none(), "the line has its limit");
        assert!(!places.iter_mut().any(is_called));
        line.call_one(HERE);
        assert_eq!(places.iter_mut().map(is_called).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(line.len(), 2);
        line.call_all();
        assert!(places.iter_mut().all(is_called));
        assert!(line.is_empty());
    }

    #[test]
    fn a_call_is_passed_on_by_whoever_is_gone() {
        let line = Arc::new(WaitingLine::default());
        let (first, second) = (line.enter(9, None).unwrap(), line.enter(9, None).unwrap());
        let mut elsewhere = line.enter(9, Some(THERE)).unwrap();
        let mut third = line.enter(9, None).unwrap();
        drop(second);
        assert_eq!(line.len(), 3, "whoever leaves before the call calls nobody");
        line.call_one(HERE);
        assert!(!is_called(&mut third));
        drop(first);
        assert!(is_called(&mut third), "the first was called and is gone");
        assert!(!is_called(&mut elsewhere), "the room is not where it waits for it");
    }

    #[test]
    fn room_that_was_used_is_not_passed_on() {
        let line = Arc::new(WaitingLine::default());
        let first = line.enter(9, None).unwrap();
        let mut second = line.enter(9, None).unwrap();
        line.call_one(HERE);
        first.leave();
        assert!(!is_called(&mut second));
    }

    #[test]
    fn sessions_wait_for_their_endpoint_and_hold_up_nobody_else() {
        let line = Arc::new(WaitingLine::default());
        let mut bound = line.enter(9, Some(THERE)).unwrap();
        assert!(line.is_free(None) && line.is_free(Some(HERE)) && !line.is_free(Some(THERE)));
        let mut free = line.enter(9, None).unwrap();
        assert!(free.is_first(), "it may look for room elsewhere");
        assert!(!line.is_free(None) && !line.is_free(Some(HERE)), "others wait for any room");
        let late = line.enter(9, Some(THERE)).unwrap();
        assert!(!late.is_first() && bound.is_first());
        line.call_one(HERE);
        assert!(is_called(&mut free) && !is_called(&mut bound));
        line.call_one(HERE);
        assert_eq!(line.len(), 2, "room of no use to them calls neither");
        line.call_one(THERE);
        assert!(is_called(&mut bound));
        line.call_all();
        drop((bound, free, late));
        assert!(line.is_empty() && line.lock().called.is_empty());
    }
}
