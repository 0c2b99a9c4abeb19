//! All that is known about one server, readable and writable from every thread without a lock.

mod agent;
mod learned;
mod load_report;
mod utilisation;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use base_kit::Moment;
use base_model::model::{Endpoint, Host, PassiveCheck};

pub use self::agent::{AgentWish, MAX_AGENT_PERCENT};
pub use self::learned::{Average, ByLoad, Learned, Penalty, Share};
pub use self::load_report::{LoadReport, ProbeAnswer};
pub use self::utilisation::{Counting, Resources, Utilisation};
use crate::transition::{CauseKind, Outcome, Transition};

/// Names an endpoint's state: unique in the process, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(u64);

impl EndpointId {
    /// The next one. 2^64 of them do not run out.
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What active checks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Checks (or a name look-up) are configured and none has finished: takes no traffic yet.
    Unchecked,
    /// Fit, or nothing checks it.
    Up,
    /// Not fit.
    Down,
}

impl Health {
    /// The word in logs, metrics and the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Unchecked,
            1 => Self::Up,
            _ => Self::Down,
        }
    }
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AdminState {
    /// Takes traffic.
    Ready,
    /// Takes no new requests; running ones end in peace.
    Drain,
    /// Takes no new requests either, and is meant to stay out until it is made ready.
    Maintenance,
}

impl AdminState {
    /// The word in logs, metrics and the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }

    const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Ready,
            1 => Self::Drain,
            _ => Self::Maintenance,
        }
    }
}

/// A value with cache lines of its own. Two lines of 64 bytes, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// What an endpoint asks of the pool it belongs to.
pub(crate) trait Owner: Send + Sync {
    /// Tells the workers that something changed. To be called after the change is written.
    fn bump_epoch(&self);

    /// Ejects the endpoint unless it is ejected or nobody else could take its traffic; whether it did.
    fn eject(&self, endpoint: &EndpointState, until: Moment, now: Moment) -> bool;
}

/// Marks a weight that the API has not changed; no weight is as large.
const NO_OVERRIDE: u32 = u32::MAX;
/// Marks an endpoint that is not ejected.
const NOT_EJECTED: u64 = 0;
/// The word for an endpoint that passive failures keep out.
const EJECTED: &str = "ejected";

/// What is known about one server of one pool.
///
/// The in-flight count is written per request by all workers and therefore has cache lines of its own; the rest is
/// written when something changes.
pub struct EndpointState {
    in_flight: Padded<AtomicU32>,
    id: EndpointId,
    pool_name: Arc<str>,
    name: Arc<str>,
    host: Host,
    port: u16,
    /// The pool this belongs to. Gone with the pool.
    owner: Weak<dyn Owner>,
    /// Where its name leads to.
    found_address: ArcSwapOption<SocketAddr>,
    configured_weight: AtomicU32,
    weight_override: AtomicU32,
    health: AtomicU8,
    admin: AtomicU8,
    agent: agent::AgentCell,
    failures_in_a_row: AtomicU32,
    ejected_until_nanos: AtomicU64,
    learned: Padded<Learned>,
}

