//! A session of datagrams: those of one client that go to one endpoint, and what comes back.
//!
//! It is one request without a head, as a connection that is passed on is: a turn at an endpoint, notes and a record. Nothing waits in it: what the
//! system does not take at once is lost, as it is on any other part of its way.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use base_kit::Moment;
use base_model::model::ProxyVersion;
use base_signal::{Counter, Reason};
use rustix::io::Errno;
use tokio::sync::Notify;
use traffic_balance::{EndpointState, Feedback, Health, NamedBy, Outcome, RequestFacts, Session, Stickiness};
use traffic_http::request_id::RequestId;
use traffic_net::{DatagramSocket, EndpointSocket, Ends, Introduction, Piece};

use crate::decisions::{After, Choice};
use crate::failure::{Failure, Fault};
use crate::life::Recorder;
use crate::life::connection_id;
use crate::plan::{DatagramMeters, ListenerView, View};
use crate::relay::Exchange;
use crate::timers::Timer;
use crate::upstream::{LocalPool, PickContext, Turn};
use crate::worker::{DRAIN_GRACE, Worker};

/// What is kept of a session until its endpoint has said something, so that another one can be asked: the questions of a client that has not heard
/// anything yet are few and small.
const MOST_KEPT_BYTES: usize = 8 << 10;

/// The status that stands for a reply where balancers compare endpoints by what they answer.
const WELL: u16 = 200;

/// Where answers go: the socket that the client has sent to, its address, and which of the machine's it knows.
type WayBack = (Rc<DatagramSocket>, SocketAddr, Option<IpAddr>);

/// A session of datagrams. The task that takes its client's datagrams sends them on by it, and a task of its own sends back what comes.
pub(crate) struct DatagramSession {
    worker: Rc<Worker>,
    back: WayBack,
    /// Between whom it is.
    ends: Ends,
    timer: Timer,
    /// It goes elsewhere, or is over.
    changed: Notify,
    state: RefCell<State>,
}

struct State {
    view: Rc<View>,
    listener: Rc<ListenerView>,
    /// Index in the view's pools.
    pool: usize,
    /// Returned when the session is over.
    exchange: Option<Box<Exchange>>,
    way: Option<Rc<Way>>,
    /// What was sent so far, while nothing has come back.
    kept: Vec<Vec<u8>>,
    /// Whether that is all of it.
    is_all_kept: bool,
    /// The connection id that the endpoint was last seen to choose, where sessions are known by it.
    chosen: Vec<u8>,
    /// Replies that are still to come, where it is known how many there are.
    awaited: u64,
    /// How it has ended, once it has.
    over: Option<Result<(), Failure>>,
}

/// Where it goes.
struct Way {
    socket: EndpointSocket,
    turn: Turn,
    /// What goes ahead of each datagram.
    introduction: Vec<u8>,
}

