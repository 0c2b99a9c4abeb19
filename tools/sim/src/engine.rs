//! The simulation itself: one event after the other.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base_kit::{Moment, Rng, SeededRng};
use traffic_balance::{ByLoad, RequestFacts, Selector, SettingsError, hash_key};

mod events;
mod probing;
mod requests;
mod surroundings;

use crate::engine::events::{Event, Events};
use crate::engine::requests::{Arrival, Requests};
use crate::instance::{Answer, Instance, Placed};
use crate::law::exponential;
use crate::limits::MAX_RUNNING;
use crate::plan::{ArrivalPlan, Plan, PoolPlan};
use crate::record::{Ended, Recorder};
use crate::server::{Server, Ticket};

/// How long a server takes to answer with an error: it does no work for it.
const ERROR_ANSWER: u64 = 1_000_000;

/// How long a client waits after a refusal: without it, a client that does not think would ask for ever at the same instant.
const REFUSED_PAUSE: u64 = 10_000_000;

/// Why a simulation was broken off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Servers are overloaded for good.
    #[error(
        "with `{policy}`, more than {MAX_RUNNING} requests are under way at once: the servers are overloaded; lower the load \
         or set a `deadline`"
    )]
    Overloaded {
        /// The policy.
        policy: String,
    },
    /// The balancer does not take its settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// A server and what is known about it.
struct Site {
    server: Server,
    down: bool,
    silent: bool,
    error_share: f64,
    /// How long answers took by the requests that were there: what it tells those who ask.
    times: ByLoad,
    /// The prediction that is among the events.
    predicted: u64,
}

/// Independent sources of randomness, so that policies do not change what requests come and what work they are.
struct Streams {
    arrivals: SeededRng,
    work: SeededRng,
    sources: SeededRng,
    antagonists: SeededRng,
    errors: SeededRng,
}

/// A run of one policy.
pub(crate) struct Engine<'p> {
    plan: &'p Plan,
    now: u64,
    events: Events,
    sites: Vec<Site>,
    instances: Vec<Instance>,
    requests: Requests,
    recorder: Recorder,
    streams: Streams,
    /// Counts changes of load: an arrival that was drawn before one is void.
    load_changes: u64,
    /// Clients that rest while the load is low.
    resting: Vec<u32>,
    account: Account,
    /// The integral of requests under way over time, in nanoseconds.
    area: u128,
    /// The sum of the times that those that ended were under way.
    time_of_ended: u128,
}

/// Where all requests of a run are, warm-up included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Came.
    pub arrived: u64,
    /// Were answered.
    pub answered: u64,
    /// Ended without a good answer.
    pub errors: u64,
    /// Were still under way at the end.
    pub running: u64,
}

impl<'p> Engine<'p> {
    /// A run with selectors made by `build`, one for each instance.
    pub(crate) fn new(
        plan: &'p Plan,
        pool: &PoolPlan,
        build: impl Fn() -> Result<Selector, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let mut seeds = SeededRng::new(plan.seed);
        let mut stream = || SeededRng::new(seeds.next_u64());
        let streams = Streams {
            arrivals: stream(),
            work: stream(),
            sources: stream(),
            antagonists: stream(),
            errors: stream(),
        };
        let instances = (0..plan.instances).map(|_| Ok(Instance::new(plan, pool, build()?, stream())));
        let site = |server| Site {
            server: Server::new(server),
            down: false,
            silent: false,
            error_share: 0.0,
            times: ByLoad::default(),
            predicted: 0,
        };
        Ok(Self {
            plan,
            now: 0,
            events: Events::default(),
            sites: plan.servers.iter().map(site).collect(),
            instances: instances.collect::<Result<_, SettingsError>>()?,
            requests: Requests::default(),
            recorder: Recorder::new(plan),
            streams,
            load_changes: 0,
            resting: Vec::new(),
            account: Account::default(),
            area: 0,
            time_of_ended: 0,
        })
    }

    /// Runs to the end; whether it got there. Else more requests piled up than [`MAX_RUNNING`].
    pub(crate) fn run(&mut self) -> bool {
        self.schedule_surroundings();
        self.schedule_ticks();
        self.schedule_checks();
        self.schedule_first_requests();
        let end = self.plan.end();
        while let Some((at, event)) = self.events.pop_before(end) {
            self.pass_time(at);
            self.happen(event);
            if self.requests.running() > MAX_RUNNING {
                return false;
            }
        }
        self.pass_time(end);
        self.account.arrived = self.requests.begun();
        self.account.running = self.requests.running() as u64;
        true
    }

    /// Where all requests are.
    pub(crate) const fn account(&self) -> Account {
        self.account
    }

