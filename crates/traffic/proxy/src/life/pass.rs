//! A connection that is passed on as it is, whatever is spoken on it.

use std::rc::Rc;

use base_signal::Reason;
use traffic_balance::{Feedback, Outcome, RequestFacts};
use traffic_http::request_id::RequestId;

use crate::client::Client;
use crate::decisions::After;
use crate::failure::Failure;
use crate::life::Life;
use crate::life::connect::Carries;
use crate::relay::{Exchange, Parting, tunnel};
use crate::upstream::{Connection, LocalPool, Turn};
use crate::worker::Worker;

/// Passes the connection on to an endpoint of the pool, until both have ended it.
pub(crate) async fn pass_on(client: &mut Client, worker: &Rc<Worker>, exchange: &mut Exchange, pool: usize) {
    let mut life = Life::begin(client, worker, exchange);
    life.exchange.record.request_id = Some(RequestId::fresh(&mut *worker.rng.borrow_mut()));
    if let Err(failure) = life.pass(pool).await {
        life.exchange.record.reason = Some(failure.reason);
        life.exchange.record.detail = failure.detail;
    }
    life.record_connection();
}

impl Life<'_> {
    async fn pass(&mut self, pool: usize) -> Result<(), Failure> {
        let view = Rc::clone(&self.view);
        let Some(local) = view.pools.get(pool) else { return Err(Reason::Internal.into()) };
        self.exchange.record.pool = Some(pool);
        self.find_session(local);
        let facts = RequestFacts { client: self.exchange.record.client, key: None };
        let mut last: Option<Failure> = None;
        loop {
            let turn = self.next_turn(local, facts).await;
            let turn = self.turn_or_last(turn, &mut last, local)?;
            self.exchange.record.attempts += 1;
            self.note_attempt(&turn, false);
            match self.connect(&turn, local, Carries::Bytes).await {
                Ok(connection) => return self.carry(connection, &turn, local).await,
                // Nothing was sent yet, so that any other endpoint will do.
                Err(broken) => {
                    self.note_failure(&broken, &turn, local);
                    if !broken.fault.may_be_mended_elsewhere() {
                        self.exchange.notes.then(After::NotItsFault);
                        return Err(broken.failure);
                    }
                    self.exchange.notes.then(After::NextEndpoint);
                    last = Some(broken.failure);
                }
            }
        }
    }

    async fn carry(
        &mut self,
        mut connection: Box<Connection>,
        turn: &Turn,
        local: &LocalPool,
    ) -> Result<(), Failure> {
        self.exchange.record.endpoint = Some(turn.reach());
        turn.meters.connected(&self.worker.shard, &turn.state);
        // How long it lasts is for its two sides to say.
        turn.waits(false);
        self.bind_session(turn, local);
        let now = self.worker.now();
        if let Some(transition) = turn.state.record(Outcome::Success, &local.settings.passive, now) {
            (self.worker.transitions)(&transition);
        }
        let passed = tunnel(self.client, &mut connection, self.exchange, &*self.worker.clock).await;
        local.feedback(&turn.state, Feedback::Finished, self.worker.now());
        let record = &mut self.exchange.record;
        (record.bytes_received, record.bytes_sent) = (passed.up, passed.down);
        match passed.parting {
            Parting::Ended => Ok(()),
            Parting::Idle if self.client.timer.is_doomed() => Err(Reason::ShuttingDown.into()),
            Parting::Idle => Err(Reason::IdleTimeout.into()),
            // Whoever is left must not take what has come for all there is.
            Parting::ClientBroke => {
                connection.stream.abort();
                Err(Reason::ClientClosed.into())
            }
            Parting::EndpointBroke => {
                self.client.stream.abort();
                Err(Reason::ResponseBroken.into())
            }
        }
    }
}
