//! Who a connection is from, where a proxy in front says so by the PROXY protocol.

use std::fmt::Display;
use std::net::SocketAddr;

use traffic_http::forwarding;
use traffic_net::{
    Buffer, BufferSize, Ends, Introduction, IntroductionError, LONGEST_INTRODUCTION, Prefixed, Stream,
};

use crate::plan::ListenerView;
use crate::thread::opening::receive;
use crate::timers::{Timer, within};
use crate::worker::Worker;

/// Whether whoever connects from there introduces its client.
pub(super) fn is_introduced(listener: &ListenerView, peer: SocketAddr) -> bool {
    let networks = &listener.settings.proxy_protocol;
    !networks.is_empty() && forwarding::is_trusted(peer.ip(), networks)
}

/// Waits for the introduction. Gives the connection without it, and whom it is from; `None` if there was none, which is counted.
pub(super) async fn hear(
    worker: &Worker,
    listener: &ListenerView,
    timer: &Timer,
    mut stream: Box<dyn Stream>,
    peer: SocketAddr,
) -> Option<(Box<dyn Stream>, SocketAddr)> {
    let patience = listener.settings.timeouts.request_head;
    timer.set(worker.now() + patience);
    // As long as an introduction may be.
    let mut input = Buffer::new(worker.buffers.clone(), BufferSize::Small);
    let parse = |input: &[u8]| match Introduction::parse(input) {
        Ok(None) if input.len() >= LONGEST_INTRODUCTION => Err(IntroductionError::TooLong),
        parsed => parsed,
    };
    let heard = within(timer, receive(&mut *stream, &mut input, parse)).await;
    match heard {
        Ok(Ok(introduction)) => {
            input.consume(introduction.length);
            Some(match introduction.ends {
                Some(Ends { client, server }) => (Prefixed::passed_on(input, stream, server), client),
                None => (Prefixed::put_back(input, stream), peer),
            })
        }
        // Whoever looks whether the port is open has said nothing wrong.
        Ok(Err(None)) if input.is_empty() => None,
        Ok(Err(None)) => refuse(listener, peer, &"the connection ended within its introduction"),
        Ok(Err(Some(error))) => refuse(listener, peer, &error),
        Err(_) => refuse(listener, peer, &format_args!("no introduction came within {patience:?}")),
    }
}

fn refuse<T>(listener: &ListenerView, peer: SocketAddr, why: &dyn Display) -> Option<T> {
    listener.meters.unintroduced.increment();
    let listener = &*listener.settings.name;
    tracing::debug!(target: "aya::worker", listener, %peer, "a connection is closed: {why} (`proxy-protocol`)");
    None
}
