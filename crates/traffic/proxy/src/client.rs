//! A client's connection, and what can be done with it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use base_kit::{Clock, Moment};
use base_model::model::Protocol;
use traffic_http::ClientCertificate;
use traffic_net::{Buffer, BufferPool, BufferSize, Ends, Stream};
use traffic_tls::{ClientHello, Session};

use crate::plan::{ListenerView, View};
use crate::timers::{Timer, within};
use crate::wire::Wire;

/// How long a connection that is given up is still read from, so that the answer reaches a client that is still sending:
/// closing with unread bytes would reset the connection and could take the answer with it.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// How much is read meanwhile.
const LINGER_BYTES: usize = 1 << 20;

/// A client's connection.
pub(crate) struct Client {
    pub(crate) stream: Wire,
    /// What the TLS handshake has agreed upon, if there was one.
    pub(crate) session: Option<Rc<Session>>,
    /// What the client asks for in a TLS handshake that is not for Aya.
    pub(crate) hello: Option<Box<ClientHello>>,
    /// What the client has sent and was not yet used.
    pub(crate) input: Buffer,
    pub(crate) peer: SocketAddr,
    pub(crate) timer: Timer,
    /// How its listener is configured at present.
    pub(crate) listener: Rc<ListenerView>,
    /// Requests that have begun.
    pub(crate) requests: u64,
    /// When the connection was made, or its last request was over.
    pub(crate) idle_since: Moment,
}

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It waits for the next request.
    KeepAlive,
    /// It is closed; the client knows or does not mind.
    Close,
    /// It is closed, but the client may still be sending.
    Linger,
}

impl Client {
    pub(crate) fn new(
        stream: Wire,
        peer: SocketAddr,
        timer: Timer,
        buffers: &BufferPool,
        listener: Rc<ListenerView>,
        now: Moment,
    ) -> Self {
        let input = Buffer::new(buffers.clone(), BufferSize::Medium);
        let (session, hello) = (None, None);
        Self { stream, session, hello, input, peer, timer, listener, requests: 0, idle_since: now }
    }

    /// Whether its connection is passed on as it is: nobody looks for requests on it.
    pub(crate) fn is_passed_on(&self) -> bool {
        self.hello.is_some() || self.listener.settings.protocol != Protocol::Http
    }

    /// The name that the client has asked for in TLS, if it has.
    pub(crate) fn server_name(&self) -> Option<&str> {
        let overheard = self.hello.as_ref().and_then(|hello| hello.name.as_deref());
        overheard.or_else(|| self.session.as_ref()?.name.as_deref())
    }

    /// Between whom the connection is; `None` if it is gone already.
    pub(crate) fn ends(&self) -> Option<Ends> {
        Some(Ends { client: self.peer, server: self.stream.local_address().ok()? })
    }

    /// As in a URL.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.session.is_some() { "https" } else { "http" }
    }

    /// Who the client is by the certificate that it has shown, if there is one.
    pub(crate) fn certificate(&self) -> Option<&ClientCertificate> {
        self.session.as_ref()?.client.as_deref()
    }

    /// Follows a reload. False if the listener is gone, or has come to ask something else of those who connect.
    pub(crate) fn follow(&mut self, view: &View) -> bool {
        let current = view.listeners.get(self.listener.index);
        if current.is_some_and(|current| Rc::ptr_eq(current, &self.listener)) {
            return true;
        }
        let name: Arc<str> = Arc::clone(&self.listener.settings.name);
        let Some(listener) = view.listener(&name) else { return false };
        let is_as_it_was = match (&listener.tls, &self.listener.tls) {
            (None, None) => true,
            (Some(now), Some(before)) => now.treats_clients_as(before),
            _ => false,
        };
        let is_of_requests = |listener: &ListenerView| listener.settings.protocol == Protocol::Http;
        let is_as_it_was = is_as_it_was && is_of_requests(listener) == is_of_requests(&self.listener);
        if is_as_it_was {
            self.listener = Rc::clone(listener);
        }
        is_as_it_was
    }

    /// Sends all of it before the limit, as long as the client takes some of it in the time that it has for that.
    pub(crate) async fn send(&mut self, bytes: &[u8], limit: Moment, clock: &dyn Clock) -> io::Result<()> {
        let patience = self.listener.settings.timeouts.send_progress;
        self.timer.set(limit.min(clock.now() + patience));
        let mut sent = 0;
        let (stream, timer) = (&mut self.stream, &self.timer);
        let sending = poll_fn(|cx| {
            let before = sent;
            while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
                match stream.poll_send(cx, &[IoSlice::new(rest)]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        if sent > before {
                            timer.set(limit.min(clock.now() + patience));
                        }
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Ok(()))
        });
        within(&self.timer, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Says that the body is complete, if its bytes do not.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        match self.stream.exchange() {
            Some(exchange) => poll_fn(|cx| exchange.poll_finish(cx)).await,
            None => Ok(()),
        }
    }

    /// Tells the client that nothing was cut off, where the protocol has a word for it, and gives it its time to take the last of what was sent:
    /// what the system has not taken when the connection is closed is lost.
    pub(crate) async fn close(&mut self, now: Moment) {
        self.timer.set(now + self.listener.settings.timeouts.send_progress);
        let stream = &mut self.stream;
        // Whoever does not take it in time, or has gone, does without.
        let _ = within(&self.timer, poll_fn(|cx| stream.poll_close(cx))).await;
    }

    /// Says that no more is sent, then reads what the client still sends, within limits.
    pub(crate) async fn linger(mut self, now: Moment) {
        self.timer.set(now + LINGER);
        let _ = within(&self.timer, part(&mut *self.stream, &mut self.input, LINGER_BYTES)).await;
    }
}

/// Says that no more is sent, then reads what the other side still sends, so many bytes at most.
pub(crate) async fn part(stream: &mut dyn Stream, input: &mut Buffer, most_bytes: usize) {
    let mut read = 0;
    poll_fn(|cx| {
        if read == 0 && ready!(stream.poll_finish(cx)).is_err() {
            return Poll::Ready(());
        }
        while read < most_bytes {
            input.consume(input.len());
            match ready!(stream.poll_receive(cx, input)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(count) => read += count,
            }
        }
        Poll::Ready(())
    })
    .await;
}
