//! An actor's end of a link: bytes in pieces, messages read by a parser that is not Aya's.

use std::cell::RefCell;
use std::future::poll_fn;
use std::time::Duration;

use base_testkit::{Fields, Request, Response};

use crate::dice::Dice;
use crate::net::{Broken, End, Seen};

/// One read takes at most so much.
const READ_BYTES: usize = 16 << 10;
/// No head of the simulated world is longer.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Why something did not come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The peer says that no more comes.
    End,
    /// The peer has reset the connection.
    Reset,
    /// It makes no sense.
    Malformed(String),
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// How hurried an actor is. Zero reads and writes as fast as the network can.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Longest pause before a read, in milliseconds.
    pub(crate) read_ms: usize,
    /// Longest pause before a piece is written.
    pub(crate) write_ms: usize,
    /// Largest piece that is written at once.
    pub(crate) piece: Option<usize>,
}

/// An actor's end of a link. Reading and writing may be done at once, by one each.
pub(crate) struct Wire {
    end: End,
    pending: RefCell<Vec<u8>>,
    dice: RefCell<Dice>,
    pace: Pace,
}

impl Wire {
    pub(crate) fn new(end: End, dice: Dice, pace: Pace) -> Self {
        Self { end, pending: RefCell::default(), dice: RefCell::new(dice), pace }
    }

    /// The link's number.
    pub(crate) const fn link(&self) -> usize {
        self.end.link
    }

    /// Bytes written so far, and read.
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.end.totals()
    }

    /// Writes all of it.
    pub(crate) async fn send(&self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            self.pause(self.pace.write_ms).await;
            let most = self.pace.piece.map_or(bytes.len(), |piece| self.dice.borrow_mut().between(1, piece));
            let piece = &bytes[..most.min(bytes.len())];
            let sent = poll_fn(|cx| self.end.poll_write(cx, piece)).await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Says that no more comes.
    pub(crate) fn finish(&self) {
        let _ = self.end.finish();
    }

    /// Resets the connection.
    pub(crate) fn abort(&self) {
        self.end.abort();
    }

    /// Reads what there is. `false` at the end.
    pub(crate) async fn fill(&self) -> Result<bool, Cut> {
        self.pause(self.pace.read_ms).await;
        match poll_fn(|cx| self.end.poll_seen(cx, true)).await {
            Seen::Reset => Err(Cut::Reset),
            Seen::End => Ok(false),
            Seen::Bytes => {
                let mut chunk = [0; READ_BYTES];
                let count = self.end.take(&mut chunk);
                self.pending.borrow_mut().extend_from_slice(&chunk[..count]);
                Ok(true)
            }
        }
    }

    /// Whether nothing was received that is not used yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.borrow().is_empty()
    }

    /// Reads a request's head; `None` if the connection ended before it began.
    pub(crate) async fn request(&self) -> Result<Option<Request>, Cut> {
        match self.head().await {
            Ok(head) => Request::parse(&head).map(Some).map_err(|error| Cut::Malformed(error.to_string())),
            Err(Cut::End) if self.is_empty() => Ok(None),
            Err(cut) => Err(cut),
        }
    }

    /// Reads an answer's head.
    pub(crate) async fn response(&self) -> Result<Response, Cut> {
        let head = self.head().await?;
        Response::parse(&head).map_err(|error| Cut::Malformed(error.to_string()))
    }

    /// Reads a body into `body`; what has come stays there when it does not come whole.
    pub(crate) async fn body(&self, framing: Framing, body: &mut Vec<u8>) -> Result<(), Cut> {
        match framing {
            Framing::Length(length) => self.exactly(length, body).await,
            Framing::UntilClose => loop {
                body.append(&mut self.pending.borrow_mut());
                if !self.fill().await? {
                    return Ok(());
                }
            },
            Framing::Chunked => loop {
                let line = self.line().await?;
                let size = u64::from_str_radix(line.split(';').next().unwrap_or_default(), 16);
                let size = size.map_err(|_| Cut::Malformed(format!("a chunk's size: {line:?}")))?;
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    return Ok(());
                }
                self.exactly(size, body).await?;
                if !self.line().await?.is_empty() {
                    return Err(Cut::Malformed("no line end behind a chunk".to_owned()));
                }
            },
        }
    }

    async fn exactly(&self, mut left: u64, body: &mut Vec<u8>) -> Result<(), Cut> {
        while left > 0 {
            if self.is_empty() && !self.fill().await? {
                return Err(Cut::End);
            }
            let mut pending = self.pending.borrow_mut();
            let count = pending.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            body.extend(pending.drain(..count));
            left -= count as u64;
        }
        Ok(())
    }

    async fn head(&self) -> Result<Vec<u8>, Cut> {
        loop {
            {
                let mut pending = self.pending.borrow_mut();
                if let Some(at) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
                    return Ok(pending.drain(..at + 4).collect());
                }
                if pending.len() > MAX_HEAD_BYTES {
                    return Err(Cut::Malformed("a head without end".to_owned()));
                }
            }
            if !self.fill().await? {
                return Err(Cut::End);
            }
        }
    }

    async fn line(&self) -> Result<String, Cut> {
        loop {
            {
                let mut pending = self.pending.borrow_mut();
                if let Some(at) = pending.windows(2).position(|window| window == b"\r\n") {
                    let line = String::from_utf8_lossy(&pending[..at]).into_owned();
                    pending.drain(..at + 2);
                    return Ok(line);
                }
            }
            if !self.fill().await? {
                return Err(Cut::End);
            }
        }
    }

    async fn pause(&self, most_ms: usize) {
        if most_ms > 0 {
            let span = self.dice.borrow_mut().millis(0, most_ms);
            if span > Duration::ZERO {
                tokio::time::sleep(span).await;
            }
        }
    }
}

/// How fields frame a body; `None` if they say nothing of it.
pub(crate) fn framing(fields: &Fields) -> Result<Option<Framing>, Cut> {
    let is_chunked = fields.lists("transfer-encoding", "chunked");
    match fields.content_length().map_err(|error| Cut::Malformed(error.to_string()))? {
        Some(_) if is_chunked => Err(Cut::Malformed("two framings".to_owned())),
        Some(length) => Ok(Some(Framing::Length(length as u64))),
        None => Ok(is_chunked.then_some(Framing::Chunked)),
    }
}

/// The bytes of a body that nobody else sends: `from..to` of those that belong to a name.
pub(crate) fn pattern(name: &str, from: u64, to: u64) -> impl Iterator<Item = u8> + use<> {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (from..to).map(move |place| b'a' + (hash.wrapping_mul(place + 1) >> 57) as u8 % 26)
}

/// Whether these are the first bytes of the body of this name.
pub(crate) fn is_pattern(name: &str, body: &[u8]) -> bool {
    pattern(name, 0, body.len() as u64).eq(body.iter().copied())
}

/// Puts a body into chunks of random sizes.
pub(crate) fn chunked(body: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let size = dice.between(1, rest.len().min(4_000));
        out.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        out.extend_from_slice(&rest[..size]);
        out.extend_from_slice(b"\r\n");
        rest = &rest[size..];
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
