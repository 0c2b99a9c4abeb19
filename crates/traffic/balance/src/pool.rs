//! The endpoints of one pool, and the epoch that tells when to look at them again.

mod levels;
mod panic;
mod peers;
mod sessions;
mod shares;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base_kit::Moment;
use base_model::model::{Endpoint, Host, PassiveCheck, Pool, Preference};

pub use self::levels::Level;
use self::peers::{Finding, PeerWatch, Verdict};
use crate::balancer::{MAX_ENDPOINTS_PER_POOL, Member};
use crate::endpoint::{AdminState, Demand, EndpointState, FULL, Health, Owner, TRICKLE, WaitingLine};
use crate::sticky::SessionTable;
use crate::transition::{CauseKind, Outcome, Transition};

/// The largest weight, as in the configuration.
pub const MAX_WEIGHT: u32 = 65_535;

/// The last tier, as in the configuration.
pub const MAX_TIER: u8 = 15;

/// Why a change of a pool was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolChangeError {
    /// The pool has such an endpoint already.
    #[error("pool `{pool}` has an endpoint `{endpoint}` already")]
    Exists {
        /// The pool's name.
        pool: Arc<str>,
        /// The endpoint's name.
        endpoint: String,
    },
    /// The pool has no such endpoint.
    #[error("pool `{pool}` has no endpoint `{endpoint}`")]
    Unknown {
        /// The pool's name.
        pool: Arc<str>,
        /// The endpoint's name.
        endpoint: String,
    },
    /// The weight is too large.
    #[error("weight {0} is more than {MAX_WEIGHT}")]
    WeightTooLarge(u32),
    /// The tier is too large.
    #[error("tier {0} is more than {MAX_TIER}")]
    TierTooLarge(u8),
    /// The pool is full.
    #[error("pool `{0}` has {MAX_ENDPOINTS_PER_POOL} endpoints already")]
    Full(Arc<str>),
}

/// What the pool's lock protects.
#[derive(Debug)]
struct Membership {
    /// The list of the configuration that is in force; a different one ends what the API changed.
    configured: Vec<Endpoint>,
    /// Whether active checks decide about health.
    checked: bool,
    preference: Preference,
    passive: PassiveCheck,
    slow_start: Duration,
    /// When endpoints are to be compared.
    next_judgement: Moment,
    watch: PeerWatch,
    /// The endpoints there are.
    endpoints: Arc<[Arc<EndpointState>]>,
}

/// The endpoints of one pool. Lives as long as the pool is configured, over reloads.
#[derive(Debug)]
pub struct PoolState {
    name: Arc<str>,
    myself: Weak<Self>,
    epoch: AtomicU64,
    /// When the earliest ejection ends; [`Moment::NEVER`] when there is none.
    next_expiry_nanos: AtomicU64,
    /// When [`PoolState::tend`] has something to do.
    next_tending_nanos: AtomicU64,
    /// The epoch that it has seen last.
    tended_epoch: AtomicU64,
    /// Whether so little is fit that all endpoints get traffic.
    in_panic: AtomicBool,
    waiting: Arc<WaitingLine>,
    demand: Arc<Demand>,
    /// Whether endpoints are not compared until there is a request.
    is_at_rest: AtomicBool,
    membership: Mutex<Membership>,
    sessions: ArcSwapOption<SessionTable>,
}

