//! What a pool keeps for sessions that stay with their endpoint.

use std::sync::Arc;

use base_kit::Moment;
use base_model::model::Sticky;

use super::PoolState;
use crate::endpoint::{AdminState, EndpointState, Health};
use crate::sticky::{self, SessionTable};

impl PoolState {
    /// The table of its sessions, if it has one.
    pub fn sessions(&self) -> Option<Arc<SessionTable>> {
        self.sessions.load_full()
    }

    /// The endpoints that may go on serving the sessions they have: up and not ejected, drained ones and those of weight 0 as well. Ejected
    /// ones count where [`PoolState::eligible`] would count them.
    pub fn serving_sessions(&self, now: Moment) -> Vec<Arc<EndpointState>> {
        let endpoints = self.endpoints();
        let is_any_eligible = endpoints.iter().any(|endpoint| endpoint.is_eligible(now));
        let serves = |endpoint: &&Arc<EndpointState>| {
            may_serve(endpoint) && (!is_any_eligible || !endpoint.is_ejected(now))
        };
        endpoints.iter().filter(serves).map(Arc::clone).collect()
    }

    /// Takes over the settings; sessions stay as long as there is as much room for them.
    pub(super) fn keep_sessions(&self, settings: Option<&Sticky>) {
        let table =
            settings.and_then(Sticky::limits).map(|limits| sticky::kept_or_new(self.sessions(), limits));
        self.sessions.store(table);
    }
}

/// Whether it may serve the sessions it has, whatever its passive failures.
fn may_serve(endpoint: &EndpointState) -> bool {
    endpoint.health() == Health::Up
        && endpoint.admin_state() != AdminState::Maintenance
        && endpoint.agent().is_none_or(|wish| wish.state != AdminState::Maintenance)
        && endpoint.address().is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base_model::model::{PassiveCheck, SessionLimits, StickySource};

    use super::*;
    use crate::endpoint::AgentWish;
    use crate::fixture::{endpoint, pool, pool_of};
    use crate::transition::{CauseKind, Outcome};

    fn eject(endpoint: &EndpointState) {
        let policy = PassiveCheck {
            consecutive_failures: 1,
            eject_for: Duration::from_secs(10),
            ..PassiveCheck::default()
        };
        endpoint.record(Outcome::Failure("test"), &policy, Moment::ZERO);
    }

    #[test]
    fn drained_endpoints_serve_the_sessions_they_have() {
        let pool = pool_of("p", 9);
        let all = pool.endpoints();
        let agent = |index: usize, percent, state| {
            all[index].set_agent(Some(AgentWish { percent, state }), CauseKind::AgentCheck, "test")
        };
        pool.set_admin_state(all[1].name(), AdminState::Drain, "test").unwrap();
        pool.set_weight(all[2].name(), 0).unwrap();
        agent(3, 100, AdminState::Drain);
        agent(4, 0, AdminState::Ready);
        // These do not.
        pool.set_admin_state(all[5].name(), AdminState::Maintenance, "test").unwrap();
        agent(6, 100, AdminState::Maintenance);
        all[7].set_health(Health::Down, CauseKind::TcpCheck, "test");
        eject(&all[8]);
        let ids = |endpoints: &[Arc<EndpointState>]| endpoints.iter().map(|one| one.id()).collect::<Vec<_>>();
        assert_eq!(ids(&pool.serving_sessions(Moment::ZERO)), ids(&all[..5]));
        assert_eq!(pool.eligible(Moment::ZERO).len(), 1, "new ones go to the first alone");
    }

    #[test]
    fn when_all_are_suspect_sessions_stay_where_they_are() {
        let pool = pool_of("p", 2);
        let all = pool.endpoints();
        eject(&all[0]);
        assert_eq!(pool.serving_sessions(Moment::ZERO).len(), 1);
        all[1].set_health(Health::Down, CauseKind::TcpCheck, "test");
        assert_eq!(pool.serving_sessions(Moment::ZERO)[0].id(), all[0].id());
    }

    #[test]
    fn sessions_outlive_a_reload_of_the_same_size() {
        let with = |max| {
            let limits = SessionLimits { ttl: Duration::from_secs(60), max };
            let mut pool = pool("p", vec![endpoint(0, 1)]);
            pool.sticky = Some(Sticky::Source(StickySource { prefix: 32, prefix6: 64, limits }));
            pool
        };
        let pool = PoolState::new(&with(100));
        let table = pool.sessions().unwrap();
        pool.reconcile(&with(100));
        assert!(Arc::ptr_eq(&table, &pool.sessions().unwrap()));
        pool.reconcile(&with(200));
        assert!(!Arc::ptr_eq(&table, &pool.sessions().unwrap()));
        pool.reconcile(&crate::fixture::pool("p", vec![endpoint(0, 1)]));
        assert!(pool.sessions().is_none());
    }
}
