//! Sending a request to an endpoint, to the next one where that is safe, and relaying the answer.

use std::future::poll_fn;

use base_signal::Reason;
use traffic_balance::{Feedback, Outcome, ReportUse};
use traffic_http::{Framing, KnownField, Method, Version, hygiene};

use crate::answer;
use crate::client::Ending;
use crate::decisions::{After, Choice};
use crate::failure::{Failure, Fault};
use crate::life::Life;
use crate::life::connect::Carries;
use crate::life::facts::{note_report, retry_after};
use crate::life::grpc;
use crate::life::local::put_response;
use crate::plan::RoutePlan;
use crate::relay::{Broken, Transfer};
use crate::upstream::{Connection, LocalPool, Picked, Turn};

/// Interim answers that are relayed for one request; an endpoint that sends more is broken.
const MAX_INTERIM: u32 = 32;

impl Life<'_> {
    /// Has the request answered by an endpoint of the pool.
    pub(super) async fn forward(&mut self, pool: usize, route: &RoutePlan) -> Result<Ending, Failure> {
        let view = std::rc::Rc::clone(&self.view);
        let Some(local) = view.pools.get(pool) else { return Err(Reason::Internal.into()) };
        self.exchange.record.pool = Some(pool);
        if let Some(host) = &local.settings.host {
            self.exchange.request.set_host(host.as_bytes());
        }
        self.unnamed = self.exchange.request.host().is_empty();
        self.find_session(local);
        let facts = self.facts(local);
        // What may be refused may be sent again, whatever it is.
        let keeps_sent = self.method.is_idempotent() || local.settings.http2.is_some();
        self.exchange.replay.start(local.settings.replay_bytes, keeps_sent);
        let mut last: Option<Failure> = None;
        let mut left = route.route.attempts;
        while left > 0 {
            let turn = self.next_turn(local, facts).await;
            let turn = self.turn_or_last(turn, &mut last, local)?;
            match self.attempt(&turn, local).await {
                Ok(connection) => return self.relay(connection, &turn, local, route).await,
                Err(broken) => {
                    self.note_failure(&broken, &turn, local);
                    let forbidden = self.forbids_next(&broken);
                    self.exchange.notes.then(forbidden.unwrap_or(After::NextEndpoint));
                    if forbidden.is_some() {
                        return Err(broken.failure);
                    }
                    // Nobody was asked anything where no connection came about: that costs no attempt, only an endpoint.
                    let was_asked = !broken.failure.is_of_connecting() && broken.fault != Fault::EndpointGone;
                    left -= u32::from(was_asked);
                    last = Some(broken.failure);
                }
            }
        }
        self.exchange.notes.then(After::NoAttemptLeft);
        Err(last.unwrap_or(Reason::Internal.into()))
    }

    /// Why no other endpoint is to be asked, if none is.
    fn forbids_next(&self, broken: &Broken) -> Option<After> {
        if broken.fault.may_be_mended_elsewhere() { self.forbids_again() } else { Some(After::NotItsFault) }
    }

    /// Why the request cannot be sent once more without harm. It can if the endpoint got nothing of it, or it is one that may
    /// be repeated (RFC 9110 §9.2.2); and all of its body that was taken from the client is still here.
    fn forbids_again(&self) -> Option<After> {
        if self.exchange.up.has_sent() && !self.method.is_idempotent() && !self.was_refused {
            return Some(After::NotIdempotent);
        }
        (!self.exchange.replay.is_complete()).then_some(After::BodyGone)
    }

    /// Notes that a connection to the endpoint is used, or is to be made.
    pub(super) fn note_attempt(&mut self, turn: &Turn, is_reused: bool) {
        let (record, notes) = (&self.exchange.record, &mut self.exchange.notes);
        let began = if record.attempts == 1 && !notes.has_attempts() {
            notes.head + record.queued.unwrap_or_default()
        } else {
            self.worker.now() - record.started
        };
        if notes.is_on() {
            let (state, Picked { is_bound, among }) = (&turn.state, turn.picked);
            let share = state.share_percent(record.started);
            let choice = Choice { is_bound, among, tier: state.tier(), share };
            notes.attempt(&turn.name, turn.others, choice, is_reused, began);
        }
    }

    /// Sends the request to one endpoint until the head of its final answer, or of a switch of protocols, has come.
    async fn attempt(&mut self, turn: &Turn, local: &LocalPool) -> Result<Box<Connection>, Broken> {
        self.exchange.record.attempts += 1;
        if self.call.is_some() && (self.exchange.record.attempts > 1 || self.exchange.record.queued.is_some())
        {
            let left = self.deadline.since(self.worker.now());
            grpc::tell_time_left(self.exchange.request.fields_mut(), left);
        }
        if self.unnamed {
            // HTTP/1.0 may leave the host out; the HTTP/1.1 that is spoken to endpoints may not.
            self.exchange.request.set_host(turn.state.name().as_bytes());
        }
        let mut must_be_new = false;
        loop {
            let taken = if must_be_new { None } else { self.take_connection(turn, local) };
            let mut connection = match taken {
                Some(connection) => {
                    local.meters.reused.increment();
                    self.note_attempt(turn, true);
                    connection
                }
                None => {
                    self.note_attempt(turn, false);
                    self.connect(turn, local, Carries::Requests).await?
                }
            };
            connection.reused &= !must_be_new;
            self.prepare_request(&mut connection, local)?;
            match self.await_answer(&mut connection, turn, local).await {
                Ok(()) => return Ok(connection),
                // The endpoint may close a connection that was idle at any time. That says nothing about its health.
                Err(broken)
                    if connection.reused
                        && broken.fault.is_silent_close()
                        && connection.has_ended()
                        && self.forbids_again().is_none() =>
                {
                    if !local.takes_traffic(&turn.state, self.worker.now()) {
                        return Err(Broken { fault: Fault::EndpointGone, failure: broken.failure });
                    }
                    self.exchange.notes.broke(broken.fault, &broken.failure);
                    self.exchange.notes.then(After::FreshConnection);
                    // The others are likely to be just as dead; a fresh one tells for sure.
                    turn.close_idle();
                    must_be_new = true;
                    local.meters.replays.increment();
                }
                Err(broken) => {
                    connection.suspect(broken.failure.reason);
                    return Err(broken);
                }
            }
        }
    }

    /// Makes ready to send the head, and what is kept of the body if it was sent before.
    fn prepare_request(&mut self, connection: &mut Connection, local: &LocalPool) -> Result<(), Broken> {
        let exchange = &mut *self.exchange;
        exchange.reply.give_back();
        exchange.up.aim(connection.stream.is_shared());
        if let Some(beside) = connection.stream.exchange() {
            exchange.to_endpoint.clear();
            exchange.up.keep_head(0);
            self.websocket.note_key(&exchange.request);
            beside.end_with_length(!self.client.stream.is_shared());
            beside.put_request(&exchange.request).map_err(|error| Broken {
                fault: Fault::Client,
                failure: Failure::with(Reason::BadRequest, error),
            })?;
        } else {
            self.write_request(local);
        }
        let exchange = &mut *self.exchange;
        if exchange.up.has_begun() {
            let rewound = exchange.up.rewind(&mut exchange.to_endpoint, &exchange.replay);
            rewound.map_err(|error| Broken { fault: Fault::Client, failure: error.of_request() })?;
        }
        Ok(())
    }

    /// Writes out the head.
    fn write_request(&mut self, local: &LocalPool) {
        if self.upgrades && self.client.stream.is_shared() {
            self.websocket.put_key(&mut self.exchange.request, &mut *self.worker.rng.borrow_mut());
        }
        let exchange = &mut *self.exchange;
        exchange.to_endpoint.truncate(exchange.up.head_bytes());
        if exchange.to_endpoint.is_empty() || self.unnamed {
            exchange.to_endpoint.clear();
            exchange.request.encode(&mut exchange.to_endpoint);
            exchange.up.keep_head(exchange.to_endpoint.len());
        }
        // A parsed head is of no more use, unless another connection may want it otherwise.
        if !self.unnamed && local.settings.http2.is_none() {
            exchange.request.give_back();
        }
    }

    async fn await_answer(
        &mut self,
        connection: &mut Connection,
        turn: &Turn,
        local: &LocalPool,
    ) -> Result<(), Broken> {
        let mut sent = None;
        for _ in 0..MAX_INTERIM {
            let mut transfer = self.transfer(connection, turn, local);
            transfer.sent = sent;
            let come = poll_fn(|cx| transfer.poll_head(cx)).await;
            sent = transfer.sent;
            self.was_refused = connection.stream.exchange().is_some_and(|exchange| exchange.is_refused());
            come?;
            let (now, status) = (self.worker.now(), self.exchange.reply.head.status());
            if !self.exchange.reply.head.is_interim() {
                let sent = sent.map_or(now, |sent| sent.at);
                let latency = now.since(sent);
                self.exchange.record.first_byte = Some(latency);
                let sent = sent - self.exchange.record.started;
                self.exchange.notes.answered(sent, latency, status);
                local.meters.first_byte.record(latency);
                turn.meters.first_byte.record(latency);
                if local.report != ReportUse::Ignored {
                    note_report(&mut self.exchange.reply.head, local.report, &turn.state, now);
                }
                let retry_after = retry_after(&self.exchange.reply.head);
                turn.answered(latency, status);
                let event = Feedback::FirstByte { latency, others: turn.others, status, retry_after };
                local.feedback(&turn.state, event, now);
                return Ok(());
            }
            turn.waits(false);
            self.relay_interim(status).await?;
            if let Some(sent) = &mut sent {
                // What the client takes to read it is not the endpoint's time.
                sent.at = sent.at + self.worker.now().since(now);
            }
        }
        let failure = Failure::with(Reason::BadResponse, "too many interim answers");
        Err(Broken { fault: Fault::Endpoint, failure })
    }

    fn transfer<'t>(
        &'t mut self,
        connection: &'t mut Connection,
        turn: &'t Turn,
        local: &'t LocalPool,
    ) -> Transfer<'t> {
        let side = (turn, &*local.settings);
        let mut transfer = Transfer::new(self.client, connection, self.exchange, side, &*self.worker.clock);
        transfer.request_deadline = self.deadline;
        transfer.awaits_continue = self.awaits_continue;
        transfer
    }

    /// Passes a 1xx answer on to a client that can understand it.
    async fn relay_interim(&mut self, status: u16) -> Result<(), Broken> {
        let wanted = self.version != Version::Http10 && (status != 100 || self.awaits_continue);
        if status == 100 {
            self.awaits_continue = false;
        }
        if wanted {
            let reply = &mut *self.exchange.reply;
            hygiene::strip_interim(reply.head.fields_mut(), status);
            let sent = match self.client.stream.exchange() {
                Some(exchange) => exchange.send_interim(&reply.head),
                None => {
                    reply.head.encode(&mut reply.out);
                    self.exchange.record.bytes_sent += reply.out.len() as u64;
                    self.client.send(&self.exchange.reply.out, self.deadline, &*self.worker.clock).await
                }
            };
            sent.map_err(|error| Broken { fault: Fault::Client, failure: Failure::unsent(error) })?;
        }
        self.exchange.reply.give_back();
        Ok(())
    }

    /// Relays the final answer, then decides what becomes of the two connections.
    async fn relay(
        &mut self,
        mut connection: Box<Connection>,
        turn: &Turn,
        local: &LocalPool,
        route: &RoutePlan,
    ) -> Result<Ending, Failure> {
        self.exchange.record.endpoint = Some(turn.reach());
        if self.switches(&mut connection) {
            // Requests that switch nothing are not to pay for it.
            return Box::pin(self.switch(connection, turn, local, route)).await;
        }
        let framing = match self.answer_framing() {
            Ok(framing) => framing,
            Err(failure) => return Err(self.blame(failure, turn, local)),
        };
        let (from, framing) = body_of(&mut connection, framing);
        let is_shared = connection.stream.is_shared();
        if let Some(client) = self.client.stream.exchange() {
            // HTTP/1.1 has no place for trailers behind a body of known length.
            client.end_with_length(!is_shared);
        }
        let persists = is_shared || (self.exchange.reply.head.persists() && framing != Framing::UntilClose);
        self.exchange.reply.body.reset(from, answer::client_framing(framing, self.version));
        if let Err(failure) = self.prepare_response(persists, framing, (turn, local), route) {
            return Err(self.blame(failure, turn, local));
        }
        let head_bytes = self.exchange.reply.out.len() as u64;
        let stays = persists && !self.closes;
        let result = {
            let mut transfer = self.transfer(&mut connection, turn, local);
            let result = poll_fn(|cx| transfer.poll_answer(cx)).await;
            if result.is_ok() && stays {
                poll_fn(|cx| transfer.poll_rest(cx)).await;
            }
            result
        };
        self.exchange.record.bytes_sent += head_bytes + self.exchange.reply.body.body_bytes;
        if let Err(broken) = result {
            connection.suspect(broken.failure.reason);
            self.note_failure(&broken, turn, local);
            // What breaks before anything of it was sent can still be answered properly.
            self.begun = self.exchange.reply.body.has_sent();
            return Err(broken.failure);
        }
        self.note_success(turn, local);
        if !self.exchange.up.is_finished() {
            // The endpoint has answered and does not take the rest of the request, which the client is still sending.
            return Ok(Ending::Linger);
        }
        if persists && connection.input.is_empty() && !self.may_be_taken_for_two() {
            let now = self.exchange.record.started + self.exchange.record.first_byte.unwrap_or_default();
            connection.is_suspect = self.method == Method::Head;
            turn.keep(connection, local.settings.connections.max_idle, now);
        }
        Ok(self.ending())
    }

    /// How the body of an endpoint's answer, which is no switch of protocols, is framed.
    fn answer_framing(&mut self) -> Result<Framing, Failure> {
        let head = &self.exchange.reply.head;
        let asks_for_tunnel = self.client.stream.exchange().is_some_and(|client| client.is_tunnel());
        if asks_for_tunnel && (200..300).contains(&head.status()) {
            // To the client it would say that the tunnel is open (RFC 8441 §5).
            return Err(Failure::with(Reason::BadResponse, "it answered and did not switch protocols"));
        }
        head.framing(self.method).map_err(|error| Failure::bad_response(&error))
    }

    /// Whether an endpoint could take the body for a request of its own, because this method has none as a rule (RFC 9110 §9.3.1, §9.3.5):
    /// its answer to that would come when another request waits for its own.
    fn may_be_taken_for_two(&self) -> bool {
        self.exchange.up.has_body()
            && matches!(self.method, Method::Get | Method::Head | Method::Delete | Method::Trace)
    }

    /// Makes the endpoint's head the one that the client gets.
    fn prepare_response(
        &mut self,
        persists: bool,
        framing: Framing,
        (turn, local): (&Turn, &LocalPool),
        route: &RoutePlan,
    ) -> Result<(), Failure> {
        let half_sent = !self.exchange.up.is_finished() && (self.awaits_continue || !persists);
        let is_shared = self.client.stream.is_shared();
        self.identify_response();
        let mut framing = framing;
        if !route.filters.is_empty() {
            self.filter_response(route);
            framing = self.recode_answer(framing);
        }
        self.until_close = !is_shared && answer::client_framing(framing, self.version) == Framing::UntilClose;
        self.closes |= half_sent || self.until_close || self.worker.is_draining();
        self.bind_session(turn, local);
        let reply = &mut *self.exchange.reply;
        if answer::client_framing(framing, self.version) == Framing::Chunked {
            reply.head.fields_mut().set("transfer-encoding", b"chunked");
        }
        if is_shared {
            put_response(self.client, &reply.head)?;
        } else {
            if framing == Framing::Length(0) && !reply.head.fields().has(KnownField::ContentLength) {
                // It was told beside the head.
                reply.head.fields_mut().set("content-length", b"0");
            }
            answer::put_connection(&mut reply.head, self.version, self.closes);
            reply.head.encode(&mut reply.out);
        }
        self.exchange.record.status = reply.head.status();
        self.begun = true;
        Ok(())
    }

    pub(super) fn note_success(&mut self, turn: &Turn, local: &LocalPool) {
        let status = self.exchange.record.status;
        turn.meters.answered(status);
        let now = self.exchange.record.started + self.exchange.record.first_byte.unwrap_or_default();
        let transition = turn.state.record(Outcome::Success, &local.settings.passive, now);
        if let Some(transition) = transition {
            (self.worker.transitions)(&transition);
        }
        local.feedback(&turn.state, Feedback::Finished, now);
    }

    /// Holds the endpoint to account for this.
    pub(super) fn blame(&mut self, failure: Failure, turn: &Turn, local: &LocalPool) -> Failure {
        let broken = Broken { fault: Fault::Endpoint, failure };
        self.note_failure(&broken, turn, local);
        broken.failure
    }

    pub(super) fn note_failure(&mut self, broken: &Broken, turn: &Turn, local: &LocalPool) {
        self.exchange.record.endpoint = Some(turn.reach());
        self.exchange.notes.broke(broken.fault, &broken.failure);
        turn.meters.failed();
        if !broken.fault.is_the_endpoints() {
            return;
        }
        let now = self.worker.now();
        let word = broken.failure.reason.word();
        let outcome = match broken.failure.reason {
            Reason::ConnectFailed | Reason::ConnectTimeout | Reason::UpstreamTls => {
                Outcome::Unreachable(word)
            }
            _ if turn.is_answered() => Outcome::Broken(word),
            _ => Outcome::Failure(word),
        };
        let transition = turn.state.record(outcome, &local.settings.passive, now);
        if let Some(transition) = transition {
            (self.worker.transitions)(&transition);
        }
        local.feedback(&turn.state, Feedback::Failed, now);
    }
}

/// How an answer's body comes in, and how it is framed for others.
fn body_of(connection: &mut Connection, framing: Framing) -> (Framing, Framing) {
    match (connection.stream.exchange(), framing) {
        (None, _) | (Some(_), Framing::Empty) => (framing, framing),
        // It has ended with its head.
        (Some(exchange), Framing::UntilClose) if exchange.has_received_all() => {
            (Framing::Empty, Framing::Length(0))
        }
        (Some(_), _) => (Framing::UntilClose, framing),
    }
}
