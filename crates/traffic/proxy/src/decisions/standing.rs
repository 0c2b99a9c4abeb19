//! How a pool's endpoints stood when a request was over.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base_kit::Moment;
use traffic_balance::{EndpointId, EndpointState, PoolState};

/// Endpoints kept of one pool: enough to see why there was nobody. Those that take no traffic come first.
const MAX_CANDIDATES: usize = 16;
/// Shares rise and fall without a change of the pool's epoch; for so long what was found is taken for true.
const FRESH_FOR: Duration = Duration::from_millis(100);

/// An endpoint of the pool that a request was meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub endpoint: String,
    /// Why it took no traffic, if it took none: `down`, `unchecked`, `ejected`, `drain`, `maintenance`, `weight-0`, `no-address`;
    /// `reserve` if more preferred ones sufficed, `subset` if other nodes are to use it.
    pub out: Option<&'static str>,
    /// What would have kept it out, if it took traffic all the same because too little was fit.
    pub despite: Option<&'static str>,
    /// Which part of its share it got, in percent.
    pub share: u32,
    /// 0 takes traffic first; the next ones are its backup.
    pub tier: u8,
}

/// What is known of the endpoints of each pool; looked up anew only when something has changed.
pub(crate) struct Standings(Vec<RefCell<Standing>>);

/// Of one pool, and the epoch and moment at which it was so.
#[derive(Default)]
struct Standing {
    found: Option<(u64, Moment)>,
    candidates: Arc<[Candidate]>,
}

impl Standings {
    /// Of so many pools.
    pub(crate) fn new(pools: usize) -> Self {
        Self((0..pools).map(|_| RefCell::default()).collect())
    }

    /// Of the pool at this index. Takes a lock when something may have changed since the last time: not for every request.
    pub(crate) fn of(&self, index: usize, pool: &PoolState, now: Moment) -> Option<Arc<[Candidate]>> {
        let mut known = self.0.get(index)?.borrow_mut();
        let epoch = pool.epoch();
        if known.found.is_none_or(|(then, at)| then != epoch || now.since(at) >= FRESH_FOR) {
            *known = Standing { found: Some((epoch, now)), candidates: candidates(pool, now).into() };
        }
        Some(Arc::clone(&known.candidates))
    }
}

fn candidates(pool: &PoolState, now: Moment) -> Vec<Candidate> {
    let levels = pool.levels(now);
    let members = levels.iter().flat_map(|level| level.members.iter().map(|member| (member.id, level.share)));
    let shares: HashMap<EndpointId, f64> = members.collect();
    let mut candidates: Vec<Candidate> =
        pool.endpoints().iter().map(|endpoint| candidate(endpoint, &shares, now)).collect();
    candidates.sort_by_key(|candidate| candidate.out.is_none());
    candidates.truncate(MAX_CANDIDATES);
    candidates
}

fn candidate(endpoint: &EndpointState, shares: &HashMap<EndpointId, f64>, now: Moment) -> Candidate {
    let unfit = unfit(endpoint, now);
    let (out, despite) = match shares.get(&endpoint.id()) {
        Some(share) if *share > 0.0 => (None, unfit),
        Some(_) => (unfit.or(Some("reserve")), None),
        None => (unfit.or(Some("subset")), None),
    };
    let (share, tier) = (endpoint.share_percent(now), endpoint.tier());
    Candidate { endpoint: endpoint.name().to_owned(), out, despite, share, tier }
}

/// What speaks against an endpoint.
fn unfit(endpoint: &EndpointState, now: Moment) -> Option<&'static str> {
    use traffic_balance::{AdminState, AgentWish, Health};
    let agent = endpoint.agent().map_or(AdminState::Ready, AgentWish::effective_state);
    match (endpoint.health(), endpoint.admin_state()) {
        (_, admin) if admin != AdminState::Ready => Some(admin.word()),
        _ if agent != AdminState::Ready => Some(agent.word()),
        (health, _) if health != Health::Up => Some(health.word()),
        _ if endpoint.is_ejected(now) => Some("ejected"),
        _ if endpoint.address().is_none() => Some("no-address"),
        _ if endpoint.weight() == 0 => Some("weight-0"),
        _ => None,
    }
}
