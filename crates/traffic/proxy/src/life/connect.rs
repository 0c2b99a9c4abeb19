//! A connection for an attempt: one that rests, a part of one that carries many, or a new one.

use std::net::SocketAddr;

use base_model::model::{Http2, Offered};
use base_signal::Reason;
use traffic_net::Introduction;

use crate::failure::{Failure, Fault};
use crate::life::Life;
use crate::relay::Broken;
use crate::timers::{Expired, within};
use crate::upstream::{Connection, Dial, DialError, Dialed, LocalPool, SharedConnection, Turn};
use crate::wire::Wire;
use crate::worker::Worker;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// Requests and answers.
    Requests,
    /// Whatever client and endpoint agree upon.
    Bytes,
}

impl Life<'_> {
    /// A connection that is there.
    pub(super) fn take_connection(&self, turn: &Turn, local: &LocalPool) -> Option<Box<Connection>> {
        let (tls, now) = (local.tls.as_ref(), self.exchange.record.started);
        let shared =
            local.settings.http2.and_then(|_| turn.take_shared(tls, self.upgrades, &self.worker.buffers));
        shared.or_else(|| turn.take_idle(tls, now))
    }

    /// A connection that is made now, for these exchanges.
    pub(super) async fn connect(
        &mut self,
        turn: &Turn,
        local: &LocalPool,
        carries: Carries,
    ) -> Result<Box<Connection>, Broken> {
        let failed = |failure: Failure| Broken { fault: Fault::Endpoint, failure };
        let address: SocketAddr = turn
            .state
            .address()
            .ok_or_else(|| failed(Failure::with(Reason::ConnectFailed, "its name has no address")))?;
        let world = (&*self.worker.network, &self.worker.buffers, &local.meters);
        let introduce =
            |version| Introduction::encode(version, self.client.ends(), self.client.server_name());
        let place = (address, local.settings.proxy_protocol.map(introduce));
        let dial = match turn.dial((&local.settings, local.tls.as_ref()), world, place) {
            Ok(dial) => dial,
            Err(error) => return Err(failed(Failure::dial(&error))),
        };
        let start = self.worker.now();
        let limit = start + local.settings.timeouts.connect;
        self.client.timer.set(limit.min(self.deadline));
        let opened = match (carries, local.settings.http2) {
            (Carries::Requests, Some(http2)) => {
                let opening = Box::pin(open(self.worker, &dial, (turn, local), http2, self.upgrades));
                within(&self.client.timer, opening).await
            }
            // Of no use once it is there, and not to be carried along by every connection.
            (_, _) => {
                let offered = if carries == Carries::Bytes { Offered::Nothing } else { Offered::Http1 };
                within(&self.client.timer, Box::pin(open_for_one(self.worker, &dial, local, offered))).await
            }
        };
        let took = self.worker.now() - start;
        self.exchange.record.connect = Some(took);
        self.exchange.notes.connected(took);
        match opened {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                let failure = Failure::dial(&error);
                let is_ours = failure.reason == Reason::Overloaded;
                Err(Broken { fault: if is_ours { Fault::Neither } else { Fault::Endpoint }, failure })
            }
            Err(Expired) => {
                let detail = dial.timed_out().map(str::to_owned);
                let (fault, reason) = if self.client.timer.is_doomed() {
                    (Fault::Neither, Reason::ShuttingDown)
                } else if self.deadline < limit {
                    (Fault::Neither, Reason::RequestTimeout)
                } else {
                    (Fault::Endpoint, Reason::ConnectTimeout)
                };
                Err(Broken { fault, failure: Failure { reason, detail } })
            }
        }
    }
}

/// Makes a connection, or waits for one, where the endpoint may speak HTTP/2. `is_tunnel`: for another protocol than HTTP.
async fn open(
    worker: &Worker,
    dial: &Dial<'_>,
    (turn, local): (&Turn, &LocalPool),
    http2: Http2,
    is_tunnel: bool,
) -> Result<Box<Connection>, DialError> {
    let idle = is_tunnel.then(|| turn.take_shared(local.tls.as_ref(), false, &worker.buffers)).flatten();
    let connection = match idle {
        Some(connection) => connection,
        None => open_for_many(worker, dial, (turn, local), http2).await?,
    };
    if let Some(shared) = connection.shared().filter(|_| is_tunnel) {
        shared.greeted().await;
        if !shared.takes_tunnels() {
            // Other protocols go over connections of their own, if at all.
            return open_for_one(worker, dial, local, Offered::Http1).await;
        }
    }
    Ok(connection)
}

/// Makes a connection that carries one exchange at a time.
async fn open_for_one(
    worker: &Worker,
    dial: &Dial<'_>,
    local: &LocalPool,
    offered: Offered,
) -> Result<Box<Connection>, DialError> {
    let Dialed { stream, .. } = dial.run(offered).await?;
    local.meters.opened.increment();
    Ok(Connection::new(Wire::Http1(stream), local.tls.clone(), &worker.buffers, &local.meters.open))
}

/// Makes a connection that carries many, if the endpoint agrees, or waits for one that somebody else makes.
async fn open_for_many(
    worker: &Worker,
    dial: &Dial<'_>,
    (turn, local): (&Turn, &LocalPool),
    http2: Http2,
) -> Result<Box<Connection>, DialError> {
    let (buffers, meters, tls) = (&worker.buffers, &local.meters, local.tls.as_ref());
    let dialing = loop {
        if let Some(connection) = turn.take_shared(tls, false, buffers) {
            return Ok(connection);
        }
        match turn.begin_dialing() {
            Some(dialing) => break dialing,
            None => turn.dialed().await,
        }
    };
    let Dialed { stream, agreed } = dial.run(Offered::Http2).await?;
    meters.opened.increment();
    if agreed == Some(false) {
        dialing.is_for_one();
        return Ok(Connection::new(Wire::Http1(stream), tls.cloned(), buffers, &meters.open));
    }
    let settings = (http2, local.settings.max_head_bytes);
    let counted = (&meters.open, worker.now());
    let shared = SharedConnection::begin(stream, tls.cloned(), settings, buffers, counted).await;
    let shared = shared.map_err(DialError::Connect)?;
    meters.http2.increment();
    Ok(turn.share(shared, buffers))
}