impl DatagramSession {
    /// One that begins now: its endpoint is chosen. If there is none, it is over at once.
    pub(crate) fn begin(
        worker: &Rc<Worker>,
        (view, listener): (&Rc<View>, &Rc<ListenerView>),
        back: WayBack,
        (ends, first): (Ends, &Piece<'_>),
    ) -> Self {
        let mut exchange = worker.borrow_exchange();
        exchange.record.started = worker.now();
        exchange.record.client = ends.client.ip();
        exchange.record.request_id = Some(RequestId::fresh(&mut *worker.rng.borrow_mut()));
        exchange.notes.begin(worker.decisions.borrow().is_on());
        let state = State {
            view: Rc::clone(view),
            listener: Rc::clone(listener),
            pool: listener.settings.protocol.pool().unwrap_or(usize::MAX),
            exchange: Some(exchange),
            way: None,
            kept: Vec::new(),
            is_all_kept: true,
            chosen: Vec::new(),
            awaited: 0,
            over: None,
        };
        let timer = worker.timers.timer(Arc::clone(&listener.settings.name));
        let session = Self {
            worker: Rc::clone(worker),
            back,
            ends,
            timer,
            changed: Notify::new(),
            state: RefCell::new(state),
        };
        session.find_session(first);
        session.find_way(None);
        session.rest();
        session
    }

    /// Finds the endpoint that its client has been with, if sessions are kept.
    fn find_session(&self, first: &Piece<'_>) {
        let State { view, pool, exchange: Some(exchange), .. } = &mut *self.state.borrow_mut() else {
            return;
        };
        let Some((local, sessions)) =
            view.pools.get(*pool).and_then(|local| Some((local, local.sessions.as_ref()?)))
        else {
            return;
        };
        let now = exchange.record.started;
        let mut sessions = sessions.borrow_mut();
        sessions.refresh(&local.state, now, &|endpoint| self.worker.reach(endpoint));
        exchange.session = match sessions.stickiness.named_by() {
            NamedBy::ConnectionId => session_of(&sessions.stickiness, first, now),
            _ => sessions.stickiness.find_client(self.ends.client.ip(), now),
        };
        if let Some(name) = exchange.session.endpoint.and_then(|endpoint| sessions.name(endpoint)) {
            exchange.notes.bound_to(name);
        }
    }

    /// Keeps the connection id that the endpoint has chosen: its client may come back with it from elsewhere.
    fn learn(&self, state: &mut State, piece: &Piece<'_>) {
        let State { view, pool, way: Some(way), chosen, .. } = state else { return };
        let Some(sessions) = view.pools.get(*pool).and_then(|local| local.sessions.as_ref()) else { return };
        let sessions = sessions.borrow();
        if sessions.stickiness.named_by() != NamedBy::ConnectionId {
            return;
        }
        for datagram in piece.datagrams() {
            let Some(id) = connection_id::chosen(datagram).filter(|id| *id != chosen.as_slice()) else {
                continue;
            };
            let (endpoint, now) = (way.turn.state.id(), self.worker.now());
            let bound = sessions.stickiness.answered(Session::default(), endpoint, (Some(id), true), now);
            sessions.count(&bound);
            chosen.clear();
            chosen.extend_from_slice(id);
        }
    }

    /// Whether what its client sends now belongs to it still: it is not over, and its endpoint is fit and still there.
    pub(crate) fn goes_on(&self, view: &Rc<View>, listener: &Rc<ListenerView>) -> bool {
        let state = &mut *self.state.borrow_mut();
        let Some(way) = state.way.as_ref().filter(|_| state.over.is_none()) else { return false };
        let endpoint = &way.turn.state;
        if !Rc::ptr_eq(view, &state.view) {
            // By another configuration.
            let name = state.local().map(|local| Arc::clone(&local.settings.name));
            let pool = listener.settings.protocol.pool().filter(|pool| {
                view.pools.get(*pool).is_some_and(|local| {
                    let is_member = |member: &Arc<EndpointState>| member.id() == endpoint.id();
                    Some(&local.settings.name) == name.as_ref()
                        && local.state.endpoints().iter().any(is_member)
                })
            });
            let Some(pool) = pool else { return false };
            (state.view, state.listener, state.pool) = (Rc::clone(view), Rc::clone(listener), pool);
        }
        let now = self.worker.now();
        let is_unfit = endpoint.health() == Health::Down || endpoint.is_ejected(now);
        // Where none is fit, it may as well stay.
        !is_unfit || state.local().is_some_and(|local| local.takes_traffic(endpoint, now))
    }

    /// Sends on what its client has sent.
    pub(crate) fn send(&self, piece: &Piece<'_>) {
        let (replies, sent) = {
            let state = &mut *self.state.borrow_mut();
            let Some(replies) = state.local().map(|local| local.settings.udp.replies) else { return };
            if state.over.is_some() {
                state.drop_datagrams(piece, |meters| &meters.no_endpoint);
                return;
            }
            let Some(way) = &state.way else { return };
            let sent = way.send(piece);
            state.keep(piece);
            state.awaited += piece.count() as u64 * u64::from(replies.unwrap_or(0));
            if let Some(exchange) = &mut state.exchange {
                exchange.record.bytes_received += piece.bytes.len() as u64;
            }
            if sent.as_ref().is_err_and(is_lost) {
                state.drop_datagrams(piece, |meters| &meters.not_taken);
            }
            (replies, sent)
        };
        match sent {
            Err(error) if !is_lost(&error) => self.broke(&error),
            _ if replies == Some(0) => self.over(Ok(())),
            _ => self.rest(),
        }
    }

    /// Its client's next datagrams go elsewhere. It stays for what it is owed still, be it a reply or word that nobody has got what was sent.
    pub(crate) fn leave(&self) {
        let is_owed = {
            let state = self.state.borrow();
            state.awaited > 0 || !state.was_answered()
        };
        if !is_owed {
            self.over(Ok(()));
        }
    }

    /// Sends back what comes from the endpoint, until it is over. Then writes down what became of it.
    pub(crate) async fn run(&self) {
        let catch = self.worker.catch();
        while let Some(way) = self.way() {
            // In this order, so that what an endpoint that is left behind says is not taken for the next one's, and what has come is taken before
            // its time is up.
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                received = way.socket.receive(catch) => match received {
                    Ok(()) => catch.borrow().pieces().for_each(|piece| self.send_back(&piece)),
                    Err(error) => self.broke(&error),
                },
                () = poll_fn(|cx| self.timer.poll_expired(cx)) => self.time_out(),
            }
        }
        self.write_down();
    }

