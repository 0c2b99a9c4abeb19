//! A connection to an endpoint.

use std::rc::Rc;
use std::sync::Arc;

use base_kit::Moment;
use base_signal::{Gauge, Reason};
use traffic_http2::Exchange;
use traffic_net::{Buffer, BufferPool, BufferSize};
use traffic_tls::ClientTls;

use crate::upstream::dial::are_same;
use crate::upstream::shared::SharedConnection;
use crate::wire::Wire;

/// An open connection to an endpoint, busy or idle. Boxed, because it is passed around with every request.
pub(crate) struct Connection {
    pub(crate) stream: Wire,
    /// What the endpoint has sent and was not yet used.
    pub(crate) input: Buffer,
    /// Whether a request has been answered on it before.
    pub(crate) reused: bool,
    /// Whether it has just answered HEAD. If the endpoint wrongly sends a body, it comes late, and must not be taken for the next
    /// request's answer.
    pub(crate) is_suspect: bool,
    /// When it became idle.
    pub(crate) idle_since: Moment,
    place: Place,
}

/// Where an exchange takes place.
enum Place {
    /// On a connection of its own, which counts as open, and was made with this TLS of its pool; `None`: without.
    Own { tls: Option<Arc<ClientTls>>, open: Gauge },
    /// On one that carries many.
    Shared(Rc<SharedConnection>),
}

impl Connection {
    /// A connection that has just been made; counts as open until dropped.
    pub(crate) fn new(
        stream: Wire,
        tls: Option<Arc<ClientTls>>,
        buffers: &BufferPool,
        open: &Gauge,
    ) -> Box<Self> {
        open.add(1);
        Self::at(Place::Own { tls, open: open.clone() }, stream, false, buffers)
    }

    /// A new exchange on a connection that carries many.
    pub(crate) fn on_shared(
        shared: &Rc<SharedConnection>,
        exchange: Exchange,
        reused: bool,
        buffers: &BufferPool,
    ) -> Box<Self> {
        let stream = Wire::Http2(Box::new(exchange));
        Self::at(Place::Shared(Rc::clone(shared)), stream, reused, buffers)
    }

    fn at(place: Place, stream: Wire, reused: bool, buffers: &BufferPool) -> Box<Self> {
        let input = Buffer::new(buffers.clone(), BufferSize::Large);
        Box::new(Self { stream, input, reused, is_suspect: false, idle_since: Moment::ZERO, place })
    }

    /// Whether the endpoint has closed it, or takes no more requests on it, rather than this one only.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared().is_none_or(|shared| !shared.is_open())
    }

    /// Takes it out of use for others when the endpoint has failed like this, if it then may not even be there.
    pub(crate) fn suspect(&self, reason: Reason) {
        let is_mute = matches!(
            reason,
            Reason::FirstByteTimeout | Reason::ResponseTimeout | Reason::UpstreamSendTimeout
        );
        if let Some(shared) = self.shared().filter(|_| is_mute) {
            shared.retire();
        }
    }

    /// The connection that it is a part of, if it is.
    pub(crate) const fn shared(&self) -> Option<&Rc<SharedConnection>> {
        match &self.place {
            Place::Own { .. } => None,
            Place::Shared(shared) => Some(shared),
        }
    }

    /// Whether it was made with the TLS that its pool has now: one that was not is of no more use.
    pub(crate) fn is_made_with(&self, tls: Option<&Arc<ClientTls>>) -> bool {
        matches!(&self.place, Place::Own { tls: own, .. } if are_same(own.as_ref(), tls))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Place::Own { open, .. } = &self.place {
            open.add(-1);
        }
    }
}
