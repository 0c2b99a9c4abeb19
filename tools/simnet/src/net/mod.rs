//! A network in memory: links of two pipes with delay, bounded room, partial reads and writes, ends and resets.
//!
//! One end of a link belongs to Aya, the other to an actor. What is written becomes visible at the other side when the weather
//! says so, in order; what falls together is delivered in an order drawn from the seed.

mod pipe;
mod stream;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::present;
use crate::dice::Dice;
use pipe::Pipe;

pub(crate) use pipe::{Broken, Seen};
pub(crate) use stream::{EngineStream, Tap};

/// So many looks at the network without a step of the clock mean that somebody turns in a circle.
const MAX_LOOKS: u64 = 100_000;

/// How the network behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Longest delay, in milliseconds.
    pub(crate) delay_ms: usize,
    /// Of a hundred pieces so many are delayed at all.
    pub(crate) delayed: usize,
    /// Largest piece that is read or written at once.
    pub(crate) piece: usize,
    /// Bytes that fit into a pipe.
    pub(crate) room: usize,
    /// Of a hundred polls so many come to nothing though something is there, as with a spent budget.
    pub(crate) spurious: usize,
    /// Of a hundred resets so many take with them what was not read yet.
    pub(crate) resets_discard: usize,
}

impl Weather {
    /// Nothing is delayed, cut into pieces or held up.
    pub(crate) const CALM: Self =
        Self { delay_ms: 0, delayed: 0, piece: 1 << 20, room: 1 << 20, spurious: 0, resets_discard: 0 };
}

/// Which way through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Who has opened it.
    Opener,
    /// Who was called.
    Called,
}

impl Side {
    const fn out(self) -> usize {
        self as usize
    }

    const fn into(self) -> usize {
        1 - self as usize
    }
}

/// The network.
#[derive(Clone)]
pub(crate) struct Net(Rc<Inner>);

struct Inner {
    state: RefCell<State>,
    earlier: Notify,
    start: Instant,
}

struct State {
    links: Vec<[Pipe; 2]>,
    events: BinaryHeap<Reverse<Event>>,
    serial: u64,
    dice: Dice,
    weather: Weather,
    looks: (Instant, u64),
    counts: Counts,
}

/// What has happened in the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Deliveries, ends and resets.
    pub events: u64,
    /// Polls of connections.
    pub polls: u64,
    /// Writes that were taken in part.
    pub partial_writes: u64,
    /// Reads that gave only a part of what was there.
    pub partial_reads: u64,
    /// Pieces that were delayed.
    pub delays: u64,
    /// Times that somebody had to wait for room.
    pub back_pressure: u64,
    /// Connections that were reset.
    pub resets: u64,
    /// Polls that came to nothing though something was there.
    pub spurious: u64,
}

impl Counts {
    /// Of both.
    pub fn plus(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            polls: self.polls + other.polls,
            partial_writes: self.partial_writes + other.partial_writes,
            partial_reads: self.partial_reads + other.partial_reads,
            delays: self.delays + other.delays,
            back_pressure: self.back_pressure + other.back_pressure,
            resets: self.resets + other.resets,
            spurious: self.spurious + other.spurious,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Instant,
    /// Drawn, so that what falls together comes in any order.
    order: usize,
    serial: u64,
    link: usize,
    pipe: usize,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Bytes(usize),
    End,
    Reset,
}

impl Net {
    pub(crate) fn new(dice: Dice, weather: Weather) -> Self {
        let start = present();
        let state = State {
            links: Vec::new(),
            events: BinaryHeap::new(),
            serial: 0,
            dice,
            weather,
            looks: (start, 0),
            counts: Counts::default(),
        };
        Self(Rc::new(Inner { state: RefCell::new(state), earlier: Notify::new(), start }))
    }

    /// A new link: the end of who opens it, and that of who is called.
    pub(crate) fn link(&self) -> (End, End) {
        let mut state = self.0.state.borrow_mut();
        let room = state.weather.room;
        let link = state.links.len();
        let now = present();
        state.links.push([Pipe::new(room, now), Pipe::new(room, now)]);
        let end = |side| End { net: self.clone(), link, side };
        (end(Side::Opener), end(Side::Called))
    }

