//! Field names that were checked once.

use super::KnownField;

/// The name of a field, valid, and recognised if it is known: what is looked at when configuration is read need not be
/// looked at again for every message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName {
    text: Box<str>,
    known: Option<KnownField>,
    letters: Letters,
}

impl FieldName {
    /// This name, if it is one (RFC 9110 §5.1).
    pub fn new(name: &str) -> Option<Self> {
        let letters = examine(name.as_bytes())?;
        Some(Self { text: name.into(), known: KnownField::from_name(name.as_bytes()), letters })
    }

    /// The name, in the case it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which known field this is.
    pub const fn known(&self) -> Option<KnownField> {
        self.known
    }

    /// Whether some read it as another name, too.
    pub(super) fn has_underscore(&self) -> bool {
        self.letters == Letters::WithUnderscore
    }
}

/// What a valid name is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    /// Without a `_`, so that it is read the same everywhere.
    Plain,
    /// With a `_`, which some read as `-`.
    WithUnderscore,
}

/// Looks at a name; `None` if it is not one.
#[inline]
pub(super) fn examine(name: &[u8]) -> Option<Letters> {
    let seen = name.iter().fold(0, |seen, &byte| seen | class(byte));
    match seen {
        0 if !name.is_empty() => Some(Letters::Plain),
        UNDERSCORE => Some(Letters::WithUnderscore),
        _ => None,
    }
}

/// RFC 9110 §5.6.2 `token`.
pub(crate) fn is_token(name: &[u8]) -> bool {
    examine(name).is_some()
}

/// RFC 9110 §5.6.2 `tchar`.
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    class(byte) & REFUSED == 0
}

/// A byte that names do not have.
const REFUSED: u8 = 1;
/// A byte that names may have, and that some read as `-`.
const UNDERSCORE: u8 = 2;

#[inline]
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(REFUSED)
}

/// [`REFUSED`], [`UNDERSCORE`], or 0.
static CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn classes() -> [u8; 256] {
    const MARKS: &[u8] = b"!#$%&'*+-.^`|~";
    let mut table = [REFUSED; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = 0;
        }
        byte += 1;
    }
    let mut index = 0;
    while index < MARKS.len() {
        table[MARKS[index] as usize] = 0;
        index += 1;
    }
    table[b'_' as usize] = UNDERSCORE;
    table
}
