//! What is known about one endpoint: the verdict of each check, and whether its name was found.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base_model::model::{ActiveCheck, CheckKind, Host};
use tokio::sync::{Notify, watch};
use traffic_balance::{AgentWish, CauseKind, EndpointState, Health, Transition};

use crate::check_state::CheckState;
use crate::probe::AgentWords;
use crate::report::{TransitionSink, publish};
use crate::resolve;

/// Names a check of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(u64);

/// Something whose first result is awaited; counted while it lives. Dropped only after the result is written, so that
/// whoever waited for it sees what followed from it.
#[derive(Debug)]
pub(crate) struct Pending(Arc<watch::Sender<usize>>);

impl Pending {
    pub(crate) fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finding<'words> {
    /// The endpoint is well.
    Passed,
    /// It is not.
    Failed,
    /// Its agent spoke.
    Said(&'words AgentWords),
    /// Its agent did not.
    Silent,
}

#[derive(Debug)]
struct Slot {
    id: SlotId,
    kind: CauseKind,
    state: CheckState,
    /// Why it last changed its verdict.
    cause: String,
    pending: Option<Pending>,
    /// What its agent asks for; `None` if there is none, or it has not spoken.
    wish: Option<AgentWish>,
    /// Whether its agent was silent when it was last asked.
    silent: bool,
}

impl Slot {
    /// Takes a result in; whether something changed.
    fn take(&mut self, finding: Finding<'_>, check: &ActiveCheck) -> bool {
        let changed = match finding {
            Finding::Passed => self.state.observe(true, check.rise, check.fall).is_some(),
            Finding::Failed => self.state.observe(false, check.rise, check.fall).is_some(),
            Finding::Said(words) => self.hear(words),
            // Without a word against it, it is taken for well.
            Finding::Silent => {
                self.state.verdict() == Health::Unchecked && self.state.observe(true, 1, 1).is_some()
            }
        };
        self.silent = finding == Finding::Silent;
        changed
    }

    /// What an agent says holds at once; what it does not mention stays.
    fn hear(&mut self, words: &AgentWords) -> bool {
        let before = self.wish;
        let AgentWish { percent, state } = before.unwrap_or(AgentWish::READY);
        self.wish = Some(AgentWish {
            percent: words.percent.unwrap_or(percent),
            state: words.state.unwrap_or(state),
        });
        let up = words.up.unwrap_or(self.state.verdict() != Health::Down);
        self.state.observe(up, 1, 1).is_some() || self.wish != before
    }
}

#[derive(Debug)]
enum Name {
    /// The endpoint is given by address.
    NotNeeded,
    /// It was not looked up yet.
    Sought { _pending: Pending },
    /// It has an address; whether the last look-up failed.
    Found { stale: bool },
    /// It never had an address.
    NotFound,
}

#[derive(Debug)]
struct Verdicts {
    slots: Vec<Slot>,
    name: Name,
    next_slot: u64,
    /// The check by which the endpoint is said to be down.
    blamed: Option<SlotId>,
}

impl Verdicts {
    fn take_pending(&mut self) -> Vec<Pending> {
        self.slots.iter_mut().filter_map(|slot| slot.pending.take()).collect()
    }

    /// What all of it comes to; `None` while something is open that could change it.
    fn health(&self) -> Option<Health> {
        let says = |health| self.slots.iter().any(|slot| slot.state.verdict() == health);
        if matches!(self.name, Name::NotFound) || says(Health::Down) {
            Some(Health::Down)
        } else if matches!(self.name, Name::Sought { .. }) || says(Health::Unchecked) {
            None
        } else {
            Some(Health::Up)
        }
    }

    /// What its agents ask for together.
    fn wish(&self) -> Option<AgentWish> {
        self.slots.iter().filter_map(|slot| slot.wish).reduce(AgentWish::and)
    }

    fn find(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.id == id)
    }

    /// Another check to blame for an endpoint that stays down, when the one that was blamed passes.
    fn blame_another(&mut self) -> Option<(CauseKind, String)> {
        let blamed = self.blamed?;
        let mut down = self.slots.iter().filter(|slot| slot.state.verdict() == Health::Down);
        if down.clone().any(|slot| slot.id == blamed) {
            return None;
        }
        let other = down.next();
        self.blamed = other.map(|slot| slot.id);
        other.map(|slot| (slot.kind, slot.cause.clone()))
    }
}

