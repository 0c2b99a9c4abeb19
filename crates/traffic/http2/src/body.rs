//! The two halves of an exchange once its heads are through.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use traffic_net::{Buffer, Peek};

/// A body on its way in.
pub(crate) struct BodyIn {
    stream: RecvStream,
    /// Received, and not taken yet. Its sender may send so much less.
    piece: Bytes,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// What has ended it before its time, and was not told yet.
    failed: Option<io::Error>,
}

impl BodyIn {
    pub(crate) fn new(stream: RecvStream) -> Self {
        let ended = stream.is_end_stream();
        Self { stream, piece: Bytes::new(), trailers: None, ended, failed: None }
    }

    /// Whether nothing follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended && self.piece.is_empty()
    }

    pub(crate) const fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Waits for a piece that is not empty; false at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        while self.piece.is_empty() {
            if self.ended {
                return Poll::Ready(Ok(false));
            }
            match ready!(self.stream.poll_data(cx)) {
                Some(piece) => self.piece = piece.map_err(broken)?,
                None => {
                    self.trailers = ready!(self.stream.poll_trailers(cx)).map_err(broken)?;
                    self.ended = true;
                }
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Takes a piece if one is here. What else is here is found the next time.
    fn next_piece(&mut self, cx: &mut Context<'_>) -> bool {
        match self.poll_piece(cx) {
            Poll::Ready(Ok(more)) => more,
            Poll::Ready(Err(error)) => {
                self.failed = Some(error);
                false
            }
            Poll::Pending => false,
        }
    }

    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
    ) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_piece(cx))? {
            return Poll::Ready(Ok(0));
        }
        // Small pieces go on together.
        let mut taken = 0;
        loop {
            let room = buffer.spare();
            let count = room.len().min(self.piece.len());
            if let Some(room) = room.get_mut(..count) {
                self.piece.copy_to_slice(room);
            }
            buffer.filled_by(count);
            taken += count;
            // Whoever takes bytes makes room for as many.
            self.stream.flow_control().release_capacity(count).map_err(broken)?;
            let is_full = !self.piece.is_empty();
            if is_full || !self.next_piece(cx) {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        self.poll_piece(cx).map_ok(|more| if more { Peek::Bytes } else { Peek::End })
    }
}

/// A body on its way out.
pub(crate) struct BodyOut {
    stream: SendStream<Bytes>,
    /// What is left of a body of known length: its last byte ends it.
    left: Option<u64>,
    ended: bool,
}

impl BodyOut {
    pub(crate) const fn new(stream: SendStream<Bytes>, left: Option<u64>, ended: bool) -> Self {
        Self { stream, left, ended }
    }

    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.stream.reserve_capacity(wanted);
        let mut room = self.stream.capacity();
        while room == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(granted) => room = granted.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let count = wanted.min(room);
        let mut piece = Vec::with_capacity(count);
        for slice in slices {
            let part = slice.get(..slice.len().min(count - piece.len())).unwrap_or_default();
            piece.extend_from_slice(part);
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
            self.ended = *left == 0;
        }
        self.stream.send_data(piece.into(), self.ended).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    /// Whether all of it was handed over.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Says that the body is complete, with what follows it.
    pub(crate) fn end(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        match trailers {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        }
        .map_err(broken)
    }

    /// Waits until the peer wants no more of the exchange, whatever its reason.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.stream.poll_reset(cx).map(gone)
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }
}

/// What has ended an exchange before its time.
pub(crate) fn gone(reset: Result<Reason, h2::Error>) -> io::Error {
    reset.map_or_else(broken, |reason| broken(reason.into()))
}

/// An error of the protocol as one of a connection.
pub(crate) fn broken(error: h2::Error) -> io::Error {
    let what = error.to_string();
    error.into_io().unwrap_or_else(|| io::Error::new(io::ErrorKind::ConnectionReset, what))
}
