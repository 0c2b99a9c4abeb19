//! A request on its way up and its answer on its way down, at the same time, under their deadlines.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base_kit::{Clock, Moment, prefetch};
use base_model::model::Pool;
use base_signal::Reason;
use traffic_http::{HeadLimits, HttpError, Version};
use traffic_net::Peek;

use crate::client::Client;
use crate::failure::{Failure, Fault};
use crate::relay::exchange::Exchange;
use crate::relay::pump::{Ends, PumpError, Side};
use crate::upstream::{Connection, Turn};

/// Most header fields of an answer: far more than honest servers send, few enough to bound the work.
const MAX_RESPONSE_FIELDS: usize = 500;

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

    /// An answer whose head cannot be used. One that is too large may be what the client brought about, by having its own
    /// request mirrored.
    fn bad_head(error: &HttpError) -> Self {
        let failure = Failure::bad_response(error);
        let is_large = failure.reason == Reason::ResponseHeadTooLarge;
        Self { fault: if is_large { Fault::Neither } else { Fault::Endpoint }, failure }
    }
}

/// What the deadline depends on; when none of it has changed, the deadline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    up: u64,
    up_finished: bool,
    down: u64,
    client_ended: bool,
}

/// When a request was last seen to make progress upwards: the first byte is timed from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Moment,
    /// How far it was.
    up: u64,
    up_finished: bool,
}

/// Who owes the next progress, what it is called if it does not come, and how long it may take.
struct Owed {
    span: Duration,
    reason: Reason,
    by: Fault,
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
    pub(crate) turn: &'a Turn,
    pub(crate) pool: &'a Pool,
    pub(crate) clock: &'a dyn Clock,
    /// For the whole request.
    pub(crate) request_deadline: Moment,
    /// Whether the client waits for a 100 before it sends its body.
    pub(crate) awaits_continue: bool,
    /// Whether the endpoint no longer takes the request; its answer may still come.
    pub(crate) up_broken: Option<io::Error>,
    /// The client has sent something that is not part of this request: there is no use in looking on.
    client_has_more: bool,
    /// The client has stopped sending: it wants its answer, or it is gone.
    client_ended: bool,
    armed: Option<Progress>,
    reason: Reason,
    fault: Fault,
    /// `None` while nothing was waited for: an answer may be there at once.
    pub(crate) sent: Option<Sent>,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(
        client: &'a mut Client,
        connection: &'a mut Connection,
        exchange: &'a mut Exchange,
        (turn, pool): (&'a Turn, &'a Pool),
        clock: &'a dyn Clock,
    ) -> Self {
        Self {
            client,
            connection,
            exchange,
            turn,
            pool,
            clock,
            request_deadline: Moment::NEVER,
            awaits_continue: false,
            up_broken: None,
            client_has_more: false,
            client_ended: false,
            armed: None,
            reason: Reason::FirstByteTimeout,
            fault: Fault::Neither,
            sent: None,
        }
    }

