//! One worker's reach to one endpoint: its idle connections and its share of the counting.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base_kit::Moment;
use base_model::model::Pool;
use base_signal::Shard;
use tokio::sync::Notify;
use traffic_balance::EndpointState;
use traffic_net::{BufferPool, BufferSize, Network};
use traffic_tls::{ClientTls, EndpointTls, TlsError};

use crate::upstream::connection::Connection;
use crate::upstream::dial::{Dial, DialError};
use crate::upstream::meters::{EndpointMeters, PoolMeters};
use crate::upstream::probe_line::ProbeLine;
use crate::upstream::shared::SharedConnection;

/// How long a connection rests after an answer to HEAD: by then a body that should not be there has come.
const SUSPECT_FOR: Duration = Duration::from_millis(10);

/// One worker's reach to one endpoint. Outlives the configuration that made it, as the endpoint's state does.
pub(crate) struct Reach {
    pub(crate) state: Arc<EndpointState>,
    /// The endpoint's, for this thread: what is only noted costs no atomic operation.
    pub(crate) name: Rc<str>,
    pub(crate) meters: EndpointMeters,
    #[expect(clippy::vec_box, reason = "they move in and out with every request, so they move as pointers")]
    idle: RefCell<Vec<Box<Connection>>>,
    /// Those that carry many exchanges.
    shared: RefCell<Vec<Rc<SharedConnection>>>,
    /// Whether one of those is being made: whoever needs one waits for it.
    is_dialing: Cell<bool>,
    dialed: Notify,
    /// Whether the endpoint has agreed to HTTP/1.1 only: nobody waits for a connection that would be of no use.
    is_for_one: Cell<bool>,
    /// On which it is asked what it has to do; `None` while it is being asked.
    line: RefCell<Option<Box<ProbeLine>>>,
    /// What is done in handshakes with it, and for which pool's TLS.
    tls: RefCell<Option<(Arc<ClientTls>, EndpointTls)>>,
}

impl Reach {
    pub(crate) fn new(state: Arc<EndpointState>, shard: &Shard, buffers: &BufferPool) -> Self {
        let meters = EndpointMeters::new(shard, state.pool(), state.name());
        let line = RefCell::new(Some(Box::new(ProbeLine::new(buffers))));
        Self {
            name: state.name().into(),
            state,
            meters,
            idle: RefCell::default(),
            shared: RefCell::default(),
            is_dialing: Cell::new(false),
            dialed: Notify::new(),
            is_for_one: Cell::new(false),
            line,
            tls: RefCell::default(),
        }
    }

    /// How a connection to it is made for a pool, at this address, with this ahead of all else. Sessions of TLS are kept from one to the next.
    pub(crate) fn dial<'a>(
        &'a self,
        (settings, tls): (&Pool, Option<&Arc<ClientTls>>),
        world: (&'a dyn Network, &'a BufferPool, &'a PoolMeters),
        (address, introduction): (SocketAddr, Option<Vec<u8>>),
    ) -> Result<Dial<'a>, DialError> {
        let tls = match (tls, &settings.tls) {
            (None, None) => None,
            (Some(tls), _) => Some(self.endpoint_tls(tls)?),
            // Nothing that was to be encrypted goes out in the clear, whatever was forgotten.
            (None, Some(_)) => return Err(DialError::Tls("the pool's TLS is not set up".to_owned())),
        };
        Ok(Dial::new(world, &self.state, (address, introduction), tls))
    }

    fn endpoint_tls(&self, of: &Arc<ClientTls>) -> Result<EndpointTls, TlsError> {
        let mut known = self.tls.borrow_mut();
        if let Some((_, tls)) = known.as_ref().filter(|(known, _)| Arc::ptr_eq(known, of)) {
            return Ok(tls.clone());
        }
        let tls = of.endpoint(self.state.host())?;
        *known = Some((Arc::clone(of), tls.clone()));
        Ok(tls)
    }

    /// The connection that became idle last, if it is still open and silent as far as is known, and over this TLS. The last one, so that
    /// surplus connections grow old and are closed.
    pub(crate) fn take_idle(&self, tls: Option<&Arc<ClientTls>>, now: Moment) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let is_settled = |connection: &Connection| {
                !connection.is_suspect || now.since(connection.idle_since) >= SUSPECT_FOR
            };
            let place = idle.iter().rposition(|connection| is_settled(connection))?;
            let mut connection = idle.remove(place);
            if connection.is_made_with(tls) && connection.stream.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// A new exchange on a connection that carries many, if there is one with room, over this TLS; if it is for another protocol, one that takes that.
    pub(crate) fn take_shared(
        &self,
        tls: Option<&Arc<ClientTls>>,
        for_tunnel: bool,
        buffers: &BufferPool,
    ) -> Option<Box<Connection>> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| connection.is_usable(tls));
        shared.iter().filter(|connection| !for_tunnel || connection.takes_tunnels()).find_map(|connection| {
            let exchange = connection.exchange()?;
            Some(Connection::on_shared(connection, exchange, true, buffers))
        })
    }

    /// Keeps a connection for all whose requests have room on it. Gives a first exchange on it.
    pub(crate) fn share(&self, connection: Rc<SharedConnection>, buffers: &BufferPool) -> Box<Connection> {
        // Counted before the list holds it, too.
        let exchange = connection.first_exchange();
        self.shared.borrow_mut().push(Rc::clone(&connection));
        self.is_for_one.set(false);
        Connection::on_shared(&connection, exchange, false, buffers)
    }

    /// The right to make a connection for all, unless somebody does already.
    pub(crate) fn begin_dialing(&self) -> Option<Dialing<'_>> {
        (self.is_for_one.get() || !self.is_dialing.replace(true)).then(|| Dialing(self))
    }

    /// Resolves when whoever makes a connection is done with it.
    pub(crate) async fn dialed(&self) {
        self.dialed.notified().await;
    }

    /// Keeps a connection for the next request, unless there are enough.
    pub(crate) fn keep(&self, mut connection: Box<Connection>, max_idle: u32, now: Moment) {
        if let Some(shared) = connection.shared() {
            shared.idle_since.set(shared.idle_since.get().max(now));
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() < usize::try_from(max_idle).unwrap_or(usize::MAX) {
            connection.input.release();
            connection.input.resize(BufferSize::Large);
            connection.reused = true;
            connection.idle_since = now;
            idle.push(connection);
        }
    }

    /// Closes idle connections that are too old or that the endpoint has closed.
    pub(crate) fn reap(&self, idle_timeout: Duration, now: Moment) {
        self.idle.borrow_mut().retain_mut(|connection| {
            now.since(connection.idle_since) < idle_timeout && connection.stream.is_quiet()
        });
        self.shared.borrow_mut().retain(|connection| {
            !connection.is_idle() || now.since(connection.idle_since.get()) < idle_timeout
        });
        if let Some(line) = &mut *self.line.borrow_mut()
            && now.since(line.used) >= idle_timeout
        {
            line.close();
        }
    }

    /// The line on which the endpoint is asked what it has to do, unless it is being asked. Pair each with one [`Reach::put_line`].
    pub(crate) fn take_line(&self) -> Option<Box<ProbeLine>> {
        self.line.borrow_mut().take()
    }

    /// Keeps the line for the next question.
    pub(crate) fn put_line(&self, mut line: Box<ProbeLine>, now: Moment) {
        line.used = now;
        *self.line.borrow_mut() = Some(line);
    }

    /// How many connections wait for a request.
    pub(crate) fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Closes all idle connections.
    pub(crate) fn close_idle(&self) {
        self.idle.borrow_mut().clear();
    }
}

