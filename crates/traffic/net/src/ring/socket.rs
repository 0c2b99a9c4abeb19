//! A socket as the engine sees it.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};

use super::core::{self, Core};
use super::pieces::Piece;
use crate::buffer::{Buffer, BufferSize};
use crate::stream::{Peek, Stream, reset_on_close};

/// What is at most copied, to be sent with everybody else's; more is sent at once.
const MOST_COPIED: usize = BufferSize::Small.bytes();

/// A connection driven by io_uring.
pub(super) struct RingSocket {
    core: Rc<RefCell<Core>>,
    key: usize,
}

impl RingSocket {
    pub(super) fn new(core: Rc<RefCell<Core>>, socket: OwnedFd) -> Self {
        let key = core.borrow_mut().add(socket);
        Self { core, key }
    }

    /// Begins to connect; see [`RingSocket::poll_connected`].
    pub(super) fn connect(&self, address: SocketAddr) {
        self.core.borrow_mut().connect(self.key, address);
    }

    /// Waits until it is connected.
    pub(super) fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut core = self.core.borrow_mut();
        let Some(socket) = core.socket(self.key) else { return Poll::Ready(Err(Errno::NOTCONN.into())) };
        match socket.connected {
            Some(0) => Poll::Ready(Ok(())),
            Some(errno) => Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None => {
                socket.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether something has come, or will not come any more; else whoever polls is woken when it has.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        let mut core = self.core.borrow_mut();
        let Some(socket) = core.socket(self.key) else { return Poll::Ready(Ok(Arrival::End)) };
        if !socket.queue.is_empty() {
            return Poll::Ready(Ok(Arrival::Pieces));
        }
        match socket.end {
            Some(0) => return Poll::Ready(Ok(Arrival::End)),
            Some(errno) => return Poll::Ready(Err(io::Error::from_raw_os_error(errno))),
            None => {}
        }
        if socket.is_readable() {
            return Poll::Ready(Ok(Arrival::Readable));
        }
        if !socket.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            socket.reader = Some(cx.waker().clone());
        }
        core.receive(self.key);
        Poll::Pending
    }

    /// Takes a piece that the ring has brought.
    fn take_piece(&self, buffer: &mut Buffer) -> usize {
        let mut core = self.core.borrow_mut();
        let Some(piece) = core.socket(self.key).and_then(|socket| socket.queue.pop_front()) else { return 0 };
        let Piece { storage, start, end } = piece;
        let (start, end) = (start as usize, end as usize);
        if buffer.can_adopt(&storage) {
            buffer.adopt(storage, start..end);
            return end - start;
        }
        let room = buffer.spare();
        let count = room.len().min(end - start);
        if let (Some(to), Some(from)) = (room.get_mut(..count), storage.get(start..start + count)) {
            to.copy_from_slice(from);
        }
        buffer.filled_by(count);
        if start + count == end {
            core.pool.give(storage);
        } else if let Some(socket) = core.socket(self.key) {
            socket.queue.push_front(Piece { storage, start: (start + count) as u32, end: end as u32 });
        }
        count
    }

    /// Reads directly; `None` if there was nothing.
    fn read(&self, buffer: &mut Buffer) -> io::Result<Option<usize>> {
        let mut core = self.core.borrow_mut();
        let Some(socket) = core.socket(self.key) else { return Ok(Some(0)) };
        let room = buffer.spare();
        let size = room.len();
        let read = socket.receive_now(room, RecvFlags::empty())?;
        if let Some(count) = read {
            socket.has_read(count, size);
            buffer.filled_by(count);
            // It may rest from now on; that its peer closes it must be seen all the same.
            if count > 0 && !socket.is_readable() {
                core.receive(self.key);
            }
        }
        buffer.release();
        Ok(read)
    }

