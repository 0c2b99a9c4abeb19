//! A client's connection over HTTP/2: many requests at once, each with a life of its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base_kit::Moment;
use base_model::model::Http2;
use tokio::task::spawn_local;
use traffic_http2::{Abuse, Arrival, Ended, ServerConnection, Settings};
use traffic_net::BufferSize;
use traffic_tls::Session;

use crate::client::Client;
use crate::life;
use crate::plan::ListenerView;
use crate::timers::Timer;
use crate::wire::Wire;
use crate::worker::{DRAIN_GRACE, Worker};

/// Who waits so long before giving a request up has meant it.
const PATIENT: Duration = Duration::from_secs(1);

/// Serves a connection on which HTTP/2 has begun, until it ends and all of its requests are over.
pub(super) async fn serve(worker: &Rc<Worker>, client: Client, http2: Http2) {
    let Client { stream, session, input, peer, timer, listener, idle_since, .. } = client;
    // Whoever is within HTTP/2 already cannot begin it again.
    let Wire::Http1(stream) = stream else { return };
    listener.meters.http2.increment();
    let settings = Settings::new(http2, listener.limits.max_head_bytes);
    let connection = ServerConnection::new(stream, input, &settings);
    let crowd = Rc::new(Crowd {
        open: Cell::new(0),
        is_new: Cell::new(true),
        answered: Cell::default(),
        idle_since: Cell::new(idle_since),
        waker: RefCell::default(),
    });
    let mut driver =
        Driver { worker, connection, crowd, peer, session, timer, listener, phase: None, drains_since: None };
    driver.run().await;
}

/// Keeps a connection going.
struct Driver<'a> {
    worker: &'a Rc<Worker>,
    connection: ServerConnection,
    crowd: Rc<Crowd>,
    peer: SocketAddr,
    session: Option<Rc<Session>>,
    timer: Timer,
    listener: Rc<ListenerView>,
    /// For which the timer is set.
    phase: Option<Phase>,
    /// Since when the client was told to send no more requests.
    drains_since: Option<Moment>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first request.
    New,
    /// Another one.
    Idle,
    /// The end of those under way.
    Busy,
    /// The same, and then that of the connection.
    Draining { is_busy: bool },
    /// The client's taking what was answered.
    Sending { sent_bytes: u64 },
    /// The rest of a head that was begun.
    Head { since: Moment },
}

/// What has happened.
enum Event {
    Request(Box<Arrival>),
    TimedOut,
    Ended(Option<Ended>),
}

