//! All that is known about one server, readable and writable from every thread without a lock.

mod agent;
mod demand;
mod learned;
mod load_report;
mod standing;
mod traffic;
mod utilisation;
mod waiting;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base_kit::Moment;
use base_model::model::{Endpoint, Host, PassiveCheck};

pub use self::agent::{AgentWish, MAX_AGENT_PERCENT};
pub(crate) use self::demand::Demand;
pub use self::learned::{Average, ByLoad, Learned, Penalty, Share};
pub use self::load_report::{LoadReport, ProbeAnswer};
pub(crate) use self::standing::{FULL, TRICKLE};
pub(crate) use self::traffic::Totals;
pub use self::utilisation::{Counting, Resources, Utilisation};
pub use self::waiting::{Place, WaitingLine};
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

    /// The id as a number.
    pub(crate) const fn number(self) -> u64 {
        self.0
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
    /// Takes no new requests but those of sessions that stay with it; running ones end in peace.
    Drain,
    /// Takes no new requests at all, and is meant to stay out until it is made ready.
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

    /// Ejects the endpoint, of which this was the last outcome, unless it is ejected, nobody else could take its traffic, or too many are out
    /// already; for how long, if it did.
    fn eject(
        &self,
        endpoint: &EndpointState,
        last: Outcome,
        policy: &PassiveCheck,
        now: Moment,
    ) -> Option<Duration>;
}

/// A request that failed at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// How, for instance `connect-failed`.
    pub cause: &'static str,
    /// When.
    pub at: Moment,
}

/// Marks a weight that the API has not changed; no weight is as large.
const NO_OVERRIDE: u32 = u32::MAX;
/// Marks an endpoint that is not ejected.
const NOT_EJECTED: u64 = 0;
/// The word for an endpoint that passive failures keep out.
const EJECTED: &str = "ejected";
/// The word for an endpoint that is up and gets less than its share.
const DEGRADED: &str = "degraded";
/// An ejection is at most so many times doubled; whoever wants more than 100,000 times the first span says so at once.
const MAX_DOUBLINGS: u32 = 17;

/// The tier of a level. Each tier has two levels: what is near, and what is not.
pub(crate) const fn tier_of(level: u8) -> u8 {
    level / 2
}

/// For how long an endpoint is ejected that was so `before` times in a row.
fn ejection_span(before: u32, policy: &PassiveCheck) -> Duration {
    let longest = policy.max_eject_for.max(policy.eject_for);
    (policy.eject_for * 2_u32.pow(before.min(MAX_DOUBLINGS))).min(longest)
}

/// What is known about one server of one pool.
///
/// The in-flight count is written per request by all workers and therefore has cache lines of its own; the rest is
/// written when something changes.
pub struct EndpointState {
    traffic: Padded<traffic::Traffic>,
    id: EndpointId,
    pool_name: Arc<str>,
    name: Arc<str>,
    host: Host,
    port: u16,
    /// The pool this belongs to. Gone with the pool.
    owner: Weak<dyn Owner>,
    /// Who waits for room in the pool.
    waiting: Arc<WaitingLine>,
    /// Whether the pool is asked for anything.
    demand: Arc<Demand>,
    /// Which one of the pool's levels it belongs to.
    level: AtomicU8,
    zone: ArcSwapOption<Arc<str>>,
    /// Where its name leads to.
    found_address: ArcSwapOption<SocketAddr>,
    configured_weight: AtomicU32,
    weight_override: AtomicU32,
    health: AtomicU8,
    admin: AtomicU8,
    agent: agent::AgentCell,
    failures_in_a_row: AtomicU32,
    last_failure: ArcSwapOption<LastFailure>,
    ejected_until_nanos: AtomicU64,
    /// How often it was ejected without doing well for long in between.
    ejections_in_a_row: AtomicU32,
    /// When it was last ejected or degraded, in nanoseconds; it may lie ahead.
    last_trouble: AtomicU64,
    standing: standing::Standing,
    learned: Padded<Learned>,
}

