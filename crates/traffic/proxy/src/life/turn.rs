//! Getting a turn at an endpoint, and waiting for one while all of them are full.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use base_kit::Moment;
use base_signal::Reason;
use traffic_balance::{EndpointId, Place, RequestFacts};
use traffic_net::Peek;

use crate::decisions::After;
use crate::failure::Failure;
use crate::life::Life;
use crate::life::facts::balance_key;
use crate::upstream::{LocalPool, PickContext, Turn};

impl Life<'_> {
    /// What the balancer wants to know of the request. Of what the endpoint gets, after all filters.
    pub(super) fn facts(&self, local: &LocalPool) -> RequestFacts {
        let key = local.key.as_ref().and_then(|source| balance_key(source, &self.exchange.request));
        RequestFacts { client: self.exchange.record.client, key }
    }

    /// A turn at the endpoint of the session, or at the next one in the balancer's order. A request that nobody was asked for
    /// yet waits while all are full; those that have waited longer come first.
    pub(super) async fn next_turn(
        &mut self,
        local: &LocalPool,
        facts: RequestFacts,
    ) -> Result<Turn, Failure> {
        let is_first = self.exchange.tried.is_empty();
        let waits = is_first && local.settings.connections.queue > 0;
        // Much may have changed while another endpoint was tried.
        let now = if is_first { self.exchange.record.started } else { self.worker.now() };
        let session = self.session_endpoint(local);
        if !waits || local.state.waiting().is_free(session) {
            match self.try_turn(local, facts, !waits, now) {
                Err(Reason::ConnectionLimit) if waits => {}
                done => return done.map_err(Into::into),
            }
        }
        let Some(place) = local.state.waiting().enter(local.settings.connections.queue, session) else {
            let why = "as many requests wait as may, by the pool's `connections.queue`";
            let full = Failure::with(Reason::ConnectionLimit, why);
            return self.move_session(local, facts).ok_or(full);
        };
        let start = self.worker.now();
        let turn = self.wait_for_turn(place, local, facts, start).await;
        let waited = self.worker.now() - start;
        self.exchange.record.queued = Some(waited);
        local.meters.queued.record(waited);
        turn.or_else(|failure| match failure.reason {
            Reason::QueueTimeout => self.move_session(local, facts).ok_or(failure),
            _ => Err(failure),
        })
    }

    /// The turn at another endpoint than the last one, if there was one; what that did says more than that there is no other.
    #[inline]
    pub(super) fn turn_or_last(
        &mut self,
        turn: Result<Turn, Failure>,
        last: &mut Option<Failure>,
        local: &LocalPool,
    ) -> Result<Turn, Failure> {
        if turn.is_err() {
            self.exchange.notes.then(After::NoOtherEndpoint);
        } else if last.is_some() {
            local.meters.retries.increment();
        }
        turn.map_err(|failure| last.take().unwrap_or(failure))
    }

    async fn wait_for_turn(
        &mut self,
        mut place: Place,
        local: &LocalPool,
        facts: RequestFacts,
        start: Moment,
    ) -> Result<Turn, Failure> {
        let limit = start + local.settings.connections.queue_timeout;
        let mut patience = Patience { limit: limit.min(self.deadline), reason: Reason::QueueTimeout };
        if self.deadline < limit {
            patience.reason = Reason::RequestTimeout;
        }
        let mut was_called = false;
        loop {
            // Room that was made before it stood in the line has called nobody.
            if was_called || place.is_first() {
                match self.try_turn(local, facts, false, self.worker.now()) {
                    Err(Reason::ConnectionLimit) => {}
                    done => {
                        place.leave(|| local.rooms(self.worker.now()));
                        return done.map_err(Into::into);
                    }
                }
            }
            if std::mem::take(&mut was_called) {
                // Somebody who came later was faster: it is first again.
                place.wait_on(self.session_endpoint(local));
            } else {
                self.await_call(&mut place, &mut patience).await?;
                was_called = true;
            }
        }
    }

    /// Waits for a call, as long as there is time and somebody to answer.
    async fn await_call(&mut self, place: &mut Place, patience: &mut Patience) -> Result<(), Failure> {
        let client = &mut *self.client;
        client.timer.set(patience.limit);
        let half_close = client.listener.settings.timeouts.half_close;
        // What it sends beyond this request's head says nothing of its being gone, and nothing can be seen behind it.
        let mut looks_on = true;
        poll_fn(|cx| {
            // Those that it waits for are cut at the same moment, and call it.
            if client.timer.is_doomed() {
                return Poll::Ready(Err(Reason::ShuttingDown.into()));
            }
            if Pin::new(&mut *place).poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if looks_on && let Poll::Ready(seen) = client.stream.poll_peek(cx) {
                looks_on = false;
                match seen {
                    Ok(Peek::Bytes) => {}
                    // It wants its answer, or it is gone.
                    Ok(Peek::End) => patience.shorten(self.worker.now() + half_close),
                    Err(error) => return Poll::Ready(Err(Failure::with(Reason::ClientClosed, error))),
                }
                client.timer.set(patience.limit);
            }
            client.timer.poll_expired(cx).map(|()| Err(patience.reason.into()))
        })
        .await
    }

    /// The endpoint of the session, if that may still serve it.
    fn session_endpoint(&self, local: &LocalPool) -> Option<EndpointId> {
        self.exchange.session.endpoint.filter(|endpoint| local.serves_sessions(*endpoint))
    }

    /// Another endpoint with room, for a request whose session has waited in vain for its own: better there than not at all.
    fn move_session(&mut self, local: &LocalPool, facts: RequestFacts) -> Option<Turn> {
        self.session_endpoint(local)?;
        self.try_turn(local, facts, true, self.worker.now()).ok()
    }

    fn try_turn(
        &mut self,
        local: &LocalPool,
        facts: RequestFacts,
        may_move: bool,
        now: Moment,
    ) -> Result<Turn, Reason> {
        let worker = self.worker;
        let context = PickContext {
            facts,
            session: self.exchange.session.endpoint,
            may_move,
            now,
            rng: &mut *worker.rng.borrow_mut(),
            reach: &|endpoint| worker.reach(endpoint),
        };
        let turn = local.next(&mut self.exchange.tried, context);
        if local.prober.is_some() {
            worker.bell.ring();
        }
        turn
    }
}

/// Until when a request waits, and what it is called when it has waited in vain.
struct Patience {
    limit: Moment,
    reason: Reason,
}

impl Patience {
    /// The client has stopped sending.
    fn shorten(&mut self, limit: Moment) {
        if limit < self.limit {
            *self = Self { limit, reason: Reason::ClientClosed };
        }
    }
}
