//! A worker in small: requests come, run for a random time and end, a fixed number of them at once.
//!
//! What chooses is a balancer alone, or a selector around it, as in the proxy: both have to do the same.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Moment, Rng, SeededRng};
use base_model::model::{Endpoint, Host, PassiveCheck, Pool};
use traffic_balance::{
    Balancer, EndpointId, EndpointState, Feedback, InFlight, Member, PoolState, ProbeAnswer, RequestFacts,
    Selector, hash_key,
};

/// The endpoint `10.0.x.y:80`.
pub(crate) fn endpoint(number: usize, weight: u32) -> Endpoint {
    let [.., high, low] = number.to_be_bytes();
    Endpoint { weight, ..Endpoint::new(Host::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, high, low))), 80) }
}

/// A pool of endpoints of these weights.
pub(crate) fn pool(weights: &[u32]) -> Arc<PoolState> {
    let endpoints = weights.iter().enumerate().map(|(number, &weight)| endpoint(number, weight)).collect();
    PoolState::new(&Pool { passive: passive(), ..Pool::new("play", endpoints) })
}

/// What takes its endpoints out.
pub(crate) fn passive() -> PassiveCheck {
    PassiveCheck { consecutive_failures: 5, eject_for: Duration::from_secs(1), ..PassiveCheck::default() }
}

/// What chooses.
pub(crate) enum Chooser {
    /// A balancer alone, which is told of the members.
    Alone { balancer: Box<dyn Balancer>, epoch: Option<u64>, members: Vec<Member> },
    /// A selector, which looks at the pool itself.
    Selected(Selector),
}

impl Chooser {
    pub(crate) fn alone(balancer: Box<dyn Balancer>) -> Self {
        Self::Alone { balancer, epoch: None, members: Vec::new() }
    }

    /// Takes in changes of the pool.
    pub(crate) fn refresh(&mut self, pool: &PoolState, now: Moment) {
        match self {
            Self::Alone { balancer, epoch, members } if *epoch != Some(pool.epoch()) => {
                *epoch = Some(pool.epoch());
                *members = pool.eligible(now);
                balancer.update(members);
            }
            Self::Alone { .. } => {}
            Self::Selected(selector) => drop(selector.refresh(pool, now)),
        }
    }

    pub(crate) fn members(&self) -> &[Member] {
        match self {
            Self::Alone { members, .. } => members,
            Self::Selected(selector) => selector.members(),
        }
    }

    pub(crate) fn pick(
        &mut self,
        request: &RequestFacts,
        tried: &[EndpointId],
        now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        match self {
            Self::Alone { balancer, .. } => balancer.pick(request, tried, now, rng),
            Self::Selected(selector) => {
                let mut tried = tried.to_vec();
                let before = tried.clone();
                let picked = selector.pick(request, &mut tried, now, rng);
                assert_eq!(tried, before, "it is left as it was");
                picked.map(|pick| pick.index)
            }
        }
    }

    pub(crate) fn feedback(&mut self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        match self {
            Self::Alone { balancer, .. } => balancer.feedback(endpoint, event, now),
            Self::Selected(selector) => selector.feedback(endpoint, event, now),
        }
    }

    fn next_probe(&mut self, now: Moment, rng: &mut dyn Rng) -> Option<usize> {
        match self {
            Self::Alone { balancer, .. } => balancer.next_probe(now, rng),
            Self::Selected(selector) => selector.next_probe(now, rng),
        }
    }

    fn probed(&mut self, endpoint: &EndpointState, answer: ProbeAnswer, now: Moment) {
        match self {
            Self::Alone { balancer, .. } => balancer.probed(endpoint, answer, now),
            Self::Selected(selector) => selector.probed(endpoint, answer, now),
        }
    }

    pub(crate) fn check_invariants(&self) {
        match self {
            Self::Alone { balancer, .. } => balancer.check_invariants(),
            Self::Selected(selector) => selector.check_invariants(),
        }
    }
}

/// More probes than this at once are a flood.
const MOST_PROBES_AT_ONCE: usize = 32;
/// Probes that are answered late, some of them by who has left.
const PROBES_UNDER_WAY: usize = 10;

/// Requests against one pool.
pub(crate) struct Play {
    chooser: Chooser,
    pool: Arc<PoolState>,
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
    pub(crate) fn new(chooser: Chooser, pool: Arc<PoolState>, at_once: usize, seed: u64) -> Self {
        Self {
            chooser,
            pool,
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
        let mut counts = vec![0; self.chooser.members().len()];
        for index in picks {
            counts[index] += 1;
        }
        counts
    }

    pub(crate) fn check_invariants(&self) {
        self.chooser.check_invariants();
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
        self.chooser.refresh(&self.pool, self.now);
        if self.running.len() >= self.at_once {
            self.finish_one();
        }
        let number = self.rng.next_u64();
        let client = IpAddr::from((number as u32).to_be_bytes());
        let request = RequestFacts { client, key: Some(hash_key(number.to_be_bytes())) };
        let picked = self.chooser.pick(&request, &[], self.now, &mut self.rng);
        assert_eq!(
            picked.is_none(),
            self.chooser.members().is_empty(),
            "somebody is picked if anybody is there"
        );
        let member = self.chooser.members()[picked?].clone();
        self.running.extend(InFlight::begin(&member.state, u32::MAX));
        self.seen.insert(member.id, Arc::clone(&member.state));
        self.chooser.feedback(&member.state, Feedback::Started, self.now);
        self.probe();
        picked
    }

    /// Asks whom the balancer wants to be asked. Answers come some requests later.
    fn probe(&mut self) {
        let before = self.probes;
        while let Some(index) = self.chooser.next_probe(self.now, &mut self.rng) {
            self.asked.push_back(Arc::clone(&self.chooser.members()[index].state));
            self.probes += 1;
            assert!(self.probes - before <= MOST_PROBES_AT_ONCE, "it asks without end");
        }
        while self.asked.len() > PROBES_UNDER_WAY {
            let endpoint = self.asked.pop_front().unwrap();
            let answer = ProbeAnswer {
                in_flight: (self.rng.below(4) > 0).then(|| endpoint.in_flight()),
                latency: self.latency.filter(|_| self.rng.below(4) > 0),
            };
            self.chooser.probed(&endpoint, answer, self.now);
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
        self.chooser.feedback(&ended, answered, self.now);
        let event = if self.rng.below(10) == 0 { Feedback::Failed } else { Feedback::Finished };
        self.chooser.feedback(&ended, event, self.now);
    }
}
