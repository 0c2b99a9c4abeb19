//! Connections to endpoints that carry many exchanges at once.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base_kit::Moment;
use base_model::model::Http2;
use base_signal::Gauge;
use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_local;
use traffic_http2::{Asker, Exchange, Greeting, Settings};
use traffic_net::{Buffer, BufferPool, BufferSize, Stream};
use traffic_tls::ClientTls;

use crate::upstream::dial::are_same;

/// How long an endpoint may take to let a connection go that nobody uses any more.
const PARTING: Duration = Duration::from_secs(5);

/// A connection that carries many exchanges. Each of them holds it; it closes when nobody does.
pub(crate) struct SharedConnection {
    asker: RefCell<Asker>,
    greeting: Mutex<Greeting>,
    /// The pool's TLS that it was made with; `None`: without.
    tls: Option<Arc<ClientTls>>,
    /// Exchanges at once that the pool has on one.
    max_streams: u32,
    /// When the last exchange was over, as far as that was told.
    pub(crate) idle_since: Cell<Moment>,
    is_retired: Cell<bool>,
    open: Gauge,
    /// Told when nobody uses it any more.
    left: Rc<Notify>,
}

impl SharedConnection {
    /// Begins HTTP/2 on a connection, and has it driven until it ends.
    pub(crate) async fn begin(
        stream: Box<dyn Stream>,
        tls: Option<Arc<ClientTls>>,
        (http2, max_head_bytes): (Http2, usize),
        buffers: &BufferPool,
        (open, now): (&Gauge, Moment),
    ) -> io::Result<Rc<Self>> {
        let settings = Settings::new(http2, max_head_bytes);
        let input = Buffer::new(buffers.clone(), BufferSize::Medium);
        let (asker, greeting, connection) =
            traffic_http2::connect(stream, input, tls.is_some(), &settings).await?;
        open.add(1);
        let shared = Rc::new(Self {
            asker: RefCell::new(asker),
            greeting: Mutex::new(greeting),
            tls,
            max_streams: http2.max_streams,
            idle_since: Cell::new(now),
            is_retired: Cell::new(false),
            open: open.clone(),
            left: Rc::default(),
        });
        let left = Rc::clone(&shared.left);
        spawn_local(async move {
            // What ends it, its exchanges are told. An endpoint that does not take the end has some time for it.
            tokio::select! {
                biased;
                _ = connection => {}
                () = async {
                    left.notified().await;
                    tokio::time::sleep(PARTING).await;
                } => {}
            }
        });
        Ok(shared)
    }

    /// Whether requests may still be sent on it, and it was made with the TLS that its pool has now.
    pub(crate) fn is_usable(&self, tls: Option<&Arc<ClientTls>>) -> bool {
        are_same(self.tls.as_ref(), tls) && self.is_open()
    }

    /// Waits until the endpoint has said what it takes.
    pub(crate) async fn greeted(&self) {
        self.greeting.lock().await.received().await;
    }

    /// Whether other protocols may be spoken over it, as far as the endpoint has said.
    pub(crate) fn takes_tunnels(&self) -> bool {
        self.asker.borrow().takes_tunnels()
    }

    /// Exchanges under way.
    fn exchanges(self: &Rc<Self>) -> usize {
        // The endpoint's list holds it, too.
        Rc::strong_count(self) - 1
    }

    /// Whether nobody uses it.
    pub(crate) fn is_idle(self: &Rc<Self>) -> bool {
        self.exchanges() == 0
    }

    /// The first exchange, for whoever has made the connection.
    pub(crate) fn first_exchange(&self) -> Exchange {
        Exchange::with_endpoint(self.asker.borrow().clone())
    }

    /// Takes no more requests: nobody knows whether the endpoint still hears of them. Those under way go on.
    pub(crate) fn retire(&self) {
        self.is_retired.set(true);
    }

    /// Whether requests may still be sent on it.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_retired.get() && self.asker.borrow_mut().is_open()
    }

    /// A new exchange, if there is room for one.
    pub(crate) fn exchange(self: &Rc<Self>) -> Option<Exchange> {
        let asker = self.asker.borrow();
        let most = asker.max_streams().min(usize::try_from(self.max_streams).unwrap_or(usize::MAX));
        (self.exchanges() < most).then(|| Exchange::with_endpoint(asker.clone()))
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        self.open.add(-1);
        self.left.notify_one();
    }
}
