//! A connection that is passed on as it is, whatever is spoken on it.

use std::rc::Rc;

use base_kit::Moment;
use base_signal::Reason;
use traffic_balance::{Feedback, Outcome, RequestFacts};
use traffic_http::request_id::RequestId;

use crate::client::{Client, LINGER};
use crate::decisions::After;
use crate::failure::Failure;
use crate::life::Life;
use crate::life::connect::Carries;
use crate::relay::{Exchange, Parting, tunnel};
use crate::upstream::{Connection, LocalPool, Turn};
use crate::worker::Worker;

/// What a client is told that asks for a name which leads nowhere: an alert, fatal, `unrecognized_name` (RFC 8446 §5.1 and §6.2).
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// What is wrong where there is nowhere to go.
pub(crate) const NOWHERE: &str = "no entry of `pass-through` takes it, and there is no `pool` for all others";

/// Passes the connection on to an endpoint, until both have ended it.
pub(crate) async fn pass_on(client: &mut Client, worker: &Rc<Worker>, exchange: &mut Exchange) {
    let mut life = Life::begin(client, worker, exchange);
    life.exchange.record.request_id = Some(RequestId::fresh(&mut *worker.rng.borrow_mut()));
    if let Some(name) = life.client.server_name() {
        life.exchange.asked.note_server_name(name);
    }
    if let Err(failure) = life.pass().await {
        life.exchange.record.reason = Some(failure.reason);
        life.exchange.record.detail = failure.detail;
    }
    life.record_connection();
}

impl Life<'_> {
    async fn pass(&mut self) -> Result<(), Failure> {
        let view = Rc::clone(&self.view);
        let pool = match self.destination() {
            Ok(pool) => pool,
            Err(failure) => {
                if self.client.hello.is_some() {
                    let limit = self.worker.now() + LINGER;
                    // Whoever does not take it in time does without.
                    let _ = self.client.send(UNRECOGNIZED_NAME, limit, &*self.worker.clock).await;
                }
                return Err(failure);
            }
        };
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

    /// The pool to pass it on to, as its listener is configured by now: a handshake takes time, and pools may have changed places meanwhile.
    fn destination(&self) -> Result<usize, Failure> {
        let listener = self.view.listener(&self.client.listener.settings.name);
        let listener = listener.ok_or(Failure::from(Reason::ShuttingDown))?;
        let passage = self.client.hello.as_deref().and_then(|hello| listener.passage(hello));
        passage.or(listener.settings.protocol.pool()).ok_or_else(|| Failure::with(Reason::NoRoute, NOWHERE))
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
        let lifetime = self.client.listener.settings.timeouts.lifetime;
        let until = lifetime.map_or(Moment::NEVER, |lifetime| self.exchange.record.started + lifetime);
        let until = (&*self.worker.clock, until);
        let passed = tunnel(self.client, &mut connection, self.exchange, until).await;
        local.feedback(&turn.state, Feedback::Finished, self.worker.now());
        let record = &mut self.exchange.record;
        (record.bytes_received, record.bytes_sent) = (passed.up, passed.down);
        match passed.parting {
            Parting::Ended => Ok(()),
            Parting::Idle if self.client.timer.is_doomed() => Err(Reason::ShuttingDown.into()),
            Parting::Idle => Err(Reason::IdleTimeout.into()),
            Parting::Outlived => Err(Reason::LifetimeOver.into()),
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
