//! Making a connection to an endpoint, with all that belongs to it.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base_model::model::Offered;
use traffic_balance::EndpointState;
use traffic_net::{BufferPool, Network, Stream, send_all};
use traffic_tls::{ClientTls, ConnectError, ConnectFault, EndpointTls, TlsError, connect};

use crate::upstream::meters::PoolMeters;

/// What it takes to connect to one endpoint.
pub(crate) struct Dial<'a> {
    network: &'a dyn Network,
    buffers: &'a BufferPool,
    meters: &'a PoolMeters,
    endpoint: &'a EndpointState,
    pub(crate) address: SocketAddr,
    /// Goes ahead of all else, TLS included.
    introduction: Option<Vec<u8>>,
    /// `None`: without TLS.
    tls: Option<EndpointTls>,
    shakes_hands: Cell<bool>,
}

/// A connection that was made.
pub(crate) struct Dialed {
    pub(crate) stream: Box<dyn Stream>,
    /// Whether HTTP/2 was agreed upon; `None` if nothing was said of it.
    pub(crate) agreed: Option<bool>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum DialError {
    /// There is none at all.
    Connect(io::Error),
    /// There was one, but not over TLS.
    Tls(String),
}

impl<'a> Dial<'a> {
    pub(crate) fn new(
        (network, buffers, meters): (&'a dyn Network, &'a BufferPool, &'a PoolMeters),
        endpoint: &'a EndpointState,
        (address, introduction): (SocketAddr, Option<Vec<u8>>),
        tls: Option<EndpointTls>,
    ) -> Self {
        let shakes_hands = Cell::new(false);
        Self { network, buffers, meters, endpoint, address, introduction, tls, shakes_hands }
    }

    /// Connects, and offers this where there is TLS to agree upon it. The caller limits the time, and tells of it with [`Dial::timed_out`].
    pub(crate) async fn run(&self, offered: Offered) -> Result<Dialed, DialError> {
        let mut stream = self.network.connect(self.address).await.map_err(DialError::Connect)?;
        if let Some(introduction) = &self.introduction {
            send_all(&mut *stream, introduction).await.map_err(DialError::Connect)?;
        }
        let Some(tls) = &self.tls else { return Ok(Dialed { stream, agreed: None }) };
        self.shakes_hands.set(true);
        // A handshake needs much that a request does not.
        match Box::pin(connect(stream, tls, offered, self.buffers)).await {
            Ok(connected) => {
                self.meters.shook_hands(connected.is_resumed);
                Ok(Dialed { stream: connected.stream, agreed: Some(connected.is_http2) })
            }
            Err(ConnectError { fault, what }) => {
                self.meters.handshake_failed(fault);
                let (pool, endpoint, word) = (self.endpoint.pool(), self.endpoint.name(), fault.word());
                tracing::debug!(target: "aya::tls", pool, endpoint, fault = word, "handshake failed: {what}");
                Err(DialError::Tls(what))
            }
        }
    }

    /// The time is over; what it was spent with, if that is worth a word.
    pub(crate) fn timed_out(&self) -> Option<&'static str> {
        let shakes_hands = self.shakes_hands.get();
        if shakes_hands {
            self.meters.handshake_failed(ConnectFault::TimedOut);
        }
        shakes_hands.then_some("in the TLS handshake")
    }
}

impl From<TlsError> for DialError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Connect(error) => error,
            DialError::Tls(what) => Self::other(what),
        }
    }
}

/// Whether these are one and the same.
pub(crate) fn are_same(one: Option<&Arc<ClientTls>>, other: Option<&Arc<ClientTls>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}