impl EndpointState {
    /// An endpoint of the pool of this name.
    pub(crate) fn new(
        owner: Weak<dyn Owner>,
        waiting: Arc<WaitingLine>,
        demand: Arc<Demand>,
        pool_name: Arc<str>,
        endpoint: &Endpoint,
        health: Health,
    ) -> Self {
        Self {
            traffic: Padded::default(),
            id: EndpointId::next(),
            pool_name,
            name: endpoint.to_string().into(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            owner,
            waiting,
            demand,
            level: AtomicU8::new(0),
            zone: ArcSwapOption::empty(),
            found_address: ArcSwapOption::empty(),
            configured_weight: AtomicU32::new(endpoint.weight),
            weight_override: AtomicU32::new(NO_OVERRIDE),
            health: AtomicU8::new(health as u8),
            admin: AtomicU8::new(AdminState::Ready as u8),
            agent: agent::AgentCell::default(),
            failures_in_a_row: AtomicU32::new(0),
            last_failure: ArcSwapOption::empty(),
            ejected_until_nanos: AtomicU64::new(NOT_EJECTED),
            ejections_in_a_row: AtomicU32::new(0),
            last_trouble: AtomicU64::new(0),
            standing: standing::Standing::default(),
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
        self.traffic.0.in_flight.load(Ordering::Relaxed)
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
        let in_flight = &self.traffic.0.in_flight;
        // With room left, one instruction whatever the other workers do; only a refusal takes a second one.
        let others = in_flight.fetch_add(1, Ordering::SeqCst);
        self.demand.note();
        if others < max {
            return Some(others);
        }
        if in_flight.fetch_sub(1, Ordering::SeqCst) <= max {
            // There is room after all. Whoever was refused because of this try may be waiting for it.
            self.waiting.call_one(self.id);
        }
        None
    }

    /// Whether fewer than `max` are in flight. Sequentially consistent, as [`WaitingLine`] needs it.
    pub fn has_room(&self, max: u32) -> bool {
        self.traffic.0.in_flight.load(Ordering::SeqCst) < max
    }

    /// Counts one request less in flight.
    pub fn end(&self) {
        let in_flight = &self.traffic.0.in_flight;
        let before = in_flight.fetch_sub(1, Ordering::SeqCst);
        debug_assert!(before != 0, "`end` without `try_begin` at {}", self.name);
        if before == 0 {
            // One `end` too many must not leave the count wrapped and the endpoint closed for good.
            in_flight.fetch_add(1, Ordering::SeqCst);
        }
        self.waiting.call_one(self.id);
    }

    /// A request in flight begins to wait for its answer. Pair it with one [`EndpointState::end_waiting`].
    pub fn begin_waiting(&self) {
        self.traffic.0.begin_waiting();
    }

    /// Its answer has begun, or will not come.
    pub fn end_waiting(&self) {
        self.traffic.0.end_waiting();
    }

    pub(crate) fn totals(&self) -> Totals {
        self.traffic.0.totals()
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

    /// The last request that failed there, if any has.
    pub fn last_failure(&self) -> Option<LastFailure> {
        self.last_failure.load().as_deref().copied()
    }

    /// Whether it may take a new request: wanted, fit, not ejected, with a weight and an address.
    pub fn is_eligible(&self, now: Moment) -> bool {
        self.is_eligible_but_for_ejection() && !self.is_ejected(now)
    }

    pub(crate) fn is_eligible_but_for_ejection(&self) -> bool {
        self.is_wanted() && self.health() == Health::Up
    }

    /// Whether nobody took it out on purpose, and it can be asked at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.admin_state() == AdminState::Ready
            && self.is_wanted_by_agent()
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
        if health == Health::Up && before == Health::Down {
            self.begin_anew();
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
        if (before, admin) == (AdminState::Maintenance, AdminState::Ready) {
            self.begin_anew();
        }
        (before != admin)
            .then(|| self.changed(before.word(), admin.word(), CauseKind::Admin, cause.to_owned()))
    }

    /// Takes in the beginning of an answer: its time since the request was sent, and its status.
    pub fn observe_answer(&self, latency: Duration, status: u16) {
        self.traffic.0.observe_answer(latency);
        if status >= 500 {
            self.traffic.0.observe_failure();
        }
    }

    /// Which one of its pool's levels it belongs to: see [`crate::Level::number`].
    pub fn level(&self) -> u8 {
        self.level.load(Ordering::Relaxed)
    }

    /// 0 takes traffic first; the next ones are its backup.
    pub fn tier(&self) -> u8 {
        tier_of(self.level())
    }

    /// Where it is, as configured.
    pub fn zone(&self) -> Option<Arc<str>> {
        self.zone.load().as_deref().map(Arc::clone)
    }

    /// Sets where it belongs. The caller bumps the epoch.
    pub(crate) fn set_place(&self, tier: u8, is_near: bool, zone: Option<Arc<str>>) {
        self.level.store(tier * 2 + u8::from(!is_near), Ordering::Relaxed);
        self.zone.store(zone.map(Arc::new));
    }

    /// Sets how long it takes to get all of its share when it comes (back).
    pub(crate) fn set_slow_start(&self, slow_start: Duration) {
        self.standing.set_slow_start(slow_start);
    }

    /// Which part of its share of traffic it gets now, in percent: less than 100 while it is new, or does worse than its peers.
    pub fn share_percent(&self, now: Moment) -> u32 {
        self.standing.percent(now)
    }

    /// Whether it does worse than its peers, or was taken out lately.
    pub fn is_degraded(&self) -> bool {
        self.standing.share() < FULL
    }

    /// It begins with a trickle, where the pool has a slow start.
    pub(crate) fn begin_anew(&self) {
        self.standing.begin_anew();
    }

    /// In percent, as comparison with its peers left it.
    pub(crate) fn peer_share(&self) -> u32 {
        self.standing.share()
    }

    /// Sets what comparison with its peers leaves it. Gives the change, if it is one. Only under the pool's lock.
    pub(crate) fn set_peer_share(
        &self,
        percent: u32,
        (kind, evidence): (CauseKind, &str),
        policy: &PassiveCheck,
        now: Moment,
    ) -> Option<Transition> {
        let before = self.standing.share();
        if before < FULL || percent < FULL {
            self.note_trouble(policy, now);
        }
        self.standing.set_share(percent);
        let word = |share| if share < FULL { DEGRADED } else { Health::Up.word() };
        let cause = || format!("{evidence}; it gets {percent}% of its share");
        (before != percent).then(|| self.told(word(before), word(percent), kind, cause()))
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
            Outcome::Unreachable(cause) | Outcome::Failure(cause) => {
                self.traffic.0.observe_no_answer();
                self.record_failure(outcome, cause, policy, now)
            }
            Outcome::Broken(cause) => {
                self.traffic.0.observe_failure();
                self.record_failure(outcome, cause, policy, now)
            }
        }
    }

    #[cold]
    fn record_failure(
        &self,
        outcome: Outcome,
        cause: &'static str,
        policy: &PassiveCheck,
        now: Moment,
    ) -> Option<Transition> {
        self.last_failure.store(Some(Arc::new(LastFailure { cause, at: now })));
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
        let span = self.owner.upgrade()?.eject(self, outcome, policy, now)?;
        let why = format!("{failures} failures in a row, the last: {cause}");
        Some(self.told_ejected(CauseKind::ConsecutiveFailures, &why, span))
    }

    /// Marks it as ejected, and tells for how long. Only under the pool's lock.
    pub(crate) fn mark_ejected(&self, policy: &PassiveCheck, now: Moment) -> Duration {
        self.note_trouble(policy, now);
        let row = self.ejections_in_a_row.load(Ordering::Relaxed);
        let span = ejection_span(row, policy);
        let until = now + span;
        self.ejections_in_a_row.store(row.saturating_add(1), Ordering::Relaxed);
        self.last_trouble.store(until.as_nanos(), Ordering::Relaxed);
        self.ejected_until_nanos.store(until.as_nanos().max(1), Ordering::Release);
        span
    }

    /// Whoever did well for as long as it was out the last time begins anew.
    fn note_trouble(&self, policy: &PassiveCheck, now: Moment) {
        let row = self.ejections_in_a_row.load(Ordering::Relaxed);
        let last = Moment::from_nanos(self.last_trouble.load(Ordering::Relaxed));
        if !self.is_degraded() && now.since(last) > ejection_span(row.saturating_sub(1), policy) {
            self.ejections_in_a_row.store(0, Ordering::Relaxed);
        }
        self.last_trouble.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// The change that an ejection is.
    pub(crate) fn told_ejected(&self, kind: CauseKind, why: &str, span: Duration) -> Transition {
        self.changed(self.shown_up(), EJECTED, kind, format!("{why}; for {span:?}"))
    }

    /// The word for an endpoint that is up.
    fn shown_up(&self) -> &'static str {
        if self.is_degraded() { DEGRADED } else { Health::Up.word() }
    }

    /// Ends its ejection if its time is over; it gets so many percent of its share. Only under the pool's lock. That of an endpoint that is not up changes
    /// nothing that could be seen, so nothing is told.
    pub(crate) fn unmark_ejected(&self, share: u32, now: Moment) -> Option<Transition> {
        self.ejected_until().filter(|until| *until <= now)?;
        self.standing.set_share(share);
        let before = self.ejected_until_nanos.swap(NOT_EJECTED, Ordering::AcqRel);
        let cause = match share {
            FULL => "the time of its ejection is over".to_owned(),
            _ => format!("the time of its ejection is over: it begins with {share}% of its share"),
        };
        (before != NOT_EJECTED && self.health() == Health::Up)
            .then(|| self.changed(EJECTED, self.shown_up(), CauseKind::EjectionOver, cause))
    }

    /// Sets the weight of the configuration. The caller bumps the epoch.
    pub(crate) fn set_configured_weight(&self, weight: u32) {
        self.configured_weight.store(weight, Ordering::Relaxed);
    }

    /// Sets or drops the weight given through the API. The caller bumps the epoch.
    pub(crate) fn override_weight(&self, weight: Option<u32>) {
        self.weight_override.store(weight.unwrap_or(NO_OVERRIDE), Ordering::Relaxed);
    }

    /// A change that eligibility does not hang on.
    fn told(&self, from: &'static str, to: &'static str, kind: CauseKind, cause: String) -> Transition {
        let (pool, endpoint) = (Arc::clone(&self.pool_name), Arc::clone(&self.name));
        Transition { pool, endpoint, from, to, kind, cause }
    }

    fn changed(&self, from: &'static str, to: &'static str, kind: CauseKind, cause: String) -> Transition {
        self.bump_epoch();
        self.told(from, to, kind, cause)
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
            .field("peer_share", &self.peer_share())
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
