//! The tasks that ask: one for each check of an endpoint, one for each name.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base_kit::{Clock, Moment, Rng, SeededRng};
use base_model::model::{ActiveCheck, Host};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use traffic_balance::EndpointState;

use crate::board::{Board, Finding, SlotId};
use crate::kinds;
use crate::line::Line;
use crate::probe::{Passed, Probe, ProbeFailure, Target};
use crate::report::{CheckResult, CheckSink};
use crate::resolve::{self, LOOK_UP_AGAIN, NameService};

/// A configured check with its probe, shared by the endpoints of a pool.
pub(crate) struct CheckPlan {
    pub(crate) check: ActiveCheck,
    kind: &'static str,
    probe: Arc<dyn Probe>,
    on_check: CheckSink,
}

impl CheckPlan {
    pub(crate) fn new(check: &ActiveCheck, on_check: CheckSink) -> Self {
        let (kind, probe) = kinds::probe(check);
        Self { check: check.clone(), kind, probe, on_check }
    }

    async fn ask(&self, target: &Target, line: &mut Line) -> Result<Passed, ProbeFailure> {
        let limit = self.check.timeout;
        timeout(limit, self.probe.run_on(target, line)).await.unwrap_or(Err(ProbeFailure::TimedOut(limit)))
    }

    fn pause(&self, rng: &mut SeededRng) -> Duration {
        varied(self.check.interval, self.check.jitter, rng)
    }

    /// The time from turn to turn.
    fn turn(&self) -> Duration {
        LONGEST_TURN.min(self.check.interval / TURNS_PER_INTERVAL)
    }
}

/// Checks that are due begin together, once in such a time: what wakes the thread for one of them wakes it for all, here and where
/// one machine serves many endpoints.
const LONGEST_TURN: Duration = Duration::from_millis(10);

/// Checks that are made more often have shorter turns, so that they are late by at most so much of their interval.
const TURNS_PER_INTERVAL: u32 = 50;

/// The pause, lengthened so that it ends with a turn.
fn until_turn(pause: Duration, now: Moment, turn: Duration) -> Duration {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let turn = nanos(turn);
    let over = (now + pause).as_nanos().checked_rem(turn).unwrap_or_default();
    let rest = if over == 0 { 0 } else { turn - over };
    pause + Duration::from_nanos(rest)
}

/// How often it is said at most that checks could not be made: all of them fail together.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

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
    pub(crate) limiter: Arc<Semaphore>,
    pub(crate) line: Line,
    pub(crate) rng: SeededRng,
    /// Before the first check.
    pub(crate) delay: Duration,
}

impl CheckTask {
    /// Asks until it is aborted.
    pub(crate) async fn run(mut self) {
        self.rest(self.delay).await;
        let mut target = self.target().await;
        let has_name = matches!(self.board.endpoint().host(), Host::Name(_));
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
            self.rest(pause).await;
        }
    }

    /// Waits, and then for the next turn.
    async fn rest(&self, pause: Duration) {
        let now = self.complaint.clock.now();
        sleep(until_turn(pause, now, self.plan.turn())).await;
    }

    async fn target(&self) -> Target {
        let address = self.address().await;
        let endpoint = self.board.endpoint();
        let (pool, name) = (endpoint.pool().to_owned(), endpoint.name().to_owned());
        let authority = self.plan.check.port.map_or_else(|| name.clone(), |port| authority(endpoint, port));
        Target { address, authority, pool, endpoint: name }
    }

    /// Where to ask; a name may lead elsewhere than before.
    async fn address(&self) -> SocketAddr {
        let mut address = self.board.address().await;
        if let Some(port) = self.plan.check.port {
            address.set_port(port);
        }
        address
    }

    fn report(&self, result: &Result<Passed, ProbeFailure>) {
        let CheckPlan { check, kind, probe, on_check } = &*self.plan;
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
        on_check(count);
        self.board.report(self.slot, check, finding, &Cause { kind, result });
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

/// A time, more or less by at most this share of it.
fn varied(time: Duration, share: f64, rng: &mut dyn Rng) -> Duration {
    // Outside of 0 to 1, or not a number: no checked configuration holds it, and no time may become negative.
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    time.mul_f64(1.0 + share * (2.0 * rng.unit() - 1.0))
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

    #[test]
    fn pauses_end_with_a_turn() {
        let millis = Duration::from_millis;
        let ends = |pause: u64, now: u64| until_turn(millis(pause), Moment::ZERO + millis(now), millis(10));
        assert_eq!(
            [ends(2_000, 0), ends(2_000, 3), ends(1_999, 3), ends(1_997, 3)],
            [2_000, 2_007, 2_007, 1_997].map(millis)
        );
        assert_eq!(until_turn(millis(7), Moment::ZERO, Duration::ZERO), millis(7), "no turn, no wait for it");
    }

    #[test]
    fn times_vary_by_their_share_and_no_more() {
        let mut rng = SeededRng::new(1);
        let second = Duration::from_secs(1);
        let times: Vec<Duration> = (0..1_000).map(|_| varied(second, 0.1, &mut rng)).collect();
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!((900..910).contains(&least.as_millis()) && (1_090..=1_100).contains(&most.as_millis()));
        assert_eq!(varied(second, 0.0, &mut rng), second);
        assert_eq!(varied(second, f64::NAN, &mut rng), second);
        assert!(varied(second, 99.0, &mut rng) <= 2 * second);
    }
}