    /// Waits until nothing is being sent, and tells what became of it.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut core = self.core.borrow_mut();
        let Some(socket) = core.socket(self.key) else { return Poll::Ready(Err(Errno::PIPE.into())) };
        if let Some(errno) = socket.send_error {
            return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
        }
        if socket.is_sending() {
            socket.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn send_copy(&mut self, slices: &[IoSlice<'_>], length: usize) {
        let size = if length <= BufferSize::Tiny.bytes() { BufferSize::Tiny } else { BufferSize::Small };
        let mut core = self.core.borrow_mut();
        let mut storage = core.pool.take(size);
        let mut rest = &mut *storage;
        for slice in slices {
            let (place, behind) = rest.split_at_mut(slice.len().min(rest.len()));
            place.copy_from_slice(slice.get(..place.len()).unwrap_or_default());
            rest = behind;
        }
        core.send(self.key, storage, length);
    }

    fn poll_send_now(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut core = self.core.borrow_mut();
        let Some(socket) = core.socket(self.key) else { return Poll::Ready(Err(Errno::PIPE.into())) };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent =
            rustix::net::sendmsg(socket.fd.as_fd(), slices, &mut SendAncillaryBuffer::default(), flags);
        match sent {
            Err(Errno::AGAIN) => {
                socket.writer = Some(cx.waker().clone());
                core.await_room(self.key);
                Poll::Pending
            }
            other => Poll::Ready(other.map_err(Into::into)),
        }
    }
}

/// What there is to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// Pieces that the ring has brought.
    Pieces,
    /// Something that can be read directly, or an end.
    Readable,
    /// Nothing any more.
    End,
}

impl Stream for RingSocket {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        loop {
            match ready!(self.poll_arrival(cx))? {
                Arrival::End => return Poll::Ready(Ok(0)),
                Arrival::Pieces => return Poll::Ready(Ok(self.take_piece(buffer))),
                Arrival::Readable => {
                    core::note_direct(&self.core);
                    if let Some(count) = self.read(buffer)? {
                        return Poll::Ready(Ok(count));
                    }
                }
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_sent(cx))?;
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        // Who has time sends at once: to wait for the others would only delay it.
        if length <= MOST_COPIED && !self.core.borrow().has_time {
            self.send_copy(slices, length);
            return Poll::Ready(Ok(length));
        }
        core::note_direct(&self.core);
        self.poll_send_now(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_aborted = self.core.borrow_mut().socket(self.key).is_none_or(|socket| socket.is_aborted);
        if is_aborted { Poll::Ready(Ok(())) } else { self.poll_sent(cx) }
    }

    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        loop {
            match ready!(self.poll_arrival(cx))? {
                Arrival::End => return Poll::Ready(Ok(Peek::End)),
                Arrival::Pieces => return Poll::Ready(Ok(Peek::Bytes)),
                Arrival::Readable => {
                    let mut core = self.core.borrow_mut();
                    let Some(socket) = core.socket(self.key) else { return Poll::Ready(Ok(Peek::End)) };
                    if let Some(seen) = socket.peek_now()? {
                        return Poll::Ready(Ok(seen));
                    }
                }
            }
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(cx))?;
        let mut core = self.core.borrow_mut();
        let Some(socket) = core.socket(self.key) else { return Poll::Ready(Ok(())) };
        Poll::Ready(rustix::net::shutdown(socket.fd.as_fd(), Shutdown::Write).map_err(Into::into))
    }

    fn is_quiet(&mut self) -> bool {
        let mut core = self.core.borrow_mut();
        let Some(socket) = core.socket(self.key) else { return false };
        if !socket.queue.is_empty() || socket.end.is_some() {
            return false;
        }
        if socket.is_watched() {
            return true;
        }
        // Nobody would have told.
        let is_silent = matches!(socket.peek_now(), Ok(None));
        if is_silent {
            core.receive(self.key);
        }
        is_silent
    }

    fn abort(&mut self) {
        if let Some(socket) = self.core.borrow_mut().socket(self.key) {
            socket.is_aborted = true;
            reset_on_close(&socket.fd);
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        let mut core = self.core.borrow_mut();
        let socket = core.socket(self.key).ok_or(Errno::NOTCONN)?;
        Ok(rustix::net::getsockname(&socket.fd)?.try_into()?)
    }
}

impl Drop for RingSocket {
    fn drop(&mut self) {
        self.core.borrow_mut().leave(self.key);
    }
}