/// Where the checks of one endpoint report to.
pub(crate) struct Board {
    endpoint: Arc<EndpointState>,
    sink: TransitionSink,
    /// Rings when the endpoint gets an address.
    located: Notify,
    verdicts: Mutex<Verdicts>,
}

impl Board {
    pub(crate) fn new(
        endpoint: &Arc<EndpointState>,
        sink: &TransitionSink,
        count: &Arc<watch::Sender<usize>>,
    ) -> Self {
        let name = match endpoint.host() {
            Host::Ip(_) => Name::NotNeeded,
            Host::Name(_) if endpoint.address().is_some() => Name::Found { stale: false },
            Host::Name(_) => Name::Sought { _pending: Pending::new(count) },
        };
        Self {
            endpoint: Arc::clone(endpoint),
            sink: Arc::clone(sink),
            located: Notify::new(),
            verdicts: Mutex::new(Verdicts { slots: Vec::new(), name, next_slot: 0, blamed: None }),
        }
    }

    pub(crate) const fn endpoint(&self) -> &Arc<EndpointState> {
        &self.endpoint
    }

    /// The endpoint's address, as soon as it has one.
    pub(crate) async fn address(&self) -> SocketAddr {
        loop {
            // Made before looking, so that a ring in between is not missed.
            let located = self.located.notified();
            if let Some(address) = self.endpoint.address() {
                return address;
            }
            located.await;
        }
    }

    /// A place for a new check. An endpoint in service stays so until the check fails.
    pub(crate) fn add_slot(&self, check: &CheckKind, pending: Pending) -> SlotId {
        let mut verdicts = self.lock();
        let id = SlotId(verdicts.next_slot);
        verdicts.next_slot += 1;
        let in_service = self.endpoint.health() == Health::Up;
        let state = if in_service { CheckState::UP } else { CheckState::UNCHECKED };
        verdicts.slots.push(Slot {
            id,
            kind: cause_kind(check),
            state,
            cause: String::new(),
            pending: Some(pending),
            wish: None,
            silent: false,
        });
        id
    }

    /// Drops a check; what it still reports is ignored. What an agent asked for goes to a new one, until that one speaks.
    pub(crate) fn remove_slot(&self, id: SlotId) {
        let mut verdicts = self.lock();
        let index = verdicts.slots.iter().position(|slot| slot.id == id);
        let removed = index.map(|index| verdicts.slots.remove(index));
        if let Some(wish) = removed.as_ref().and_then(|slot| slot.wish) {
            let is_new = |slot: &&mut Slot| slot.kind == CauseKind::AgentCheck && slot.wish.is_none();
            if let Some(heir) = verdicts.slots.iter_mut().find(is_new) {
                heir.wish = Some(wish);
            }
        }
        self.settle(verdicts, None, CauseKind::Configuration, "a check was taken away");
        drop(removed);
    }

    /// Ends everything, when nothing checks the endpoint any more.
    pub(crate) fn close(&self) {
        let mut verdicts = self.lock();
        verdicts.slots.clear();
        verdicts.name = Name::NotNeeded;
    }

    /// A check's result, with the cause in words, which are made if anybody is told. Gives whether it was a success, after which another
    /// one changes nothing: what a check has found so far, only its own results change.
    pub(crate) fn report(
        &self,
        id: SlotId,
        check: &ActiveCheck,
        finding: Finding<'_>,
        cause: &dyn fmt::Display,
    ) -> bool {
        let mut verdicts = self.lock();
        let Some(slot) = verdicts.find(id) else { return false };
        let (pending, was_silent) = (slot.pending.take(), slot.silent);
        let changed = slot.take(finding, check);
        let is_steady = finding == Finding::Passed && slot.state == CheckState::UP;
        if changed {
            let words = cause.to_string();
            words.clone_into(&mut slot.cause);
            let (kind, silent) = (slot.kind, slot.silent);
            self.log_silence(was_silent, silent, cause);
            self.settle(verdicts, Some(id), kind, &words);
        } else {
            self.log_silence(was_silent, slot.silent, cause);
        }
        drop(pending);
        is_steady
    }

