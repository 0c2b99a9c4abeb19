//! A request on its way up and its answer on its way down, at the same time, under their deadlines.

use std::io;
use std::task::{Context, Poll, ready};

use base_kit::{Clock, Moment, MonotonicClock};
use base_model::model::Pool;
use base_signal::Reason;
use traffic_http::HeadLimits;
use traffic_net::Peek;

use crate::client::Client;
use crate::failure::Failure;
use crate::relay::exchange::Exchange;
use crate::relay::pump::{Ends, PumpError, Side};
use crate::upstream::Connection;

/// Most header fields of an answer: far more than honest servers send, few enough to bound the work.
const MAX_RESPONSE_FIELDS: usize = 500;

/// Whose doing it was that a transfer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The client went, was too slow or broke the protocol.
    Client,
    /// The endpoint did.
    Endpoint,
    /// The endpoint closed the connection without answering a byte, as it may with one that was idle.
    EndpointSilent,
}

/// A transfer that broke.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) fault: Fault,
    pub(crate) failure: Failure,
}

impl Broken {
    fn client(failure: impl Into<Failure>) -> Self {
        Self { fault: Fault::Client, failure: failure.into() }
    }

    fn endpoint(failure: impl Into<Failure>) -> Self {
        Self { fault: Fault::Endpoint, failure: failure.into() }
    }
}

/// What the deadline depends on; when none of it has changed, the deadline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    up: u64,
    up_finished: bool,
    down: u64,
}

/// How far an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The head of the answer is awaited.
    Head,
    /// The answer's body is relayed.
    Answer,
}

