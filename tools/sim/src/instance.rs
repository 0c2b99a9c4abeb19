//! One balancer instance: its own pool, its own balancer, and what it learned. Driven as the proxy drives them: pick, begin,
//! `Started`; then `FirstByte` and `Finished`, or `Failed`; probes in between; and what passive checks make of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Moment, SeededRng};
use base_model::model::{Endpoint, Host, PassiveCheck, Pool};
use traffic_balance::{
    Balancer, EndpointId, EndpointState, Feedback, Outcome, PoolState, ProbeAnswer, RequestFacts,
};

use crate::plan::Plan;

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

/// One balancer instance.
pub(crate) struct Instance {
    pool: Arc<PoolState>,
    /// In the order of the servers.
    endpoints: Arc<[Arc<EndpointState>]>,
    numbers: HashMap<EndpointId, usize>,
    balancer: Box<dyn Balancer>,
    /// Whether the balancer looks at [`RequestFacts::key`].
    wants_key: bool,
    /// Whether the balancer asks servers what they have to do.
    asks: bool,
    /// The pool's epoch that the balancer was last told of.
    epoch: Option<u64>,
    /// Numbers of the servers that are the balancer's members.
    members: Vec<usize>,
    rng: SeededRng,
    passive: PassiveCheck,
}

impl Instance {
    /// An instance that knows all servers of the plan and none of their load.
    pub(crate) fn new(plan: &Plan, balancer: Box<dyn Balancer>, rng: SeededRng) -> Self {
        let pool = PoolState::new(&pool(plan));
        let endpoints = pool.endpoints();
        let numbers =
            endpoints.iter().enumerate().map(|(number, endpoint)| (endpoint.id(), number)).collect();
        let wants_key = balancer.needs().key.is_some();
        let asks = balancer.probing().is_some();
        let passive = plan.passive;
        let (epoch, members) = (None, Vec::new());
        Self { pool, endpoints, numbers, balancer, wants_key, asks, epoch, members, rng, passive }
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
        let index = self.balancer.pick(&facts, tried, now, &mut self.rng)?;
        let number = *self.members.get(index)?;
        let endpoint = self.endpoints.get(number)?;
        tried.push(endpoint.id());
        // Whatever number: queues form at the servers.
        let others = endpoint.begin(u32::MAX)?;
        self.balancer.feedback(endpoint, Feedback::Started, now);
        Some(Placed { number, others })
    }

    /// An answer came.
    pub(crate) fn answered(&mut self, number: usize, answer: Answer, now: Moment) {
        let Some(endpoint) = self.endpoints.get(number) else { return };
        let Answer { latency, others, status } = answer;
        let first_byte = Feedback::FirstByte { latency, others, status, retry_after: None };
        self.balancer.feedback(endpoint, first_byte, now);
        self.balancer.feedback(endpoint, Feedback::Finished, now);
        endpoint.end();
        endpoint.record(Outcome::Success, &self.passive, now);
    }

    /// No answer came.
    pub(crate) fn failed(&mut self, number: usize, cause: &'static str, now: Moment) {
        let Some(endpoint) = self.endpoints.get(number) else { return };
        self.balancer.feedback(endpoint, Feedback::Failed, now);
        endpoint.end();
        endpoint.record(Outcome::Failure(cause), &self.passive, now);
    }

    /// Whether it asks servers what they have to do.
    pub(crate) const fn asks(&self) -> bool {
        self.asks
    }

    /// The next server that is to be asked now, until there is none.
    pub(crate) fn next_probe(&mut self, now: Moment) -> Option<usize> {
        self.refresh(now);
        let index = self.balancer.next_probe(now, &mut self.rng)?;
        self.members.get(index).copied()
    }

    /// A server told what it has to do.
    pub(crate) fn probed(&mut self, number: usize, answer: ProbeAnswer, now: Moment) {
        if let Some(endpoint) = self.endpoints.get(number) {
            self.balancer.probed(endpoint, answer, now);
        }
    }

    fn refresh(&mut self, now: Moment) {
        // Tells of its transitions in the epoch, too.
        let _ = self.pool.tend(now);
        let epoch = Some(self.pool.epoch());
        if self.epoch == epoch {
            return;
        }
        let members = self.pool.eligible(now);
        self.balancer.update(&members);
        self.members = members.iter().filter_map(|member| self.numbers.get(&member.id).copied()).collect();
        self.epoch = epoch;
    }

    /// Requests in flight, as this instance sees it.
    pub(crate) fn in_flight(&self) -> u64 {
        self.endpoints.iter().map(|endpoint| u64::from(endpoint.in_flight())).sum()
    }

    /// Asserts that the state is sound.
    pub(crate) fn check_invariants(&self) {
        self.pool.check_invariants();
        self.balancer.check_invariants();
    }
}

/// The pool as a configuration would have it. Only what balancers see matters.
fn pool(plan: &Plan) -> Pool {
    let endpoint = |(number, weight)| Endpoint { weight, ..Endpoint::new(Host::Ip(address(number)), 80) };
    let mut pool = Pool::new(
        "simulated",
        plan.servers.iter().map(|server| server.weight).enumerate().map(endpoint).collect(),
    );
    pool.passive = plan.passive;
    pool.connections.max = u32::MAX;
    pool
}

/// `10.0.0.1` and those behind it.
fn address(number: usize) -> IpAddr {
    const FIRST: u32 = u32::from_be_bytes([10, 0, 0, 1]);
    let offset = u32::try_from(number).unwrap_or(u32::MAX);
    IpAddr::V4(Ipv4Addr::from(FIRST.saturating_add(offset)))
}
