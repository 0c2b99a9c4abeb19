//! A connection's bytes as `h2` takes them.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use traffic_net::{Buffer, BufferSize, Stream};

use crate::watch::Watch;

/// Taken in one go before others of the thread get their turn: who floods us with frames must not have it for itself, and so much holds a thousand
/// of the smallest.
const TURN_BYTES: usize = 16 << 10;

/// What a client may still send once it was told that this is the end.
const LINGER_BYTES: usize = 1 << 20;

/// A stream and what was received from it and not taken yet.
pub(crate) struct Transport {
    stream: Box<dyn Stream>,
    input: Buffer,
    /// Taken since others have had their turn.
    taken: usize,
    /// Read over since the end was said.
    lingered: usize,
    /// Who looks at what comes in, if anybody does.
    watch: Option<Rc<RefCell<Watch>>>,
}

impl Transport {
    pub(crate) const fn new(
        stream: Box<dyn Stream>,
        input: Buffer,
        watch: Option<Rc<RefCell<Watch>>>,
    ) -> Self {
        Self { stream, input, taken: 0, lingered: 0, watch }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, input, taken, watch, .. } = &mut *self;
        if *taken >= TURN_BYTES {
            *taken = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if input.is_empty() {
            input.resize(BufferSize::Medium);
            let Poll::Ready(received) = stream.poll_receive(cx, input) else {
                *taken = 0;
                return Poll::Pending;
            };
            if received? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let count = input.len().min(room.remaining());
        let piece = input.filled().get(..count).unwrap_or_default();
        room.put_slice(piece);
        if let Some(watch) = watch {
            watch.borrow_mut().see(piece);
        }
        *taken += count;
        input.consume(count);
        if input.is_empty() {
            // A connection that waits holds no buffer.
            input.release();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream.poll_send(cx, slices);
        if let (Some(watch), Poll::Ready(Ok(count))) = (&self.watch, &polled) {
            watch.borrow_mut().sent(*count);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What the stream keeps back goes out when there is room; reading must not wait for that.
        Poll::Ready(self.stream.push(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, input, watch, lingered, .. } = &mut *self;
        if !input.is_empty() {
            input.consume(input.len());
        }
        ready!(stream.poll_close(cx))?;
        ready!(stream.poll_finish(cx))?;
        // A client that is still sending would have the end reset, and the last of what it was sent with it. Whoever drives this limits the time.
        while watch.is_some() && *lingered < LINGER_BYTES {
            match ready!(stream.poll_receive(cx, input)) {
                Ok(0) | Err(_) => break,
                Ok(count) => *lingered += count,
            }
            input.consume(input.len());
        }
        Poll::Ready(Ok(()))
    }
}
