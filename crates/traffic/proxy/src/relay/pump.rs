//! One direction of a message body: from a connection that sends it to one that takes it.
//!
//! Holds at most one buffer of the source and one of re-framed bytes, however long the body is: it reads on only when what it
//! read was taken.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base_signal::Reason;
use traffic_filter::{RecodeError, Recoder};
use traffic_http::{BodyEvent, BodyReader, BodyWriter, FieldName, Fields, Framing, HttpError};
use traffic_net::{Buffer, BufferSize};

use crate::failure::Failure;
use crate::wire::Carrier;

/// Re-framed bytes gathered before they are sent; as much as one read of a medium buffer brings.
const GATHER_BYTES: usize = 64 << 10;
/// Up to here, copying body bytes behind the head is cheaper than handing the kernel two slices.
const COPY_BYTES: usize = 4 << 10;
/// Bodies with more than this to come are read in large pieces: fewer system calls, and still in the second-level cache.
const BULK_BYTES: u64 = 64 << 10;

/// Sent in one go before other connections of the worker get their turn.
const TURN_BYTES: usize = 512 << 10;

/// Which of the two connections a pump waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that sends the body.
    Source,
    /// The one that takes it.
    Sink,
}

/// Why a body did not arrive.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// The source broke, or ended too early (`UnexpectedEof`).
    Source(io::Error),
    /// The source's framing is wrong.
    Malformed(HttpError),
    /// What a filter was to change is not what it should be.
    Unchangeable(RecodeError),
    /// The sink broke.
    Sink(io::Error),
}

/// An end of a pump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Sink,
}

impl PumpError {
    /// Which end is to blame.
    pub(crate) const fn end(&self) -> End {
        match self {
            Self::Source(_) | Self::Malformed(_) | Self::Unchangeable(_) => End::Source,
            Self::Sink(_) => End::Sink,
        }
    }

    /// What became of a request whose body broke off before all of it was sent, where the endpoint is not to blame.
    pub(crate) fn of_request(&self) -> Failure {
        match self {
            Self::Source(error) | Self::Sink(error) => Failure::with(Reason::ClientClosed, error),
            Self::Malformed(error) => Failure::bad_request(error),
            Self::Unchangeable(error) => Failure::with(Reason::BadRequest, error),
        }
    }
}

/// What was given to the sink, kept so that it can be given to another.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    data: Vec<u8>,
    limit: usize,
    /// Whether it would be used once something was sent; bytes that go out as they are, are not copied otherwise.
    keeps_sent: bool,
    overrun: bool,
}

impl Replay {
    /// Starts to keep up to `limit` bytes.
    pub(crate) fn start(&mut self, limit: usize, keeps_sent: bool) {
        self.data.clear();
        (self.limit, self.keeps_sent, self.overrun) = (limit, keeps_sent, false);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.overrun || self.data.len() + bytes.len() > self.limit {
            self.overrun = true;
            self.data.clear();
        } else {
            self.data.extend_from_slice(bytes);
        }
    }

    fn sent_directly(&mut self, bytes: &[u8]) {
        if self.keeps_sent {
            self.keep(bytes);
        } else {
            self.overrun = true;
        }
    }

    /// Memory held.
    pub(crate) const fn capacity(&self) -> usize {
        self.data.capacity()
    }

    /// Whether all bytes are here that were taken from the source and are not in its buffer any more.
    pub(crate) const fn is_complete(&self) -> bool {
        !self.overrun
    }
}

/// What a filter does to a body.
#[derive(Debug)]
struct Change {
    recoder: Box<dyn Recoder>,
    /// What it has made of the last piece.
    piece: Vec<u8>,
}

/// The state of one direction.
#[derive(Debug)]
pub(crate) struct Pump {
    reader: BodyReader,
    writer: BodyWriter,
    to: Framing,
    /// Whether the source's body comes in chunks.
    from_chunks: bool,
    /// Bytes of `out` that were sent.
    out_sent: usize,
    /// Bytes at the front of `out` that stay when they are sent.
    head_bytes: usize,
    /// Bytes at the front of the source's buffer that go out as they are, after `out`.
    direct: usize,
    /// The source's body is complete, and `out` and `direct` hold the rest of it.
    ended: bool,
    /// And all of it was sent.
    finished: bool,
    /// Whether the sink took any byte.
    sent: bool,
    waits_for: Side,
    /// Names of trailers that are not passed on.
    dropped_trailers: Option<Arc<[FieldName]>>,
    /// What a filter does to the body, until that has ended.
    change: Option<Box<Change>>,
    /// A filter has changed the body, and nothing goes behind it.
    is_changed: bool,
    /// Body bytes taken from the source.
    pub(crate) body_bytes: u64,
    /// Grows whenever bytes were taken in or sent.
    pub(crate) progress: u64,
}