    /// What was measured.
    pub(crate) fn into_recorder(self) -> Recorder {
        self.recorder
    }

    fn pass_time(&mut self, at: u64) {
        self.area += self.requests.running() as u128 * u128::from(at - self.now);
        self.now = at;
    }

    fn moment(&self) -> Moment {
        Moment::from_nanos(self.now)
    }

    fn schedule_first_requests(&mut self) {
        let ArrivalPlan::Closed { clients, think } = self.plan.arrivals else {
            self.schedule_arrival();
            return;
        };
        let most = self.plan.phases.iter().map(|phase| phase.load).fold(0.0, f64::max);
        for client in 0..clients_at(clients, most) {
            let after = exponential(think, &mut self.streams.arrivals) as u64;
            self.events.push(after, Event::Wake { client });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival { generation } => self.arrive(generation),
            Event::Wake { client } => self.wake(client),
            Event::Done { server, generation } => self.done(server, generation),
            Event::Deadline(ticket) => self.expire(ticket),
            Event::ErrorAnswer(ticket) => self.answer(ticket, 500, Ended::Refused),
            Event::Probe { instance, server } => self.probe(instance, server),
            Event::Tick { instance } => self.tick(instance),
            Event::Check { instance } => self.check(instance),
            Event::Antagonist { server, comes } => self.antagonise(server, comes),
            Event::Fault { index } => self.fault(index),
            Event::Load => self.change_load(),
        }
    }

    fn schedule_arrival(&mut self) {
        let load = self.plan.load_at(self.now);
        if load <= 0.0 {
            return;
        }
        let gap = match self.plan.arrivals {
            ArrivalPlan::Poisson { gap } => exponential(gap / load, &mut self.streams.arrivals),
            ArrivalPlan::Constant { gap } => gap / load,
            ArrivalPlan::Closed { .. } => return,
        };
        // Fractions of nanoseconds do not matter below a million requests per second, where gaps are a thousand of them.
        let at = self.now.saturating_add((gap + 0.5) as u64);
        self.events.push(at, Event::Arrival { generation: self.load_changes });
    }

    fn arrive(&mut self, generation: u64) {
        if generation != self.load_changes {
            return;
        }
        self.schedule_arrival();
        let source = self.streams.sources.below(self.plan.sources);
        let instance = self.streams.sources.below(self.instances.len() as u64) as usize;
        self.begin(source, None, instance);
    }

    fn wake(&mut self, client: u32) {
        let ArrivalPlan::Closed { clients, .. } = self.plan.arrivals else { return };
        if client >= clients_at(clients, self.plan.load_at(self.now)) {
            self.resting.push(client);
            return;
        }
        let instance = client as usize % self.instances.len().max(1);
        self.begin(u64::from(client), Some(client), instance);
    }

    fn begin(&mut self, source: u64, client: Option<u32>, instance: usize) {
        let work = self.plan.law.draw(self.requests.begun(), &mut self.streams.work);
        let ticket = self.requests.begin(Arrival { work, source, client, instance }, self.now);
        self.events.push(self.now.saturating_add(self.plan.deadline), Event::Deadline(ticket));
        self.attempt(ticket);
        self.send_probes(instance);
    }

    /// Sends a request to the server that its instance chooses; as the proxy does, a refused connection costs no attempt.
    fn attempt(&mut self, ticket: Ticket) {
        let now = self.moment();
        let Some(request) = self.requests.find(ticket) else { return };
        let Some(instance) = self.instances.get_mut(request.instance) else { return };
        if request.attempts >= self.plan.attempts {
            self.end(ticket, Ended::Refused);
            return;
        }
        let facts = facts(request.source);
        while let Some(Placed { number, others }) = instance.place(facts, &mut request.tried, now) {
            let Some(site) = self.sites.get_mut(number) else { break };
            if site.down {
                instance.failed(number, "connect-failed", now);
                continue;
            }
            request.attempts += 1;
            (request.server, request.others, request.sent) = (number, others, self.now);
            request.ahead = site.server.load() as u32;
            if !site.silent && site.error_share > 0.0 && self.streams.errors.unit() < site.error_share {
                self.events.push(self.now + ERROR_ANSWER, Event::ErrorAnswer(ticket));
            } else {
                site.server.begin(ticket, request.work, self.now);
                self.predict(number);
            }
            return;
        }
        self.end(ticket, Ended::Refused);
    }

    /// Schedules the next end of a request at this server, if it may be another one than before.
    fn predict(&mut self, number: usize) {
        let Some(site) = self.sites.get_mut(number) else { return };
        let generation = site.server.generation();
        if site.predicted == generation {
            return;
        }
        site.predicted = generation;
        if let Some(at) = site.server.next_end() {
            self.events.push(at, Event::Done { server: number, generation });
        }
    }

