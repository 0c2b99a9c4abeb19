//! A connection as the engine sees it: bytes come into a pooled buffer, bytes go out from slices.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::buffer::Buffer;

/// What a look at a connection's incoming side shows, without taking anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Bytes wait to be received.
    Bytes,
    /// The peer will send no more.
    End,
}

/// A two-way byte stream. `poll` functions follow the rules of futures: `Pending` means the waker will be called.
pub trait Stream {
    /// Appends bytes to the buffer and says how many; 0 when the peer sends no more or the buffer has no room.
    /// A buffer that is empty holds no storage while this is pending.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>>;

    /// Sends from the front of the slices, in order, and says how many bytes were taken.
    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Waits until the system has taken everything that was given to [`Stream::poll_send`]. What it has not taken when this is dropped is lost.
    /// Ready at once after [`Stream::abort`].
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Hands to the system what [`Stream::poll_send`] has taken and the system had no room for, as far as there is room now, and has the waker called
    /// when there is more. For whoever waits for something else meanwhile; only streams that keep something back have anything to do.
    ///
    /// # Errors
    /// If the connection is broken.
    fn push(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Waits until something can be received, takes nothing. May cost a system call once it is ready, not before.
    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Peek>>;

    /// Says to the peer that no more is sent.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells the peer, if the protocol has a word for it, that nothing was cut off, and waits until the system has taken everything. To be called
    /// before a connection that has done its work is dropped.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }

    /// Has the peer see that the connection broke off, not that it ended, once this is dropped.
    fn abort(&mut self);

    /// The address that the client has connected to, for connections that came in; costs a system call.
    ///
    /// # Errors
    /// If there is none, or the connection is gone.
    fn local_address(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether a connection that nobody uses is open and silent, as far as the kernel has told so far.
    fn is_quiet(&mut self) -> bool {
        is_pending_now(|cx| self.poll_peek(cx))
    }
}

/// Sends all of it. The caller limits the time.
///
/// # Errors
/// If the connection is broken.
pub async fn send_all(stream: &mut dyn Stream, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = poll_fn(|cx| stream.poll_send(cx, &[IoSlice::new(rest)])).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Whether this would have to wait. Nobody is told when it no longer has to.
pub fn is_pending_now<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    // Outside of the task's budget: a budget that is spent would look like waiting.
    let polling = tokio::task::unconstrained(poll_fn(poll));
    pin!(polling).poll(&mut cx).is_pending()
}

/// A TCP connection driven by tokio.
#[derive(Debug)]
pub struct TcpSocket(TcpStream);

impl TcpSocket {
    /// Wraps a connected socket.
    pub const fn new(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl Stream for TcpSocket {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(buffer.spare());
        // Through `AsyncRead`, because it knows that a read which does not fill its buffer has emptied the socket: no
        // further system call is needed to find that out.
        let polled = tokio::io::AsyncRead::poll_read(Pin::new(&mut self.0), cx, &mut room);
        let count = room.filled().len();
        buffer.filled_by(count);
        if count == 0 {
            buffer.release();
        }
        polled.map_ok(|()| count)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match slices {
            [one] => Pin::new(&mut self.0).poll_write(cx, one),
            many => Pin::new(&mut self.0).poll_write_vectored(cx, many),
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It takes nothing that the system has not taken.
        Poll::Ready(Ok(()))
    }

    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        let mut byte = [0];
        let seen = ready!(self.0.poll_peek(cx, &mut ReadBuf::new(&mut byte)))?;
        Poll::Ready(Ok(if seen == 0 { Peek::End } else { Peek::Bytes }))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn abort(&mut self) {
        reset_on_close(&self.0);
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that is already gone needs none of this.
pub(crate) fn reset_on_close(socket: &impl AsFd) {
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}
