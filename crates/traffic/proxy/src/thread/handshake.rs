//! The TLS handshake with whoever has just come.

use std::fmt::Display;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;

use base_signal::Reason;
use traffic_http::{Method, Version};
use traffic_net::{Buffer, BufferSize, Stream, send_all};
use traffic_tls::{Accepted, HandshakeError, HandshakeFault, accept};

use crate::answer;
use crate::client::{LINGER, part};
use crate::failure::Failure;
use crate::plan::ListenerView;
use crate::timers::{Timer, within};
use crate::worker::Worker;

/// What a client that is sent away may still send while it reads why.
const MOST_UNREAD_BYTES: usize = 256 << 10;

/// Goes through the handshake. `None` if it failed: that is counted, and the client was told.
pub(super) async fn enter(
    worker: &Rc<Worker>,
    listener: &ListenerView,
    timer: &Timer,
    stream: Box<dyn Stream>,
    peer: SocketAddr,
) -> Option<Accepted> {
    // Nothing that was to be encrypted goes out in the clear, whatever was forgotten.
    let tls = listener.tls.as_ref()?;
    timer.set(worker.now() + listener.settings.timeouts.tls_handshake);
    match within(timer, accept(stream, tls, &worker.buffers)).await {
        Ok(Ok(accepted)) => {
            let meters = &listener.meters;
            let how = if accepted.session.is_resumed { &meters.resumed } else { &meters.full };
            how.increment();
            Some(accepted)
        }
        Ok(Err(error)) => {
            note(listener, peer, error.fault, &error);
            if let HandshakeError { fault, stream: Some(mut stream), .. } = error {
                timer.set(worker.now() + LINGER);
                // Whoever does not take it in time does without.
                let _ = within(timer, async {
                    if fault == HandshakeFault::NotTls {
                        tell_plain(worker, &mut *stream).await;
                    }
                    // Should the system not take it, there is nobody left to part from.
                    let _ = poll_fn(|cx| stream.poll_flush(cx)).await;
                    let mut input = Buffer::new(worker.buffers.clone(), BufferSize::Small);
                    part(&mut *stream, &mut input, MOST_UNREAD_BYTES).await;
                })
                .await;
            }
            None
        }
        Err(_) => {
            let patience = listener.settings.timeouts.tls_handshake;
            note(
                listener,
                peer,
                HandshakeFault::TimedOut,
                &format_args!("it was not done within {patience:?}"),
            );
            None
        }
    }
}

/// Counts a handshake that failed, and says why.
pub(super) fn note(listener: &ListenerView, peer: SocketAddr, fault: HandshakeFault, what: &dyn Display) {
    listener.meters.handshake_failed(fault);
    let (listener, fault) = (&*listener.settings.name, fault.word());
    tracing::debug!(target: "aya::tls", listener, %peer, fault, "handshake failed: {what}");
}

/// Tells a client that speaks HTTP without TLS what is wrong.
async fn tell_plain(worker: &Worker, stream: &mut dyn Stream) {
    worker.count_failure(Reason::TlsRequired);
    let mut out = Vec::new();
    let mut told = answer::of_failure(&Failure::from(Reason::TlsRequired));
    worker.date.put(&mut told.head, &*worker.clock);
    answer::encode(&mut told, Method::Get, Version::Http11, true, &mut out);
    // Whoever does not take it does without.
    let _ = send_all(stream, &out).await;
}
