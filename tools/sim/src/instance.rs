//! One balancer instance, as one process of the proxy: its own pool, its own selector, and what it learned. Driven as the proxy
//! drives them: pick, begin, `Started`; then `FirstByte` and `Finished`, or `Failed`; probes in between; and a tick, at which the
//! pool compares its endpoints and takes ejected ones back.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Moment, SeededRng};
use base_model::model::{Endpoint, Host, PassiveCheck, Pool};
use traffic_balance::{
    CauseKind, EndpointId, EndpointState, Feedback, Health, Outcome, PoolState, ProbeAnswer, RequestFacts,
    Selector,
};

use crate::plan::{ChecksPlan, Plan, PoolPlan};

/// Where a request was placed.
pub(crate) struct Placed {
    /// The number of the server.
    pub(crate) number: usize,
    /// Other requests in flight there, as far as this instance knows.
    pub(crate) others: u32,
}

/// An answer, as its instance sees it.
pub(crate) struct Answer {
    /// Since the request was sent.
    pub(crate) latency: Duration,
    /// Other requests in flight at the server when this one was placed.
    pub(crate) others: u32,
    pub(crate) status: u16,
}

/// All of its share, in percent.
const FULL: u32 = 100;

/// One balancer instance.
pub(crate) struct Instance {
    pool: Arc<PoolState>,
    /// In the order of the servers.
    endpoints: Arc<[Arc<EndpointState>]>,
    numbers: HashMap<EndpointId, usize>,
    selector: Selector,
    /// Whether the balancer looks at [`RequestFacts::key`].
    wants_key: bool,
    /// Whether the balancer asks servers what they have to do.
    asks: bool,
    /// Numbers of the servers that are the selector's members.
    members: Vec<usize>,
    /// Of each server, how many checks in a row said other than what it counts for.
    contrary: Vec<u32>,
    rng: SeededRng,
    passive: PassiveCheck,
}

impl Instance {
    /// An instance that knows all servers of the plan and none of their load.
    pub(crate) fn new(plan: &Plan, settings: &PoolPlan, selector: Selector, rng: SeededRng) -> Self {
        let pool = PoolState::new(&pool(plan, settings));
        let endpoints = pool.endpoints();
        let numbers =
            endpoints.iter().enumerate().map(|(number, endpoint)| (endpoint.id(), number)).collect();
        let wants_key = selector.needs().key.is_some();
        let asks = selector.probing().is_some();
        let passive = settings.passive;
        let (members, contrary) = (Vec::new(), vec![0; endpoints.len()]);
        Self { pool, endpoints, numbers, selector, wants_key, asks, members, contrary, rng, passive }
    }

    /// The server that takes a request, which counts as in flight from now on. `tried` gets it.
    pub(crate) fn place(
        &mut self,
        facts: RequestFacts,
        tried: &mut Vec<EndpointId>,
        now: Moment,
    ) -> Option<Placed> {
        self.refresh(now);
        let facts = RequestFacts { key: facts.key.filter(|_| self.wants_key), ..facts };
        let index = self.selector.pick(&facts, tried, now, &mut self.rng)?.index;
        let number = *self.members.get(index)?;
        let endpoint = self.endpoints.get(number)?;
        tried.push(endpoint.id());
        // Whatever number: queues form at the servers.
        let others = endpoint.begin(u32::MAX)?;
        endpoint.begin_waiting();
        self.selector.feedback(endpoint, Feedback::Started, now);
        Some(Placed { number, others })
    }

    /// An answer came, all of it at once.
    pub(crate) fn answered(&mut self, number: usize, answer: Answer, now: Moment) {
        let Some(endpoint) = self.endpoints.get(number) else { return };
        let Answer { latency, others, status } = answer;
        endpoint.end_waiting();
        endpoint.observe_answer(latency, status);
        let first_byte = Feedback::FirstByte { latency, others, status, retry_after: None };
        self.selector.feedback(endpoint, first_byte, now);
        endpoint.record(Outcome::Success, &self.passive, now);
        self.selector.feedback(endpoint, Feedback::Finished, now);
        endpoint.end();
    }

