//! A connection to an endpoint.

use std::sync::Arc;

use base_kit::Moment;
use base_signal::Gauge;
use traffic_net::{Buffer, BufferPool, BufferSize, Stream};
use traffic_tls::ClientTls;

/// An open connection to an endpoint, busy or idle. Boxed, because it is passed around with every request.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    /// The pool's TLS that it was made with; `None`: without.
    tls: Option<Arc<ClientTls>>,
    /// What the endpoint has sent and was not yet used.
    pub(crate) input: Buffer,
    /// Whether a request has been answered on it before.
    pub(crate) reused: bool,
    /// Whether it has just answered HEAD. If the endpoint wrongly sends a body, it comes late, and must not be taken for the next
    /// request's answer.
    pub(crate) is_suspect: bool,
    /// When it became idle.
    pub(crate) idle_since: Moment,
    open: Gauge,
}

impl Connection {
    /// A connection that has just been made; counts as open until dropped.
    pub(crate) fn new(
        stream: Box<dyn Stream>,
        tls: Option<Arc<ClientTls>>,
        buffers: &BufferPool,
        open: &Gauge,
    ) -> Box<Self> {
        open.add(1);
        Box::new(Self {
            stream,
            tls,
            input: Buffer::new(buffers.clone(), BufferSize::Large),
            reused: false,
            is_suspect: false,
            idle_since: Moment::ZERO,
            open: open.clone(),
        })
    }

    /// Whether it was made with the TLS that its pool has now: one that was not is of no more use.
    pub(crate) fn is_made_with(&self, tls: Option<&Arc<ClientTls>>) -> bool {
        are_same(self.tls.as_ref(), tls)
    }
}

/// Whether these are one and the same.
pub(crate) fn are_same(one: Option<&Arc<ClientTls>>, other: Option<&Arc<ClientTls>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.add(-1);
    }
}
