//! A worker: one thread, one runtime, and everything that its connections share without a lock.

mod surroundings;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Clock, Moment, SeededRng};
use base_signal::{AccessWriter, Counter, Reason, Shard, families};
use tokio::sync::Notify;
use traffic_balance::{EndpointId, EndpointState, Transition};
use traffic_net::{BufferPool, Catch, Network};

use crate::decisions::{Decision, DecisionQuery, Decisions};
use crate::plan::{Plan, PlanError, View};
use crate::relay::{Exchange, Lenders, Shelf};
use crate::timers::Timers;
use crate::upstream::{Bell, Reach};

pub use surroundings::Surroundings;

/// How long a connection without a request may linger when the worker drains: long enough for a request that is already on
/// its way.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// Told of every change of an endpoint's state that traffic brings about.
pub type TransitionSink = Arc<dyn Fn(&Transition) + Send + Sync>;

/// What a worker starts with.
pub struct WorkerSetup {
    /// The first configuration.
    pub plan: Arc<Plan>,
    /// Where it counts; of its own.
    pub shard: Shard,
    /// Where it logs requests, if anywhere.
    pub access: Option<AccessWriter>,
    /// Told of changes of endpoint state that its traffic brings about.
    pub transitions: TransitionSink,
}

/// What a worker holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Connections of clients.
    pub connections: usize,
    /// Deadlines: one for each of them.
    pub timers: usize,
    /// Bytes of storage that buffers have borrowed.
    pub lent_bytes: usize,
    /// Connections to endpoints that wait for a request.
    pub idle_upstream: usize,
    /// Endpoints that it has a reach to.
    pub reaches: usize,
}

/// What the connections of one thread share.
pub(crate) struct Worker {
    pub(crate) clock: Rc<dyn Clock>,
    pub(crate) network: Rc<dyn Network>,
    pub(crate) rng: RefCell<SeededRng>,
    pub(crate) buffers: BufferPool,
    pub(crate) timers: Timers,
    pub(crate) shard: Shard,
    pub(crate) access: RefCell<Option<AccessWriter>>,
    pub(crate) transitions: TransitionSink,
    pub(crate) bell: Bell,
    pub(crate) date: crate::answer::DateCache,
    pub(crate) decisions: RefCell<Decisions>,
    failures: Vec<Counter>,
    view: RefCell<Rc<View>>,
    reaches: RefCell<BTreeMap<EndpointId, Rc<Reach>>>,
    /// What datagrams are taken with, once there are any.
    catch: OnceCell<RefCell<Catch>>,
    exchanges: Shelf<Exchange>,
    lenders: Lenders,
    connections: Cell<usize>,
    draining: Cell<bool>,
    drained: Notify,
}

