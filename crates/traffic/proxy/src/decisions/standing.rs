//! How a pool's endpoints stood when a request was over.

use std::cell::RefCell;
use std::sync::Arc;

use base_kit::Moment;
use traffic_balance::{EndpointState, PoolState};

/// Endpoints kept of one pool: enough to see why there was nobody. Those that take no traffic come first.
const MAX_CANDIDATES: usize = 16;

/// An endpoint of the pool that a request was meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub endpoint: String,
    /// Why it took no traffic, if it took none: `down`, `unchecked`, `ejected`, `drain`, `maintenance`, `weight-0`, `no-address`.
    pub out: Option<&'static str>,
}

/// What is known of the endpoints of each pool; looked up anew only when something has changed.
pub(crate) struct Standings(Vec<RefCell<Standing>>);

/// Of one pool, and the epoch at which it was so.
#[derive(Default)]
struct Standing {
    epoch: Option<u64>,
    candidates: Arc<[Candidate]>,
}

impl Standings {
    /// Of so many pools.
    pub(crate) fn new(pools: usize) -> Self {
        Self((0..pools).map(|_| RefCell::default()).collect())
    }

    /// Of the pool at this index. Takes a lock when something has changed since the last time: not for every request.
    pub(crate) fn of(&self, index: usize, pool: &PoolState, now: Moment) -> Option<Arc<[Candidate]>> {
        let mut known = self.0.get(index)?.borrow_mut();
        let epoch = Some(pool.epoch());
        if known.epoch != epoch {
            let mut candidates: Vec<Candidate> =
                pool.endpoints().iter().map(|endpoint| candidate(endpoint, now)).collect();
            candidates.sort_by_key(|candidate| candidate.out.is_none());
            candidates.truncate(MAX_CANDIDATES);
            *known = Standing { epoch, candidates: candidates.into() };
        }
        Some(Arc::clone(&known.candidates))
    }
}

fn candidate(endpoint: &EndpointState, now: Moment) -> Candidate {
    use traffic_balance::{AdminState, AgentWish, Health};
    let agent = endpoint.agent().map_or(AdminState::Ready, AgentWish::effective_state);
    let out = match (endpoint.health(), endpoint.admin_state()) {
        (_, admin) if admin != AdminState::Ready => Some(admin.word()),
        _ if agent != AdminState::Ready => Some(agent.word()),
        (health, _) if health != Health::Up => Some(health.word()),
        _ if endpoint.is_ejected(now) => Some("ejected"),
        _ if endpoint.address().is_none() => Some("no-address"),
        _ if endpoint.weight() == 0 => Some("weight-0"),
        _ => None,
    };
    Candidate { endpoint: endpoint.name().to_owned(), out }
}
