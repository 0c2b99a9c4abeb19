//! What a client asks for in TLS, where connections are passed on by that.

use std::fmt::Display;
use std::net::SocketAddr;

use traffic_net::{Buffer, BufferSize, Prefixed, Stream};
use traffic_tls::{ClientHello, HandshakeFault, HelloError};

use crate::plan::ListenerView;
use crate::thread::handshake::note;
use crate::thread::opening::receive;
use crate::timers::{Timer, within};
use crate::worker::Worker;

/// A connection as if nobody had looked, and what its client asks for, if it speaks TLS.
pub(super) type Overheard = (Box<dyn Stream>, Option<Box<ClientHello>>);

/// Waits for the first message of the client. `None` if the connection has ended, which is counted.
pub(super) async fn overhear(
    worker: &Worker,
    listener: &ListenerView,
    timer: &Timer,
    mut stream: Box<dyn Stream>,
    peer: SocketAddr,
) -> Option<Overheard> {
    let patience = listener.settings.timeouts.tls_handshake;
    timer.set(worker.now() + patience);
    // Most fit; it grows to what such a message may have at most.
    let mut input = Buffer::new(worker.buffers.clone(), BufferSize::Tiny);
    let heard = within(timer, receive(&mut *stream, &mut input, ClientHello::parse)).await;
    match heard {
        Ok(Ok(hello)) => Some((Prefixed::put_back(input, stream), Some(Box::new(hello)))),
        // Whatever else it is goes on as it would without this; where TLS is asked for, that says what is wrong.
        Ok(Err(Some(HelloError::NotTls))) => Some((Prefixed::put_back(input, stream), None)),
        Ok(Err(Some(error))) => refuse(listener, peer, HandshakeFault::Protocol, &error),
        Ok(Err(None)) if input.is_empty() => None,
        Ok(Err(None)) => refuse(listener, peer, HandshakeFault::Closed, &"the connection ended within it"),
        // In some protocols it is the endpoint that speaks first.
        Err(_) if input.is_empty() && takes_silent(listener) => Some((stream, None)),
        Err(_) => {
            let what = format_args!("its first message was not there within {patience:?}");
            refuse(listener, peer, HandshakeFault::TimedOut, &what)
        }
    }
}

/// Whether there is a place to go for whoever says nothing.
fn takes_silent(listener: &ListenerView) -> bool {
    listener.settings.tls.is_none() && listener.settings.protocol.pool().is_some()
}

fn refuse<T>(
    listener: &ListenerView,
    peer: SocketAddr,
    fault: HandshakeFault,
    what: &dyn Display,
) -> Option<T> {
    note(listener, peer, fault, what);
    None
}
