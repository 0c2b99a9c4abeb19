//! One request and its answer, on one stream of a connection.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use traffic_http::{Fields, RequestHead, ResponseHead};
use traffic_net::{Buffer, Peek, Stream, is_pending_now};

use crate::body::{BodyIn, BodyOut, broken, gone};
use crate::client::Asker;
use crate::heads::{self, NotSayable};
use crate::watch::Watch;

/// One side of a request and its answer. As a [`Stream`] it carries the bodies: what is received is that of the peer, what is sent is the own
/// one, behind the head that was put in. Dropped before both have ended, it is reset.
pub struct Exchange {
    incoming: Incoming,
    outgoing: Outgoing,
    /// Whether the last byte of a body of known length ends it: nothing can follow that.
    ends_with_length: bool,
    /// Whether another protocol is asked for: what then goes over it is no body.
    is_tunnel: bool,
    /// Whether the peer has said that it did nothing about it.
    is_refused: bool,
    /// Has who watches the client know of its end.
    _watched: Option<Watched>,
}

/// A client's request that is not over: who watches the client knows of it from its arrival to its end.
struct Watched {
    watch: Rc<RefCell<Watch>>,
    stream: u32,
}

impl Watched {
    fn new(watch: &Rc<RefCell<Watch>>, stream: u32) -> Self {
        watch.borrow_mut().arrived(stream);
        Self { watch: Rc::clone(watch), stream }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.borrow_mut().ended(self.stream);
    }
}

enum Incoming {
    /// Nothing was asked yet.
    Nothing,
    /// The answer's head is awaited.
    Head(ResponseFuture),
    Body(BodyIn),
}

enum Outgoing {
    /// An answer, whose head is sent with the first byte of its body.
    Answer {
        respond: SendResponse<Bytes>,
        head: Option<Box<Response<()>>>,
    },
    /// The same for a request.
    Question {
        asker: Asker,
        head: Option<Box<Request<()>>>,
    },
    Body(BodyOut),
    /// It was given up.
    Broken,
}

impl Exchange {
    pub(crate) fn of_client(
        body: RecvStream,
        respond: SendResponse<Bytes>,
        is_tunnel: bool,
        watch: &Rc<RefCell<Watch>>,
    ) -> Self {
        let watched = Watched::new(watch, respond.stream_id().as_u32());
        let incoming = Incoming::Body(BodyIn::new(body));
        let outgoing = Outgoing::Answer { respond, head: None };
        Self { is_tunnel, ..Self::new(incoming, outgoing, Some(watched)) }
    }

    /// An exchange with an endpoint, in which nothing was said yet.
    pub fn with_endpoint(asker: Asker) -> Self {
        Self::new(Incoming::Nothing, Outgoing::Question { asker, head: None }, None)
    }

    const fn new(incoming: Incoming, outgoing: Outgoing, watched: Option<Watched>) -> Self {
        Self {
            incoming,
            outgoing,
            ends_with_length: false,
            is_tunnel: false,
            is_refused: false,
            _watched: watched,
        }
    }

    /// Puts in the head of the request, to be sent with what follows it.
    ///
    /// # Errors
    /// If HTTP/2 has no place for something in it.
    pub fn put_request(&mut self, request: &RequestHead) -> Result<(), NotSayable> {
        if let Outgoing::Question { asker, head } = &mut self.outgoing {
            *head = Some(Box::new(heads::request(request, asker.is_secure())?));
            self.is_tunnel = request.upgrade().is_some();
        }
        Ok(())
    }

    /// Puts in the head of the final answer, to be sent with what follows it.
    ///
    /// # Errors
    /// If HTTP/2 has no place for something in it.
    pub fn put_response(&mut self, response: &ResponseHead) -> Result<(), NotSayable> {
        if let Outgoing::Answer { head, .. } = &mut self.outgoing {
            *head = Some(Box::new(heads::response(response)?));
        }
        Ok(())
    }

    /// Says whether something may follow the body behind the head that was put in, though the length of that is known.
    pub const fn end_with_length(&mut self, ends_with_length: bool) {
        self.ends_with_length = ends_with_length;
    }

    /// Has the client know that nothing was done about its request.
    pub fn refuse(&mut self) {
        if let Outgoing::Answer { respond, .. } = &mut self.outgoing {
            respond.send_reset(Reason::REFUSED_STREAM);
        }
        self.outgoing = Outgoing::Broken;
    }

    /// Sends an interim answer.
    ///
    /// # Errors
    /// If HTTP/2 has no place for something in it, or the client is gone.
    pub fn send_interim(&mut self, response: &ResponseHead) -> io::Result<()> {
        let Outgoing::Answer { respond, .. } = &mut self.outgoing else { return Ok(()) };
        let head = heads::response(response).map_err(io::Error::other)?;
        respond.send_informational(head).map_err(broken)
    }

    /// Whether nothing of a request was sent yet.
    pub const fn is_unasked(&self) -> bool {
        matches!(&self.outgoing, Outgoing::Question { .. })
    }

