//! The form in base64: streams of it, that may be padded in the middle.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use traffic_http::Fields;

use super::frames::{FrameEnds, trailer_frame};
use crate::{RecodeError, Recoder};

/// Bytes that four characters stand for.
const BYTES: usize = 3;
/// Characters.
const CHARACTERS: usize = 4;

/// Less than a whole of so many bytes.
#[derive(Debug)]
struct Begun<const WHOLE: usize> {
    bytes: [u8; WHOLE],
    count: usize,
}

impl<const WHOLE: usize> Default for Begun<WHOLE> {
    fn default() -> Self {
        Self { bytes: [0; WHOLE], count: 0 }
    }
}

impl<const WHOLE: usize> Begun<WHOLE> {
    /// Takes from the front what is missing for a whole, as far as it is there; gives the rest.
    fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (now, rest) = bytes.split_at(bytes.len().min(WHOLE - self.count));
        if let Some(place) = self.bytes.get_mut(self.count..self.count + now.len()) {
            place.copy_from_slice(now);
        }
        self.count += now.len();
        rest
    }

    const fn is_empty(&self) -> bool {
        self.count == 0
    }

    const fn is_whole(&self) -> bool {
        self.count == WHOLE
    }

    /// What there is; the next begins anew.
    fn take(&mut self) -> &[u8] {
        self.bytes.get(..std::mem::take(&mut self.count)).unwrap_or_default()
    }
}

/// Base64 to frames. A client may have padded it anywhere.
#[derive(Debug, Default)]
pub(super) struct TextDecoder(Begun<CHARACTERS>);

impl Recoder for TextDecoder {
    fn recode(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), RecodeError> {
        while !piece.is_empty() {
            if self.0.is_empty() {
                let plain = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
                let (whole, rest) = piece.split_at(plain - plain % CHARACTERS);
                decode(whole, out)?;
                piece = rest;
            }
            piece = self.0.fill(piece);
            if self.0.is_whole() {
                decode(self.0.take(), out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &Fields, _: &mut Vec<u8>) -> Result<(), RecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(RecodeError("the base64 of its body ends too early")) }
    }
}

/// Appends what these characters stand for, four for three bytes.
fn decode(characters: &[u8], out: &mut Vec<u8>) -> Result<(), RecodeError> {
    let start = out.len();
    out.resize(start + characters.len() / CHARACTERS * BYTES, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let decoded =
        STANDARD.decode_slice(characters, room).map_err(|_| RecodeError("its body is not base64"))?;
    out.truncate(start + decoded);
    Ok(())
}

/// Frames to base64, padded behind each, so that a client can read what has come.
#[derive(Debug, Default)]
pub(super) struct TextEncoder {
    ends: FrameEnds,
    begun: Begun<BYTES>,
}

impl TextEncoder {
    fn encode(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        if !self.begun.is_empty() {
            bytes = self.begun.fill(bytes);
            if !self.begun.is_whole() {
                return;
            }
            self.pad(out);
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % BYTES);
        encode(whole, out);
        self.begun.fill(rest);
    }

    /// Writes what is left, with its padding if it is not a whole.
    fn pad(&mut self, out: &mut Vec<u8>) {
        encode(self.begun.take(), out);
    }
}

impl Recoder for TextEncoder {
    fn recode(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), RecodeError> {
        while !piece.is_empty() {
            let (length, is_end) = self.ends.take(piece);
            let (frame, rest) = piece.split_at(length);
            self.encode(frame, out);
            if is_end {
                self.pad(out);
            }
            piece = rest;
        }
        Ok(())
    }

    fn finish(&mut self, trailers: &Fields, out: &mut Vec<u8>) -> Result<(), RecodeError> {
        let mut frame = Vec::new();
        trailer_frame(trailers, &mut frame);
        self.encode(&frame, out);
        self.pad(out);
        Ok(())
    }
}

/// Appends the characters for these bytes.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(BYTES) * CHARACTERS, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let encoded = STANDARD.encode_slice(bytes, room);
    debug_assert_eq!(encoded, Ok(out.len() - start));
}