/// The right to make a connection for all, until dropped.
pub(crate) struct Dialing<'a>(&'a Reach);

impl Dialing<'_> {
    /// The endpoint speaks HTTP/1.1 only: each request needs a connection of its own.
    pub(crate) fn is_for_one(&self) {
        self.0.is_for_one.set(true);
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.is_dialing.set(false);
        self.0.dialed.notify_waiters();
    }
}

/// How an endpoint was picked.
#[derive(Clone, Copy)]
pub(crate) struct Picked {
    /// Whether the request's session is bound to it; else the balancer chose it.
    pub(crate) is_bound: bool,
    /// Endpoints that take traffic.
    pub(crate) among: u32,
}

/// A request's turn at an endpoint: counts as in flight until dropped.
pub(crate) struct Turn {
    reach: Rc<Reach>,
    /// Other requests in flight there when it began.
    pub(crate) others: u32,
    pub(crate) picked: Picked,
    is_answered: Cell<bool>,
    /// Whether it counts as waiting for the endpoint.
    is_waiting: Cell<bool>,
}

impl Turn {
    /// Takes a turn, unless `max` requests are in flight there over all workers.
    pub(crate) fn begin(reach: &Rc<Reach>, max: u32, picked: Picked) -> Option<Self> {
        let others = reach.state.begin(max)?;
        let (is_answered, is_waiting) = (Cell::new(false), Cell::new(false));
        let turn = Self { reach: Rc::clone(reach), others, picked, is_answered, is_waiting };
        turn.waits(true);
        Some(turn)
    }

    /// Whether it is the endpoint that the request waits for now, or the client: a slow upload is not held against an endpoint.
    pub(crate) fn waits(&self, is_waiting: bool) {
        match (self.is_waiting.replace(is_waiting), is_waiting) {
            (false, true) => self.reach.state.begin_waiting(),
            (true, false) => self.reach.state.end_waiting(),
            _ => {}
        }
    }

    /// The head of the final answer has come.
    pub(crate) fn answered(&self, latency: Duration, status: u16) {
        self.is_answered.set(true);
        self.waits(false);
        self.reach.state.observe_answer(latency, status);
    }

    /// Whether it has come.
    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered.get()
    }

    /// The reach itself, which stays when the turn is over.
    pub(crate) fn reach(&self) -> Rc<Reach> {
        Rc::clone(&self.reach)
    }
}

impl Deref for Turn {
    type Target = Reach;

    fn deref(&self) -> &Reach {
        &self.reach
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.waits(false);
        self.reach.state.end();
    }
}
