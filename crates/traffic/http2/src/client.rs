//! A connection to an endpoint.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use traffic_net::{Buffer, Stream};

use crate::body::broken;
use crate::settings::{MAX_FRAME_BYTES, MAX_REMEMBERED_STREAMS, MAX_SEND_BUFFER_BYTES, Settings};
use crate::transport::Transport;

/// Requests that are sent before the endpoint has said how many it takes at once (RFC 9113 §5.1.2 recommends that it takes at least these).
const STREAMS_BEFORE_SETTINGS: usize = 100;

/// The driving side of a connection to an endpoint: a future that is over when the connection is.
pub struct ClientConnection(Connection<Transport, Bytes>);

/// The right to ask on a connection. Clones ask on the same one; when all are gone, and all exchanges over, it closes.
#[derive(Clone)]
pub struct Asker {
    send: SendRequest<Bytes>,
    is_secure: bool,
}

/// Begins to speak HTTP/2 to an endpoint.
///
/// # Errors
/// If the connection breaks.
pub async fn connect(
    stream: Box<dyn Stream>,
    input: Buffer,
    is_secure: bool,
    settings: &Settings,
) -> io::Result<(Asker, Greeting, ClientConnection)> {
    let (send, mut connection) = Builder::new()
        .enable_push(false)
        .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_header_list_size(settings.max_head_bytes)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_send_buffer_size(MAX_SEND_BUFFER_BYTES)
        .data_frame_budget(settings.endpoints_framing())
        // Clients give up what they asked for; the connection is that of others, too.
        .max_local_error_reset_streams(None)
        .max_concurrent_reset_streams(MAX_REMEMBERED_STREAMS)
        .handshake(Transport::new(stream, input, None))
        .await
        .map_err(broken)?;
    let greeting = Greeting { pings: connection.ping_pong(), is_asked: false };
    Ok((Asker { send, is_secure }, greeting, ClientConnection(connection)))
}

impl Asker {
    /// Whether the connection is encrypted.
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// How many exchanges at once the endpoint takes on this connection.
    pub fn max_streams(&self) -> usize {
        self.send.current_max_send_streams()
    }

    /// Whether the endpoint has said that other protocols may be spoken over its streams (RFC 8441).
    pub fn takes_tunnels(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }

    /// Whether the endpoint takes any more on this connection, as far as is known.
    pub fn is_open(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !matches!(self.send.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send.poll_ready(cx).map_err(broken)
    }

    pub(crate) fn ask(
        &mut self,
        head: Request<()>,
        is_all: bool,
    ) -> io::Result<(ResponseFuture, SendStream<Bytes>)> {
        self.send.send_request(head, is_all).map_err(broken)
    }
}

/// What an endpoint says first of itself, until it is here.
pub struct Greeting {
    pings: Option<PingPong>,
    is_asked: bool,
}

impl Greeting {
    /// Waits until the endpoint's first settings are here (RFC 9113 §3.4): they come before the answer to whatever it is asked.
    pub async fn received(&mut self) {
        let Some(pings) = &mut self.pings else { return };
        if !self.is_asked {
            self.is_asked = pings.send_ping(Ping::opaque()).is_ok();
        }
        if self.is_asked {
            // A connection that has ended will say no more.
            let _ = poll_fn(|cx| pings.poll_pong(cx)).await;
        }
        self.pings = None;
    }
}

impl Future for ClientConnection {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll(cx).map_err(broken)
    }
}
