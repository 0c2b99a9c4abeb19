//! Questions to endpoints that have been well, asked in rounds.
//!
//! Nearly every check hears from its endpoint what it heard the last time. That takes one message each way on a connection that is open; a task that is woken for
//! each of the two, with a deadline of its own, takes as long again. So checks leave their connection here while all is well: all that are due are
//! asked in one go, and their answers judged as they lie in the buffer. Whatever is not plainly well goes back, with the connection and what has come, to
//! the task of its check, which goes on from there.

mod guests;
pub(crate) mod turns;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};
use traffic_net::watch;

use self::guests::{AHEAD, Guests, Seat};
use self::turns::{begin_of_turn, now};
use crate::line::{Kept, PlainSocket};
use crate::plan::CheckPlan;
use crate::probe::Target;
use crate::report::CheckSink;

/// Answers taken at once.
const EVENTS: usize = 256;

/// The checks that are asked in rounds.
pub(crate) struct Rounds {
    /// Turns are counted from here.
    start: Instant,
    guests: Mutex<Guests>,
    /// Tells that somebody has answered.
    answers: OwnedFd,
    /// Rings when somebody is to be asked earlier than all others.
    earlier: Notify,
}

/// A check whose questions are asked in rounds, until it is dropped.
pub(crate) struct Guest {
    rounds: Arc<Rounds>,
    seat: Seat,
    left: oneshot::Receiver<Left>,
}

/// What goes back to its check.
pub(crate) struct Left {
    /// `None` if nothing can be done with it any more.
    pub(crate) kept: Option<Kept<PlainSocket>>,
    /// When a question was asked that is not answered yet, or not so that it is known at a glance.
    pub(crate) asked: Option<Instant>,
    /// What has come of its answer.
    pub(crate) received: Vec<u8>,
}

impl Rounds {
    /// Nobody is asked before [`Rounds::run`] does so.
    ///
    /// # Errors
    /// When the system has no means left to wait with.
    pub(crate) fn new(seed: u64) -> io::Result<Self> {
        let answers = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let guests = Mutex::new(Guests::new(answers.try_clone()?, seed));
        Ok(Self { start: now(), guests, answers, earlier: Notify::new() })
    }

    /// Has the check's questions asked here, the next one after this pause, on the connection that it keeps. Gives the connection back where that
    /// is not possible.
    pub(crate) fn join(
        self: &Arc<Self>,
        kept: Kept<PlainSocket>,
        (plan, target, on_check): (&Arc<CheckPlan>, &Target, &CheckSink),
        pause: Duration,
    ) -> Result<Guest, Kept<PlainSocket>> {
        let Some(question) = plan.probe.question(target) else { return Err(kept) };
        let (leave, left) = oneshot::channel();
        let at = self.turn_after(now(), pause, plan.turn());
        let mut guests = self.lock();
        let question = question.into_bytes().into_boxed_slice();
        let (seat, is_first) = guests.seat(kept, question, (plan, on_check), leave, at)?;
        drop(guests);
        if is_first {
            self.earlier.notify_one();
        }
        Ok(Guest { rounds: Arc::clone(self), seat, left })
    }

    /// Asks whoever is due and judges what is answered, until it is dropped: then all go back to their checks.
    pub(crate) async fn run(&self) {
        let _close = Close(self);
        // Without it nobody would be told of an answer, and all checks go their own way.
        let Ok(answers) = self.answers.try_clone().and_then(watch) else { return };
        loop {
            // Made before looking, so that a ring in between is not missed.
            let earlier = self.earlier.notified();
            let next = self.lock().next();
            let next = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = answers.readable() => {
                    let pause = self.lock().together();
                    sleep(pause).await;
                    ready.map(|mut ready| ready.clear_ready()).unwrap_or_default();
                }
                () = next => {}
                () = earlier => {}
            }
            self.go_round().await;
        }
    }

    async fn go_round(&self) {
        let now = now();
        self.lock().ask_due(now);
        while self.hear(now) {
            yield_now().await;
        }
        self.lock().give_up(now);
    }

    /// Judges what is answered; whether there may be more.
    fn hear(&self, now: Instant) -> bool {
        let mut events = Vec::with_capacity(EVENTS);
        let room = rustix::buffer::spare_capacity(&mut events);
        // Interrupted: the next round takes them.
        let count = epoll::wait(&self.answers, room, Some(&Timespec::default())).unwrap_or(0);
        let mut guests = self.lock();
        for (number, event) in events.iter().enumerate() {
            let seat = |event: &epoll::Event| Seat::from(event.data.u64());
            events.get(number + 2 * AHEAD).inspect(|event| guests.prefetch(seat(event)));
            events.get(number + AHEAD).inspect(|event| guests.prefetch_sink(seat(event)));
            guests.hear(seat(event), |pause, turn| self.turn_after(now, pause, turn));
        }
        count == EVENTS
    }

    fn turn_after(&self, now: Instant, pause: Duration, turn: Duration) -> Instant {
        self.start + begin_of_turn(now - self.start + pause, turn)
    }

    /// No code under the lock can leave it half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// What goes back, once it does; `None` where rounds have ended.
    pub(crate) async fn left(mut self) -> Option<Left> {
        (&mut self.left).await.ok()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let gone = self.rounds.lock().take(self.seat);
        drop(gone);
    }
}

/// Sends all back when rounds end.
struct Close<'rounds>(&'rounds Rounds);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.lock().close();
    }
}