    /// No answer came.
    pub(crate) fn failed(&mut self, number: usize, cause: &'static str, now: Moment) {
        let Some(endpoint) = self.endpoints.get(number) else { return };
        endpoint.record(Outcome::Failure(cause), &self.passive, now);
        self.selector.feedback(endpoint, Feedback::Failed, now);
        endpoint.end_waiting();
        endpoint.end();
    }

    /// What the proxy does often beside requests; how many servers are out or get less than their share.
    pub(crate) fn tick(&mut self, now: Moment) -> usize {
        // Tells of its transitions in the epoch, too.
        let _ = self.pool.tend(now);
        let suffers =
            |endpoint: &&Arc<EndpointState>| !endpoint.is_eligible(now) || endpoint.share_percent(now) < FULL;
        self.endpoints.iter().filter(suffers).count()
    }

    /// A server was checked.
    pub(crate) fn checked(&mut self, number: usize, passed: bool, checks: &ChecksPlan) {
        let (Some(endpoint), Some(row)) = (self.endpoints.get(number), self.contrary.get_mut(number)) else {
            return;
        };
        let is_up = endpoint.health() == Health::Up;
        *row = if passed == is_up { 0 } else { *row + 1 };
        if *row >= if is_up { checks.fall } else { checks.rise } {
            *row = 0;
            let health = if is_up { Health::Down } else { Health::Up };
            // Tells of its transition in the epoch, too.
            let _ = endpoint.set_health(health, CauseKind::HttpCheck, "simulated");
        }
    }

    /// Whether it asks servers what they have to do.
    pub(crate) const fn asks(&self) -> bool {
        self.asks
    }

    /// The next server that is to be asked now, until there is none.
    pub(crate) fn next_probe(&mut self, now: Moment) -> Option<usize> {
        self.refresh(now);
        let index = self.selector.next_probe(now, &mut self.rng)?;
        self.members.get(index).copied()
    }

    /// A server told what it has to do.
    pub(crate) fn probed(&mut self, number: usize, answer: ProbeAnswer, now: Moment) {
        if let Some(endpoint) = self.endpoints.get(number) {
            self.selector.probed(endpoint, answer, now);
        }
    }

    fn refresh(&mut self, now: Moment) {
        if self.selector.refresh(&self.pool, now) {
            let members = self.selector.members().iter();
            self.members = members.filter_map(|member| self.numbers.get(&member.id).copied()).collect();
        }
    }

    /// Requests in flight, as this instance sees it.
    pub(crate) fn in_flight(&self) -> u64 {
        self.endpoints.iter().map(|endpoint| u64::from(endpoint.in_flight())).sum()
    }

    /// Asserts that the state is sound.
    pub(crate) fn check_invariants(&self) {
        self.pool.check_invariants();
        self.selector.check_invariants();
    }
}

/// The pool as a configuration would have it. Only what balancers see matters.
fn pool(plan: &Plan, settings: &PoolPlan) -> Pool {
    let endpoint = |(number, weight)| Endpoint { weight, ..Endpoint::new(Host::Ip(address(number)), 80) };
    let mut pool = Pool::new(
        "simulated",
        plan.servers.iter().map(|server| server.weight).enumerate().map(endpoint).collect(),
    );
    pool.passive = settings.passive;
    pool.slow_start = settings.slow_start;
    pool.preference.panic_below = settings.panic_below;
    pool.connections.max = u32::MAX;
    pool
}

/// `10.0.0.1` and those behind it.
fn address(number: usize) -> IpAddr {
    const FIRST: u32 = u32::from_be_bytes([10, 0, 0, 1]);
    let offset = u32::try_from(number).unwrap_or(u32::MAX);
    IpAddr::V4(Ipv4Addr::from(FIRST.saturating_add(offset)))
}