impl Default for Pump {
    fn default() -> Self {
        Self::new(Framing::Empty, Framing::Empty)
    }
}

/// The two connections of a pump and what lies between them.
pub(crate) struct Ends<'a> {
    pub(crate) source: Carrier<'a>,
    pub(crate) input: &'a mut Buffer,
    pub(crate) sink: Carrier<'a>,
    /// What is to be sent first: the head, then re-framed bytes. When all is sent, what [`Pump::keep_head`] keeps is left.
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) replay: Option<&'a mut Replay>,
}

impl Pump {
    /// Whether anything is sent behind the head.
    pub(crate) const fn has_body(&self) -> bool {
        !matches!(self.to, Framing::Empty | Framing::Length(0))
    }

    /// A pump from one framing to another.
    pub(crate) fn new(from: Framing, to: Framing) -> Self {
        Self {
            reader: BodyReader::new(from),
            writer: BodyWriter::new(to),
            to,
            from_chunks: matches!(from, Framing::Chunked),
            out_sent: 0,
            head_bytes: 0,
            direct: 0,
            ended: false,
            finished: false,
            sent: false,
            waits_for: Side::Source,
            dropped_trailers: None,
            change: None,
            is_changed: false,
            body_bytes: 0,
            progress: 0,
        }
    }

    /// Whether the whole body was taken and sent.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Begins with the next body; keeps its memory.
    pub(crate) fn reset(&mut self, from: Framing, to: Framing) {
        self.reader.reset(from);
        self.writer = BodyWriter::new(to);
        self.to = to;
        self.from_chunks = matches!(from, Framing::Chunked);
        (self.out_sent, self.head_bytes, self.direct) = (0, 0, 0);
        (self.body_bytes, self.progress) = (0, 0);
        (self.ended, self.finished, self.sent) = (false, false, false);
        self.waits_for = Side::Source;
        self.dropped_trailers = None;
        (self.change, self.is_changed) = (None, false);
    }

    /// Has trailers of these names not passed on.
    pub(crate) fn drop_trailers(&mut self, names: &Arc<[FieldName]>) {
        self.dropped_trailers = (!names.is_empty()).then(|| Arc::clone(names));
    }

    /// Has a filter change the body, which the sink then gets in this framing: without a length.
    pub(crate) fn change(&mut self, recoder: Box<dyn Recoder>, to: Framing) {
        debug_assert!(!self.has_begun() && !matches!(to, Framing::Length(_)));
        self.change = Some(Box::new(Change { recoder, piece: Vec::new() }));
        self.is_changed = true;
        (self.to, self.writer) = (to, BodyWriter::new(to));
    }

    /// Frames the body for a sink to which its end is told beside it, or for one to which it is not.
    pub(crate) fn aim(&mut self, is_told_beside: bool) {
        self.to = match self.to {
            Framing::Chunked if is_told_beside => Framing::UntilClose,
            Framing::UntilClose if !is_told_beside => Framing::Chunked,
            framing => framing,
        };
        self.writer = BodyWriter::new(self.to);
    }

    /// Whether pieces get another frame than they came in.
    fn reframes(&self) -> bool {
        self.from_chunks || self.to == Framing::Chunked || self.is_changed
    }

    /// How the sink gets the body.
    pub(crate) const fn framing(&self) -> Framing {
        self.to
    }

    /// Has so many bytes at the front of `out` stay there when they are sent, in case they must be sent again.
    pub(crate) const fn keep_head(&mut self, bytes: usize) {
        self.head_bytes = bytes;
    }

    /// Bytes at the front of `out` that stay.
    pub(crate) const fn head_bytes(&self) -> usize {
        self.head_bytes
    }

    /// Whether anything was done with it yet.
    pub(crate) const fn has_begun(&self) -> bool {
        self.progress > 0 || self.ended
    }

    /// Whether the sink took any byte.
    pub(crate) const fn has_sent(&self) -> bool {
        self.sent
    }

    /// Reads over what is in the source's buffer. True if that was the rest of the body.
    pub(crate) fn discard(&mut self, input: &mut Buffer) -> bool {
        input.consume(self.direct);
        self.direct = 0;
        while let Ok((used, event)) = self.reader.read(input.filled()) {
            let more = matches!(event, BodyEvent::Data(_));
            input.consume(used);
            if !more {
                break;
            }
        }
        self.reader.is_done()
    }

