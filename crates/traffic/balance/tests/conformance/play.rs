//! A worker in small: requests come, run for a random time and end, a fixed number of them at once.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Moment, Rng, SeededRng};
use base_model::model::{Endpoint, Host, PassiveCheck, Pool};
use traffic_balance::{
    Balancer, EndpointId, EndpointState, Feedback, InFlight, Member, PoolState, ProbeAnswer, RequestFacts,
    hash_key,
};

/// The endpoint `10.0.x.y:80`.
pub(crate) fn endpoint(number: usize, weight: u32) -> Endpoint {
    let [.., high, low] = number.to_be_bytes();
    Endpoint { weight, ..Endpoint::new(Host::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, high, low))), 80) }
}

/// A pool of endpoints of these weights.
pub(crate) fn pool(weights: &[u32]) -> Arc<PoolState> {
    let second = Duration::from_secs(1);
    let endpoints = weights.iter().enumerate().map(|(number, &weight)| endpoint(number, weight)).collect();
    let passive = PassiveCheck { consecutive_failures: 5, eject_for: second, ..PassiveCheck::default() };
    PoolState::new(&Pool { passive, ..Pool::new("play", endpoints) })
}

/// More probes than this at once are a flood.
const MOST_PROBES_AT_ONCE: usize = 32;
/// Probes that are answered late, some of them by who has left.
const PROBES_UNDER_WAY: usize = 10;

/// Requests against one balancer.
pub(crate) struct Play {
    balancer: Box<dyn Balancer>,
    pool: Arc<PoolState>,
    epoch: u64,
    members: Vec<Member>,
    running: Vec<InFlight>,
    at_once: usize,
    seen: HashMap<EndpointId, Arc<EndpointState>>,
    asked: VecDeque<Arc<EndpointState>>,
    /// Probes in all.
    pub(crate) probes: usize,
    now: Moment,
    rng: SeededRng,
    /// Of every answer, where it is not drawn.
    latency: Option<Duration>,
}

impl Play {
    pub(crate) fn new(balancer: Box<dyn Balancer>, pool: Arc<PoolState>, at_once: usize, seed: u64) -> Self {
        Self {
            balancer,
            pool,
            epoch: 0,
            members: Vec::new(),
            running: Vec::new(),
            at_once,
            seen: HashMap::new(),
            asked: VecDeque::new(),
            probes: 0,
            now: Moment::ZERO,
            rng: SeededRng::new(seed),
            latency: None,
        }
    }

    /// Has all answers take the same time, so that there is nothing to choose by it.
    pub(crate) const fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// So many requests.
    pub(crate) fn run(&mut self, requests: usize) {
        for _ in 0..requests {
            self.request();
        }
    }

    /// The indices picked by so many requests.
    pub(crate) fn picks(&mut self, requests: usize) -> Vec<usize> {
        (0..requests).filter_map(|_| self.request()).collect()
    }

    /// How often each member is picked by so many requests.
    pub(crate) fn count(&mut self, requests: usize) -> Vec<u64> {
        let picks = self.picks(requests);
        let mut counts = vec![0; self.members.len()];
        for index in picks {
            counts[index] += 1;
        }
        counts
    }

    pub(crate) fn check_invariants(&self) {
        self.balancer.check_invariants();
    }

    /// Ends what runs; gives all endpoints that ever had a request.
    pub(crate) fn finish_all(mut self) -> Vec<Arc<EndpointState>> {
        while !self.running.is_empty() {
            self.finish_one();
        }
        self.seen.into_values().collect()
    }

    fn request(&mut self) -> Option<usize> {
        self.now = self.now + Duration::from_micros(100);
        let epoch = self.pool.epoch();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.members = self.pool.eligible(self.now);
            self.balancer.update(&self.members);
        }
        if self.running.len() >= self.at_once {
            self.finish_one();
        }
        let number = self.rng.next_u64();
        let client = IpAddr::from((number as u32).to_be_bytes());
        let request = RequestFacts { client, key: Some(hash_key(number.to_be_bytes())) };
        let picked = self.balancer.pick(&request, &[], self.now, &mut self.rng);
        assert_eq!(picked.is_none(), self.members.is_empty(), "somebody is picked if anybody is there");
        let member = &self.members[picked?];
        self.running.extend(InFlight::begin(&member.state, u32::MAX));
        self.seen.insert(member.id, Arc::clone(&member.state));
        self.balancer.feedback(&member.state, Feedback::Started, self.now);
        self.probe();
        picked
    }

    /// Asks whom the balancer wants to be asked. Answers come some requests later.
    fn probe(&mut self) {
        let before = self.probes;
        while let Some(index) = self.balancer.next_probe(self.now, &mut self.rng) {
            self.asked.push_back(Arc::clone(&self.members[index].state));
            self.probes += 1;
            assert!(self.probes - before <= MOST_PROBES_AT_ONCE, "it asks without end");
        }
        while self.asked.len() > PROBES_UNDER_WAY {
            let endpoint = self.asked.pop_front().unwrap();
            let answer = ProbeAnswer {
                in_flight: (self.rng.below(4) > 0).then(|| endpoint.in_flight()),
                latency: self.latency.filter(|_| self.rng.below(4) > 0),
            };
            self.balancer.probed(&endpoint, answer, self.now);
        }
    }

    /// Lets time pass without requests, in small steps.
    pub(crate) fn rest(&mut self, time: Duration) {
        const STEP: Duration = Duration::from_millis(100);
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.now = self.now + STEP;
            self.probe();
        }
    }

    fn finish_one(&mut self) {
        let ended = self.running.swap_remove(self.rng.below(self.running.len() as u64) as usize);
        let drawn = Duration::from_millis(1 + self.rng.below(20));
        let latency = self.latency.unwrap_or(drawn);
        let answered =
            Feedback::FirstByte { latency, others: ended.in_flight() - 1, status: 200, retry_after: None };
        self.balancer.feedback(&ended, answered, self.now);
        let event = if self.rng.below(10) == 0 { Feedback::Failed } else { Feedback::Finished };
        self.balancer.feedback(&ended, event, self.now);
    }
}
