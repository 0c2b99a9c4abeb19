//! A connection over TLS, which the engine sees like any other.
//!
//! The library works on memory that it is given, so a connection that is idle holds none but its keys. What is received lies in a buffer of
//! the worker until a record is whole; what was decrypted goes to whoever asked, and only what that one has no room for is kept.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use traffic_net::{Buffer, BufferPool, BufferSize, Peek, Stream, is_pending_now};

/// Plain bytes that are encrypted together: what one record holds (RFC 8446 §5.1). A slice of this length or more is a record by itself, shorter
/// ones are put together, since each record costs 22 bytes and a tag.
const RECORD_BYTES: usize = 16 << 10;
/// What encryption adds to a record, at most: header, nonce, tag, content type.
const RECORD_EXTRA: usize = 64;
/// Plain bytes that are encrypted at once: with what is added, they fit into a buffer of 64 KiB.
const MOST_BYTES: usize = 3 * RECORD_BYTES;

/// One of the two sides that the library can play.
pub(crate) trait Side {
    /// The library's own.
    type Data;

    /// Works on what was received, up to the next thing that somebody has to do.
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// What was agreed upon, as far as that has come.
    fn common(&self) -> &CommonState;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

/// What is received in one go without a plain byte in it, before others have their turn: tickets, or empty records, of which a peer can send as many as it
/// likes. At least one record, so that each turn gets somewhere.
const MOST_MUTE_BYTES: usize = 64 << 10;

/// A connection over TLS whose handshake is done, or under way.
pub(crate) struct TlsStream<S> {
    under: Box<dyn Stream>,
    records: Box<S>,
    /// Encrypted, received, and not yet worked on: at most one record that is not whole, or several.
    incoming: Buffer,
    /// Encrypted, and not yet taken by the connection below.
    outgoing: Buffer,
    /// Decrypted, and not yet asked for.
    plain: Buffer,
    /// The peer has said that it sends no more.
    has_ended: bool,
    /// The peer was told that no more is sent.
    has_finished: bool,
    /// Why nothing more comes and goes.
    failed: Option<rustls::Error>,
    /// It was last left although there was more to work on.
    has_given_way: bool,
}

/// What comes after the records that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// More has to be received first.
    Receive,
    /// Something was decrypted.
    Plain,
    /// The peer sends no more.
    End,
}

impl<S: Side> TlsStream<S> {
    pub(crate) fn new(under: Box<dyn Stream>, records: S, buffers: &BufferPool) -> Self {
        let buffer = |size| Buffer::new(buffers.clone(), size);
        Self {
            under,
            records: Box::new(records),
            incoming: buffer(BufferSize::Medium),
            outgoing: buffer(BufferSize::Small),
            plain: buffer(BufferSize::Small),
            has_ended: false,
            has_finished: false,
            failed: None,
            has_given_way: false,
        }
    }

    /// The library's side of it.
    pub(crate) const fn records(&self) -> &S {
        &self.records
    }