/// The two connections of an exchange.
pub(crate) struct Transfer<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) connection: &'a mut Connection,
    pub(crate) exchange: &'a mut Exchange,
    pub(crate) pool: &'a Pool,
    pub(crate) clock: MonotonicClock,
    /// For the whole request.
    pub(crate) request_deadline: Moment,
    /// Whether the client waits for a 100 before it sends its body.
    pub(crate) awaits_continue: bool,
    /// Whether the endpoint no longer takes the request; its answer may still come.
    pub(crate) up_broken: Option<io::Error>,
    client_seen: bool,
    armed: Option<Progress>,
    reason: Reason,
    /// When the request was last seen to make progress upwards: the first byte is timed from there.
    pub(crate) sent: Moment,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(
        client: &'a mut Client,
        connection: &'a mut Connection,
        exchange: &'a mut Exchange,
        pool: &'a Pool,
        clock: MonotonicClock,
    ) -> Self {
        Self {
            client,
            connection,
            exchange,
            pool,
            clock,
            request_deadline: Moment::NEVER,
            awaits_continue: false,
            up_broken: None,
            client_seen: false,
            armed: None,
            reason: Reason::FirstByteTimeout,
            sent: Moment::ZERO,
        }
    }

    /// Sends the request while waiting for the head of an answer, which is then in the exchange.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_up(cx)?;
        let limits = HeadLimits {
            max_head_bytes: self.pool.max_head_bytes,
            max_fields: MAX_RESPONSE_FIELDS,
            max_target_bytes: usize::MAX,
        };
        loop {
            if !self.connection.input.is_empty() {
                let parsed = self.exchange.response.parse(self.connection.input.filled(), &limits);
                match parsed.map_err(|error| Broken::endpoint(Failure::bad_response(&error)))? {
                    Some(used) => {
                        self.connection.input.consume(used);
                        return Poll::Ready(Ok(()));
                    }
                    None if self.connection.input.len() == self.connection.input.size().bytes() => {
                        self.connection.input.grow();
                    }
                    None => {}
                }
            }
            let began = !self.connection.input.is_empty();
            match self.connection.stream.poll_receive(cx, &mut self.connection.input) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(end) => return Poll::Ready(Err(self.no_answer(began, end.err()))),
                Poll::Pending => break,
            }
        }
        self.poll_client_gone(cx)?;
        self.poll_deadline(cx, Phase::Head)
    }

    fn no_answer(&mut self, began: bool, error: Option<io::Error>) -> Broken {
        let error = self.up_broken.take().or(error);
        let detail = error.map_or_else(|| "closed without an answer".to_owned(), |error| error.to_string());
        let fault = if began { Fault::Endpoint } else { Fault::EndpointSilent };
        Broken { fault, failure: Failure::with(Reason::UpstreamClosed, detail) }
    }

    /// Relays the answer's body, and what is left of the request's, until the answer is complete.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_up(cx)?;
        let mut ends = Ends {
            source: &mut *self.connection.stream,
            input: &mut self.connection.input,
            sink: &mut *self.client.stream,
            out: &mut self.exchange.to_client,
            replay: None,
        };
        match self.exchange.down.poll(cx, &mut ends) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(PumpError::Sink(error))) => {
                Poll::Ready(Err(Broken::client(Failure::with(Reason::ClientClosed, error))))
            }
            Poll::Ready(Err(PumpError::Source(error))) => {
                Poll::Ready(Err(Broken::endpoint(Failure::with(Reason::ResponseBroken, error))))
            }
            Poll::Ready(Err(PumpError::Malformed(error))) => {
                Poll::Ready(Err(Broken::endpoint(Failure::with(Reason::ResponseBroken, error))))
            }
            Poll::Pending => self.poll_deadline(cx, Phase::Answer),
        }
    }

    /// Moves the request's body. An endpoint that stops taking it may still answer, so that alone is no failure.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.exchange.up.is_finished() || self.up_broken.is_some() {
            return Ok(());
        }
        let mut ends = Ends {
            source: &mut *self.client.stream,
            input: &mut self.client.input,
            sink: &mut *self.connection.stream,
            out: &mut self.exchange.to_endpoint,
            replay: Some(&mut self.exchange.replay),
        };
        match self.exchange.up.poll(cx, &mut ends) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(PumpError::Sink(error))) => {
                self.up_broken = Some(error);
                Ok(())
            }
            Poll::Ready(Err(PumpError::Source(error))) => {
                Err(Broken::client(Failure::with(Reason::ClientClosed, error)))
            }
            Poll::Ready(Err(PumpError::Malformed(error))) => {
                Err(Broken::client(Failure::bad_request(&error)))
            }
        }
    }

    /// Notices a client that is gone for good while its answer is awaited. One that only sends no more still wants it.
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.client_seen || !self.exchange.up.is_finished() {
            return Ok(());
        }
        match self.client.stream.poll_peek(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(Peek::Bytes | Peek::End)) => {
                self.client_seen = true;
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(Broken::client(Failure::with(Reason::ClientClosed, error))),
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, phase: Phase) -> Poll<Result<(), Broken>> {
        let (up, down) = (&self.exchange.up, &self.exchange.down);
        let progress = Progress {
            up: up.progress,
            up_finished: up.is_finished() || self.up_broken.is_some(),
            down: down.progress,
        };
        if self.armed != Some(progress) {
            self.arm(progress, phase);
        }
        ready!(self.client.timer.poll_expired(cx));
        let fault = match self.reason {
            Reason::RequestBodyTimeout | Reason::ClientSendTimeout => Fault::Client,
            _ => Fault::Endpoint,
        };
        Poll::Ready(Err(Broken { fault, failure: self.reason.into() }))
    }

    /// Sets the deadline for the next progress, whoever owes it.
    fn arm(&mut self, progress: Progress, phase: Phase) {
        let now = self.clock.now();
        let (up, down) = (&self.exchange.up, &self.exchange.down);
        let (pool, client) = (&self.pool.timeouts, &self.client.listener.settings.timeouts);
        let (span, reason) = match phase {
            Phase::Answer => match down.waits_for() {
                Side::Source => (pool.response_progress, Reason::ResponseTimeout),
                Side::Sink => (client.send_progress, Reason::ClientSendTimeout),
            },
            Phase::Head => match (progress.up_finished, up.waits_for()) {
                (false, Side::Sink) => (pool.send_progress, Reason::UpstreamSendTimeout),
                (false, Side::Source) if !self.awaits_continue || up.body_bytes > 0 => {
                    (client.body_progress, Reason::RequestBodyTimeout)
                }
                _ => (pool.first_byte, Reason::FirstByteTimeout),
            },
        };
        if phase == Phase::Head {
            self.sent = now;
        }
        let deadline = now + span;
        self.reason = if self.request_deadline < deadline { Reason::RequestTimeout } else { reason };
        self.client.timer.set(deadline.min(self.request_deadline));
        self.armed = Some(progress);
    }
}
