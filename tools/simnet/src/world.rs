//! What all actors of a run share.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use base_kit::Moment;
use base_model::Model;
use traffic_balance::{EndpointState, Registry};

use crate::ledger::{ClientFault, EndpointFault, Ledger, Violation};
use crate::net::{End, Net};
use crate::scenario::Scenario;

/// When a run begins, on the engine's clock: some time after the machine's start, as in life.
const BEGINNING: Duration = Duration::from_secs(100_000);
/// And on the calendar: 2026-01-01.
pub(crate) const CALENDAR: Duration = Duration::from_secs(1_767_225_600);

/// What all actors of a run share.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) net: Net,
    pub(crate) ledger: RefCell<Ledger>,
    /// The pools' living state.
    pub(crate) pools: Registry,
    /// All endpoints that there ever were.
    pub(crate) endpoints: RefCell<Vec<Arc<EndpointState>>>,
    /// The configurations there were.
    pub(crate) models: RefCell<Vec<Model>>,
    /// When an endpoint's state has changed last, in nanoseconds: who was chosen just before may still be asked.
    pub(crate) changed: Arc<AtomicU64>,
    /// What all endpoints do wrong, whatever chance says.
    pub(crate) script: Cell<Option<EndpointFault>>,
    pub(crate) door: RefCell<Option<Rc<Door>>>,
    trace: RefCell<Option<Vec<String>>>,
}

/// Where clients come in.
#[derive(Default)]
pub(crate) struct Door {
    pub(crate) waiting: RefCell<VecDeque<(End, SocketAddr)>>,
    pub(crate) waker: RefCell<Option<Waker>>,
}

impl World {
    pub(crate) fn new(scenario: Scenario, net: Net, traced: bool) -> Rc<Self> {
        Rc::new(Self {
            scenario,
            net,
            ledger: RefCell::default(),
            pools: Registry::new(),
            endpoints: RefCell::default(),
            models: RefCell::default(),
            changed: Arc::default(),
            script: Cell::default(),
            door: RefCell::default(),
            trace: RefCell::new(traced.then(Vec::new)),
        })
    }

    /// Time since the world began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.net.elapsed()
    }

    /// The same, as the engine counts it.
    pub(crate) fn now(&self) -> Moment {
        Moment::ZERO + BEGINNING + self.elapsed()
    }

    /// Notes that an endpoint's state has changed.
    pub(crate) fn has_changed(&self) {
        self.changed.store(self.now().as_nanos(), Ordering::Relaxed);
    }

    /// How long ago that was.
    pub(crate) fn since_change(&self) -> Duration {
        self.now().since(Moment::from_nanos(self.changed.load(Ordering::Relaxed)))
    }

    /// Writes a line into the trace, if there is one.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut *self.trace.borrow_mut() {
            trace.push(format!("{:>8.3}s  {}", self.elapsed().as_secs_f64(), line()));
        }
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// Notes that something is as it must not be.
    pub(crate) fn violate(&self, invariant: &'static str, what: impl fmt::Display) {
        let what = what.to_string();
        self.note(|| format!("VIOLATION of {invariant}: {what}"));
        self.ledger.borrow_mut().violations.push(Violation { invariant, what });
    }

    /// Looks at an invariant.
    pub(crate) fn check(&self, invariant: &'static str, holds: bool, what: impl FnOnce() -> String) {
        self.ledger.borrow_mut().tally.checks += 1;
        if !holds {
            self.violate(invariant, what());
        }
    }

    pub(crate) fn count_client_fault(&self, fault: ClientFault) {
        *self.ledger.borrow_mut().tally.client_faults.entry(format!("{fault:?}")).or_default() += 1;
    }

    pub(crate) fn count_endpoint_fault(&self, fault: impl fmt::Debug) {
        *self.ledger.borrow_mut().tally.endpoint_faults.entry(format!("{fault:?}")).or_default() += 1;
    }

    pub(crate) fn count_operation(&self, word: &str) {
        *self.ledger.borrow_mut().tally.operations.entry(word.to_owned()).or_default() += 1;
    }

    /// Remembers the endpoints that there are now.
    pub(crate) fn meet_endpoints(&self) {
        let mut known = self.endpoints.borrow_mut();
        for pool in self.pools.pools() {
            for endpoint in pool.endpoints().iter() {
                if !known.iter().any(|one| one.id() == endpoint.id()) {
                    known.push(Arc::clone(endpoint));
                }
            }
        }
    }

    /// A client connects. `None` if nobody listens.
    pub(crate) async fn dial(&self, client: u32) -> Option<End> {
        tokio::time::sleep(self.net.handshake()).await;
        let door = self.door.borrow().as_ref().map(Rc::clone)?;
        let (own, engines) = self.net.link();
        let peer = SocketAddr::from(([192, 0, 2, client as u8 + 1], 10_000 + own.link as u16));
        door.waiting.borrow_mut().push_back((engines, peer));
        if let Some(waker) = door.waker.borrow_mut().take() {
            waker.wake();
        }
        Some(own)
    }
}
