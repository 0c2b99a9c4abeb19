//! Encoding a body.

use crate::HttpError;
use crate::fields::Fields;
use crate::head::Framing;

/// Encodes one body: tells what goes around each piece, and what ends it.
#[derive(Clone, Debug)]
pub struct BodyWriter {
    framing: Framing,
}

impl BodyWriter {
    /// An encoder for one body.
    pub const fn new(framing: Framing) -> Self {
        Self { framing }
    }

    /// What to send before and after the next `length` bytes; an error if there must not be so many.
    pub fn frame(&mut self, length: usize) -> Result<ChunkFrame, HttpError> {
        match &mut self.framing {
            Framing::Chunked if length > 0 => Ok(ChunkFrame::chunk(length)),
            // A chunk of size 0 would end the body.
            Framing::Chunked | Framing::UntilClose => Ok(ChunkFrame::BARE),
            Framing::Empty if length == 0 => Ok(ChunkFrame::BARE),
            Framing::Empty => Err(HttpError::BodyTooLong),
            Framing::Length(left) => {
                *left = left.checked_sub(length as u64).ok_or(HttpError::BodyTooLong)?;
                Ok(ChunkFrame::BARE)
            }
        }
    }

    /// Appends what ends the body: the last chunk and the trailers, or nothing. An error if data is missing. Trailers
    /// are dropped where the framing has no place for them.
    pub fn finish(&mut self, trailers: Option<&Fields>, out: &mut Vec<u8>) -> Result<(), HttpError> {
        match self.framing {
            Framing::Chunked => {
                out.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    trailers.encode(out);
                }
                out.extend_from_slice(b"\r\n");
                self.framing = Framing::Empty;
                Ok(())
            }
            Framing::Length(left) if left > 0 => Err(HttpError::BodyTooShort),
            Framing::Length(_) | Framing::Empty | Framing::UntilClose => Ok(()),
        }
    }
}

/// The sixteen digits of a size, and CRLF.
const MAX_PREFIX_BYTES: usize = 18;

/// What surrounds a piece of a body on the wire.
#[derive(Clone, Copy, Debug)]
pub struct ChunkFrame {
    /// Written from the end towards the front.
    prefix: [u8; MAX_PREFIX_BYTES],
    prefix_start: usize,
    suffix: &'static [u8],
}

impl ChunkFrame {
    const BARE: Self = Self { prefix: [0; MAX_PREFIX_BYTES], prefix_start: MAX_PREFIX_BYTES, suffix: b"" };

    fn chunk(length: usize) -> Self {
        let mut frame = Self { suffix: b"\r\n", ..Self::BARE };
        frame.push_front(b'\n');
        frame.push_front(b'\r');
        let mut rest = length;
        while rest > 0 {
            let digit = (rest & 0xf) as u8;
            frame.push_front(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
            rest >>= 4;
        }
        frame
    }

    fn push_front(&mut self, byte: u8) {
        self.prefix_start = self.prefix_start.saturating_sub(1);
        if let Some(place) = self.prefix.get_mut(self.prefix_start) {
            *place = byte;
        }
    }

    /// What goes before: size and CRLF, or nothing.
    pub fn prefix(&self) -> &[u8] {
        self.prefix.get(self.prefix_start..).unwrap_or_default()
    }

    /// What goes after: CRLF, or nothing.
    pub const fn suffix(&self) -> &'static [u8] {
        self.suffix
    }
}