    fn done(&mut self, number: usize, generation: u64) {
        let Some(site) = self.sites.get_mut(number) else { return };
        if site.server.generation() != generation {
            return;
        }
        let ended = site.server.end(self.now);
        if let Some(request) = ended.and_then(|ticket| self.requests.find(ticket)) {
            let took = Duration::from_nanos(self.now - request.sent);
            site.times.observe(took, request.ahead, probing::TIMES_DECAY, Moment::from_nanos(self.now));
        }
        self.predict(number);
        if let Some(ticket) = ended {
            self.answer(ticket, 200, Ended::Answered);
        }
    }

    fn answer(&mut self, ticket: Ticket, status: u16, ended: Ended) {
        let now = self.moment();
        let Some(request) = self.requests.find(ticket) else { return };
        if let Some(instance) = self.instances.get_mut(request.instance) {
            let latency = Duration::from_nanos(self.now - request.sent);
            let answer = Answer { latency, others: request.others, status };
            instance.answered(request.server, answer, now);
        }
        self.end(ticket, ended);
    }

    /// The client gives up; the server stops working on the request.
    fn expire(&mut self, ticket: Ticket) {
        let now = self.moment();
        let Some(request) = self.requests.find(ticket) else { return };
        let number = request.server;
        if let Some(instance) = self.instances.get_mut(request.instance) {
            instance.failed(number, "deadline", now);
        }
        if let Some(site) = self.sites.get_mut(number) {
            site.server.cancel(ticket, self.now);
        }
        self.predict(number);
        self.end(ticket, Ended::Expired);
    }

    fn end(&mut self, ticket: Ticket, ended: Ended) {
        let Some(request) = self.requests.find(ticket) else { return };
        let (latency, client) = (self.now - request.arrived, request.client);
        self.requests.end(ticket);
        self.time_of_ended += u128::from(latency);
        match ended {
            Ended::Answered => self.account.answered += 1,
            Ended::Refused | Ended::Expired => self.account.errors += 1,
        }
        self.recorder.record(ended, latency, self.now);
        let (Some(client), ArrivalPlan::Closed { think, .. }) = (client, self.plan.arrivals) else { return };
        let thinks = exponential(think, &mut self.streams.arrivals) as u64;
        let pause = if ended == Ended::Refused { REFUSED_PAUSE } else { 0 };
        self.events.push(self.now.saturating_add(thinks.max(pause)), Event::Wake { client });
    }

    /// The connection of a request broke; it goes to another server if it may.
    fn break_off(&mut self, ticket: Ticket) {
        let now = self.moment();
        let Some(request) = self.requests.find(ticket) else { return };
        if let Some(instance) = self.instances.get_mut(request.instance) {
            instance.failed(request.server, "connection-closed", now);
        }
        self.attempt(ticket);
    }

    fn change_load(&mut self) {
        self.load_changes += 1;
        self.schedule_arrival();
        for client in std::mem::take(&mut self.resting) {
            self.events.push(self.now, Event::Wake { client });
        }
    }

    /// Asserts that no request was lost or counted twice, that all views agree, and Little's law: the requests under way,
    /// over all time, are the times that each of them was under way.
    pub(crate) fn check_invariants(&self) {
        let Account { arrived, answered, errors, running } = self.account;
        assert_eq!(arrived, answered + errors + running, "{:?}", self.account);
        assert_eq!(
            self.instances.iter().map(Instance::in_flight).sum::<u64>(),
            running,
            "requests in flight"
        );
        let time_of_running: u128 = self.requests.arrivals().map(|at| u128::from(self.now - at)).sum();
        assert_eq!(self.area, self.time_of_ended + time_of_running, "Little's law");
        assert!(self.sites.iter().map(|site| site.server.load() as u64).sum::<u64>() <= running);
        self.sites.iter().for_each(|site| site.server.check_invariants());
        self.instances.iter().for_each(Instance::check_invariants);
    }
}

/// Clients that are active at this load.
fn clients_at(clients: u32, load: f64) -> u32 {
    (f64::from(clients) * load).round() as u32
}

/// What a balancer may know of a request from this source.
fn facts(source: u64) -> RequestFacts {
    /// `172.16.0.0` and what is behind it.
    const FIRST: u32 = u32::from_be_bytes([172, 16, 0, 0]);
    let offset = u32::try_from(source).unwrap_or(u32::MAX);
    let client = IpAddr::V4(Ipv4Addr::from(FIRST.saturating_add(offset)));
    RequestFacts { client, key: Some(hash_key(source.to_be_bytes())) }
}