    /// Goes on with the handshake. `after_work` is called each time that the library has worked on messages.
    pub(crate) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        mut after_work: impl FnMut(),
    ) -> Poll<Result<(), Broken>> {
        loop {
            let worked = self.work(None);
            after_work();
            let drained = self.poll_drain(cx);
            match (worked, drained) {
                // The alert goes out if there is room for it; nobody waits until there is.
                (Err(error), _) => return Poll::Ready(Err(Broken::Tls(error))),
                (_, Poll::Ready(Err(error))) => return Poll::Ready(Err(Broken::Connection(error))),
                // What is left, tickets for instance, goes out with what comes next.
                (Ok(_), _) if !self.records.common().is_handshaking() => return Poll::Ready(Ok(())),
                (Ok(Next::End), _) => return Poll::Ready(Err(Broken::Connection(gone()))),
                (Ok(_), _) => {}
            }
            let is_first = self.records.common().protocol_version().is_none() && self.incoming.is_empty();
            match ready!(self.poll_more(cx)) {
                Ok(0) => return Poll::Ready(Err(Broken::Connection(gone()))),
                Ok(_) if is_first && self.incoming.filled().first().is_some_and(u8::is_ascii_alphabetic) => {
                    return Poll::Ready(Err(Broken::NotTls));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Broken::Connection(error))),
            }
        }
    }

    /// The connection below, for whoever does not speak TLS.
    pub(crate) fn into_under(self) -> Box<dyn Stream> {
        self.under
    }

    /// Has the library work on what was received, until something was decrypted or more is needed. What was decrypted is in `sink` if that has the
    /// room, else in `plain`; what the library wants to send is in `outgoing`.
    fn work(&mut self, mut sink: Option<&mut Buffer>) -> Result<Next, rustls::Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        loop {
            let status = self.records.process(self.incoming.filled_mut());
            let mut discard = status.discard;
            let next = match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        keep(record.payload, sink.as_deref_mut(), &mut self.plain);
                    }
                    Some(Next::Plain)
                }
                Ok(ConnectionState::EncodeTlsData(mut message)) => {
                    put(&mut self.outgoing, |room| message.encode(room).map_err(Refused::from))?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(message)) => {
                    message.done();
                    None
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.has_ended = true;
                    Some(Next::End)
                }
                Ok(_) if self.has_ended => Some(Next::End),
                Ok(_) => Some(Next::Receive),
                Err(error) => {
                    self.failed = Some(error.clone());
                    self.put_alert();
                    return Err(error);
                }
            };
            self.incoming.consume(discard);
            if let Some(next) = next {
                // Nobody knows how long it takes until more comes.
                self.incoming.release();
                return Ok(next);
            }
        }
    }

    /// Takes from the library what it has to say of a failure. Not more: asked again, it would work on the same bytes again.
    fn put_alert(&mut self) {
        loop {
            let state = self.records.process(self.incoming.filled_mut()).state;
            let Ok(ConnectionState::EncodeTlsData(mut message)) = state else { return };
            let before = self.outgoing.len();
            let is_put = put(&mut self.outgoing, |room| message.encode(room).map_err(Refused::from)).is_ok();
            if !is_put || self.outgoing.filled().get(before..).is_none_or(is_alert) {
                return;
            }
        }
    }

    /// Lets the library encrypt something; `None` if the connection is over. What has come meanwhile is decrypted and kept.
    fn write<T>(
        &mut self,
        write: impl FnOnce(WriteTraffic<'_, S::Data>, &mut Buffer) -> Result<T, rustls::Error>,
    ) -> Result<Option<T>, rustls::Error> {
        while self.work(None)? == Next::Plain {}
        match self.records.process(self.incoming.filled_mut()).state? {
            ConnectionState::WriteTraffic(traffic) => write(traffic, &mut self.outgoing).map(Some),
            _ => Ok(None),
        }
    }

    /// Sends what is encrypted.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let sent = ready!(self.under.poll_send(cx, &[IoSlice::new(self.outgoing.filled())]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.consume(sent);
        }
        self.outgoing.resize(BufferSize::Small);
        self.outgoing.release();
        Poll::Ready(Ok(()))
    }

    /// Receives more of what is encrypted, and says how much.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.incoming.is_empty() {
            self.incoming.resize(BufferSize::Medium);
        } else if self.incoming.len() == self.incoming.size().bytes() {
            self.incoming.grow();
        }
        let polled = self.under.poll_receive(cx, &mut self.incoming);
        if polled.is_pending() {
            // Whoever has sent a part of a record may take long for the rest.
            self.incoming.shrink();
            self.incoming.release();
        }
        polled
    }

    /// Waits until something is decrypted; false if the peer sends no more.
    fn poll_plain(&mut self, cx: &mut Context<'_>, mut sink: Option<&mut Buffer>) -> Poll<io::Result<bool>> {
        let mut received = 0;
        loop {
            // What the other side has not yet taken goes on while one waits for it.
            self.push(cx)?;
            match self.work(sink.as_deref_mut()) {
                Ok(Next::Plain) => return Poll::Ready(Ok(true)),
                Ok(Next::End) => return Poll::Ready(Ok(false)),
                Ok(Next::Receive) if received > MOST_MUTE_BYTES => {
                    self.has_given_way = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(Next::Receive) => match ready!(self.poll_more(cx))? {
                    // Without the peer's word for it anybody on the way may have cut it off (RFC 8446 §6.1).
                    0 => return Poll::Ready(Err(gone())),
                    count => received += count,
                },
                Err(error) => {
                    let _ = self.poll_drain(cx);
                    return Poll::Ready(Err(failed(error)));
                }
            }
        }
    }

    /// Tells the peer, once, that no more is sent.
    fn say_goodbye(&mut self) {
        if !std::mem::replace(&mut self.has_finished, true) {
            // Who cannot be told any more is not waiting for it.
            let _ = self.write(|mut traffic, outgoing| {
                put(outgoing, |room| traffic.queue_close_notify(room).map_err(Refused::from))
            });
        }
    }
}

