//! The tasks that ask: one for each check of an endpoint, one for each name.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base_kit::{Clock, Moment, SeededRng};
use base_model::model::Host;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use traffic_balance::EndpointState;

use crate::board::{Board, Finding, SlotId};
use crate::line::Line;
use crate::plan::{CheckPlan, varied};
use crate::probe::{Passed, ProbeFailure, Target};
use crate::report::{CheckResult, CheckSink};
use crate::resolve::{self, LOOK_UP_AGAIN, NameService};
use crate::rounds::turns::{Turns, now};
use crate::rounds::{Guest, Left, Rounds};

/// How often it is said at most that checks could not be made: all of them fail together.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Questions that a check asks itself once rounds could not judge an answer: the next ones may be no easier, and to change places costs as much as
/// rounds save in some of them.
const OWN_QUESTIONS: u32 = 16;

/// Says now and then that this machine cannot make its checks.
pub(crate) struct Complaint {
    clock: Arc<dyn Clock + Send + Sync>,
    last: Mutex<Option<Moment>>,
}

impl Complaint {
    pub(crate) fn new(clock: Arc<dyn Clock + Send + Sync>) -> Self {
        Self { clock, last: Mutex::default() }
    }

    fn make(&self, endpoint: &EndpointState, error: &str) {
        if self.is_due(self.clock.now()) {
            let (pool, endpoint) = (endpoint.pool(), endpoint.name());
            tracing::warn!(
                target: "aya::health", pool, endpoint, error,
                "checks cannot be made; endpoints stay as they are. Raise the limits of open files and of processes (LimitNOFILE=, TasksMax=) or lower `max-connections`"
            );
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.since(last) >= COMPLAIN_EVERY);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// One check of one endpoint.
pub(crate) struct CheckTask {
    pub(crate) complaint: Arc<Complaint>,
    pub(crate) board: Arc<Board>,
    pub(crate) slot: SlotId,
    pub(crate) plan: Arc<CheckPlan>,
    pub(crate) on_check: CheckSink,
    pub(crate) limiter: Arc<Semaphore>,
    pub(crate) turns: Arc<Turns>,
    /// `None` where the system has no means for them.
    pub(crate) rounds: Option<Arc<Rounds>>,
    pub(crate) line: Line,
    /// Whether the board need not be told of another success.
    pub(crate) is_steady: bool,
    /// Questions to be asked here before rounds are joined again.
    pub(crate) own_questions: u32,
    pub(crate) rng: SeededRng,
    /// Before the first check.
    pub(crate) delay: Duration,
}

impl CheckTask {
    /// Asks until it is aborted.
    pub(crate) async fn run(mut self) {
        self.turns.rest(self.delay, self.plan.turn()).await;
        let mut target = self.target().await;
        let has_name = matches!(self.board.endpoint().host(), Host::Name(_));
        if has_name {
            // Where it leads may change with each look-up, which only this task hears of.
            self.rounds = None;
        }
        loop {
            if has_name {
                target.address = self.address().await;
            }
            let Ok(permit) = self.limiter.acquire_many(self.plan.probe.places()).await else { return };
            let result = self.plan.ask(&target, &mut self.line).await;
            drop(permit);
            match &result {
                Err(ProbeFailure::OwnFault(error)) => self.complaint.make(self.board.endpoint(), error),
                result => self.report(result),
            }
            let pause = self.plan.pause(&mut self.rng);
            match self.join_rounds(&target, pause) {
                Some(guest) => self.come_back(guest.left().await),
                None => self.turns.rest(pause, self.plan.turn()).await,
            }
        }
    }

    /// Leaves the questions to the rounds, while all is well.
    fn join_rounds(&mut self, target: &Target, pause: Duration) -> Option<Guest> {
        self.own_questions = self.own_questions.saturating_sub(1);
        let rounds = self.rounds.as_ref().filter(|_| self.is_steady && self.own_questions == 0)?;
        let kept = self.line.take_plain()?;
        let joined = rounds.join(kept, (&self.plan, target, &self.on_check), pause);
        joined.map_err(|kept| self.line.take_back(kept)).ok()
    }

    /// Goes on from what the rounds have left.
    fn come_back(&mut self, left: Option<Left>) {
        match left {
            Some(Left { kept: Some(kept), asked: Some(asked), received }) => {
                self.own_questions = OWN_QUESTIONS;
                self.line.go_on(kept, received, now().saturating_duration_since(asked));
            }
            Some(Left { kept: Some(kept), .. }) => self.line.take_back(kept),
            // It asks on a new connection.
            _ => {}
        }
    }

    async fn target(&self) -> Target {
        let address = self.address().await;
        let endpoint = self.board.endpoint();
        let (pool, name, host) =
            (endpoint.pool().to_owned(), endpoint.name().to_owned(), endpoint.host().clone());
        let authority = self.plan.check.port.map_or_else(|| name.clone(), |port| authority(endpoint, port));
        let proxy_protocol = self.plan.check.proxy_protocol;
        Target { address, host, authority, pool, endpoint: name, proxy_protocol }
    }

    /// Where to ask; a name may lead elsewhere than before.
    async fn address(&self) -> SocketAddr {
        let mut address = self.board.address().await;
        if let Some(port) = self.plan.check.port {
            address.set_port(port);
        }
        address
    }

    fn report(&mut self, result: &Result<Passed, ProbeFailure>) {
        let CheckPlan { check, kind, probe } = &*self.plan;
        let (finding, count) = match result {
            Ok(Passed::Said(words)) if words.up == Some(false) => (Finding::Said(words), CheckResult::Fail),
            Ok(Passed::Said(words)) => (Finding::Said(words), CheckResult::Pass),
            Ok(_) => (Finding::Passed, CheckResult::Pass),
            Err(_) if probe.failure_counts() => (Finding::Failed, CheckResult::Fail),
            Err(_) => (Finding::Silent, CheckResult::Silent),
        };
        if let Ok(Passed::Said(words)) = result {
            let now = self.complaint.clock.now();
            self.board.endpoint().learned().utilisation.report(words.resources, now);
        }
        (self.on_check)(count);
        // One success after the other is what nearly all checks find.
        if !(self.is_steady && finding == Finding::Passed) {
            self.is_steady = self.board.report(self.slot, check, finding, &Cause { kind, result });
        }
    }
}

/// What a check found, in words.
struct Cause<'check> {
    kind: &'static str,
    result: &'check Result<Passed, ProbeFailure>,
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} check: ", self.kind)?;
        match self.result {
            Ok(passed) => passed.fmt(f),
            Err(failure) => failure.fmt(f),
        }
    }
}

