//! Where datagrams of one socket come in, and the sessions that they belong to.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base_kit::Moment;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use traffic_net::{DatagramSocket, Ends, Introduction, Piece};

use crate::life::DatagramSession;
use crate::plan::{ListenerView, View};
use crate::thread::accept::{COMPLAIN_EVERY, Counted, PAUSE};
use crate::thread::introduction::is_introduced;
use crate::worker::Worker;

/// The task that takes datagrams from one socket. Answers go out by the socket until the last session is over.
pub(super) struct DatagramDoor(Rc<Notify>);

impl DatagramDoor {
    pub(super) fn start(
        worker: &Rc<Worker>,
        listener: Arc<str>,
        (address, socket): (SocketAddr, UdpSocket),
        open: Arc<AtomicU32>,
    ) -> io::Result<Self> {
        let stop = Rc::new(Notify::new());
        let door = Rc::new(Door {
            worker: Rc::clone(worker),
            listener,
            address,
            socket: Rc::new(DatagramSocket::new(socket)?),
            open,
            sessions: RefCell::default(),
            complained: Cell::default(),
        });
        let stopped = Rc::clone(&stop);
        spawn_local(async move {
            tokio::select! {
                biased;
                () = stopped.notified() => {}
                () = door.receive_forever() => {}
            }
        });
        Ok(Self(stop))
    }

    /// Takes no more. What waits in the socket is for whoever has it, too.
    pub(super) fn stop(&self) {
        self.0.notify_one();
    }
}

/// Whose datagrams they are: who sends them, and to which of the machine's addresses; who is behind that, if somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    peer: SocketAddr,
    to: Option<IpAddr>,
    client: SocketAddr,
}

struct Door {
    worker: Rc<Worker>,
    listener: Arc<str>,
    address: SocketAddr,
    socket: Rc<DatagramSocket>,
    /// Sessions open, over all workers.
    open: Arc<AtomicU32>,
    sessions: RefCell<HashMap<Flow, Rc<DatagramSession>>>,
    /// When it was said last that there are too many of them.
    complained: Cell<Option<Moment>>,
}

impl Door {
    async fn receive_forever(self: &Rc<Self>) {
        let catch = self.worker.catch();
        let mut complained = false;
        loop {
            match self.socket.receive(catch).await {
                Ok(()) => {
                    complained = false;
                    let view = self.worker.view();
                    // Without it a reload has just taken the listener away.
                    let Some(listener) = view.listener(&self.listener) else { continue };
                    catch.borrow().pieces().for_each(|piece| self.take(&piece, &view, listener));
                }
                Err(error) => {
                    if !std::mem::replace(&mut complained, true) {
                        let listener = &*self.listener;
                        tracing::error!(target: "aya::worker", listener, %error, "cannot take datagrams");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn take(self: &Rc<Self>, piece: &Piece<'_>, view: &Rc<View>, listener: &Rc<ListenerView>) {
        if let Some(meters) = &listener.meters.datagrams {
            meters.up.add(piece.count() as u64);
        }
        let flow = Flow { peer: piece.from, to: piece.to, client: piece.from };
        if !is_introduced(listener, piece.from) {
            self.pass(flow, piece, view, listener);
            return;
        }
        // Each is introduced by itself.
        for datagram in piece.datagrams() {
            match Introduction::parse_datagram(datagram) {
                Ok(Introduction { ends, length }) => {
                    let client = ends.map_or(piece.from, |ends| ends.client);
                    let rest = piece.with(datagram.get(length..).unwrap_or_default());
                    self.pass(Flow { client, ..flow }, &rest, view, listener);
                }
                Err(error) => {
                    listener.meters.unintroduced.increment();
                    let (listener, peer) = (&*self.listener, piece.from);
                    tracing::debug!(target: "aya::worker", listener, %peer, "a datagram is dropped: {error} (`proxy-protocol`)");
                }
            }
        }
    }

    /// Passes on what belongs to one session, which may begin with it.
    fn pass(self: &Rc<Self>, flow: Flow, piece: &Piece<'_>, view: &Rc<View>, listener: &Rc<ListenerView>) {
        let known = self.sessions.borrow().get(&flow).map(Rc::clone);
        if let Some(session) = known {
            if session.goes_on(view, listener) {
                session.send(piece);
                return;
            }
            session.leave();
            self.forget(flow, &session);
        }
        if !self.has_room(listener, piece) {
            return;
        }
        listener.meters.accepted.increment();
        let counted = Counted::new(&self.worker, &self.open, listener.meters.open.clone());
        let server = SocketAddr::new(flow.to.unwrap_or(self.address.ip()), self.address.port());
        let way_back = (Rc::clone(&self.socket), flow.peer, flow.to);
        let ends = Ends { client: flow.client, server };
        let begun = DatagramSession::begin(&self.worker, (view, listener), way_back, (ends, piece));
        let session = Rc::new(begun);
        self.sessions.borrow_mut().insert(flow, Rc::clone(&session));
        session.send(piece);
        let door = Rc::clone(self);
        spawn_local(async move {
            let _counted = counted;
            session.run().await;
            door.forget(flow, &session);
        });
    }

    /// Whether there is room for one more session, which then is counted.
    fn has_room(&self, listener: &ListenerView, piece: &Piece<'_>) -> bool {
        let limit = listener.settings.max_connections.unwrap_or(u32::MAX);
        if self.open.fetch_add(1, Ordering::Relaxed) < limit {
            return true;
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(meters) = &listener.meters.datagrams {
            meters.no_session.add(piece.count() as u64);
        }
        let now = self.worker.now();
        if self.complained.get().is_none_or(|last| now.since(last) >= COMPLAIN_EVERY) {
            self.complained.set(Some(now));
            let listener = &*self.listener;
            tracing::warn!(target: "aya::worker", listener, limit, "as many sessions as may be are open (`max-connections`): datagrams of others are dropped");
        }
        false
    }

    /// Another session may have taken its place.
    fn forget(&self, flow: Flow, session: &Rc<DatagramSession>) {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.get(&flow).is_some_and(|other| Rc::ptr_eq(other, session)) {
            sessions.remove(&flow);
        }
    }
}