    /// Waits for the head of an answer, interim or final, and gives its lines.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        // Until the request is sent there is nothing to wait for; whoever sends it is woken.
        let Incoming::Head(awaited) = &mut self.incoming else { return Poll::Pending };
        if let Poll::Ready(Some(interim)) = awaited.poll_informational(cx) {
            let lines = |interim: Response<()>| heads::response_lines(interim.status(), interim.headers());
            return Poll::Ready(interim.map(lines).map_err(|error| self.refused(error)));
        }
        let answer = ready!(Pin::new(awaited).poll(cx)).map_err(|error| self.refused(error))?;
        let (head, body) = answer.into_parts();
        self.incoming = Incoming::Body(BodyIn::new(body));
        Poll::Ready(Ok(heads::response_lines(head.status, &head.headers)))
    }

    /// Notes it if the peer says that it has done nothing about the request (RFC 9113 §8.7).
    fn refused(&mut self, error: h2::Error) -> io::Error {
        let is_refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
        self.is_refused |= is_refused && error.is_remote();
        broken(error)
    }

    /// Whether the peer has said that it did nothing about the request: it may be sent again, whatever it asks for.
    pub const fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Whether the client asks for another protocol.
    pub const fn is_tunnel(&self) -> bool {
        self.is_tunnel
    }

    /// Whether the peer has sent all of its body, and all was taken. A body may end with its head.
    pub fn has_received_all(&self) -> bool {
        matches!(&self.incoming, Incoming::Body(body) if body.has_ended())
    }

    /// Whether all of the own message was handed over to the connection.
    pub const fn has_sent_all(&self) -> bool {
        matches!(&self.outgoing, Outgoing::Body(body) if body.has_ended())
    }

    /// The lines of what follows the body that was received, if it was all received and anything follows.
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        let Incoming::Body(body) = &mut self.incoming else { return None };
        body.take_trailers().map(|trailers| heads::trailer_lines(&trailers))
    }

    /// Whether a head was put in and not sent yet.
    pub const fn has_unsent_head(&self) -> bool {
        matches!(
            &self.outgoing,
            Outgoing::Answer { head: Some(_), .. } | Outgoing::Question { head: Some(_), .. }
        )
    }

    /// Sends the head, if it was not.
    ///
    /// # Errors
    /// If the connection is broken, or the peer wants no more of this.
    pub fn poll_send_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_begin(cx, false)
    }

    /// Says that all of the body was sent, and what follows it.
    ///
    /// # Errors
    /// As [`Exchange::poll_send_head`], and if HTTP/2 has no place for something in the trailers.
    pub fn poll_end(&mut self, cx: &mut Context<'_>, trailers: &Fields) -> Poll<io::Result<()>> {
        if self.is_tunnel && matches!(&self.outgoing, Outgoing::Question { .. }) {
            // The request has no body, and what follows it is to come.
            return self.poll_begin(cx, false);
        }
        let trailers = heads::trailers(trailers).map_err(io::Error::other)?;
        self.poll_end_with(cx, trailers)
    }

    fn poll_end_with(&mut self, cx: &mut Context<'_>, trailers: Option<HeaderMap>) -> Poll<io::Result<()>> {
        ready!(self.poll_begin(cx, trailers.is_none()))?;
        match &mut self.outgoing {
            Outgoing::Body(body) => Poll::Ready(body.end(trailers)),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Sends the head, which ends the message if nothing follows.
    fn poll_begin(&mut self, cx: &mut Context<'_>, is_all: bool) -> Poll<io::Result<()>> {
        let (stream, left) = match &mut self.outgoing {
            Outgoing::Body(_) => return Poll::Ready(Ok(())),
            Outgoing::Answer { respond, head } => {
                let Some(head) = head.take() else { return not_begun() };
                let left = heads::length(head.headers()).filter(|_| self.ends_with_length);
                (respond.send_response(*head, is_all).map_err(broken)?, left)
            }
            Outgoing::Question { asker, head } => {
                if head.is_none() {
                    return not_begun();
                }
                ready!(asker.poll_ready(cx))?;
                let Some(head) = head.take() else { return not_begun() };
                let left = heads::length(head.headers()).filter(|_| self.ends_with_length);
                let (awaited, stream) = asker.ask(*head, is_all)?;
                self.incoming = Incoming::Head(awaited);
                (stream, left)
            }
            Outgoing::Broken => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.outgoing = Outgoing::Body(BodyOut::new(stream, left, is_all));
        Poll::Ready(Ok(()))
    }

    /// Whether the peer wants no more of it, as far as that is known.
    pub(crate) fn is_given_up(&mut self) -> bool {
        !is_pending_now(|cx| self.poll_gone(cx))
    }

    /// Waits until the peer wants no more of the exchange.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.outgoing {
            Outgoing::Answer { respond, .. } => respond.poll_reset(cx).map(gone),
            Outgoing::Body(body) => body.poll_gone(cx),
            Outgoing::Question { .. } => Poll::Pending,
            Outgoing::Broken => Poll::Ready(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Bytes before a head: a mistake of the caller's.
fn not_begun<T>() -> Poll<io::Result<T>> {
    debug_assert!(false, "no head was put in");
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl Stream for Exchange {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        match &mut self.incoming {
            Incoming::Body(body) => body.poll_receive(cx, buffer),
            Incoming::Nothing | Incoming::Head(_) => Poll::Pending,
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_begin(cx, false))?;
        match &mut self.outgoing {
            Outgoing::Body(body) => body.poll_send(cx, slices),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was taken is the connection's.
        Poll::Ready(Ok(()))
    }

    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        if let Incoming::Body(body) = &mut self.incoming
            && ready!(body.poll_peek(cx))? == Peek::Bytes
        {
            return Poll::Ready(Ok(Peek::Bytes));
        }
        // That the peer has said all says nothing of its being gone.
        self.poll_gone(cx).map(Err)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end_with(cx, None)
    }

    fn abort(&mut self) {
        match &mut self.outgoing {
            Outgoing::Answer { respond, .. } => respond.send_reset(Reason::INTERNAL_ERROR),
            Outgoing::Body(body) => body.reset(Reason::INTERNAL_ERROR),
            Outgoing::Question { .. } | Outgoing::Broken => {}
        }
        self.outgoing = Outgoing::Broken;
    }
}
