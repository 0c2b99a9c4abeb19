//! Accepting connections on one socket.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base_kit::Moment;
use base_signal::Gauge;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use traffic_net::{Incoming, Stream};
use traffic_tls::{ClientHello, Session};

use crate::client::Client;
use crate::connection::serve_connection;
use crate::plan::ListenerView;
use crate::thread::handshake::enter;
use crate::thread::hello::overhear;
use crate::thread::introduction::{hear, is_introduced};
use crate::timers::Timer;
use crate::wire::Wire;
use crate::worker::Worker;

/// How long to wait when the system has no descriptor or memory for another connection, or a listener is at its limit: short
/// enough not to be felt, long enough not to burn a core.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// How often it is said at most that a listener is at its limit.
pub(super) const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// The task that accepts on one socket.
pub(super) struct Acceptor {
    stop: Rc<Notify>,
    task: JoinHandle<()>,
}

impl Acceptor {
    pub(super) fn start(
        worker: &Rc<Worker>,
        listener: Arc<str>,
        (address, socket): (SocketAddr, TcpListener),
        open: Arc<AtomicU32>,
    ) -> io::Result<Self> {
        let stop = Rc::new(Notify::new());
        let mut incoming = worker.network.listen(address, socket)?;
        let door = Door {
            worker: Rc::clone(worker),
            listener,
            open,
            next: Cell::default(),
            complained: Cell::default(),
        };
        let stopped = Rc::clone(&stop);
        let task = spawn_local(async move {
            // In this order, so that a simulation repeats.
            tokio::select! {
                biased;
                () = stopped.notified() => {}
                () = door.accept_forever(&mut *incoming) => {}
            }
            door.accept_waiting(&mut *incoming);
        });
        Ok(Self { stop, task })
    }

    /// Accepts what waits already, then closes the socket.
    pub(super) async fn stop(self) {
        self.stop.notify_one();
        let _ = self.task.await;
    }
}

/// Where connections of one listener come in.
struct Door {
    worker: Rc<Worker>,
    listener: Arc<str>,
    /// Connections open, over all workers.
    open: Arc<AtomicU32>,
    /// Accepted, and waiting for its place.
    next: Cell<Option<Accepted>>,
    /// When it was said last that all places are taken.
    complained: Cell<Option<Moment>>,
}

/// A connection, and who has opened it.
type Accepted = (Box<dyn Stream>, SocketAddr);

