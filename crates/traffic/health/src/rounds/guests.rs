//! The checks that are in rounds, and when each is to be asked.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use base_kit::{SeededRng, prefetch};
use rustix::event::{Timespec, epoll};
use tokio::sync::oneshot;
use tokio::time::Instant;
use traffic_http::ResponseHead;

use super::Left;
use super::turns::Turns;
use crate::line::{Kept, PlainSocket};
use crate::plan::CheckPlan;
use crate::report::{CheckResult, CheckSink};

/// Room for an answer: a good one that is longer is judged by the check's own task.
const ANSWER_BYTES: usize = 4 * 1024;
/// Answers that are judged in one go.
const EVENTS: usize = 256;
/// How far ahead of whoever is asked memory is fetched: it comes from afar, as nobody has thought of it since the last round.
const AHEAD: usize = 8;

/// Where a check sits, and which one that has sat there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    place: u32,
    serial: u32,
}

/// Who is to be asked, or to have answered, by when.
type Times = BTreeMap<Instant, Vec<Seat>>;

/// See the module.
pub(super) struct Guests {
    /// A vector: where a place is, is known without a look at it.
    places: Vec<Option<Seated>>,
    free: Vec<u32>,
    /// Tells who has answered.
    answers: OwnedFd,
    due: Times,
    /// Each is there once at most: those who have answered in time are still there, and looked at again when it comes to that.
    late: Times,
    /// Questions that are not answered yet, or whose answer nobody has looked at.
    unanswered: usize,
    /// When to look for answers, and after what pause that is.
    listen: Option<(Instant, Duration)>,
    serial: u32,
    is_open: bool,
    rng: SeededRng,
    /// What is read, and what is understood of it, one at a time.
    answer: Box<[u8; ANSWER_BYTES]>,
    head: ResponseHead,
}

pub(super) struct Seated {
    kept: Kept<PlainSocket>,
    question: Box<[u8]>,
    plan: Arc<CheckPlan>,
    on_check: CheckSink,
    leave: oneshot::Sender<Left>,
    serial: u32,
    /// When it was asked what it has not answered yet.
    asked: Option<Instant>,
    /// It is looked at when its answer, or that to an earlier question, is late.
    is_awaited: bool,
    /// It has said something unasked, or has closed.
    is_spoilt: bool,
}

impl Guests {
    /// # Errors
    /// When the system has no means left to wait with.
    pub(super) fn new(seed: u64) -> io::Result<Self> {
        Ok(Self {
            places: Vec::new(),
            free: Vec::new(),
            answers: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            due: Times::new(),
            late: Times::new(),
            unanswered: 0,
            listen: None,
            serial: 0,
            is_open: true,
            rng: SeededRng::new(seed),
            answer: Box::new([0; ANSWER_BYTES]),
            head: ResponseHead::default(),
        })
    }

    /// Seats a check that is to be asked at this time; whether it is the first of all. Gives back the connection where it cannot be watched.
    pub(super) fn seat(
        &mut self,
        kept: Kept<PlainSocket>,
        question: Box<[u8]>,
        (plan, on_check): (&Arc<CheckPlan>, &CheckSink),
        leave: oneshot::Sender<Left>,
        at: Instant,
    ) -> Result<(Seat, bool), Kept<PlainSocket>> {
        self.serial = self.serial.wrapping_add(1);
        let Ok(new) = u32::try_from(self.places.len()) else { return Err(kept) };
        let seat = Seat { place: self.free.last().copied().unwrap_or(new), serial: self.serial };
        // Told once of each thing that comes: what is spoilt stays so until its turn.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(seat.into());
        if !self.is_open || epoll::add(&self.answers, &kept.connection, data, flags).is_err() {
            return Err(kept);
        }
        let is_first = self.next().is_none_or(|first| at < first);
        let seated = Seated {
            kept,
            question,
            plan: Arc::clone(plan),
            on_check: Arc::clone(on_check),
            leave,
            serial: seat.serial,
            asked: None,
            is_awaited: false,
            is_spoilt: false,
        };
        match self.free.pop().and_then(|place| self.places.get_mut(place as usize)) {
            Some(place) => *place = Some(seated),
            None => self.places.push(Some(seated)),
        }
        self.due.entry(at).or_default().push(seat);
        Ok((seat, is_first))
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = |times: &Times| times.first_key_value().map(|(at, _)| *at);
        let listen = self.listen.map(|(at, _)| at);
        [first(&self.due), first(&self.late), listen].into_iter().flatten().min()
    }

