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
    places: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    /// Where there must be room; anywhere if not given.
    only: Option<EndpointId>,
    waker: Waker,
}

impl Waiting {
    fn new(number: u64, only: Option<EndpointId>) -> Self {
        Self { number, only, waker: Waker::noop().clone() }
    }
}

impl Line {
    fn place(&self, number: u64) -> Result<usize, usize> {
        self.places.binary_search_by_key(&number, |waiting| waiting.number)
    }

    /// Whether one of the first so many wants the room that one who waits for this could use.
    fn is_wanted(&self, only: Option<EndpointId>, first: usize) -> bool {
        self.places.iter().take(first).any(|waiting| waiting.only.is_none() || waiting.only == only)
    }

    /// Takes out the first one that room at this endpoint is good for.
    fn call(&mut self, endpoint: EndpointId) -> Option<Waker> {
        let is_good = |waiting: &Waiting| waiting.only.is_none_or(|only| only == endpoint);
        let place = self.places.iter().position(is_good)?;
        self.places.remove(place).map(|waiting| waiting.waker)
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

    /// Takes a place at the end of the line, unless `max` wait already: for room at one endpoint, or at any. Those that wait for one endpoint take
    /// half of the places at most: a single session must not keep all others from waiting. Whoever is first there looks for room once
    /// more before it waits: only room that is made from now on leads to a call.
    pub fn enter(self: &Arc<Self>, max: u32, only: Option<EndpointId>) -> Option<Place> {
        let number = self.with_line(|line| {
            let max = max as usize;
            let wants_the_same = |waiting: &&Waiting| waiting.only == only;
            let is_crowded = || line.places.iter().filter(wants_the_same).count() >= max.div_ceil(2);
            if line.places.len() >= max || only.is_some() && is_crowded() {
                return None;
            }
            line.next_number += 1;
            line.places.push_back(Waiting::new(line.next_number, only));
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
        let called = self.with_line(|line| std::mem::take(&mut line.places));
        called.into_iter().for_each(|waiting| waiting.waker.wake());
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

/// A place in the line. Resolves when it is called. Dropped after that, it calls all the others instead: whoever was called looks for
/// room, and waits on where it stood.
#[derive(Debug)]
pub struct Place {
    line: Arc<WaitingLine>,
    /// `None` once it has served its purpose.
    number: Option<u64>,
}

impl Place {
    /// Whether nobody before it waits for the same.
    pub fn is_first(&self) -> bool {
        let line = self.line.lock();
        let Some(index) = self.number.and_then(|number| line.place(number).ok()) else { return false };
        let only = line.places.get(index).and_then(|waiting| waiting.only);
        !line.is_wanted(only, index)
    }

    /// Leaves the line for good, with a turn or without one. If others wait, they are called to the endpoints that have room: that may
    /// have been made while nobody stood in the line.
    pub fn leave<R: IntoIterator<Item = EndpointId>>(mut self, rooms: impl FnOnce() -> R) {
        self.step_out();
        if !self.line.is_empty() {
            rooms().into_iter().for_each(|endpoint| self.line.call_one(endpoint));
        }
    }

    /// Waits on at the same place after a call that came to nothing, because somebody else was faster. As after
    /// [`WaitingLine::enter`], whoever is first looks for room once more.
    pub fn wait_on(&mut self, only: Option<EndpointId>) {
        let Some(number) = self.number else { return };
        self.line.with_line(|line| {
            if let Err(index) = line.place(number) {
                line.places.insert(index, Waiting::new(number, only));
            }
        });
    }

    /// Gives up its place; whether it was in the line, and not called.
    fn step_out(&mut self) -> bool {
        let Some(number) = self.number.take() else { return false };
        self.line.with_line(|line| line.place(number).is_ok_and(|index| line.places.remove(index).is_some()))
    }
}

impl Future for Place {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut line = self.line.lock();
        let index = self.number.and_then(|number| line.place(number).ok());
        match index.and_then(|index| line.places.get_mut(index)) {
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
        if self.number.is_some() && !self.step_out() {
            self.line.call_all();
        }
    }
}

#[cfg(test)]
mod tests;