    /// How long a connection takes to be made.
    pub(crate) fn handshake(&self) -> Duration {
        let mut state = self.0.state.borrow_mut();
        state.delay()
    }

    /// The longest body that comes through in a reasonable time.
    pub(crate) fn longest_body(&self) -> usize {
        let Weather { piece, room, .. } = self.weather();
        piece.min(room) * 300
    }

    pub(crate) fn weather(&self) -> Weather {
        self.0.state.borrow().weather
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.state.borrow().counts
    }

    /// Time since the world began.
    pub(crate) fn elapsed(&self) -> Duration {
        present() - self.0.start
    }

    /// Counts a look at the world.
    ///
    /// # Panics
    /// When there are too many without a step of the clock: somebody turns in a circle.
    pub(crate) fn look(&self) {
        self.0.state.borrow_mut().look();
    }

    /// Delivers what is under way, as long as somebody polls it.
    pub(crate) async fn deliver(self) {
        loop {
            let next = self.0.state.borrow().events.peek().map(|Reverse(event)| event.at);
            match next {
                Some(at) if at <= present() => {
                    if self.deliver_one() {
                        tokio::task::yield_now().await;
                    }
                }
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = self.0.earlier.notified() => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => self.0.earlier.notified().await,
            }
        }
    }

    /// Whether others get their turn before the next one.
    fn deliver_one(&self) -> bool {
        let mut state = self.0.state.borrow_mut();
        let Some(Reverse(event)) = state.events.pop() else { return false };
        let wakers = state.carry_out(event.link, event.pipe, event.what);
        let pauses = state.dice.percent(50);
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        pauses
    }
}

type Wakers = [Option<Waker>; 2];

impl State {
    fn look(&mut self) {
        self.counts.polls += 1;
        let now = present();
        if self.looks.0 != now {
            self.looks = (now, 0);
        }
        self.looks.1 += 1;
        assert!(self.looks.1 < MAX_LOOKS, "livelock: {MAX_LOOKS} looks at the network in one instant");
    }

    fn delay(&mut self) -> Duration {
        let Weather { delay_ms, delayed, .. } = self.weather;
        if delay_ms == 0 || !self.dice.percent(delayed) {
            return Duration::ZERO;
        }
        self.counts.delays += 1;
        self.dice.millis(0, delay_ms)
    }

    /// Sends something through a pipe. What is not delayed is there at once.
    fn send(&mut self, link: usize, pipe: usize, what: What, earlier: &Notify) -> Wakers {
        let at = present() + self.delay();
        let last = &mut self.links[link][pipe].last_arrival;
        let at = at.max(*last);
        *last = at;
        if at <= present() && self.links[link][pipe].under_way == 0 {
            return self.carry_out(link, pipe, what);
        }
        self.links[link][pipe].under_way += 1;
        self.serial += 1;
        // Within one pipe everything keeps its order: the later one is drawn from above the former.
        let floor =
            if at == self.links[link][pipe].last_order.0 { self.links[link][pipe].last_order.1 } else { 0 };
        let order = floor + self.dice.below(1000);
        self.links[link][pipe].last_order = (at, order);
        let is_first = self.events.peek().is_none_or(|Reverse(first)| at < first.at);
        self.events.push(Reverse(Event { at, order, serial: self.serial, link, pipe, what }));
        if is_first {
            earlier.notify_one();
        }
        [None, None]
    }

