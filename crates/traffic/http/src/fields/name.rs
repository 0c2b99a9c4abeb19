//! Field names that were checked once.

use super::KnownField;
use crate::head::is_token;

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