    /// Which connection it waited for when it was last pending.
    pub(crate) const fn waits_for(&self) -> Side {
        self.waits_for
    }

    /// Moves what can be moved. Ready when the body is complete at the sink.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), PumpError>> {
        let mut moved = 0;
        loop {
            let hungry = !self.ended && self.gather(ends)?;
            ready!(self.poll_flush(cx, ends, &mut moved))?;
            if self.ended {
                ready!(self.poll_end(cx, ends))?;
                self.finished = true;
                return Poll::Ready(Ok(()));
            }
            if moved >= TURN_BYTES {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if hungry {
                ready!(self.poll_fill(cx, ends))?;
            }
        }
    }

    /// Decodes what lies in the source's buffer into `out`, or marks it to be sent directly. True if the source has to
    /// send more before there is anything else to decode.
    fn gather(&mut self, ends: &mut Ends<'_>) -> Result<bool, PumpError> {
        while self.direct == 0 && self.gathered(ends) < GATHER_BYTES && !self.ended {
            let filled = ends.input.filled();
            // What is copied is bounded by what `out` may hold; the rest stays where it is.
            let window = if self.reframes() { GATHER_BYTES - self.gathered(ends) } else { filled.len() };
            let input = filled.get(..window).unwrap_or(filled);
            let is_all = input.len() == filled.len();
            let (used, event) = self.reader.read(input).map_err(PumpError::Malformed)?;
            match event {
                BodyEvent::NeedMore => {
                    ends.input.consume(used);
                    if is_all {
                        return Ok(true);
                    }
                }
                BodyEvent::End => {
                    ends.input.consume(used);
                    self.end(ends.out, ends.replay.as_deref_mut())?;
                }
                BodyEvent::Data(data) => {
                    let length = data.len();
                    self.body_bytes += length as u64;
                    self.progress += 1;
                    if let Some(Change { recoder, piece }) = self.change.as_deref_mut() {
                        piece.clear();
                        recoder.recode(data, piece).map_err(PumpError::Unchangeable)?;
                        put(piece, &mut self.writer, ends.out, ends.replay.as_deref_mut())?;
                        ends.input.consume(used);
                    } else if self.reframes() || (length <= COPY_BYTES && ends.out.len() > self.out_sent) {
                        put(data, &mut self.writer, ends.out, ends.replay.as_deref_mut())?;
                        ends.input.consume(used);
                    } else {
                        self.writer.frame(length).map_err(PumpError::Malformed)?;
                        ends.input.consume(used - length);
                        self.direct = length;
                    }
                    // A body of known length has ended with its last byte; sending needn't wait for another look.
                    if self.reader.is_done() {
                        self.end(ends.out, ends.replay.as_deref_mut())?;
                    }
                }
            }
        }
        Ok(false)
    }

    /// The source's body is complete: adds what ends it for the sink.
    fn end(&mut self, out: &mut Vec<u8>, replay: Option<&mut Replay>) -> Result<(), PumpError> {
        self.ended = true;
        for name in self.dropped_trailers.as_deref().unwrap_or_default() {
            self.reader.remove_trailers(name);
        }
        // What was changed before is not changed again when it is sent again.
        if let Some(Change { mut recoder, mut piece }) = self.change.take().map(|change| *change) {
            piece.clear();
            recoder.finish(self.reader.trailers(), &mut piece).map_err(PumpError::Unchangeable)?;
            put(&piece, &mut self.writer, out, replay)?;
        }
        let trailers = self.reader.trailers();
        let trailers = (!trailers.is_empty() && !self.is_changed).then_some(trailers);
        // Only a re-framed body has something to add, and it never has direct bytes in front of it.
        self.writer.finish(trailers, out).map_err(PumpError::Malformed)
    }