impl PoolState {
    /// A pool as configured.
    pub fn new(pool: &Pool) -> Arc<Self> {
        let state = Arc::new_cyclic(|myself| Self {
            name: Arc::clone(&pool.name),
            myself: Weak::clone(myself),
            epoch: AtomicU64::new(1),
            next_expiry_nanos: AtomicU64::new(Moment::NEVER.as_nanos()),
            next_tending_nanos: AtomicU64::new(0),
            tended_epoch: AtomicU64::new(0),
            in_panic: AtomicBool::new(false),
            waiting: Arc::default(),
            demand: Arc::default(),
            is_at_rest: AtomicBool::new(false),
            membership: Mutex::new(Membership {
                configured: Vec::new(),
                checked: !pool.checks.is_empty(),
                preference: pool.preference.clone(),
                passive: pool.passive,
                slow_start: pool.slow_start,
                next_judgement: Moment::ZERO,
                watch: PeerWatch::default(),
                endpoints: Arc::from([]),
            }),
            sessions: ArcSwapOption::empty(),
        });
        state.reconcile(pool);
        state
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Grows with every change of membership, address, weight, health, ejection, admin state or agent's wish.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// All endpoints: those of the configuration in their order, then those added through the API.
    pub fn endpoints(&self) -> Arc<[Arc<EndpointState>]> {
        Arc::clone(&self.lock().endpoints)
    }

    /// The endpoint of this name.
    pub fn endpoint(&self, name: &str) -> Option<Arc<EndpointState>> {
        find(&self.endpoints(), name).map(Arc::clone)
    }

    /// The endpoints that may take traffic, the preferred ones first. When ejections alone leave none, ejected ones count as
    /// well: a suspect endpoint is better than no answer. When less is fit than the pool's panic threshold, all count that
    /// nobody took out on purpose and that are known.
    pub fn eligible(&self, now: Moment) -> Vec<Member> {
        self.levels(now).into_iter().flat_map(|level| level.members).collect()
    }

    /// The same by level.
    pub fn levels(&self, now: Moment) -> Vec<Level> {
        let membership = self.lock();
        let (endpoints, preference) = (Arc::clone(&membership.endpoints), membership.preference.clone());
        drop(membership);
        let members = |wanted: &dyn Fn(&EndpointState) -> bool| -> Vec<Member> {
            endpoints.iter().filter(|endpoint| wanted(endpoint)).filter_map(member).collect()
        };
        let eligible = if panic::fit_share(&endpoints, now) < preference.panic_below {
            members(&panic::counts)
        } else {
            let eligible = members(&|endpoint| endpoint.is_eligible(now));
            if eligible.is_empty() { members(&EndpointState::is_eligible_but_for_ejection) } else { eligible }
        };
        levels::levels(&endpoints, eligible, &preference, now)
    }

    /// Whether so little is fit that all endpoints get traffic.
    pub fn is_in_panic(&self) -> bool {
        self.in_panic.load(Ordering::Relaxed)
    }

    /// The requests that wait until an endpoint has room.
    pub const fn waiting(&self) -> &Arc<WaitingLine> {
        &self.waiting
    }

    /// What is due: takes back the endpoints whose ejection is over, compares endpoints with their peers, and tells whether
    /// enough of the pool is fit. Costs a few reads when nothing is due; call it often.
    pub fn tend(&self, now: Moment) -> Vec<Transition> {
        let epoch = self.epoch();
        let is_due = now.as_nanos() >= self.next_tending_nanos.load(Ordering::Acquire);
        let is_due = is_due || self.is_at_rest.load(Ordering::Acquire) && self.demand.is_there();
        if !is_due && epoch == self.tended_epoch.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut membership = self.lock();
        let share_after = if membership.passive.peers.is_some() { TRICKLE } else { FULL };
        let mut told = Vec::new();
        let Membership { endpoints, watch, .. } = &mut *membership;
        for endpoint in endpoints.iter() {
            if let Some(back) = endpoint.unmark_ejected(share_after, now) {
                watch.forget(endpoint.id());
                if share_after == FULL {
                    // Nothing else would lead it back slowly.
                    endpoint.begin_anew();
                }
                told.push(back);
            }
        }
        self.judge(&mut membership, now, &mut told);
        told.extend(self.look_for_panic(&membership, now));
        self.find_next_expiry(&membership);
        self.tended_epoch.store(epoch, Ordering::Relaxed);
        told
    }

    /// Compares endpoints with each other, when that is due. Rests where nobody asks and nothing is remembered: then there is nothing
    /// to compare, however many pools there are.
    fn judge(&self, membership: &mut Membership, now: Moment, told: &mut Vec<Transition>) {
        let Some(policy) = membership.passive.peers.filter(|_| membership.next_judgement <= now) else {
            return;
        };
        membership.next_judgement = now + policy.interval;
        if self.is_at_rest.load(Ordering::Acquire) {
            membership.watch.go_on(&membership.endpoints, now);
        }
        let was_asked = self.demand.take_back();
        let findings = membership.watch.judge(&membership.endpoints, &policy, now);
        for finding in findings {
            told.extend(self.carry_out(membership, &finding, now));
        }
        let may_rest = !was_asked && membership.watch.remembers_nothing(&membership.endpoints);
        self.is_at_rest.store(may_rest, Ordering::Release);
    }

    fn carry_out(
        &self,
        membership: &Membership,
        Finding { endpoint, verdict }: &Finding,
        now: Moment,
    ) -> Option<Transition> {
        let share = endpoint.peer_share();
        let next = verdict.next_share(share);
        let Verdict::Worse { kind, evidence, .. } = verdict else {
            let cause = (CauseKind::LikeItsPeers, "it does like its peers");
            let told = endpoint.set_peer_share(next, cause, &membership.passive, now);
            // The steps in between are no news.
            return told.filter(|_| next == FULL);
        };
        if share == FULL && !may_suffer(membership, endpoint, membership.passive.max_share, now) {
            return None;
        }
        if next > 0 || !others_can_serve(membership, endpoint, now) {
            return endpoint.set_peer_share(next.max(TRICKLE), (*kind, evidence), &membership.passive, now);
        }
        let span = endpoint.mark_ejected(&membership.passive, now);
        Some(endpoint.told_ejected(*kind, evidence, span))
    }

    /// When the earliest ejection ends; [`Moment::NEVER`] when there is none.
    pub fn next_expiry(&self) -> Moment {
        Moment::from_nanos(self.next_expiry_nanos.load(Ordering::Acquire))
    }

    /// Adds an endpoint. It stays until the configuration's list for this pool changes.
    ///
    /// # Errors
    /// When there is such an endpoint, the pool is full, or the weight too large.
    pub fn add_endpoint(&self, endpoint: &Endpoint) -> Result<Arc<EndpointState>, PoolChangeError> {
        check_weight(endpoint.weight)?;
        if endpoint.tier > MAX_TIER {
            return Err(PoolChangeError::TierTooLarge(endpoint.tier));
        }
        let mut membership = self.lock();
        let name = endpoint.to_string();
        if find(&membership.endpoints, &name).is_some() {
            return Err(PoolChangeError::Exists { pool: Arc::clone(&self.name), endpoint: name });
        }
        if membership.endpoints.len() >= MAX_ENDPOINTS_PER_POOL {
            return Err(PoolChangeError::Full(Arc::clone(&self.name)));
        }
        let added = self.new_endpoint(endpoint, &membership);
        added.begin_anew();
        membership.endpoints = membership.endpoints.iter().chain([&added]).map(Arc::clone).collect();
        drop(membership);
        self.bump_epoch();
        Ok(added)
    }

    /// Removes an endpoint, until the configuration's list for this pool changes. Its running requests end in peace.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn remove_endpoint(&self, name: &str) -> Result<Arc<EndpointState>, PoolChangeError> {
        let mut membership = self.lock();
        let removed = find(&membership.endpoints, name).map(Arc::clone).ok_or_else(|| self.unknown(name))?;
        let stays = |endpoint: &&Arc<EndpointState>| endpoint.id() != removed.id();
        membership.endpoints = membership.endpoints.iter().filter(stays).map(Arc::clone).collect();
        self.find_next_expiry(&membership);
        drop(membership);
        self.bump_epoch();
        Ok(removed)
    }

