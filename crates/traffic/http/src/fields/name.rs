//! Field names that were checked once.

use super::KnownField;

/// The name of a field, valid, and recognised if it is known: what is looked at when configuration is read need not be
/// looked at again for every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName {
    text: Box<str>,
    known: Option<KnownField>,
}

impl FieldName {
    /// This name, if it is one (RFC 9110 §5.1).
    pub fn new(name: &str) -> Option<Self> {
        is_token(name.as_bytes())
            .then(|| Self { text: name.into(), known: KnownField::from_name(name.as_bytes()) })
    }

    /// The name, in the case it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which known field this is.
    pub const fn known(&self) -> Option<KnownField> {
        self.known
    }
}

/// RFC 9110 §5.6.2 `token`.
pub(crate) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().copied().all(is_token_byte)
}

/// RFC 9110 §5.6.2 `tchar`.
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES.get(usize::from(byte)).copied().unwrap_or_default()
}

static TOKEN_BYTES: [bool; 256] = token_bytes();

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn token_bytes() -> [bool; 256] {
    const MARKS: &[u8] = b"!#$%&'*+-.^_`|~";
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < MARKS.len() {
        table[MARKS[index] as usize] = true;
        index += 1;
    }
    table
}