impl<S: Side> Stream for TlsStream<S> {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        let before = buffer.len();
        while self.plain.is_empty() {
            let polled = self.poll_plain(cx, Some(buffer));
            let count = buffer.len() - before;
            match polled {
                // A record may hold nothing.
                Poll::Ready(Ok(true)) if count == 0 => {}
                Poll::Ready(Ok(true)) => return Poll::Ready(Ok(count)),
                polled => {
                    buffer.release();
                    return polled.map_ok(|_| 0);
                }
            }
        }
        let room = buffer.spare();
        let bytes = self.plain.filled();
        let count = room.len().min(bytes.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        buffer.filled_by(count);
        self.plain.consume(count);
        if self.plain.is_empty() {
            self.plain.resize(BufferSize::Small);
            self.plain.release();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        let sent = self.write(|mut traffic, outgoing| encrypt(&mut traffic, outgoing, slices));
        match sent {
            Ok(Some(count)) => {
                // What the system does not take now it takes later: it counts as sent.
                self.push(cx)?;
                Poll::Ready(Ok(count))
            }
            Ok(None) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Err(error) => {
                let _ = self.poll_drain(cx);
                Poll::Ready(Err(failed(error)))
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.under.poll_flush(cx)
    }

    fn push(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Peek>> {
        while self.plain.is_empty() {
            if !ready!(self.poll_plain(cx, None))? {
                return Poll::Ready(Ok(Peek::End));
            }
        }
        Poll::Ready(Ok(Peek::Bytes))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_goodbye();
        ready!(self.poll_drain(cx))?;
        self.under.poll_finish(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_goodbye();
        self.poll_flush(cx)
    }

    fn abort(&mut self) {
        self.under.abort();
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.under.local_address()
    }

    fn is_quiet(&mut self) -> bool {
        self.has_given_way = false;
        is_pending_now(|cx| self.poll_peek(cx)) && !self.has_given_way
    }
}

/// Why a handshake did not come to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// One side has refused what the other one said.
    Tls(rustls::Error),
    /// The connection below has ended.
    Connection(io::Error),
    /// What comes first is a letter, as in a request without TLS, and no record.
    NotTls,
}

/// The most characters of what is said about a failure: what the other side has sent may be quoted in it.
pub(crate) const MAX_SAID: usize = 240;

/// Why the library did not write.
enum Refused {
    /// It needs more room.
    Room,
    Never,
}

impl From<EncodeError> for Refused {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(_) => Self::Room,
            EncodeError::AlreadyEncoded => Self::Never,
        }
    }
}

impl From<EncryptError> for Refused {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(_) => Self::Room,
            EncryptError::EncryptExhausted => Self::Never,
        }
    }
}

/// Lets the library write behind what is in the buffer, with as much room as it needs.
fn put(
    buffer: &mut Buffer,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Refused>,
) -> Result<(), rustls::Error> {
    loop {
        match write(buffer.spare()) {
            Ok(count) => {
                buffer.filled_by(count);
                return Ok(());
            }
            // A message of a handshake that is larger than the largest buffer is none that anybody needs.
            Err(Refused::Room) if buffer.grow() => {}
            Err(_) => return Err(rustls::Error::EncryptError),
        }
    }
}

/// Whether a record that the library has made is an alert: by its type or, where that is encrypted (TLS 1.3), by its length, which no other record
/// that it makes by itself has: header, level, description, type, tag.
fn is_alert(record: &[u8]) -> bool {
    matches!((record.first(), record.len()), (Some(0x15), _) | (Some(0x17), 24))
}

/// Decrypted bytes go to whoever waits for them, or are kept.
fn keep(bytes: &[u8], sink: Option<&mut Buffer>, plain: &mut Buffer) {
    if plain.is_empty()
        && let Some(sink) = sink
        && sink.spare().len() >= bytes.len()
    {
        sink.append(bytes);
    } else {
        plain.append(bytes);
    }
}

thread_local! {
    /// Where what is encrypted together is put together.
    static TOGETHER: RefCell<Vec<u8>> = RefCell::default();
}

/// Encrypts from the front of the slices, and says how much.
fn encrypt<D>(
    traffic: &mut WriteTraffic<'_, D>,
    outgoing: &mut Buffer,
    slices: &[IoSlice<'_>],
) -> Result<usize, rustls::Error> {
    let Some(first) = slices.iter().position(|slice| !slice.is_empty()) else { return Ok(0) };
    let slices = slices.get(first..).unwrap_or_default();
    match slices {
        [] => Ok(0),
        [only] => encrypt_piece(traffic, outgoing, only),
        [first, ..] if first.len() >= RECORD_BYTES => encrypt_piece(traffic, outgoing, first),
        several => TOGETHER.with_borrow_mut(|together| {
            together.clear();
            for slice in several {
                let room = RECORD_BYTES - together.len();
                together.extend_from_slice(slice.get(..slice.len().min(room)).unwrap_or_default());
            }
            encrypt_piece(traffic, outgoing, together)
        }),
    }
}

/// Encrypts as much of it as fits into a buffer, and says how much.
fn encrypt_piece<D>(
    traffic: &mut WriteTraffic<'_, D>,
    outgoing: &mut Buffer,
    bytes: &[u8],
) -> Result<usize, rustls::Error> {
    let piece = bytes.get(..bytes.len().min(MOST_BYTES)).unwrap_or_default();
    if outgoing.is_empty() && piece.len() + RECORD_EXTRA > BufferSize::Small.bytes() {
        outgoing.resize(BufferSize::Medium);
    }
    put(outgoing, |room| traffic.encrypt(piece, room).map_err(Refused::from))?;
    Ok(piece.len())
}

fn gone() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn failed(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