    /// Asks all whose time has come.
    pub(super) fn ask_due(&mut self, now: Instant) {
        while let Some(turn) = self.due.first_entry().filter(|turn| *turn.key() <= now) {
            let turn = turn.remove();
            for (number, seat) in turn.iter().enumerate() {
                self.fetch_ahead(&turn, number);
                self.ask(*seat, now);
            }
        }
    }

    /// Looks for answers after a pause, unless that is done earlier.
    fn listen_after(&mut self, now: Instant, pause: Duration) {
        let at = now + pause;
        if self.listen.is_none_or(|(earlier, _)| at < earlier) {
            self.listen = Some((at, pause));
        }
    }

    /// The question lies elsewhere, so that where that is has to come first.
    fn fetch_ahead(&self, turn: &[Seat], number: usize) {
        turn.get(number + 2 * AHEAD).inspect(|seat| self.prefetch(**seat));
        let next = turn.get(number + AHEAD).and_then(|seat| self.places.get(seat.place as usize)?.as_ref());
        next.inspect(|seated| prefetch(&*seated.question));
    }

    /// Has come nearer whom a check tells of its results.
    fn prefetch_sink(&self, seat: Seat) {
        let seated = self.places.get(seat.place as usize).and_then(Option::as_ref);
        seated.inspect(|seated| prefetch(&*seated.on_check));
    }

    /// Has what is known of a check come nearer.
    fn prefetch(&self, seat: Seat) {
        self.places.get(seat.place as usize).inspect(|place| prefetch(*place));
    }