    /// Sends the request while waiting for the head of an answer, which is then in the exchange.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // While it waited, others had the cache.
        prefetch(self.exchange);
        prefetch(self.connection);
        self.client.timer.prefetch();
        self.poll_up(cx)?;
        let limits = HeadLimits {
            max_head_bytes: self.pool.max_head_bytes,
            max_fields: MAX_RESPONSE_FIELDS,
            max_target_bytes: usize::MAX,
        };
        if self.connection.stream.is_shared() {
            if let Poll::Ready(come) = self.poll_head_beside(cx, &limits) {
                return Poll::Ready(come);
            }
            self.poll_client_gone(cx)?;
            return self.poll_deadline(cx, Phase::Head);
        }
        loop {
            if !self.connection.input.is_empty() {
                let parsed = self.exchange.reply.head.parse(self.connection.input.filled(), &limits);
                match parsed.map_err(|error| Broken::bad_head(&error))? {
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

    /// Waits for a head that is not among the bytes of the body.
    fn poll_head_beside(&mut self, cx: &mut Context<'_>, limits: &HeadLimits) -> Poll<Result<(), Broken>> {
        let Some(exchange) = self.connection.stream.exchange() else { return Poll::Pending };
        if exchange.is_unasked() && self.up_broken.is_some() {
            return Poll::Ready(Err(self.no_answer(false, None)));
        }
        let lines = match ready!(exchange.poll_head(cx)) {
            Ok(lines) => lines,
            Err(error) => return Poll::Ready(Err(self.no_answer(false, Some(error)))),
        };
        let head = &mut self.exchange.reply.head;
        let parsed = head.parse(&lines, limits).and_then(|used| used.ok_or(HttpError::UnexpectedEnd));
        parsed.map_err(|error| Broken::bad_head(&error))?;
        head.set_version(Version::Http2);
        if head.is_switching() {
            return Poll::Ready(Err(Broken::endpoint(Failure::with(
                Reason::BadResponse,
                "101 over HTTP/2, which has none",
            ))));
        }
        Poll::Ready(Ok(()))
    }

    fn no_answer(&mut self, began: bool, error: Option<io::Error>) -> Broken {
        let error = self.up_broken.take().or(error);
        let detail = error.map_or_else(|| "closed without an answer".to_owned(), |error| error.to_string());
        let fault = match began {
            true => Fault::Endpoint,
            false if self.client_owes_body() => Fault::EndpointWaiting,
            false => Fault::EndpointSilent,
        };
        Broken { fault, failure: Failure::with(Reason::UpstreamClosed, detail) }
    }

    /// Passes on what is left of the request once its answer is complete: an endpoint that keeps the connection reads it. Whatever keeps it from
    /// that is no failure any more.
    pub(crate) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_over = self.poll_up(cx).is_err() || self.up_broken.is_some() || self.exchange.up.is_finished();
        if is_over { Poll::Ready(()) } else { self.poll_deadline(cx, Phase::Answer).map(drop) }
    }

    /// Whether it is the client's turn: the endpoint has everything that came of the request, and there is more to come.
    fn client_owes_body(&self) -> bool {
        let up = &self.exchange.up;
        !up.is_finished() && up.waits_for() == Side::Source
    }

    /// Relays the answer's body, and what is left of the request's, until the answer is complete.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_up(cx)?;
        let reply = &mut *self.exchange.reply;
        let mut ends = Ends {
            source: self.connection.stream.carrier(),
            input: &mut self.connection.input,
            sink: self.client.stream.carrier(),
            out: &mut reply.out,
            replay: None,
        };
        match reply.body.poll(cx, &mut ends) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(PumpError::Sink(error))) => {
                Poll::Ready(Err(Broken::client(Failure::with(Reason::ClientClosed, error))))
            }
            Poll::Ready(Err(PumpError::Source(error))) => {
                Poll::Ready(Err(Broken::endpoint(Failure::with(Reason::ResponseBroken, error))))
            }
            Poll::Ready(Err(PumpError::Malformed(error))) => {
                Poll::Ready(Err(Broken::endpoint(Failure::with(Reason::BadResponse, error))))
            }
            Poll::Ready(Err(PumpError::Unchangeable(error))) => {
                Poll::Ready(Err(Broken::endpoint(Failure::with(Reason::BadResponse, error))))
            }
            Poll::Pending => {
                if self.exchange.reply.body.waits_for() == Side::Source {
                    self.poll_client_gone(cx)?;
                }
                self.poll_deadline(cx, Phase::Answer)
            }
        }
    }

    /// Moves the request's body. An endpoint that stops taking it may still answer, so that alone is no failure.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.exchange.up.is_finished() || self.up_broken.is_some() {
            return Ok(());
        }
        let mut ends = Ends {
            source: self.client.stream.carrier(),
            input: &mut self.client.input,
            sink: self.connection.stream.carrier(),
            out: &mut self.exchange.to_endpoint,
            replay: Some(&mut self.exchange.replay),
        };
        match self.exchange.up.poll(cx, &mut ends) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(PumpError::Sink(error))) => {
                self.up_broken = Some(error);
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(Broken::client(error.of_request())),
        }
    }

    /// Notices a client that is gone, or has stopped sending, which looks the same at first.
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.client_has_more || self.client_ended || !self.exchange.up.is_finished() {
            return Ok(());
        }
        match self.client.stream.poll_peek(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(Peek::Bytes)) => self.client_has_more = true,
            Poll::Ready(Ok(Peek::End)) => self.client_ended = true,
            Poll::Ready(Err(error)) => {
                return Err(Broken::client(Failure::with(Reason::ClientClosed, error)));
            }
        }
        Ok(())
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, phase: Phase) -> Poll<Result<(), Broken>> {
        let (up, down) = (&self.exchange.up, &self.exchange.reply.body);
        let progress = Progress {
            up: up.progress,
            up_finished: up.is_finished() || self.up_broken.is_some(),
            down: down.progress,
            client_ended: self.client_ended,
        };
        if self.armed != Some(progress) {
            self.arm(progress, phase);
        }
        ready!(self.client.timer.poll_expired(cx));
        let (fault, reason) = if self.client.timer.is_doomed() {
            (Fault::Neither, Reason::ShuttingDown)
        } else {
            (self.fault, self.reason)
        };
        Poll::Ready(Err(Broken { fault, failure: reason.into() }))
    }

    /// Sets the deadline for the next progress, whoever owes it.
    fn arm(&mut self, progress: Progress, phase: Phase) {
        let now = self.clock.now();
        let mut owed = self.owed(progress, phase);
        if phase == Phase::Head {
            self.turn.waits(owed.by == Fault::Endpoint);
            let Progress { up, up_finished, .. } = progress;
            if self.sent.is_none_or(|sent| (sent.up, sent.up_finished) != (up, up_finished)) {
                self.sent = Some(Sent { at: now, up, up_finished });
            }
        }
        // The whole request's time is shared. There is none left to try again, and it ends with the reason of who owes something at its end.
        let (late, late_by) = match owed.by {
            Fault::Client => (owed.reason, owed.by),
            _ => (Reason::RequestTimeout, Fault::Neither),
        };
        let half_close = self.client.listener.settings.timeouts.half_close;
        if self.client_ended && half_close < owed.span {
            owed = Owed { span: half_close, reason: Reason::ClientClosed, by: Fault::Client };
        }
        let deadline = now + owed.span;
        (self.reason, self.fault) =
            if self.request_deadline < deadline { (late, late_by) } else { (owed.reason, owed.by) };
        self.client.timer.set(deadline.min(self.request_deadline));
        self.armed = Some(progress);
    }

    fn owed(&self, progress: Progress, phase: Phase) -> Owed {
        let (up, down) = (&self.exchange.up, &self.exchange.reply.body);
        let (pool, client) = (&self.pool.timeouts, &self.client.listener.settings.timeouts);
        let client_owes_body = !progress.up_finished && up.waits_for() == Side::Source;
        let owed = |span, reason, by| Owed { span, reason, by };
        match (phase, down.waits_for()) {
            (Phase::Answer, Side::Sink) => {
                owed(client.send_progress, Reason::ClientSendTimeout, Fault::Client)
            }
            // Neither has said a word since the head: the endpoint need not ask for the body, nor the client send it unasked.
            (Phase::Head, _) if client_owes_body && self.awaits_continue && up.body_bytes == 0 => {
                owed(pool.first_byte, Reason::FirstByteTimeout, Fault::Neither)
            }
            _ if client_owes_body => owed(client.body_progress, Reason::RequestBodyTimeout, Fault::Client),
            (Phase::Answer, Side::Source) => {
                owed(pool.response_progress, Reason::ResponseTimeout, Fault::Endpoint)
            }
            (Phase::Head, _) if !progress.up_finished => {
                owed(pool.send_progress, Reason::UpstreamSendTimeout, Fault::Endpoint)
            }
            (Phase::Head, _) => owed(pool.first_byte, Reason::FirstByteTimeout, Fault::Endpoint),
        }
    }
}