impl Worker {
    pub(crate) fn new(setup: WorkerSetup, surroundings: Surroundings) -> Result<Self, PlanError> {
        let failures = Reason::ALL.iter();
        let failures = failures
            .map(|reason| setup.shard.counter(&families::FAILURES, &[reason.word(), reason.blame().word()]))
            .collect();
        let settings = setup.plan.model.operation.decisions;
        let decisions = Decisions::new(settings, &setup.shard);
        Ok(Self {
            clock: surroundings.clock,
            network: surroundings.network,
            rng: RefCell::new(surroundings.rng),
            buffers: surroundings.buffers,
            timers: Timers::new(),
            view: RefCell::new(Rc::new(View::new(setup.plan, &setup.shard)?)),
            shard: setup.shard,
            access: RefCell::new(setup.access),
            transitions: setup.transitions,
            bell: Bell::default(),
            date: crate::answer::DateCache::default(),
            decisions: RefCell::new(decisions),
            failures,
            reaches: RefCell::default(),
            catch: OnceCell::new(),
            exchanges: Shelf::default(),
            lenders: Lenders::default(),
            connections: Cell::new(0),
            draining: Cell::new(false),
            drained: Notify::new(),
        })
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The newest configuration.
    pub(crate) fn view(&self) -> Rc<View> {
        Rc::clone(&self.view.borrow())
    }

    /// Makes a plan the newest. Requests that have begun keep the one they have. Gives the listeners that are gone.
    pub(crate) fn adopt(&self, plan: Arc<Plan>) -> Result<Vec<Arc<str>>, PlanError> {
        let settings = plan.model.operation.decisions;
        let view = Rc::new(View::new(plan, &self.shard)?);
        self.decisions.borrow_mut().configure(settings);
        let former = self.view.replace(Rc::clone(&view));
        let names = former.listeners.iter().map(|listener| Arc::clone(&listener.settings.name));
        let gone: Vec<_> = names.filter(|name| view.listener(name).is_none()).collect();
        self.timers.hurry(self.now() + DRAIN_GRACE, |group| gone.iter().any(|name| &**name == group));
        Ok(gone)
    }

    /// Cuts the connections of listeners that are gone, unless they have come back.
    pub(crate) fn cut(&self, gone: &[Arc<str>]) {
        let view = self.view();
        self.timers.doom(|group| gone.iter().any(|name| &**name == group) && view.listener(group).is_none());
    }

    /// This worker's reach to an endpoint.
    pub(crate) fn reach(&self, endpoint: &Arc<EndpointState>) -> Rc<Reach> {
        let mut reaches = self.reaches.borrow_mut();
        let entry = reaches.entry(endpoint.id());
        Rc::clone(
            entry.or_insert_with(|| Rc::new(Reach::new(Arc::clone(endpoint), &self.shard, &self.buffers))),
        )
    }

    /// Counts a failure.
    pub(crate) fn count_failure(&self, reason: Reason) {
        if let Some(counter) = self.failures.get(reason as usize) {
            counter.increment();
        }
    }

    /// What is remembered of requests.
    pub(crate) fn recall(&self, query: &DecisionQuery) -> Vec<Decision> {
        self.decisions.borrow().find(query, &*self.clock)
    }

    /// Whether requests are logged.
    pub(crate) fn logs(&self) -> bool {
        self.access.borrow().is_some()
    }

    /// Memory for datagrams that are passed on at once.
    pub(crate) fn catch(&self) -> &RefCell<Catch> {
        self.catch.get_or_init(RefCell::default)
    }

    /// Memory for a request.
    pub(crate) fn borrow_exchange(&self) -> Box<Exchange> {
        self.exchanges.take().unwrap_or_else(|| Box::new(Exchange::new(&self.lenders)))
    }

    /// Takes memory back, unless it has grown out of proportion.
    pub(crate) fn return_exchange(&self, exchange: Box<Exchange>) {
        self.exchanges.give(exchange);
    }

    /// What it holds now.
    pub(crate) fn vitals(&self) -> Vitals {
        let reaches = self.reaches.borrow();
        Vitals {
            connections: self.connections.get(),
            timers: self.timers.len(),
            lent_bytes: self.buffers.lent_bytes(),
            idle_upstream: reaches.values().map(|reach| reach.idle_count()).sum(),
            reaches: reaches.len(),
        }
    }

    /// Whether connections shall be closed after their present request.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.set(self.connections.get() - 1);
        if self.draining.get() && self.connections.get() == 0 {
            self.drained.notify_one();
        }
    }

    /// Lets connections finish what they do and take no further requests. Resolves when none is left.
    pub(crate) async fn drain(&self) {
        self.draining.set(true);
        self.timers.hurry(self.now() + DRAIN_GRACE, |_| true);
        while self.connections.get() > 0 {
            self.drained.notified().await;
        }
    }

    /// Cuts all connections: the time to drain is over.
    pub(crate) fn cut_all(&self) {
        let connections = self.connections.get();
        if connections > 0 {
            tracing::warn!(target: "aya::worker", connections, "connections that were left are cut");
        }
        self.timers.doom(|_| true);
    }

    /// What is done often: ejections and sessions that are over end, endpoints are compared with their peers, probes that are due
    /// without a request are sent, and the access log gets what there is.
    pub(crate) fn tick(&self) {
        let now = self.now();
        let view = self.view();
        if view.pools.iter().any(|pool| pool.prober.is_some()) {
            self.bell.ring();
        }
        for pool in &view.pools {
            // The control side does the same. A worker does not depend on its being alive.
            for transition in pool.state.tend(now) {
                (self.transitions)(&transition);
            }
            if let Some(sessions) = pool.state.sessions() {
                sessions.sweep(now);
            }
        }
        if let Some(access) = &mut *self.access.borrow_mut() {
            access.flush();
        }
    }

    /// What is done now and then: connections that are idle too long or closed, and endpoints that are gone, are let go.
    pub(crate) fn tidy_up(&self) {
        let mut reaches = self.reaches.borrow_mut();
        if reaches.is_empty() {
            // No need to look at endpoints that were never asked, however many there are.
            return;
        }
        let now = self.now();
        let view = self.view();
        let mut idle_timeouts = HashMap::new();
        for pool in &view.pools {
            let idle_timeout = pool.settings.connections.idle_timeout;
            idle_timeouts.extend(pool.state.endpoints().iter().map(|endpoint| (endpoint.id(), idle_timeout)));
        }
        reaches.retain(|id, reach| {
            let idle_timeout = idle_timeouts.get(id);
            reach.reap(idle_timeout.copied().unwrap_or_default(), now);
            // Whoever still uses one that is gone holds it too; it then goes with the last request.
            idle_timeout.is_some() || Rc::strong_count(reach) > 1
        });
    }
}