    fn ask(&mut self, seat: Seat, now: Instant) {
        let Some(seated) = find(&mut self.places, seat) else { return };
        if seated.is_spoilt {
            // What it has said would be taken for its answer.
            return self.lose(seat);
        }
        if !seated.kept.may_be_kept_after_another() {
            return self.leave(seat, Vec::new());
        }
        seated.kept.ask();
        seated.asked = Some(now);
        self.unanswered += 1;
        let (late, turn) = (now + seated.plan.check.timeout, seated.plan.turn());
        match (&seated.kept.connection).write(&seated.question) {
            Ok(count) if count == seated.question.len() => {
                if !std::mem::replace(&mut seated.is_awaited, true) {
                    self.late.entry(late).or_default().push(seat);
                }
                self.listen_after(now, turn);
            }
            // Half a question cannot be completed elsewhere.
            Ok(_) => self.lose(seat),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.lose(seat);
            }
            // The endpoint may have answered before it closed.
            Err(_) => self.leave(seat, Vec::new()),
        }
    }

    /// Judges what is answered; whether there may be more.
    pub(super) fn hear(&mut self, now: Instant, turns: &Turns) -> bool {
        let mut events = Vec::with_capacity(EVENTS);
        let room = rustix::buffer::spare_capacity(&mut events);
        // Interrupted: the next round takes them.
        let count = epoll::wait(&self.answers, room, Some(&Timespec::default())).unwrap_or(0);
        let seat = |number: usize| events.get(number).map(|event| Seat::from(event.data.u64()));
        for number in 0..count {
            seat(number + 2 * AHEAD).inspect(|seat| self.prefetch(*seat));
            seat(number + AHEAD).inspect(|seat| self.prefetch_sink(*seat));
            seat(number).into_iter().for_each(|seat| self.hear_one(seat, now, turns));
        }
        let is_all = count < EVENTS;
        if is_all && self.listen.is_some_and(|(at, _)| at <= now) {
            // Who has not answered within a turn may take long: it is looked for ever more rarely.
            let pause = self.listen.take().map(|(_, pause)| 2 * pause).filter(|_| self.unanswered > 0);
            pause.into_iter().for_each(|pause| self.listen_after(now, pause));
        }
        !is_all
    }

    /// Something has come for somebody.
    fn hear_one(&mut self, seat: Seat, now: Instant, turns: &Turns) {
        let Some(seated) = find(&mut self.places, seat) else { return };
        if seated.asked.is_none() {
            seated.is_spoilt = true;
            return;
        }
        let received = match (&seated.kept.connection).read(&mut *self.answer) {
            Ok(count) => self.answer.get(..count).unwrap_or_default(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => &[],
        };
        if !seated.plan.probe.is_well(received, &mut self.head) {
            let received = received.to_vec();
            return self.leave(seat, received);
        }
        (seated.on_check)(CheckResult::Pass);
        seated.asked = None;
        self.unanswered -= 1;
        let at = turns.after(now, seated.plan.pause(&mut self.rng), seated.plan.turn());
        self.due.entry(at).or_default().push(seat);
    }

    /// Gives up on those who have not answered in time.
    pub(super) fn give_up(&mut self, now: Instant) {
        while let Some(turn) = self.late.first_entry().filter(|turn| *turn.key() <= now) {
            for seat in turn.remove() {
                let Some(seated) = find(&mut self.places, seat) else { continue };
                // It may have answered, and have been asked anew.
                let late = seated.asked.map(|asked| asked + seated.plan.check.timeout);
                seated.is_awaited = late.is_some_and(|late| late > now);
                match late {
                    Some(late) if late > now => self.late.entry(late).or_default().push(seat),
                    Some(_) => self.leave(seat, Vec::new()),
                    None => {}
                }
            }
        }
    }

    /// Sends all back, for good.
    pub(super) fn close(&mut self) {
        self.is_open = false;
        (self.places, self.free) = (Vec::new(), Vec::new());
        (self.due, self.late) = (Times::new(), Times::new());
        (self.unanswered, self.listen) = (0, None);
    }

    /// Has its own task go on, with what has come.
    fn leave(&mut self, seat: Seat, received: Vec<u8>) {
        let Some(Seated { kept, leave, asked, .. }) = self.take(seat) else { return };
        // Where it cannot be let go of, it cannot be watched by others either.
        let kept = epoll::delete(&self.answers, &kept.connection).is_ok().then_some(kept);
        // Whoever is gone has no use for it.
        let _ = leave.send(Left { kept, asked, received });
    }

    /// Has its own task ask anew.
    fn lose(&mut self, seat: Seat) {
        if let Some(Seated { leave, .. }) = self.take(seat) {
            let _ = leave.send(Left { kept: None, asked: None, received: Vec::new() });
        }
    }

    /// Takes a check out, to be dropped without the lock.
    pub(super) fn take(&mut self, seat: Seat) -> Option<Seated> {
        let place = self.places.get_mut(seat.place as usize)?;
        let taken = place.take_if(|seated| seated.serial == seat.serial)?;
        self.unanswered -= usize::from(taken.asked.is_some());
        self.free.push(seat.place);
        Some(taken)
    }
}

/// Whoever sits there, unless somebody else did when it was noted.
fn find(places: &mut [Option<Seated>], seat: Seat) -> Option<&mut Seated> {
    places.get_mut(seat.place as usize)?.as_mut().filter(|seated| seated.serial == seat.serial)
}

impl From<Seat> for u64 {
    fn from(seat: Seat) -> Self {
        Self::from(seat.serial) << 32 | Self::from(seat.place)
    }
}

impl From<u64> for Seat {
    fn from(number: u64) -> Self {
        Self { place: number as u32, serial: (number >> 32) as u32 }
    }
}
