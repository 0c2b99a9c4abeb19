//! A stream of which something was read already.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::buffer::Buffer;
use crate::stream::{Peek, Stream};

/// A stream with bytes in front that were read from it before.
pub struct Prefixed {
    front: Buffer,
    stream: Box<dyn Stream>,
    /// Where the client has connected to, if it was not here.
    server: Option<SocketAddr>,
}

impl Prefixed {
    /// Puts bytes back in front of a stream.
    pub fn put_back(front: Buffer, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        if front.is_empty() { stream } else { Box::new(Self { front, stream, server: None }) }
    }

    /// The same for a connection to a proxy at this address, which has passed it on.
    pub fn passed_on(front: Buffer, stream: Box<dyn Stream>, server: SocketAddr) -> Box<dyn Stream> {
        Box::new(Self { front, stream, server: Some(server) })
    }
}

impl Stream for Prefixed {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        if self.front.is_empty() {
            return self.stream.poll_receive(cx, buffer);
        }
        let room = buffer.spare();
        let count = room.len().min(self.front.len());
        if let (Some(room), Some(bytes)) = (room.get_mut(..count), self.front.filled().get(..count)) {
            room.copy_from_slice(bytes);
        }
        buffer.filled_by(count);
        self.front.consume(count);
        self.front.release();
        Poll::Ready(Ok(count))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.stream.poll_send(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn push(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.stream.push(cx)
    }

    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        if self.front.is_empty() { self.stream.poll_peek(cx) } else { Poll::Ready(Ok(Peek::Bytes)) }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_finish(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_close(cx)
    }

    fn abort(&mut self) {
        self.stream.abort();
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.server.map_or_else(|| self.stream.local_address(), Ok)
    }

    fn is_quiet(&mut self) -> bool {
        self.front.is_empty() && self.stream.is_quiet()
    }
}
