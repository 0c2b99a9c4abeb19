//! After a switch of protocols: bytes both ways, as they come.

use std::future::poll_fn;
use std::task::{Context, Poll};

use base_kit::{Clock, Moment};
use traffic_http::Framing;
use traffic_net::{Buffer, Stream};

use crate::client::Client;
use crate::relay::exchange::Exchange;
use crate::relay::pump::{End, Ends, Pump};
use crate::upstream::Connection;
use crate::wire::Carrier;

/// One direction of a tunnel.
struct Way {
    pump: Pump,
    /// Whether the end of this direction was passed on.
    closed: bool,
}

impl Way {
    fn new() -> Self {
        Self { pump: Pump::new(Framing::UntilClose, Framing::UntilClose), closed: false }
    }

    /// Moves bytes, then the end. An error ends both directions.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut dyn Stream,
        input: &mut Buffer,
        sink: &mut dyn Stream,
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), End>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        if !self.pump.is_finished() {
            let (source, sink) = (Carrier::Bytes(source), Carrier::Bytes(&mut *sink));
            let mut ends = Ends { source, input, sink, out, replay: None };
            match self.pump.poll(cx, &mut ends) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.end())),
                Poll::Ready(Ok(())) => {}
            }
        }
        sink.poll_finish(cx).map(|finished| {
            self.closed = true;
            finished.map_err(|_| End::Sink)
        })
    }
}

/// How a tunnel has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Both sides have said that they are done.
    Ended,
    /// Nothing has moved for too long, or all connections are to end.
    Idle,
    /// It has lasted for as long as it may.
    Outlived,
    ClientBroke,
    EndpointBroke,
}

/// What a tunnel has carried.
pub(crate) struct Tunneled {
    /// Bytes from the client.
    pub(crate) up: u64,
    /// Bytes to the client.
    pub(crate) down: u64,
    pub(crate) parting: Parting,
}

/// Relays bytes both ways until both sides have ended, one breaks, nothing has moved for the idle time, or it is too late. What lies in the
/// buffers goes first, behind what the reply's `out` holds.
pub(crate) async fn tunnel(
    client: &mut Client,
    connection: &mut Connection,
    exchange: &mut Exchange,
    (clock, until): (&dyn Clock, Moment),
) -> Tunneled {
    let idle = client.listener.settings.timeouts.idle;
    let (mut up, mut down) = (Way::new(), Way::new());
    exchange.to_endpoint.clear();
    let mut armed = u64::MAX;
    let parting = poll_fn(|cx| {
        let upward = up.poll(
            cx,
            &mut *client.stream,
            &mut client.input,
            &mut *connection.stream,
            &mut exchange.to_endpoint,
        );
        let downward = down.poll(
            cx,
            &mut *connection.stream,
            &mut connection.input,
            &mut *client.stream,
            &mut exchange.reply.out,
        );
        match (upward, downward) {
            (Poll::Ready(Err(End::Source)), _) | (_, Poll::Ready(Err(End::Sink))) => {
                return Poll::Ready(Parting::ClientBroke);
            }
            (Poll::Ready(Err(End::Sink)), _) | (_, Poll::Ready(Err(End::Source))) => {
                return Poll::Ready(Parting::EndpointBroke);
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Parting::Ended),
            _ => {}
        }
        let progress = up.pump.progress + down.pump.progress;
        if progress != armed {
            armed = progress;
            let deadline: Moment = clock.now() + idle;
            client.timer.set(deadline.min(until));
        }
        let is_late = || !client.timer.is_doomed() && clock.now() >= until;
        client.timer.poll_expired(cx).map(|()| if is_late() { Parting::Outlived } else { Parting::Idle })
    })
    .await;
    Tunneled { up: up.pump.body_bytes, down: down.pump.body_bytes, parting }
}