/// The endpoint's host with another port.
fn authority(endpoint: &EndpointState, port: u16) -> String {
    match endpoint.host() {
        Host::Ip(ip) => SocketAddr::new(*ip, port).to_string(),
        Host::Name(name) => format!("{name}:{port}"),
    }
}

/// The look-ups of one endpoint's name.
pub(crate) struct LookUpTask {
    pub(crate) board: Arc<Board>,
    pub(crate) names: Arc<dyn NameService>,
    pub(crate) limiter: Arc<Semaphore>,
    pub(crate) every: Duration,
    pub(crate) rng: SeededRng,
}

/// Share of the time between look-ups by which it is varied, so that look-ups of many names spread.
const LOOK_UP_JITTER: f64 = 0.1;

impl LookUpTask {
    /// Looks up until it is aborted.
    pub(crate) async fn run(mut self) {
        let endpoint = Arc::clone(self.board.endpoint());
        let Host::Name(name) = endpoint.host() else { return };
        loop {
            let Ok(permit) = self.limiter.acquire().await else { return };
            let result = resolve::look_up(&*self.names, name, endpoint.port()).await;
            drop(permit);
            self.board.found(result);
            let known = endpoint.address().is_some();
            let pause = if known { self.every } else { self.every.min(LOOK_UP_AGAIN) };
            sleep(varied(pause, LOOK_UP_JITTER, &mut self.rng)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_made_now_and_then() {
        let (complaint, start) = (Complaint::new(Arc::new(base_kit::MonotonicClock)), Moment::ZERO);
        let due = [0, 1, 9, 10, 11, 30].map(|second| complaint.is_due(start + Duration::from_secs(second)));
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