    /// Changes an endpoint's weight, until the configuration's list for this pool changes. 0 takes no new traffic.
    ///
    /// # Errors
    /// When there is no such endpoint, or the weight is too large.
    pub fn set_weight(&self, name: &str, weight: u32) -> Result<(), PoolChangeError> {
        check_weight(weight)?;
        self.endpoint(name).ok_or_else(|| self.unknown(name))?.override_weight(Some(weight));
        self.bump_epoch();
        Ok(())
    }

    /// Changes what the operator wants of an endpoint. Stays as long as the endpoint does.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn set_admin_state(
        &self,
        name: &str,
        admin: AdminState,
        cause: &str,
    ) -> Result<Option<Transition>, PoolChangeError> {
        let endpoint = self.endpoint(name).ok_or_else(|| self.unknown(name))?;
        Ok(endpoint.set_admin_state(admin, cause))
    }

    /// Takes over a configuration of this pool; see [`crate::Registry::reconcile`].
    pub(crate) fn reconcile(&self, pool: &Pool) -> Vec<Transition> {
        self.keep_sessions(pool.sticky.as_ref());
        let mut membership = self.lock();
        let mut changed = membership.preference != pool.preference;
        membership.preference.clone_from(&pool.preference);
        membership.passive = pool.passive;
        membership.next_judgement = Moment::ZERO;
        self.is_at_rest.store(false, Ordering::Release);
        membership.slow_start = pool.slow_start;
        let checks_ended = membership.checked && pool.checks.is_empty();
        membership.checked = !pool.checks.is_empty();
        for endpoint in membership.endpoints.iter() {
            put_in_place(endpoint, endpoint.tier(), endpoint.zone(), &membership);
        }
        if membership.configured != pool.endpoints {
            changed = true;
            let known = membership.endpoints.iter().map(|endpoint| (endpoint.name(), endpoint)).collect();
            let endpoints = pool
                .endpoints
                .iter()
                .map(|endpoint| self.kept_or_new(&known, endpoint, &membership))
                .collect();
            membership.endpoints = endpoints;
            membership.configured.clone_from(&pool.endpoints);
        }
        let endpoints = Arc::clone(&membership.endpoints);
        self.find_next_expiry(&membership);
        drop(membership);
        if changed {
            self.bump_epoch();
        }
        if checks_ended { unchecked_endpoints_up(&endpoints) } else { Vec::new() }
    }

    /// The endpoint there is, with what was learned about it and without what the API changed; or a new one.
    fn kept_or_new(
        &self,
        known: &HashMap<&str, &Arc<EndpointState>>,
        endpoint: &Endpoint,
        membership: &Membership,
    ) -> Arc<EndpointState> {
        let Some(kept) = known.get(endpoint.to_string().as_str()) else {
            let new = self.new_endpoint(endpoint, membership);
            // Those that a pool begins with are all as new as each other.
            if !known.is_empty() {
                new.begin_anew();
            }
            return new;
        };
        kept.set_configured_weight(endpoint.weight);
        kept.override_weight(None);
        put_in_place(kept, endpoint.tier, endpoint.zone.clone(), membership);
        Arc::clone(kept)
    }

    fn new_endpoint(&self, endpoint: &Endpoint, membership: &Membership) -> Arc<EndpointState> {
        let known = matches!(endpoint.host, Host::Ip(_));
        let health = if known && !membership.checked { Health::Up } else { Health::Unchecked };
        let (owner, name) = (Weak::clone(&self.myself), Arc::clone(&self.name));
        let (waiting, demand) = (Arc::clone(&self.waiting), Arc::clone(&self.demand));
        let new = EndpointState::new(owner, waiting, demand, name, endpoint, health);
        put_in_place(&new, endpoint.tier, endpoint.zone.clone(), membership);
        Arc::new(new)
    }

    fn find_next_expiry(&self, membership: &Membership) {
        let next = membership.endpoints.iter().filter_map(|endpoint| endpoint.ejected_until()).min();
        let next = next.unwrap_or(Moment::NEVER);
        self.next_expiry_nanos.store(next.as_nanos(), Ordering::Release);
        let is_compared = membership.passive.peers.is_some() && !self.is_at_rest.load(Ordering::Acquire);
        let judgement = if is_compared { membership.next_judgement } else { Moment::NEVER };
        self.next_tending_nanos.store(next.min(judgement).as_nanos(), Ordering::Release);
    }

    fn unknown(&self, endpoint: &str) -> PoolChangeError {
        PoolChangeError::Unknown { pool: Arc::clone(&self.name), endpoint: endpoint.to_owned() }
    }

    /// Every change under the lock is complete when it can panic, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asserts that the state is sound; for tests and simulations.
    pub fn check_invariants(&self) {
        if let Some(sessions) = self.sessions() {
            sessions.check_invariants();
        }
        let membership = self.lock();
        let mut names: Vec<&str> = membership.endpoints.iter().map(|endpoint| endpoint.name()).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "an endpoint is twice in pool {}", self.name);
        for endpoint in membership.endpoints.iter() {
            endpoint.check_invariants();
            assert_eq!(endpoint.pool(), self.name());
            let in_time = endpoint.ejected_until().is_none_or(|until| until >= self.next_expiry());
            assert!(in_time, "{} would be ejected for ever", endpoint.name());
        }
    }
}

