//! The pools there are.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use base_model::model::Pool;

use crate::pool::PoolState;
use crate::transition::Transition;

/// Pool name → state. Shared by whoever needs it; not read per request.
#[derive(Debug, Default)]
pub struct Registry {
    pools: RwLock<HashMap<Arc<str>, Arc<PoolState>>>,
}

impl Registry {
    /// No pools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over a configuration. Endpoints that stay (same pool, same host and port) keep what was learned about them:
    /// health, failures, ejection, requests in flight, and what the operator wants of them. Endpoints added or removed
    /// and weights changed through the API stay as they are while the pool's own list is the same as before; a changed
    /// list ends them. When a pool's active checks go, its endpoints count as up; when they come, endpoints that
    /// take traffic keep doing so until a check fails.
    pub fn reconcile(&self, pools: &[Pool]) -> Vec<Transition> {
        let mut known = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        let mut transitions = Vec::new();
        let mut next = HashMap::with_capacity(pools.len());
        for pool in pools {
            let state = match known.get(&pool.name) {
                Some(state) => {
                    transitions.extend(state.reconcile(pool));
                    Arc::clone(state)
                }
                None => PoolState::new(pool),
            };
            next.insert(Arc::clone(&pool.name), state);
        }
        *known = next;
        transitions
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<Arc<PoolState>> {
        self.pools.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    /// All pools, by name.
    pub fn pools(&self) -> Vec<Arc<PoolState>> {
        let known = self.pools.read().unwrap_or_else(PoisonError::into_inner);
        let mut pools: Vec<_> = known.values().map(Arc::clone).collect();
        pools.sort_by(|a, b| a.name().cmp(b.name()));
        pools
    }

    /// Asserts that the state is sound; for tests and simulations.
    pub fn check_invariants(&self) {
        for pool in self.pools() {
            pool.check_invariants();
        }
    }
}

#[cfg(test)]
mod tests {
    use base_kit::Moment;
    use base_model::model::{ActiveCheck, CheckKind, PassiveCheck};
    use std::time::Duration;

    use super::*;
    use crate::endpoint::{AdminState, Health};
    use crate::fixture::{endpoint, pool};
    use crate::transition::{CauseKind, Outcome};

    fn with_check(mut pool: Pool) -> Pool {
        pool.checks.push(ActiveCheck {
            kind: CheckKind::Tcp,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            jitter: 0.0,
            port: None,
            tls: None,
            proxy_protocol: None,
        });
        pool
    }

    fn registry(pools: &[Pool]) -> (Registry, Arc<PoolState>) {
        let registry = Registry::new();
        registry.reconcile(pools);
        let pool = registry.pool("p").unwrap();
        (registry, pool)
    }

    fn names(pool: &PoolState) -> Vec<String> {
        pool.endpoints().iter().map(|endpoint| endpoint.name().to_owned()).collect()
    }

    #[test]
    fn what_was_learned_stays_with_endpoints_that_stay() {
        let (registry, state) = registry(&[pool("p", vec![endpoint(1, 1), endpoint(2, 1), endpoint(3, 1)])]);
        let before = state.endpoints();
        let policy = PassiveCheck {
            consecutive_failures: 1,
            eject_for: Duration::from_secs(10),
            ..PassiveCheck::default()
        };
        before[1].record(Outcome::Failure("broken"), &policy, Moment::ZERO).unwrap();
        before[2].set_health(Health::Down, CauseKind::HttpCheck, "test");
        state.set_admin_state("10.0.0.3:80", AdminState::Maintenance, "API").unwrap();

        let epoch = state.epoch();
        registry.reconcile(&[pool("p", vec![endpoint(3, 9), endpoint(2, 1), endpoint(4, 1)])]);
        let after = registry.pool("p").unwrap().endpoints();
        assert!(state.epoch() > epoch);
        assert_eq!(names(&state), ["10.0.0.3:80", "10.0.0.2:80", "10.0.0.4:80"]);
        assert!(Arc::ptr_eq(&after[0], &before[2]) && Arc::ptr_eq(&after[1], &before[1]));
        assert!(after[1].is_ejected(Moment::ZERO));
        assert_eq!((after[0].weight(), after[0].health()), (9, Health::Down));
        assert_eq!(after[0].admin_state(), AdminState::Maintenance);
        registry.check_invariants();
    }

    #[test]
    fn the_same_configuration_again_changes_nothing() {
        let pools = [pool("p", vec![endpoint(1, 1)]), pool("q", vec![])];
        let (registry, state) = registry(&pools);
        let epoch = state.epoch();
        assert_eq!(registry.reconcile(&pools), []);
        assert_eq!(state.epoch(), epoch);
        assert!(Arc::ptr_eq(&state, &registry.pool("p").unwrap()));
    }

    #[test]
    fn changes_through_the_api_stay_until_the_list_changes() {
        let pools = [pool("p", vec![endpoint(1, 1), endpoint(2, 1)])];
        let (registry, state) = registry(&pools);
        state.add_endpoint(&endpoint(9, 1)).unwrap();
        state.remove_endpoint("10.0.0.1:80").unwrap();
        state.set_weight("10.0.0.2:80", 50).unwrap();

        let mut elsewhere = pools.to_vec();
        elsewhere[0].max_head_bytes += 1;
        elsewhere.push(pool("q", vec![endpoint(1, 1)]));
        registry.reconcile(&elsewhere);
        assert_eq!(names(&state), ["10.0.0.2:80", "10.0.0.9:80"]);
        assert_eq!(state.endpoint("10.0.0.2:80").unwrap().weight(), 50);

        elsewhere[0].endpoints.push(endpoint(3, 1));
        registry.reconcile(&elsewhere);
        assert_eq!(names(&state), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
        assert_eq!(state.endpoint("10.0.0.2:80").unwrap().weight(), 1);
    }

    #[test]
    fn pools_that_are_gone_are_gone() {
        let (registry, _) = registry(&[pool("p", vec![endpoint(1, 1)]), pool("q", vec![])]);
        registry.reconcile(&[pool("q", vec![])]);
        assert!(registry.pool("p").is_none());
        assert_eq!(registry.pools().len(), 1);
    }

    #[test]
    fn checks_decide_about_the_first_traffic() {
        let (registry, state) = registry(&[with_check(pool("p", vec![endpoint(1, 1)]))]);
        let endpoint_state = Arc::clone(&state.endpoints()[0]);
        assert_eq!(endpoint_state.health(), Health::Unchecked);
        assert!(state.eligible(Moment::ZERO).is_empty());
        assert_eq!(state.add_endpoint(&endpoint(2, 1)).unwrap().health(), Health::Unchecked);

        // Without checks nothing else would bring them up.
        let transitions = registry.reconcile(&[pool("p", vec![endpoint(1, 1)])]);
        assert_eq!(transitions.len(), 2);
        assert_eq!((transitions[0].from, transitions[0].to), ("unchecked", "up"));
        // New checks do not stop traffic that flows.
        registry.reconcile(&[with_check(pool("p", vec![endpoint(1, 1)]))]);
        assert_eq!(endpoint_state.health(), Health::Up);
    }

    #[test]
    fn large_configurations_are_taken_over() {
        let pools = |first: usize| -> Vec<Pool> {
            let endpoints = || (first..first + 20).map(|number| endpoint(number, 1)).collect();
            (0..1_000).map(|number| pool(&format!("p{number}"), endpoints())).collect()
        };
        let registry = Registry::new();
        registry.reconcile(&pools(0));
        let kept = Arc::clone(&registry.pool("p999").unwrap().endpoints()[19]);
        registry.reconcile(&pools(10));
        assert_eq!(registry.pools().len(), 1_000);
        assert!(Arc::ptr_eq(&kept, &registry.pool("p999").unwrap().endpoints()[9]));
        registry.check_invariants();
    }
}
