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
    /// yet waits while all are full; those that have waited longer come first.
    pub(super) async fn next_turn(
        &mut self,
        local: &LocalPool,
        facts: RequestFacts,
    ) -> Result<Turn, Failure> {
        let is_first_attempt = self.exchange.tried.is_empty();
        if !is_first_attempt || local.state.waiting().is_empty() {
            match self.try_turn(local, facts) {
                Err(Reason::ConnectionLimit) if is_first_attempt => {}
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
        turn.map_err(|failure| match failure.reason {
            Reason::QueueTimeout if self.deadline < limit => Reason::RequestTimeout.into(),
            _ => failure,
        })
    }

    async fn wait_for_turn(&mut self, local: &LocalPool, facts: RequestFacts) -> Result<Turn, Failure> {
        let line = local.state.waiting();
        loop {
            let Some(mut place) = line.enter(local.settings.connections.queue) else {
                return Err(Failure::with(Reason::ConnectionLimit, "as many requests wait as may"));
            };
            // Room that was made before this place was taken has called nobody.
            if place.is_first() {
                match self.try_turn(local, facts) {
                    Err(Reason::ConnectionLimit) => {}
                    done => {
                        place.leave();
                        return done.map_err(Into::into);
                    }
                }
            }
            if let Err(Expired) = within(&self.client.timer, &mut place).await {
                return Err(Reason::QueueTimeout.into());
            }
            place.leave();
            // Somebody else may have been faster; then it is the end of the line again.
            match self.try_turn(local, facts) {
                Err(Reason::ConnectionLimit) => {}
                done => return done.map_err(Into::into),
            }
        }
    }

    fn try_turn(&mut self, local: &LocalPool, facts: RequestFacts) -> Result<Turn, Reason> {
        let worker = self.worker;
        let context = PickContext {
            facts,
            session: self.exchange.session.endpoint,
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
