//! One way through a link.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::clock::present;

/// Why nothing can be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The other end has reset the connection.
    Reset,
    /// This end has said that no more comes, or the reset was told before.
    Closed,
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Reset => io::ErrorKind::ConnectionReset.into(),
            Broken::Closed => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

/// What the reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Bytes,
    End,
    Reset,
}

/// One way through a link: what was written and not yet read.
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    room: usize,
    /// Of `bytes`, from the front: what has arrived.
    visible: usize,
    /// The writer has said that no more comes.
    finished: bool,
    /// And that has arrived.
    ended: bool,
    was_reset: bool,
    /// What is written comes to nothing: the reader has reset the connection. Told once as a reset, then as closed.
    refused: Option<Broken>,
    /// The reader is gone.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// When the last thing that was sent arrives, and its place among those that arrive then.
    pub(super) last_arrival: Instant,
    pub(super) last_order: (Instant, usize),
    /// Things that were sent and have not arrived.
    pub(super) under_way: usize,
    /// When bytes came last.
    pub(super) last_bytes: Instant,
    pub(super) written: u64,
    pub(super) read: u64,
}

impl Pipe {
    pub(super) fn new(room: usize, now: Instant) -> Self {
        Self {
            bytes: VecDeque::new(),
            room,
            visible: 0,
            finished: false,
            ended: false,
            was_reset: false,
            refused: None,
            abandoned: false,
            reader: None,
            writer: None,
            last_arrival: now,
            last_order: (now, 0),
            under_way: 0,
            last_bytes: now,
            written: 0,
            read: 0,
        }
    }

    pub(super) const fn visible(&self) -> usize {
        self.visible
    }

    /// Whether somebody is there to read.
    pub(super) const fn is_heard(&self) -> bool {
        !self.abandoned
    }

    pub(super) const fn was_reset(&self) -> bool {
        self.was_reset
    }

    pub(super) const fn seen(&self) -> Option<Seen> {
        match (self.visible > 0, self.was_reset, self.ended) {
            (true, _, _) => Some(Seen::Bytes),
            (_, true, _) => Some(Seen::Reset),
            (_, _, true) => Some(Seen::End),
            _ => None,
        }
    }

    pub(super) fn poll_seen(&mut self, cx: &Context<'_>) -> Poll<Seen> {
        match self.seen() {
            Some(seen) => Poll::Ready(seen),
            None => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Takes bytes that have arrived. Gives the writer that waits for room.
    pub(super) fn take(&mut self, to: &mut [u8]) -> Option<Waker> {
        let count = to.len();
        for (place, byte) in to.iter_mut().zip(self.bytes.drain(..count)) {
            *place = byte;
        }
        self.visible -= count;
        self.read += count as u64;
        self.writer.take()
    }

    pub(super) fn poll_put(
        &mut self,
        cx: &Context<'_>,
        bytes: &[u8],
        most: usize,
    ) -> Poll<Result<usize, Broken>> {
        if let Some(broken) = self.refused {
            self.refused = Some(Broken::Closed);
            return Poll::Ready(Err(broken));
        }
        if self.finished {
            return Poll::Ready(Err(Broken::Closed));
        }
        let room = self.room - self.bytes.len();
        if room == 0 && !bytes.is_empty() {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room).min(most);
        if !self.abandoned {
            self.bytes.extend(&bytes[..count]);
        }
        self.written += count as u64;
        Poll::Ready(Ok(count))
    }

    /// True the first time.
    pub(super) fn finish(&mut self) -> Result<bool, Broken> {
        if self.refused.is_some() {
            return Err(Broken::Closed);
        }
        Ok(!std::mem::replace(&mut self.finished, true))
    }

    /// So many of the bytes have arrived. Gives the reader that waits for them.
    pub(super) fn arrive(&mut self, count: usize) -> Option<Waker> {
        // What arrives where nobody reads any more is gone, and so is what a reset has taken.
        self.visible = (self.visible + count).min(self.bytes.len());
        self.last_bytes = present();
        self.reader.take()
    }

    pub(super) fn end(&mut self) -> Option<Waker> {
        self.ended = true;
        self.reader.take()
    }

    /// The writer has reset the connection: what was under way is lost, and perhaps what had arrived.
    pub(super) fn reset(&mut self, discards: bool) -> Option<Waker> {
        if self.was_reset {
            return None;
        }
        self.was_reset = true;
        self.bytes.truncate(if discards { 0 } else { self.visible });
        self.visible = self.bytes.len();
        self.reader.take()
    }

    /// The reader has reset the connection. Gives the writer that waits for room.
    pub(super) fn refuse(&mut self) -> Option<Waker> {
        self.refused.get_or_insert(Broken::Reset);
        self.writer.take()
    }

    /// The reader goes. Whether it leaves something unread, and the writer that waits for room.
    pub(super) fn abandon(&mut self) -> (bool, Option<Waker>) {
        let leaves = !self.bytes.is_empty();
        self.abandoned = true;
        self.bytes.clear();
        self.visible = 0;
        (leaves, self.writer.take())
    }
}
