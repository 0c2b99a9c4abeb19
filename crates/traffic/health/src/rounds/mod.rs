//! Questions to endpoints that have been well, asked in rounds.
//!
//! Nearly every check hears from its endpoint what it heard the last time. That takes one message each way on a connection that is open; a task that is woken for
//! each of the two, with a deadline of its own, takes as long again. So checks leave their connection here while all is well: all that are due are
//! asked in one go, and their answers judged a turn later, when it is up to the next ones: nothing wakes for a single answer. Whatever is not plainly well goes back, with the connection and what has come, to
//! the task of its check, which goes on from there.

mod guests;
pub(crate) mod turns;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use self::guests::{Guests, Seat};
use self::turns::{Turns, now};
use crate::line::{Kept, PlainSocket};
use crate::plan::CheckPlan;
use crate::probe::Target;
use crate::report::CheckSink;

/// The checks that are asked in rounds.
pub(crate) struct Rounds {
    /// When questions are asked.
    turns: Arc<Turns>,
    guests: Mutex<Guests>,
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
    pub(crate) fn new(turns: Arc<Turns>, seed: u64) -> io::Result<Self> {
        Ok(Self { turns, guests: Mutex::new(Guests::new(seed)?), earlier: Notify::new() })
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
        let at = self.turns.after(now(), pause, plan.turn());
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
        loop {
            // Made before looking, so that a ring in between is not missed.
            let earlier = self.earlier.notified();
            let next = self.lock().next();
            match next {
                None => earlier.await,
                Some(next) if timeout_at(next, earlier).await.is_ok() => {}
                Some(_) => self.go_round().await,
            }
        }
    }

    async fn go_round(&self) {
        let now = now();
        while self.lock().hear(now, &self.turns) {
            yield_now().await;
        }
        let mut guests = self.lock();
        guests.give_up(now);
        guests.ask_due(now);
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
