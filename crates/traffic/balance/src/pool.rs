//! The endpoints of one pool, and the epoch that tells when to look at them again.

mod sessions;
mod shares;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use base_kit::Moment;
use base_model::model::{Endpoint, Host, Pool};

use crate::balancer::Member;
use crate::endpoint::{AdminState, EndpointState, Health, Owner};
use crate::sticky::SessionTable;
use crate::transition::{CauseKind, Transition};

/// Most endpoints of a pool when they are added through the API: far more than balancers in O(n) should look through.
pub const MAX_ENDPOINTS_PER_POOL: usize = 10_000;

/// The largest weight, as in the configuration.
pub const MAX_WEIGHT: u32 = 65_535;

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
            membership: Mutex::new(Membership {
                configured: Vec::new(),
                checked: !pool.checks.is_empty(),
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

    /// The endpoints that may take traffic. When ejections alone leave none, ejected ones count as well: a suspect
    /// endpoint is better than no answer.
    pub fn eligible(&self, now: Moment) -> Vec<Member> {
        let endpoints = self.endpoints();
        let members = |wanted: &dyn Fn(&EndpointState) -> bool| -> Vec<Member> {
            endpoints.iter().filter(|endpoint| wanted(endpoint)).filter_map(member).collect()
        };
        let mut eligible = members(&|endpoint| endpoint.is_eligible(now));
        if eligible.is_empty() {
            eligible = members(&EndpointState::is_eligible_but_for_ejection);
        }
        shares::apply_wishes(&mut eligible);
        eligible
    }

    /// Takes back the endpoints whose ejection is over. Costs one read when there is none; call it often.
    pub fn expire_ejections(&self, now: Moment) -> Vec<Transition> {
        if self.next_expiry() > now {
            return Vec::new();
        }
        let membership = self.lock();
        let back = membership.endpoints.iter().filter_map(|endpoint| endpoint.unmark_ejected(now)).collect();
        self.find_next_expiry(&membership);
        back
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
        let mut membership = self.lock();
        let name = endpoint.to_string();
        if find(&membership.endpoints, &name).is_some() {
            return Err(PoolChangeError::Exists { pool: Arc::clone(&self.name), endpoint: name });
        }
        if membership.endpoints.len() >= MAX_ENDPOINTS_PER_POOL {
            return Err(PoolChangeError::Full(Arc::clone(&self.name)));
        }
        let added = self.new_endpoint(endpoint, membership.checked);
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
        let mut changed = false;
        if membership.configured != pool.endpoints {
            changed = true;
            let known = membership.endpoints.iter().map(|endpoint| (endpoint.name(), endpoint)).collect();
            let endpoints =
                pool.endpoints.iter().map(|endpoint| self.kept_or_new(&known, endpoint, pool)).collect();
            membership.endpoints = endpoints;
            membership.configured.clone_from(&pool.endpoints);
            self.find_next_expiry(&membership);
        }
        let checks_ended = membership.checked && pool.checks.is_empty();
        membership.checked = !pool.checks.is_empty();
        let endpoints = Arc::clone(&membership.endpoints);
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
        pool: &Pool,
    ) -> Arc<EndpointState> {
        let Some(kept) = known.get(endpoint.to_string().as_str()) else {
            return self.new_endpoint(endpoint, !pool.checks.is_empty());
        };
        kept.set_configured_weight(endpoint.weight);
        kept.override_weight(None);
        Arc::clone(kept)
    }

    fn new_endpoint(&self, endpoint: &Endpoint, checked: bool) -> Arc<EndpointState> {
        let known = matches!(endpoint.host, Host::Ip(_));
        let health = if known && !checked { Health::Up } else { Health::Unchecked };
        let owner = Weak::clone(&self.myself);
        Arc::new(EndpointState::new(owner, Arc::clone(&self.name), endpoint, health))
    }

    fn find_next_expiry(&self, membership: &Membership) {
        let next = membership.endpoints.iter().filter_map(|endpoint| endpoint.ejected_until()).min();
        self.next_expiry_nanos.store(next.unwrap_or(Moment::NEVER).as_nanos(), Ordering::Release);
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
    }

    /// The lock makes two endpoints that fail at once not eject each other.
    fn eject(&self, endpoint: &EndpointState, until: Moment, now: Moment) -> bool {
        let membership = self.lock();
        let others = membership.endpoints.iter().filter(|other| other.id() != endpoint.id());
        if endpoint.is_ejected(now) || !others.into_iter().any(|other| other.is_eligible(now)) {
            return false;
        }
        endpoint.mark_ejected(until);
        self.find_next_expiry(&membership);
        true
    }
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