impl Owner for PoolState {
    fn bump_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.waiting.call_all();
    }

    /// The lock makes two endpoints that fail at once not eject each other.
    fn eject(
        &self,
        endpoint: &EndpointState,
        last: Outcome,
        policy: &PassiveCheck,
        now: Moment,
    ) -> Option<Duration> {
        let membership = self.lock();
        if endpoint.is_ejected(now) || !others_can_serve(&membership, endpoint, now) {
            return None;
        }
        // Other failures may be the doing of a request that fails wherever it is sent.
        let is_unreachable = matches!(last, Outcome::Unreachable(_));
        if !is_unreachable && !may_suffer(&membership, endpoint, policy.max_share, now) {
            return None;
        }
        let span = endpoint.mark_ejected(policy, now);
        self.find_next_expiry(&membership);
        Some(span)
    }
}

/// Whether one more endpoint may get less, or nothing, for what was seen of its requests.
fn may_suffer(membership: &Membership, endpoint: &EndpointState, max_share: f64, now: Moment) -> bool {
    let suffers = |other: &&Arc<EndpointState>| {
        other.id() != endpoint.id() && (other.is_degraded() || other.is_ejected(now))
    };
    let limit = (membership.endpoints.len() as f64 * max_share).max(1.0);
    endpoint.is_degraded() || membership.endpoints.iter().filter(suffers).count() as f64 + 1.0 <= limit
}

