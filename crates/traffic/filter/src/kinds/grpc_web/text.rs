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

/// Base64 to frames. A client may have padded it anywhere.
#[derive(Debug, Default)]
pub(super) struct TextDecoder {
    /// Characters that make no whole yet.
    begun: [u8; CHARACTERS],
    count: usize,
}

impl Recoder for TextDecoder {
    fn recode(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), RecodeError> {
        while !piece.is_empty() {
            if self.count == 0 {
                let plain = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
                let (whole, rest) = piece.split_at(plain - plain % CHARACTERS);
                decode(whole, out)?;
                piece = rest;
            }
            while let Some((byte, rest)) = piece.split_first().filter(|_| self.count < CHARACTERS) {
                if let Some(place) = self.begun.get_mut(self.count) {
                    *place = *byte;
                }
                self.count += 1;
                piece = rest;
            }
            if self.count == CHARACTERS {
                self.count = 0;
                decode(&self.begun, out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &Fields, _: &mut Vec<u8>) -> Result<(), RecodeError> {
        if self.count == 0 { Ok(()) } else { Err(RecodeError("the base64 of its body ends too early")) }
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
    /// Bytes that make no whole yet.
    begun: [u8; BYTES],
    count: usize,
}

impl TextEncoder {
    fn encode(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some((byte, rest)) = bytes.split_first().filter(|_| self.count > 0) {
            if let Some(place) = self.begun.get_mut(self.count) {
                *place = *byte;
            }
            self.count += 1;
            bytes = rest;
            if self.count == BYTES {
                self.pad(out);
            }
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % BYTES);
        encode(whole, out);
        if let Some(place) = self.begun.get_mut(..rest.len()).filter(|_| !rest.is_empty()) {
            place.copy_from_slice(rest);
            self.count = rest.len();
        }
    }

    /// Writes what is left, with its padding if it is not a whole.
    fn pad(&mut self, out: &mut Vec<u8>) {
        encode(self.begun.get(..self.count).unwrap_or_default(), out);
        self.count = 0;
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
