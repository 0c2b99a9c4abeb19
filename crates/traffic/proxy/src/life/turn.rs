//! Getting a turn at an endpoint, and waiting for one while all of them are full.

use base_signal::Reason;
use traffic_balance::RequestFacts;

use crate::failure::Failure;
use crate::life::Life;
use crate::life::facts::balance_key;
use crate::timers::{Expired, within};
use crate::upstream::{LocalPool, PickContext, Turn};

impl Life<'_> {
    /// What the balancer wants to know of the request. Of what the endpoint gets, after all filters.
    pub(super) fn facts(&self, local: &LocalPool) -> RequestFacts {
        let key = local.key.as_ref().and_then(|source| balance_key(source, &self.exchange.request));
        RequestFacts { client: self.exchange.record.client, key }
    }

    /// A turn at the endpoint of the session, or at the next one in the balancer's order. A request that nobody was asked for
    /// yet waits while all are full, or that of its session is; those that have waited longer come first. A session moves only
    /// when waiting was of no use.
    pub(super) async fn next_turn(
        &mut self,
        local: &LocalPool,
        facts: RequestFacts,
    ) -> Result<Turn, Failure> {
        let waits = self.exchange.tried.is_empty() && local.settings.connections.queue > 0;
        let session = local.session_endpoint(self.exchange.session.endpoint);
        if !waits || local.state.waiting().is_free(session) {
            match self.try_turn(local, facts, !waits) {
                Err(Reason::ConnectionLimit) if waits => {}
                done => return done.map_err(Into::into),
            }
        }
        let start = self.worker.now();
        let limit = start + local.settings.connections.queue_timeout;
        self.client.timer.set(limit.min(self.deadline));
        let turn = self.wait_for_turn(local, facts).await;
        let waited = self.worker.now() - start;
        self.exchange.record.queued = Some(waited);
        local.meters.queued.record(waited);
        turn.or_else(|failure| match failure.reason {
            Reason::QueueTimeout if self.deadline < limit => Err(Reason::RequestTimeout.into()),
            Reason::QueueTimeout | Reason::ConnectionLimit => self.move_session(local, facts).ok_or(failure),
            _ => Err(failure),
        })
    }

    async fn wait_for_turn(&mut self, local: &LocalPool, facts: RequestFacts) -> Result<Turn, Failure> {
        let line = local.state.waiting();
        loop {
            let only = local.session_endpoint(self.exchange.session.endpoint);
            let Some(mut place) = line.enter(local.settings.connections.queue, only) else {
                let why = "as many requests wait as may, by the pool's `connections.queue`";
                return Err(Failure::with(Reason::ConnectionLimit, why));
            };
            // Room that was made before this place was taken has called nobody.
            if place.is_first() {
                match self.try_turn(local, facts, false) {
                    Err(Reason::ConnectionLimit) => {}
                    done => {
                        place.leave();
                        return done.map_err(Into::into);
                    }
                }
            }
            if let Err(Expired) = within(&self.client.timer, &mut place).await {
                let why = "none had room within the pool's `connections.queue-timeout`";
                return Err(Failure::with(Reason::QueueTimeout, why));
            }
            place.leave();
            // Somebody else may have been faster; then it is the end of the line again.
            match self.try_turn(local, facts, false) {
                Err(Reason::ConnectionLimit) => {}
                done => return done.map_err(Into::into),
            }
        }
    }

    /// Another endpoint with room, for a request whose session has waited in vain for its own: better there than not at all.
    fn move_session(&mut self, local: &LocalPool, facts: RequestFacts) -> Option<Turn> {
        local.session_endpoint(self.exchange.session.endpoint)?;
        self.try_turn(local, facts, true).ok()
    }

    fn try_turn(&mut self, local: &LocalPool, facts: RequestFacts, may_move: bool) -> Result<Turn, Reason> {
        let worker = self.worker;
        let context = PickContext {
            facts,
            session: self.exchange.session.endpoint,
            may_move,
            now: self.exchange.record.started,
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