    /// Where it goes; `None` once it is over.
    fn way(&self) -> Option<Rc<Way>> {
        let state = self.state.borrow();
        state.way.as_ref().filter(|_| state.over.is_none()).map(Rc::clone)
    }

    fn write_down(&self) {
        let state = &mut *self.state.borrow_mut();
        let Some(mut exchange) = state.exchange.take() else { return };
        if let Some(Err(failure)) = state.over.replace(Ok(())) {
            exchange.record.reason = Some(failure.reason);
            exchange.record.detail = failure.detail;
        }
        let now = self.worker.now();
        if let (Some(way), Some(local)) = (state.way.take(), state.local()) {
            local.feedback(&way.turn.state, Feedback::Finished, now);
        }
        let mut recorder = Recorder {
            worker: &self.worker,
            view: &state.view,
            listener: &state.listener,
            session: None,
            protocol: "UDP",
            exchange: &mut exchange,
        };
        recorder.record_passed(now);
        self.worker.return_exchange(exchange);
    }

    fn send_back(&self, piece: &Piece<'_>) {
        let state = &mut *self.state.borrow_mut();
        let (socket, peer, from) = &self.back;
        let sent = socket.send(piece, *peer, *from);
        match (&state.listener.meters.datagrams, sent) {
            (Some(meters), Ok(())) => meters.down.add(piece.count() as u64),
            (Some(meters), Err(_)) => meters.not_taken.add(piece.count() as u64),
            (None, _) => {}
        }
        if let Some(exchange) = &mut state.exchange {
            exchange.record.bytes_sent += piece.bytes.len() as u64;
        }
        self.note_reply(state);
        self.learn(state, piece);
        state.awaited = state.awaited.saturating_sub(piece.count() as u64);
        let is_done =
            state.awaited == 0 && state.local().is_some_and(|local| local.settings.udp.replies.is_some());
        if is_done {
            state.over = Some(Ok(()));
        } else {
            self.rest_in(state);
        }
    }

    /// The endpoint has said something. The first time, that shows how fast it is, if it was asked.
    fn note_reply(&self, state: &mut State) {
        let State { view, pool, exchange: Some(exchange), way: Some(way), kept, .. } = state else { return };
        let Some(local) = view.pools.get(*pool) else { return };
        if exchange.record.first_byte.is_some() {
            return;
        }
        kept.clear();
        let now = self.worker.now();
        let latency = now - exchange.record.started;
        exchange.record.first_byte = Some(latency);
        exchange.notes.answered(latency, latency, 0);
        if local.settings.udp.replies.is_some() {
            way.turn.answered(latency, WELL);
            let event =
                Feedback::FirstByte { latency, others: way.turn.others, status: WELL, retry_after: None };
            local.feedback(&way.turn.state, event, now);
        }
        if let Some(transition) = way.turn.state.record(Outcome::Success, &local.settings.passive, now) {
            (self.worker.transitions)(&transition);
        }
    }

    /// Nothing has come for too long. That is the endpoint's fault if it owes a reply.
    fn time_out(&self) {
        let state = &mut *self.state.borrow_mut();
        let is_owed = state.awaited > 0 && !state.was_answered();
        state.over = Some(if self.timer.is_doomed() {
            Err(Reason::ShuttingDown.into())
        } else if is_owed && !self.worker.is_draining() {
            let failure = Failure::from(Reason::FirstByteTimeout);
            self.blame(state, &failure, Outcome::Failure(failure.reason.word()));
            Err(failure)
        } else {
            Ok(())
        });
    }