fn others_can_serve(membership: &Membership, endpoint: &EndpointState, now: Moment) -> bool {
    membership.endpoints.iter().any(|other| other.id() != endpoint.id() && other.is_eligible(now))
}

fn put_in_place(state: &EndpointState, tier: u8, zone: Option<Arc<str>>, membership: &Membership) {
    let own = &membership.preference.zone;
    let is_near = own.is_none() || *own == zone;
    state.set_slow_start(membership.slow_start);
    state.set_place(tier, is_near, zone);
}

fn member(endpoint: &Arc<EndpointState>) -> Option<Member> {
    // Read once: the API may set the weight to 0 after the endpoint was found eligible.
    let weight = endpoint.weight();
    (weight > 0).then(|| Member { id: endpoint.id(), weight, state: Arc::clone(endpoint) })
}

fn find<'a>(endpoints: &'a [Arc<EndpointState>], name: &str) -> Option<&'a Arc<EndpointState>> {
    endpoints.iter().find(|endpoint| endpoint.name() == name)
}

/// Nothing checks these endpoints any more, so nothing else would bring them back.
fn unchecked_endpoints_up(endpoints: &[Arc<EndpointState>]) -> Vec<Transition> {
    let known = endpoints.iter().filter(|endpoint| endpoint.address().is_some());
    known
        .filter_map(|endpoint| {
            endpoint.set_health(Health::Up, CauseKind::Configuration, "it is no longer checked")
        })
        .collect()
}

const fn check_weight(weight: u32) -> Result<(), PoolChangeError> {
    if weight > MAX_WEIGHT { Err(PoolChangeError::WeightTooLarge(weight)) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
