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
mod tests;