    /// The system has been told that nobody listens there, or that there is no way. Another endpoint gets what this one cannot have got.
    fn broke(&self, error: &io::Error) {
        let failure = Failure::with(Reason::ConnectFailed, error);
        let may_move = {
            let state = &mut *self.state.borrow_mut();
            self.blame(state, &failure, Outcome::Unreachable(failure.reason.word()));
            state.way = None;
            state.is_all_kept && !state.was_answered()
        };
        if may_move {
            self.find_way(Some(failure));
        } else {
            self.over(Err(failure));
        }
    }

    fn blame(&self, state: &mut State, failure: &Failure, outcome: Outcome) {
        let State { view, pool, exchange: Some(exchange), way: Some(way), .. } = state else { return };
        let Some(local) = view.pools.get(*pool) else { return };
        exchange.notes.broke(Fault::Endpoint, failure);
        way.turn.meters.failed();
        let now = self.worker.now();
        if let Some(transition) = way.turn.state.record(outcome, &local.settings.passive, now) {
            (self.worker.transitions)(&transition);
        }
        local.feedback(&way.turn.state, Feedback::Failed, now);
    }

    /// Chooses an endpoint, and sends it what was kept. `last` is what became of the one before.
    fn find_way(&self, mut last: Option<Failure>) {
        loop {
            let found = self.next_way(&mut self.state.borrow_mut());
            match found {
                Ok(way) => {
                    let state = &mut *self.state.borrow_mut();
                    let refused = state.kept.iter().find_map(|datagram| way.send_one(datagram).err());
                    state.way = Some(Rc::new(way));
                    match refused.filter(|error| !is_lost(error)) {
                        None => {
                            // Its task waits for what comes from there now.
                            self.changed.notify_one();
                            return;
                        }
                        Some(error) => {
                            let failure = Failure::with(Reason::ConnectFailed, error);
                            self.blame(state, &failure, Outcome::Unreachable(failure.reason.word()));
                            (state.way, last) = (None, Some(failure));
                        }
                    }
                }
                Err(failure) => {
                    self.over(Err(last.unwrap_or(failure)));
                    return;
                }
            }
        }
    }

    fn next_way(&self, state: &mut State) -> Result<Way, Failure> {
        let State { view, pool, exchange: Some(exchange), .. } = state else {
            return Err(Reason::Internal.into());
        };
        let worker = &self.worker;
        let local = view.pools.get(*pool).ok_or(Failure::from(Reason::NoRoute))?;
        exchange.record.pool = Some(*pool);
        let now = worker.now();
        loop {
            let context = PickContext {
                facts: RequestFacts { client: self.ends.client.ip(), key: None },
                session: exchange.session.endpoint,
                // Nobody waits in line: a datagram that waits is one that is late.
                may_move: true,
                now,
                rng: &mut *worker.rng.borrow_mut(),
                reach: &|endpoint| worker.reach(endpoint),
            };
            let turn = local.next(&mut exchange.tried, context);
            exchange.notes.then(if turn.is_ok() { After::NextEndpoint } else { After::NoOtherEndpoint });
            let turn = turn?;
            if exchange.record.attempts > 0 {
                local.meters.retries.increment();
            }
            exchange.record.attempts += 1;
            exchange.record.endpoint = Some(turn.reach());
            if exchange.notes.is_on() {
                let (is_bound, among) = (turn.picked.is_bound, turn.picked.among);
                let share = turn.state.share_percent(now);
                let choice = Choice { is_bound, among, tier: turn.state.tier(), share };
                exchange.notes.attempt(&turn.name, turn.others, choice, false, now - exchange.record.started);
            }
            let address = turn.state.address().ok_or(Errno::ADDRNOTAVAIL.into());
            match address.and_then(EndpointSocket::connect) {
                Ok(socket) => {
                    turn.meters.connected(&worker.shard, &turn.state);
                    turn.waits(local.settings.udp.replies.is_some());
                    bind(local, exchange, &turn, now);
                    let introduction = match local.settings.proxy_protocol {
                        Some(ProxyVersion::V2) => Introduction::encode_datagram(self.ends),
                        Some(ProxyVersion::V1) | None => Vec::new(),
                    };
                    return Ok(Way { socket, turn, introduction });
                }
                Err(error) => {
                    let is_ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
                        .iter()
                        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
                    if is_ours {
                        return Err(Failure::with(Reason::Overloaded, error));
                    }
                    let failure = Failure::with(Reason::ConnectFailed, error);
                    exchange.notes.broke(Fault::Endpoint, &failure);
                    turn.meters.failed();
                    let outcome = Outcome::Unreachable(failure.reason.word());
                    if let Some(transition) = turn.state.record(outcome, &local.settings.passive, now) {
                        (worker.transitions)(&transition);
                    }
                    local.feedback(&turn.state, Feedback::Failed, now);
                }
            }
        }
    }