impl EndpointState {
    /// An endpoint of the pool of this name.
    pub(crate) fn new(
        owner: Weak<dyn Owner>,
        pool_name: Arc<str>,
        endpoint: &Endpoint,
        health: Health,
    ) -> Self {
        Self {
            in_flight: Padded::default(),
            id: EndpointId::next(),
            pool_name,
            name: endpoint.to_string().into(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            owner,
            found_address: ArcSwapOption::empty(),
            configured_weight: AtomicU32::new(endpoint.weight),
            weight_override: AtomicU32::new(NO_OVERRIDE),
            health: AtomicU8::new(health as u8),
            admin: AtomicU8::new(AdminState::Ready as u8),
            agent: agent::AgentCell::default(),
            failures_in_a_row: AtomicU32::new(0),
            ejected_until_nanos: AtomicU64::new(NOT_EJECTED),
            learned: Padded::default(),
        }
    }

    /// Its id.
    pub const fn id(&self) -> EndpointId {
        self.id
    }

    /// Host and port as configured, for instance `10.0.0.1:8080`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pool's name.
    pub fn pool(&self) -> &str {
        &self.pool_name
    }

    /// How its machine is called.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it is; `None` while its name has not been found.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.host {
            // Never changes: nothing shared is touched.
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) => self.found_address.load().as_deref().copied(),
        }
    }

    /// Where its name leads to from now on. An endpoint configured by its address stays where it is.
    pub fn set_address(&self, address: Option<SocketAddr>) {
        if matches!(self.host, Host::Name(_)) && self.address() != address {
            self.found_address.store(address.map(Arc::new));
            self.bump_epoch();
        }
    }

    /// Requests in flight, over all workers; for an instant also those that [`EndpointState::try_begin`] is refusing.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.0.load(Ordering::Relaxed)
    }

    /// Counts one more request in flight, unless there are `max` already. Pair each `true` with one
    /// [`EndpointState::end`], or use [`InFlight::begin`].
    ///
    /// Never lets more than `max` begin. While others are being refused, the count is too high by their number for an
    /// instant: so one that would just have fitted may be refused with them.
    pub fn try_begin(&self, max: u32) -> bool {
        self.begin(max).is_some()
    }

    /// The same, and tells how many others are in flight; `None` if there are `max` already.
    pub fn begin(&self, max: u32) -> Option<u32> {
        // With room left, one instruction whatever the other workers do; only a refusal takes a second one.
        let others = self.in_flight.0.fetch_add(1, Ordering::Relaxed);
        if others < max {
            return Some(others);
        }
        self.in_flight.0.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Counts one request less in flight.
    pub fn end(&self) {
        let before = self.in_flight.0.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before != 0, "`end` without `try_begin` at {}", self.name);
        if before == 0 {
            // One `end` too many must not leave the count wrapped and the endpoint closed for good.
            self.in_flight.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What its answers have shown. Written by balancers that choose by it.
    pub const fn learned(&self) -> &Learned {
        &self.learned.0
    }

    /// Its share of traffic: as configured, or as changed through the API.
    pub fn weight(&self) -> u32 {
        match self.weight_override.load(Ordering::Relaxed) {
            NO_OVERRIDE => self.configured_weight(),
            weight => weight,
        }
    }

    /// The weight of the configuration.
    pub fn configured_weight(&self) -> u32 {
        self.configured_weight.load(Ordering::Relaxed)
    }

    /// What active checks say.
    pub fn health(&self) -> Health {
        Health::from_bits(self.health.load(Ordering::Acquire))
    }

    /// What the operator wants.
    pub fn admin_state(&self) -> AdminState {
        AdminState::from_bits(self.admin.load(Ordering::Acquire))
    }

    /// Until when passive failures keep it out, if they do.
    pub fn ejected_until(&self) -> Option<Moment> {
        match self.ejected_until_nanos.load(Ordering::Acquire) {
            NOT_EJECTED => None,
            nanos => Some(Moment::from_nanos(nanos)),
        }
    }

    /// Whether passive failures keep it out.
    pub fn is_ejected(&self, now: Moment) -> bool {
        self.ejected_until().is_some_and(|until| until > now)
    }

    /// Failures since the last success.
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row.load(Ordering::Relaxed)
    }

    /// Whether it may take a new request: wanted, fit, not ejected, with a weight and an address.
    pub fn is_eligible(&self, now: Moment) -> bool {
        self.is_eligible_but_for_ejection() && !self.is_ejected(now)
    }

    pub(crate) fn is_eligible_but_for_ejection(&self) -> bool {
        self.admin_state() == AdminState::Ready
            && self.is_wanted_by_agent()
            && self.health() == Health::Up
            && self.weight() > 0
            && self.address().is_some()
    }

    /// Sets what active checks say. Gives the change, if it is one.
    ///
    /// What brings it up ends its ejection, too: checks that pass in a row know more than the failures before them, and
    /// an endpoint that is said to be up takes traffic.
    pub fn set_health(&self, health: Health, kind: CauseKind, cause: &str) -> Option<Transition> {
        let before = Health::from_bits(self.health.swap(health as u8, Ordering::AcqRel));
        if before == health {
            return None;
        }
        if health == Health::Up {
            // Without the pool's lock: the time of the next expiry is then too early, which costs a look and no more.
            self.ejected_until_nanos.store(NOT_EJECTED, Ordering::Release);
        }
        let was_ejected = before == Health::Up && self.ejected_until().is_some();
        let from = if was_ejected { EJECTED } else { before.word() };
        Some(self.changed(from, health.word(), kind, cause.to_owned()))
    }

    /// Sets what the operator wants. Gives the change, if it is one.
    pub fn set_admin_state(&self, admin: AdminState, cause: &str) -> Option<Transition> {
        let before = AdminState::from_bits(self.admin.swap(admin as u8, Ordering::AcqRel));
        (before != admin)
            .then(|| self.changed(before.word(), admin.word(), CauseKind::Admin, cause.to_owned()))
    }

    /// Counts how a request ended. Enough failures in a row eject the endpoint for a while, unless no other endpoint of
    /// the pool could take its traffic: then the count begins anew. Any success ends the row.
    pub fn record(&self, outcome: Outcome, policy: &PassiveCheck, now: Moment) -> Option<Transition> {
        match outcome {
            Outcome::Success => {
                // The plain read keeps the line shared between workers while all goes well.
                if self.failures_in_a_row() != 0 {
                    self.failures_in_a_row.store(0, Ordering::Relaxed);
                }
                None
            }
            Outcome::Failure(cause) => self.record_failure(cause, policy, now),
        }
    }

    #[cold]
    fn record_failure(&self, cause: &str, policy: &PassiveCheck, now: Moment) -> Option<Transition> {
        // Requests that were under way when it was taken out say nothing new.
        let is_out = self.is_ejected(now) || self.health() != Health::Up;
        if policy.consecutive_failures == 0 || is_out {
            return None;
        }
        let failures = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < policy.consecutive_failures {
            return None;
        }
        self.failures_in_a_row.store(0, Ordering::Relaxed);
        let until = now + policy.eject_for;
        let ejected = self.owner.upgrade()?.eject(self, until, now);
        let why = || format!("{failures} failures in a row, the last: {cause}; for {:?}", policy.eject_for);
        ejected.then(|| self.changed("up", EJECTED, CauseKind::ConsecutiveFailures, why()))
    }

    /// Marks it as ejected. Only under the pool's lock.
    pub(crate) fn mark_ejected(&self, until: Moment) {
        self.ejected_until_nanos.store(until.as_nanos().max(1), Ordering::Release);
    }

    /// Ends its ejection if its time is over. Only under the pool's lock. That of an endpoint that is not up changes
    /// nothing that could be seen, so nothing is told.
    pub(crate) fn unmark_ejected(&self, now: Moment) -> Option<Transition> {
        self.ejected_until().filter(|until| *until <= now)?;
        let before = self.ejected_until_nanos.swap(NOT_EJECTED, Ordering::AcqRel);
        let cause = || "the time of its ejection is over".to_owned();
        (before != NOT_EJECTED && self.health() == Health::Up)
            .then(|| self.changed(EJECTED, "up", CauseKind::EjectionOver, cause()))
    }

    /// Sets the weight of the configuration. The caller bumps the epoch.
    pub(crate) fn set_configured_weight(&self, weight: u32) {
        self.configured_weight.store(weight, Ordering::Relaxed);
    }

    /// Sets or drops the weight given through the API. The caller bumps the epoch.
    pub(crate) fn override_weight(&self, weight: Option<u32>) {
        self.weight_override.store(weight.unwrap_or(NO_OVERRIDE), Ordering::Relaxed);
    }

    fn changed(&self, from: &'static str, to: &'static str, kind: CauseKind, cause: String) -> Transition {
        self.bump_epoch();
        let (pool, endpoint) = (Arc::clone(&self.pool_name), Arc::clone(&self.name));
        Transition { pool, endpoint, from, to, kind, cause }
    }

    fn bump_epoch(&self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.bump_epoch();
        }
    }

    /// Asserts that the state is sound; for tests and simulations.
    pub fn check_invariants(&self) {
        assert!(self.weight() <= crate::MAX_WEIGHT, "weight {} of {}", self.weight(), self.name);
        if let Host::Ip(ip) = self.host {
            assert_eq!(self.address(), Some(SocketAddr::new(ip, self.port)), "address of {}", self.name);
        }
    }
}

impl fmt::Debug for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointState")
            .field("id", &self.id)
            .field("pool", &self.pool_name)
            .field("name", &self.name)
            .field("address", &self.address())
            .field("in_flight", &self.in_flight())
            .field("weight", &self.weight())
            .field("health", &self.health())
            .field("admin", &self.admin_state())
            .field("agent", &self.agent())
            .field("ejected_until", &self.ejected_until())
            .finish_non_exhaustive()
    }
}

/// One request in flight: counted while this lives.
#[derive(Debug)]
pub struct InFlight(Arc<EndpointState>);

impl InFlight {
    /// Counts a request at this endpoint; `None` when there are `max` already.
    pub fn begin(endpoint: &Arc<EndpointState>, max: u32) -> Option<Self> {
        endpoint.try_begin(max).then(|| Self(Arc::clone(endpoint)))
    }
}

impl Deref for InFlight {
    type Target = EndpointState;

    fn deref(&self) -> &EndpointState {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end();
    }
}