    /// A look-up's result.
    pub(crate) fn found(&self, result: Result<Vec<SocketAddr>, String>) {
        let mut verdicts = self.lock();
        let in_use = self.endpoint.address();
        let found = result.and_then(|addresses| {
            resolve::choose(&addresses, in_use).ok_or_else(|| "it has no address".to_owned())
        });
        let (name, cause) = match (found, in_use) {
            (Ok(address), _) => {
                self.endpoint.set_address(Some(address));
                self.located.notify_waiters();
                self.log_move(in_use, address);
                (Name::Found { stale: false }, format!("name found: {}", address.ip()))
            }
            (Err(error), Some(in_use)) => {
                self.log_loss(&verdicts.name, in_use, &error);
                (Name::Found { stale: true }, "the name's last address stays in use".to_owned())
            }
            (Err(error), None) => (Name::NotFound, format!("name not found: {error}")),
        };
        let lost = matches!(name, Name::NotFound);
        let name_before = std::mem::replace(&mut verdicts.name, name);
        // Without an address there is nobody to ask, so no check has to be waited for.
        let given_up: Vec<Pending> = if lost { verdicts.take_pending() } else { Vec::new() };
        self.settle(verdicts, None, CauseKind::NameLookup, &cause);
        drop((name_before, given_up));
    }

    /// Tells once that an agent is silent, and that it speaks again.
    fn log_silence(&self, before: bool, now: bool, cause: &dyn fmt::Display) {
        let (pool, endpoint) = (self.endpoint.pool(), self.endpoint.name());
        match (before, now) {
            (false, true) => {
                tracing::warn!(target: "aya::health", %pool, %endpoint, %cause, "agent is silent; what it said last holds");
            }
            (true, false) => {
                tracing::info!(target: "aya::health", %pool, %endpoint, %cause, "agent speaks again");
            }
            _ => {}
        }
    }

    /// Tells once that an address may be out of date.
    fn log_loss(&self, before: &Name, in_use: SocketAddr, error: &str) {
        if !matches!(before, Name::Found { stale: true }) {
            let (pool, endpoint) = (self.endpoint.pool(), self.endpoint.name());
            tracing::warn!(target: "aya::health", %pool, %endpoint, %error, "name not found, {in_use} stays in use");
        }
    }

    fn log_move(&self, before: Option<SocketAddr>, after: SocketAddr) {
        let (pool, endpoint) = (self.endpoint.pool(), self.endpoint.name());
        match before {
            Some(before) if before != after => {
                tracing::info!(target: "aya::health", %pool, %endpoint, "moved from {before} to {after}");
            }
            _ => {}
        }
    }

    /// Writes what the verdicts come to, under the lock so that the last report has the last word; tells after it.
    fn settle(
        &self,
        mut verdicts: MutexGuard<'_, Verdicts>,
        from: Option<SlotId>,
        kind: CauseKind,
        cause: &str,
    ) {
        let health = verdicts.health();
        let moved: Option<Transition> =
            health.and_then(|health| self.endpoint.set_health(health, kind, cause));
        let restated = match (health, &moved) {
            (Some(Health::Down), None) => verdicts.blame_another(),
            (Some(_), _) => {
                verdicts.blamed = from.filter(|_| health == Some(Health::Down));
                None
            }
            (None, _) => None,
        };
        let restated = restated.map(|(kind, cause)| self.still_down(kind, cause));
        let wanted: Option<Transition> = self.endpoint.set_agent(verdicts.wish(), kind, cause);
        drop(verdicts);
        for transition in [moved, restated, wanted].iter().flatten() {
            publish(&self.sink, transition);
        }
    }

    fn still_down(&self, kind: CauseKind, cause: String) -> Transition {
        let (pool, endpoint) = (self.endpoint.pool().into(), self.endpoint.name().into());
        let down = Health::Down.word();
        Transition { pool, endpoint, from: down, to: down, kind, cause }
    }

    /// No code under the lock can leave it half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn cause_kind(check: &CheckKind) -> CauseKind {
    match check {
        CheckKind::Http { .. } => CauseKind::HttpCheck,
        CheckKind::Tcp => CauseKind::TcpCheck,
        CheckKind::Tls => CauseKind::TlsCheck,
        CheckKind::Grpc { .. } => CauseKind::GrpcCheck,
        CheckKind::Agent { .. } => CauseKind::AgentCheck,
        CheckKind::Exec { .. } => CauseKind::ExecCheck,
        CheckKind::Icmp => CauseKind::IcmpCheck,
        CheckKind::Udp { .. } => CauseKind::UdpCheck,
    }
}