    /// Something has happened: from now on it may rest for as long as the pool says.
    fn rest(&self) {
        self.rest_in(&self.state.borrow());
    }

    fn rest_in(&self, state: &State) {
        let timeout = state.local().map(|local| local.settings.udp.timeout).unwrap_or_default();
        let timeout = if self.worker.is_draining() { timeout.min(DRAIN_GRACE) } else { timeout };
        self.timer.set_idle(self.worker.clock.now() + timeout);
    }

    fn over(&self, how: Result<(), Failure>) {
        let state = &mut *self.state.borrow_mut();
        state.over.get_or_insert(how);
        self.changed.notify_one();
    }
}

impl State {
    fn local(&self) -> Option<&LocalPool> {
        self.view.pools.get(self.pool)
    }

    /// Whether the endpoint has said something.
    fn was_answered(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.record.first_byte.is_some())
    }

    /// Keeps what was sent, while it may have to be sent again.
    fn keep(&mut self, piece: &Piece<'_>) {
        if self.was_answered() || !self.is_all_kept {
            return;
        }
        let so_far: usize = self.kept.iter().map(Vec::len).sum();
        if so_far + piece.bytes.len() > MOST_KEPT_BYTES {
            self.is_all_kept = false;
            self.kept = Vec::new();
            return;
        }
        self.kept.extend(piece.datagrams().map(<[u8]>::to_vec));
    }

    fn drop_datagrams(&self, piece: &Piece<'_>, cause: impl Fn(&DatagramMeters) -> &Counter) {
        if let Some(meters) = &self.listener.meters.datagrams {
            cause(meters).add(piece.count() as u64);
        }
    }
}

impl Way {
    fn send(&self, piece: &Piece<'_>) -> io::Result<()> {
        if self.introduction.is_empty() {
            return self.socket.send(piece);
        }
        piece.datagrams().try_for_each(|datagram| self.send_one(datagram))
    }

    fn send_one(&self, datagram: &[u8]) -> io::Result<()> {
        if self.introduction.is_empty() {
            return self.socket.send_one(datagram);
        }
        self.socket.send_one(&[&self.introduction, datagram].concat())
    }
}

/// The session that a client's first datagram names by a connection id.
fn session_of(stickiness: &Stickiness, first: &Piece<'_>, now: Moment) -> Session {
    let named = first.datagrams().next().into_iter().flat_map(connection_id::asked);
    named.map(|id| stickiness.find(id, now)).find(Session::is_known).unwrap_or_default()
}

/// Binds the session of a client's address to the endpoint.
fn bind(local: &LocalPool, exchange: &mut Exchange, turn: &Turn, now: Moment) {
    let Some(sessions) = &local.sessions else { return };
    let sessions = sessions.borrow();
    let bound = sessions.stickiness.answered(exchange.session, turn.state.id(), (None, true), now);
    sessions.count(&bound);
    exchange.notes.session_outcome = bound.outcome;
}

/// Whether it is only this datagram that the system has not taken: no room, too large, or not allowed out.
fn is_lost(error: &io::Error) -> bool {
    let lost = [Errno::AGAIN, Errno::NOBUFS, Errno::MSGSIZE, Errno::PERM, Errno::NOMEM];
    lost.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
        || error.kind() == io::ErrorKind::WouldBlock
}