    /// Bytes behind the head in `out`.
    fn gathered(&self, ends: &Ends<'_>) -> usize {
        ends.out.len().saturating_sub(self.head_bytes)
    }

    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        moved: &mut usize,
    ) -> Poll<Result<(), PumpError>> {
        // A head that goes beside the bytes goes with the first of them, or with the end, if there is anything of either yet.
        if self.out_sent >= ends.out.len() && self.direct == 0 && !self.ended {
            self.waits_for = Side::Sink;
            if ready!(ends.sink.poll_send_head(cx)).map_err(PumpError::Sink)? {
                self.sent = true;
                self.progress += 1;
            }
        }
        while self.out_sent < ends.out.len() || self.direct > 0 {
            let head = ends.out.get(self.out_sent..).unwrap_or_default();
            let direct = ends.input.filled().get(..self.direct).unwrap_or_default();
            self.waits_for = Side::Sink;
            let polled = match (head.is_empty(), direct.is_empty()) {
                (false, false) => {
                    ends.sink.stream().poll_send(cx, &[IoSlice::new(head), IoSlice::new(direct)])
                }
                (true, _) => ends.sink.stream().poll_send(cx, &[IoSlice::new(direct)]),
                (_, true) => ends.sink.stream().poll_send(cx, &[IoSlice::new(head)]),
            };
            if polled.is_pending() {
                // What was copied into `out` needs no storage of its own while a slow sink is waited for.
                ends.input.release();
            }
            let sent = ready!(polled).map_err(PumpError::Sink)?;
            if sent == 0 {
                return Poll::Ready(Err(PumpError::Sink(io::ErrorKind::WriteZero.into())));
            }
            self.sent = true;
            self.progress += 1;
            *moved += sent;
            let of_head = sent.min(head.len());
            self.out_sent += of_head;
            if let Some(replay) = ends.replay.as_mut().filter(|_| sent > of_head) {
                replay.sent_directly(ends.input.filled().get(..sent - of_head).unwrap_or_default());
            }
            self.direct -= sent - of_head;
            ends.input.consume(sent - of_head);
        }
        ends.out.truncate(self.head_bytes);
        self.out_sent = ends.out.len();
        Poll::Ready(Ok(()))
    }

    /// Tells the sink that the body is complete, if its bytes do not tell.
    fn poll_end(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), PumpError>> {
        if ends.sink.is_exchange() {
            self.waits_for = Side::Sink;
            static NONE: Fields = Fields::new();
            let trailers = if self.is_changed { &NONE } else { self.reader.trailers() };
            ready!(ends.sink.poll_end(cx, trailers)).map_err(PumpError::Sink)?;
            self.sent = true;
            self.progress += 1;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), PumpError>> {
        if ends.input.is_empty() {
            if ends.source.is_exchange() {
                // Its pieces are no larger, and many of them may wait for their sinks at once.
                ends.input.resize(BufferSize::Small);
            } else if self.reader.remaining().is_none_or(|left| left > BULK_BYTES) {
                ends.input.resize(BufferSize::Large);
            }
        }
        self.waits_for = Side::Source;
        let polled = ends.source.stream().poll_receive(cx, ends.input);
        if polled.is_pending() {
            // The source may take long; what the sink keeps back is not to wait for it.
            ends.sink.stream().push(cx).map_err(PumpError::Sink)?;
        }
        let received = ready!(polled).map_err(PumpError::Source)?;
        self.progress += 1;
        if received == 0 {
            self.reader.end_of_input().map_err(|_| PumpError::Source(io::ErrorKind::UnexpectedEof.into()))?;
            if let Some(lines) = ends.source.take_trailers() {
                self.reader.take_trailers(&lines).map_err(PumpError::Malformed)?;
            }
            self.end(ends.out, ends.replay.as_deref_mut())?;
        }
        Poll::Ready(Ok(()))
    }

    /// Prepares to send everything again to another sink: first what `out` holds (the head), then what was sent before, which
    /// the replay must hold completely, then what lies in the source's buffer.
    pub(crate) fn rewind(&mut self, out: &mut Vec<u8>, replay: &Replay) -> Result<(), PumpError> {
        debug_assert!(replay.is_complete());
        (self.out_sent, self.finished, self.sent) = (0, false, false);
        self.writer = BodyWriter::new(self.to);
        put(&replay.data, &mut self.writer, out, None)?;
        if self.reframes() {
            // They were to go out as they are, and are framed now. That a body of no known length is read twice makes no difference.
            self.body_bytes -= self.direct as u64;
            self.direct = 0;
        }
        self.writer.frame(self.direct).map_err(PumpError::Malformed)?;
        self.ended = self.reader.is_done();
        if self.ended { self.end(out, None) } else { Ok(()) }
    }
}

/// Frames a piece, and keeps it in case it has to be sent again.
fn put(
    piece: &[u8],
    writer: &mut BodyWriter,
    out: &mut Vec<u8>,
    replay: Option<&mut Replay>,
) -> Result<(), PumpError> {
    if piece.is_empty() {
        return Ok(());
    }
    let frame = writer.frame(piece.len()).map_err(PumpError::Malformed)?;
    if let Some(replay) = replay {
        replay.keep(piece);
    }
    out.extend_from_slice(frame.prefix());
    out.extend_from_slice(piece);
    out.extend_from_slice(frame.suffix());
    Ok(())
}

#[cfg(test)]
mod tests;