    fn carry_out(&mut self, link: usize, pipe: usize, what: What) -> Wakers {
        self.counts.events += 1;
        let discards = self.dice.percent(self.weather.resets_discard);
        let [to, back] = match (pipe, &mut self.links[link]) {
            (0, [to, back]) | (_, [back, to]) => [to, back],
        };
        to.under_way = to.under_way.saturating_sub(1);
        match what {
            What::Bytes(count) => [to.arrive(count), None],
            What::End => [to.end(), None],
            What::Reset => {
                self.counts.resets += u64::from(!to.was_reset());
                [to.reset(discards), back.refuse()]
            }
        }
    }
}

/// One end of a link. Closed when dropped.
pub(crate) struct End {
    net: Net,
    pub(crate) link: usize,
    side: Side,
}

impl End {
    /// What there is to be read, without taking it. Pending while there is nothing.
    pub(crate) fn poll_seen(&self, cx: &Context<'_>, may_be_spurious: bool) -> Poll<Seen> {
        let mut state = self.net.0.state.borrow_mut();
        state.look();
        let is_spurious = may_be_spurious && {
            let percent = state.weather.spurious;
            state.dice.percent(percent)
        };
        let seen = state.links[self.link][self.side.into()].poll_seen(cx);
        if is_spurious && seen.is_ready() {
            state.counts.spurious += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        seen
    }

    /// Whether nothing can be seen, without waiting for it.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.net.0.state.borrow();
        state.links[self.link][self.side.into()].seen().is_none()
    }

    /// Takes bytes that were seen; never more than there are.
    pub(crate) fn take(&self, to: &mut [u8]) -> usize {
        let mut state = self.net.0.state.borrow_mut();
        let piece = state.weather.piece;
        let most = state.dice.between(1, piece);
        let pipe = &mut state.links[self.link][self.side.into()];
        let there = pipe.visible().min(to.len());
        let count = there.min(most);
        let waker = pipe.take(&mut to[..count]);
        state.counts.partial_reads += u64::from(count < there);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        count
    }

    /// Writes from the front of the bytes.
    pub(crate) fn poll_write(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Broken>> {
        let mut state = self.net.0.state.borrow_mut();
        state.look();
        let (out, weather) = (self.side.out(), state.weather);
        if state.dice.percent(weather.spurious) {
            state.counts.spurious += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let most = state.dice.between(1, weather.piece);
        let pipe = &mut state.links[self.link][out];
        let count = match pipe.poll_put(cx, bytes, most) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
            Poll::Pending => {
                state.counts.back_pressure += 1;
                return Poll::Pending;
            }
        };
        state.counts.partial_writes += u64::from(count < bytes.len());
        let is_heard = state.links[self.link][out].is_heard();
        let (pipe, what) = if is_heard { (out, What::Bytes(count)) } else { (self.side.into(), What::Reset) };
        let wakers = state.send(self.link, pipe, what, &self.net.0.earlier);
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }

    /// Says that no more comes.
    pub(crate) fn finish(&self) -> Result<(), Broken> {
        let mut state = self.net.0.state.borrow_mut();
        let out = self.side.out();
        let is_first = state.links[self.link][out].finish()?;
        let wakers =
            if is_first { state.send(self.link, out, What::End, &self.net.0.earlier) } else { [None, None] };
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        Ok(())
    }

    /// Closes with a reset instead of an end.
    pub(crate) fn abort(&self) {
        self.close(true);
    }

    /// Bytes that this end has written, and read.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let state = self.net.0.state.borrow();
        let [out, into] = [self.side.out(), self.side.into()].map(|pipe| &state.links[self.link][pipe]);
        (out.written, into.read)
    }

    /// Whether something lies here that came before this instant and was not read.
    pub(crate) fn is_neglected(&self) -> bool {
        let state = self.net.0.state.borrow();
        let pipe = &state.links[self.link][self.side.into()];
        pipe.visible() > 0 && pipe.last_bytes < present()
    }

    fn close(&self, aborts: bool) {
        let mut state = self.net.0.state.borrow_mut();
        let (out, into) = (self.side.out(), self.side.into());
        let (leaves_bytes, writer) = state.links[self.link][into].abandon();
        let is_over = state.links[self.link][out].was_reset();
        // What the kernel does: closing with bytes that nobody has read resets the connection.
        let what = if aborts || leaves_bytes { What::Reset } else { What::End };
        let is_first = state.links[self.link][out].finish() == Ok(true);
        let wakers = match what {
            What::End if is_first => state.send(self.link, out, What::End, &self.net.0.earlier),
            What::Reset if !is_over => state.send(self.link, out, What::Reset, &self.net.0.earlier),
            _ => [None, None],
        };
        drop(state);
        wakers.into_iter().flatten().chain(writer).for_each(Waker::wake);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close(false);
    }
}