impl Driver<'_> {
    async fn run(&mut self) {
        loop {
            match poll_fn(|cx| self.poll(cx)).await {
                Event::Request(mut arrival) => {
                    if self.takes_no_more() {
                        arrival.exchange.refuse();
                    } else {
                        self.begin(*arrival);
                    }
                }
                Event::TimedOut if self.has_slow_head() && !self.drains() => {
                    self.connection.send_away();
                    self.part(&Ended::SentAway(Abuse::SlowHead));
                }
                // There is nobody to wait for, or no more time.
                Event::TimedOut if self.drains() || self.timer.is_doomed() => break,
                // Nor is there anybody who takes what was answered.
                Event::TimedOut if matches!(self.phase, Some(Phase::Sending { .. })) => break,
                Event::TimedOut => self.drain(),
                Event::Ended(ended) => {
                    ended.iter().for_each(|ended| self.part(ended));
                    if !self.connection.is_leaving() {
                        break;
                    }
                }
            }
        }
        // Its requests see that it has ended, and end too.
        self.connection.close();
        poll_fn(|cx| self.crowd.poll_empty(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.connection.answered(self.crowd.answered.take());
        if let Poll::Ready(event) = self.connection.poll_accept(cx, self.worker.now()) {
            return Poll::Ready(match event {
                Some(Ok(arrival)) => Event::Request(Box::new(arrival)),
                Some(Err(ended)) => Event::Ended(Some(ended)),
                None => Event::Ended(None),
            });
        }
        let is_busy = self.crowd.poll_empty(cx).is_pending();
        let phase = match (is_busy, self.crowd.is_new.get()) {
            (false, _) if self.connection.has_streams() && !self.connection.is_leaving() => {
                Phase::Sending { sent_bytes: self.connection.sent_bytes() }
            }
            _ if self.drains() => Phase::Draining { is_busy },
            _ if let Some(since) = self.connection.head_since() => Phase::Head { since },
            (true, _) => Phase::Busy,
            (_, true) => Phase::New,
            _ => Phase::Idle,
        };
        if self.phase != Some(phase) {
            if !self.drains() && self.has_to_end() {
                self.drain();
                return self.poll(cx);
            }
            self.phase = Some(phase);
            self.arm(phase);
        }
        self.timer.poll_expired(cx).map(|()| Event::TimedOut)
    }

    fn arm(&self, phase: Phase) {
        let (timeouts, since) = (&self.listener.settings.timeouts, self.crowd.idle_since.get());
        match phase {
            Phase::New => self.timer.set_idle(since + timeouts.request_head),
            Phase::Head { since } => self.timer.set_idle(since + timeouts.request_head),
            Phase::Sending { .. } => self.timer.set(self.worker.now() + timeouts.send_progress),
            Phase::Idle => self.timer.set_idle(since + timeouts.idle),
            // A drain brings it forward.
            Phase::Busy => self.timer.set_idle(Moment::NEVER),
            Phase::Draining { is_busy: true } => self.timer.set(Moment::NEVER),
            Phase::Draining { is_busy: false } => self.timer.set(self.worker.now() + DRAIN_GRACE),
        }
    }

    /// Whether requests that come now are too late: the client was told to send none, and has had time to hear of it.
    fn takes_no_more(&self) -> bool {
        self.drains_since.is_some_and(|since| self.worker.now() >= since + DRAIN_GRACE)
    }

    /// Whether a head that was begun has not ended in its time.
    fn has_slow_head(&self) -> bool {
        let patience = self.listener.settings.timeouts.request_head;
        self.connection.head_since().is_some_and(|since| self.worker.now() >= since + patience)
    }

    /// Whether no more requests are to come: a busy connection learns of it within [`DRAIN_GRACE`], an idle one at once.
    fn has_to_end(&self) -> bool {
        self.worker.is_draining() || self.worker.view().listener(&self.listener.settings.name).is_none()
    }

    /// Whether the client was told to send no more requests.
    const fn drains(&self) -> bool {
        self.drains_since.is_some()
    }

    fn drain(&mut self) {
        self.drains_since = Some(self.worker.now());
        self.connection.drain();
    }

    /// Notes why the connection ends. A client that is sent away is given a moment to hear of it.
    fn part(&mut self, ended: &Ended) {
        self.drains_since = Some(self.worker.now());
        if let Ended::SentAway(abuse) = ended {
            self.listener.meters.http2_abused(*abuse);
        }
        let (listener, peer) = (&*self.listener.settings.name, self.peer);
        tracing::debug!(target: "aya::http2", listener, %peer, "connection ended: {ended}");
    }

    /// Has a request served.
    fn begin(&mut self, arrival: Arrival) {
        let (worker, now) = (Rc::clone(self.worker), self.worker.now());
        let timer = worker.timers.timer(Arc::clone(&self.listener.settings.name));
        let stream = Wire::Http2(Box::new(arrival.exchange));
        let mut client =
            Client::new(stream, self.peer, timer, &worker.buffers, Rc::clone(&self.listener), now);
        client.session.clone_from(&self.session);
        // Many may come at once, before the first of them is looked at.
        client.input.resize(BufferSize::Tiny);
        client.input.append(&arrival.head);
        if client.follow(&worker.view()) {
            self.listener = Rc::clone(&client.listener);
        } else if !self.drains() {
            self.drain();
        }
        let place = Place::new(&self.crowd, &worker);
        spawn_local(async move {
            let mut exchange = place.worker.borrow_exchange();
            life::serve(&mut client, &place.worker, &mut exchange).await;
            let was_forwarded = exchange.record.endpoint.is_some();
            place.worker.return_exchange(exchange);
            let is_answered = client.stream.exchange().is_some_and(|exchange| exchange.has_sent_all());
            // Giving up what takes long is no abuse, either.
            let was_patient = place.worker.now() >= now + PATIENT;
            if was_forwarded && (is_answered || was_patient) {
                place.crowd.answered.set(place.crowd.answered.get() + 1);
            }
        });
    }
}

/// The requests of a connection that are under way.
struct Crowd {
    open: Cell<u32>,
    /// Whether there was none yet.
    is_new: Cell<bool>,
    /// Those that were answered to their end, and that nobody was told of.
    answered: Cell<u32>,
    /// When the connection was made, or the last of its requests was over.
    idle_since: Cell<Moment>,
    /// Of whoever waits for that.
    waker: RefCell<Option<Waker>>,
}

/// One of them, until dropped.
struct Place {
    crowd: Rc<Crowd>,
    worker: Rc<Worker>,
}

impl Crowd {
    /// Ready while there is none; else whoever asks is woken when the last is over.
    fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.open.get() == 0 {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Place {
    fn new(crowd: &Rc<Crowd>, worker: &Rc<Worker>) -> Self {
        crowd.open.set(crowd.open.get() + 1);
        crowd.is_new.set(false);
        Self { crowd: Rc::clone(crowd), worker: Rc::clone(worker) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let open = self.crowd.open.get() - 1;
        self.crowd.open.set(open);
        if open == 0 {
            self.crowd.idle_since.set(self.worker.now());
            self.crowd.waker.borrow().iter().for_each(Waker::wake_by_ref);
        }
    }
}