impl Door {
    async fn accept_forever(&self, incoming: &mut dyn Incoming) {
        let mut complained = false;
        loop {
            match poll_fn(|cx| incoming.poll_accept(cx)).await {
                Ok(accepted) => {
                    complained = false;
                    self.next.set(Some(accepted));
                    self.wait_for_room().await;
                    self.next.take().into_iter().for_each(|accepted| self.welcome(accepted));
                }
                // The client has gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !complained {
                        let (listener, advice) =
                            (&*self.listener, "raise the limit of open files (ulimit -n)");
                        tracing::error!(target: "aya::worker", listener, %error, advice, "cannot accept connections");
                        complained = true;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Takes a place among the listener's connections. At its limit, one connection waits here, the others in the kernel's
    /// queue.
    async fn wait_for_room(&self) {
        let mut complained = false;
        loop {
            let view = self.worker.view();
            let listener = view.listener(&self.listener);
            let limit =
                listener.map_or(u32::MAX, |listener| listener.settings.max_connections.unwrap_or(u32::MAX));
            if self.open.fetch_add(1, Ordering::Relaxed) < limit {
                return;
            }
            self.open.fetch_sub(1, Ordering::Relaxed);
            if !std::mem::replace(&mut complained, true) {
                if let Some(listener) = listener {
                    listener.meters.held.increment();
                }
                self.complain_of_crowd(limit);
            }
            drop(view);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Says now and then that the listener is full.
    fn complain_of_crowd(&self, limit: u32) {
        let now = self.worker.now();
        if self.complained.get().is_none_or(|last| now.since(last) >= COMPLAIN_EVERY) {
            self.complained.set(Some(now));
            let listener = &*self.listener;
            tracing::warn!(target: "aya::worker", listener, limit, "all connections of the listener are in use (`max-connections`): others wait");
        }
    }

    /// Accepts what waits for its place here, and what the kernel has queued: those clients believe that they are connected.
    fn accept_waiting(&self, incoming: &mut dyn Incoming) {
        let mut cx = Context::from_waker(Waker::noop());
        let queued = std::iter::from_fn(|| match incoming.poll_accept(&mut cx) {
            Poll::Ready(Ok(accepted)) => Some(accepted),
            _ => None,
        });
        for accepted in self.next.take().into_iter().chain(queued) {
            self.open.fetch_add(1, Ordering::Relaxed);
            self.welcome(accepted);
        }
    }

    /// Serves a connection that has its place.
    fn welcome(&self, (stream, peer): Accepted) {
        let view = self.worker.view();
        // A listener that a reload has just taken away has no settings; the connection came too late.
        let Some(listener) = view.listener(&self.listener) else {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        listener.meters.accepted.increment();
        let counted = Counted::new(&self.worker, &self.open, listener.meters.open.clone());
        let listener = Rc::clone(listener);
        let timer = self.worker.timers.timer(Arc::clone(&listener.settings.name));
        let is_introduced = is_introduced(&listener, peer);
        if listener.settings.tls.is_none() && !is_introduced && listener.passages.is_empty() {
            let stream = Wire::Http1(stream);
            let client = Client::new(stream, peer, timer, &self.worker.buffers, listener, self.worker.now());
            spawn_local(async move { serve_connection(&counted.worker, client).await });
            return;
        }
        spawn_local(async move {
            // What it needs is given back before requests come.
            let entering = Box::pin(admit(&counted.worker, &listener, &timer, (stream, peer), is_introduced));
            if let Some(Admitted { stream, peer, session, hello }) = entering.await {
                let (stream, worker) = (Wire::Http1(stream), &counted.worker);
                let mut client = Client::new(stream, peer, timer, &worker.buffers, listener, worker.now());
                (client.session, client.hello) = (session, hello);
                serve_connection(worker, client).await;
            }
        });
    }
}

/// A connection that is let in.
struct Admitted {
    stream: Box<dyn Stream>,
    /// Whom it is from.
    peer: SocketAddr,
    /// What the TLS handshake has agreed upon.
    session: Option<Rc<Session>>,
    /// What it asks for in TLS, if it is passed on as it is.
    hello: Option<Box<ClientHello>>,
}

/// What goes before the first request: who it is from, what it asks for, and the TLS handshake. `None` if the connection ended with that.
async fn admit(
    worker: &Rc<Worker>,
    listener: &ListenerView,
    timer: &Timer,
    (stream, peer): Accepted,
    is_introduced: bool,
) -> Option<Admitted> {
    let (stream, peer) =
        if is_introduced { hear(worker, listener, timer, stream, peer).await? } else { (stream, peer) };
    let (stream, hello) = if listener.passages.is_empty() {
        (stream, None)
    } else {
        overhear(worker, listener, timer, stream, peer).await?
    };
    let is_passed_on = hello.as_ref().is_some_and(|hello| listener.passage(hello).is_some());
    if is_passed_on || listener.settings.tls.is_none() {
        return Some(Admitted { stream, peer, session: None, hello });
    }
    let entered = enter(worker, listener, timer, stream, peer).await?;
    let session = Some(Rc::new(entered.session));
    Some(Admitted { stream: entered.stream, peer, session, hello: None })
}

/// Counts a connection as open until dropped, however its task ends.
pub(super) struct Counted {
    pub(super) worker: Rc<Worker>,
    open: Arc<AtomicU32>,
    gauge: Gauge,
}

impl Counted {
    /// For a connection that has its place in `open` already.
    pub(super) fn new(worker: &Rc<Worker>, open: &Arc<AtomicU32>, gauge: Gauge) -> Self {
        gauge.add(1);
        worker.connection_opened();
        Self { worker: Rc::clone(worker), open: Arc::clone(open), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.gauge.add(-1);
        self.worker.connection_closed();
    }
}
