//! The line before a chunk: its size, and extensions that are dropped (RFC 9112 §7.1).

use crate::HttpError;
use crate::limits::{FREE_CHUNK_EXTENSION_BYTES, MAX_CHUNK_EXTENSION_BYTES, MAX_CHUNK_SIZE_DIGITS};

/// Reads the line byte by byte, so that it may be split anywhere.
#[derive(Clone, Debug, Default)]
pub(super) struct ChunkLine {
    part: Part,
    size: u64,
    digits: u8,
    /// Of this line.
    extension_bytes: u64,
    /// Of all lines of the body.
    all_extension_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Size,
    Extension,
    LineFeed,
}

impl ChunkLine {
    /// Takes the next byte; gives the size when it ends the line. `data_bytes` is what the body had up to here.
    ///
    /// No blanks are accepted around the size: RFC 9112 would tolerate them before `;`, nobody sends them.
    pub(super) fn push(&mut self, byte: u8, data_bytes: u64) -> Result<Option<u64>, HttpError> {
        match (self.part, byte) {
            (Part::Size, b'\r' | b';') if self.digits == 0 => return Err(HttpError::InvalidChunkSize),
            (Part::Size, b';') => self.part = Part::Extension,
            // An extension has a name.
            (Part::Extension, b'\r') if self.extension_bytes == 0 => {
                return Err(HttpError::InvalidChunkExtension);
            }
            (Part::Size | Part::Extension, b'\r') => self.part = Part::LineFeed,
            (Part::Size, _) => self.push_digit(byte)?,
            (Part::Extension, b'\n') | (Part::LineFeed, 0..b'\n' | b'\x0b'..) => {
                return Err(HttpError::InvalidLineEnd);
            }
            (Part::Extension, _) => self.push_extension(byte, data_bytes)?,
            (Part::LineFeed, b'\n') => {
                let all_extension_bytes = self.all_extension_bytes;
                let line = std::mem::replace(self, Self { all_extension_bytes, ..Self::default() });
                return Ok(Some(line.size));
            }
        }
        Ok(None)
    }

    fn push_digit(&mut self, byte: u8) -> Result<(), HttpError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\n' if self.digits > 0 => return Err(HttpError::InvalidLineEnd),
            _ => return Err(HttpError::InvalidChunkSize),
        };
        if self.digits == MAX_CHUNK_SIZE_DIGITS {
            return Err(HttpError::LengthOverflow);
        }
        self.digits += 1;
        self.size = (self.size << 4) | u64::from(digit);
        // Many servers count in signed numbers.
        if i64::try_from(self.size).is_err() {
            return Err(HttpError::LengthOverflow);
        }
        Ok(())
    }

    fn push_extension(&mut self, byte: u8, data_bytes: u64) -> Result<(), HttpError> {
        if byte.is_ascii_control() && byte != b'\t' {
            return Err(HttpError::InvalidChunkExtension);
        }
        self.extension_bytes += 1;
        self.all_extension_bytes += 1;
        let allowance = data_bytes.saturating_add(FREE_CHUNK_EXTENSION_BYTES);
        if self.extension_bytes > MAX_CHUNK_EXTENSION_BYTES || self.all_extension_bytes > allowance {
            return Err(HttpError::ChunkExtensionsTooLarge);
        }
        Ok(())
    }
}
