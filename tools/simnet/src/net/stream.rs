//! A link's end as Aya sees it.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use traffic_net::{Buffer, Peek, Stream};

use crate::net::{End, Seen};

/// Told of what Aya does with a connection.
pub(crate) trait Tap {
    /// Aya has written this.
    fn written(&mut self, end: &End, bytes: &[u8]);

    /// Aya closes.
    fn closed(&mut self, end: &End);
}

/// Aya's end of a link.
pub(crate) struct EngineStream {
    end: End,
    tap: Box<dyn Tap>,
}

impl EngineStream {
    pub(crate) fn new(end: End, tap: Box<dyn Tap>) -> Self {
        Self { end, tap }
    }
}

impl Drop for EngineStream {
    fn drop(&mut self) {
        self.tap.closed(&self.end);
    }
}

impl Stream for EngineStream {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        let seen = self.end.poll_seen(cx, true);
        let count = match seen {
            Poll::Ready(Seen::Bytes) => self.end.take(buffer.spare()),
            _ => 0,
        };
        buffer.filled_by(count);
        if count == 0 {
            buffer.release();
        }
        match ready!(seen) {
            Seen::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Seen::Bytes | Seen::End => Poll::Ready(Ok(count)),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>();
        let sent = ready!(self.end.poll_write(cx, &bytes))?;
        self.tap.written(&self.end, &bytes[..sent]);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        match ready!(self.end.poll_seen(cx, false)) {
            Seen::Bytes => Poll::Ready(Ok(Peek::Bytes)),
            Seen::End => Poll::Ready(Ok(Peek::End)),
            Seen::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end.finish().map_err(io::Error::from))
    }

    fn abort(&mut self) {
        self.end.abort();
    }

    fn is_quiet(&mut self) -> bool {
        self.end.is_quiet()
    }
}
