//! A client's connection.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use base_kit::Moment;
use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use thiserror::Error;
use traffic_net::{Buffer, Stream};

use crate::body::broken;
use crate::exchange::Exchange;
use crate::heads;
use crate::settings::{
    MAX_FRAME_BYTES, MAX_REMEMBERED_STREAMS, MAX_SEND_BUFFER_BYTES, PREFACE_BYTES, Settings,
};
use crate::transport::Transport;
use crate::watch::{Abuse, Watch};

/// Requests that break the protocol by themselves (CVE-2025-8671 has servers give them up, one after the other): more in the life of a connection
/// are no mistake.
const MAX_STREAM_ERRORS: usize = 1024;

/// A client's connection. Whoever polls it drives it: frames come and go for all of its exchanges.
pub struct ServerConnection {
    state: State,
    watch: Rc<RefCell<Watch>>,
}

enum State {
    /// The client's preface is still to come.
    Opening(Box<Handshake<Transport, Bytes>>),
    Open(Box<Connection<Transport, Bytes>>),
    /// The client was sent away, and is given a moment to hear of it.
    Leaving(Box<Connection<Transport, Bytes>>),
    Closed,
}

/// What has ended a connection before its time.
#[derive(Debug, Error)]
pub enum Ended {
    /// The client has gone, or the connection broke.
    #[error("{0}")]
    Broken(io::Error),
    /// The client was sent away for what it does.
    #[error("the client was sent away: {}", .0.word())]
    SentAway(Abuse),
}

impl From<h2::Error> for Ended {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(Reason::ENHANCE_YOUR_CALM) if error.is_library() => Self::SentAway(Abuse::Limits),
            Some(_) if error.is_library() => Self::SentAway(Abuse::Protocol),
            _ => Self::Broken(broken(error)),
        }
    }
}

/// A request that has come.
pub struct Arrival {
    /// Its head, in the lines of HTTP/1.1.
    pub head: Vec<u8>,
    /// Its body, and the way of its answer.
    pub exchange: Exchange,
}

impl ServerConnection {
    /// A connection on which the client speaks HTTP/2. `input` is what it has sent so far, from the first byte on.
    pub fn new(stream: Box<dyn Stream>, input: Buffer, settings: &Settings) -> Self {
        let watch = Rc::new(RefCell::new(Watch::new(PREFACE_BYTES)));
        let handshake = Builder::new()
            .max_concurrent_streams(settings.max_streams)
            .initial_window_size(settings.stream_window)
            .initial_connection_window_size(settings.connection_window)
            .max_header_list_size(settings.max_head_bytes)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_send_buffer_size(MAX_SEND_BUFFER_BYTES)
            .data_frame_budget(settings.clients_framing())
            .max_concurrent_reset_streams(MAX_REMEMBERED_STREAMS)
            // A page may be left with all that was asked for it, before we have looked; how often, the watch decides.
            .max_pending_accept_reset_streams(usize::try_from(settings.max_streams).unwrap_or(usize::MAX))
            .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS))
            .enable_connect_protocol()
            .handshake(Transport::new(stream, input, Some(Rc::clone(&watch))));
        Self { state: State::Opening(Box::new(handshake)), watch }
    }

    /// Drives the connection until the next request comes; `None` when there will be no more and all is said.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>, now: Moment) -> Poll<Option<Result<Arrival, Ended>>> {
        if let State::Opening(handshake) = &mut self.state {
            self.state = match ready!(Pin::new(&mut **handshake).poll(cx)) {
                Ok(connection) => State::Open(Box::new(connection)),
                Err(error) => {
                    self.state = State::Closed;
                    return Poll::Ready(Some(Err(error.into())));
                }
            };
        }
        match &mut self.state {
            State::Opening(_) | State::Closed => Poll::Ready(None),
            State::Leaving(connection) => {
                // It was told why; what becomes of it now makes no difference.
                let _ = ready!(connection.poll_closed(cx));
                self.state = State::Closed;
                Poll::Ready(None)
            }
            State::Open(connection) => {
                let polled = connection.poll_accept(cx);
                let abuse = {
                    let mut watch = self.watch.borrow_mut();
                    if polled.is_pending() {
                        watch.settle();
                    }
                    watch.look(now)
                };
                if let Some(abuse) = abuse {
                    self.send_away();
                    return Poll::Ready(Some(Err(Ended::SentAway(abuse))));
                }
                match ready!(polled) {
                    Some(Ok(arrived)) => {
                        let mut arrival = arrival(arrived, &self.watch);
                        if self.watch.borrow().has_resets() && arrival.exchange.is_given_up() {
                            // Nobody waits for it any more: no endpoint is to hear of it. Others have their turn before the next.
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Poll::Ready(Some(Ok(arrival)))
                    }
                    Some(Err(error)) => {
                        self.state = State::Closed;
                        Poll::Ready(Some(Err(error.into())))
                    }
                    None => Poll::Ready(None),
                }
            }
        }
    }

    /// Has the client hear that it has gone too far (GOAWAY, ENHANCE_YOUR_CALM). All of its exchanges end.
    pub fn send_away(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(mut connection) => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                State::Leaving(connection)
            }
            state => state,
        };
    }

    /// Whether the client was sent away and may not have heard of it: the connection is to be polled on.
    pub const fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving(_))
    }

    /// So many requests were answered to their end, which speaks for the client.
    pub fn answered(&self, count: u32) {
        self.watch.borrow_mut().answered(count);
    }

    /// Whether anything of its exchanges is still to be received or sent.
    pub fn has_streams(&self) -> bool {
        match &self.state {
            State::Open(connection) | State::Leaving(connection) => connection.has_streams(),
            State::Opening(_) | State::Closed => false,
        }
    }

    /// Bytes sent so far.
    pub fn sent_bytes(&self) -> u64 {
        self.watch.borrow().sent_bytes()
    }

    /// Since when a head is under way that has not ended.
    pub fn head_since(&self) -> Option<Moment> {
        self.watch.borrow().head_since()
    }

    /// Ends the connection as it is: exchanges that are left break off.
    pub fn close(&mut self) {
        self.state = State::Closed;
    }

    /// Tells the client to send no more requests here (GOAWAY). Those under way, and those that it has sent meanwhile, are still served.
    pub fn drain(&mut self) {
        match &mut self.state {
            State::Open(connection) => connection.graceful_shutdown(),
            // Nobody was let in yet.
            State::Opening(_) => self.state = State::Closed,
            State::Leaving(_) | State::Closed => {}
        }
    }
}

fn arrival(
    (request, respond): (Request<RecvStream>, SendResponse<Bytes>),
    watch: &Rc<RefCell<Watch>>,
) -> Arrival {
    let (head, body) = request.into_parts();
    let is_tunnel = head.extensions.get::<Protocol>().is_some();
    let head = heads::request_lines(&head, !body.is_end_stream());
    Arrival { head, exchange: Exchange::of_client(body, respond, is_tunnel, watch) }
}
