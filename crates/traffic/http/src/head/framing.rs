//! How long a body is (RFC 9112 §6.3), and what `Connection` says. Read strictly: what two recipients could read
//! differently is an error.

use super::Version;
use crate::HttpError;
use crate::fields::{Fields, KnownField};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// So many bytes; 0 when the sender says so.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// All until the peer closes; responses only.
    UntilClose,
}

/// What the framing fields say; `None` when there are none.
pub(super) fn declared(fields: &Fields, version: Version) -> Result<Option<Framing>, HttpError> {
    let has_coding = fields.has(KnownField::TransferEncoding);
    let Some((length, has_tab)) = fields.get_with_tab(KnownField::ContentLength) else {
        return if has_coding { chunked(fields, version).map(Some) } else { Ok(None) };
    };
    if has_coding {
        return Err(HttpError::LengthAndTransferEncoding);
    }
    if fields.has_several(KnownField::ContentLength) {
        return Err(HttpError::SeveralContentLengths);
    }
    if has_tab {
        return Err(HttpError::InvalidContentLength);
    }
    self::length(length).map(|length| Some(Framing::Length(length)))
}

fn chunked(fields: &Fields, version: Version) -> Result<Framing, HttpError> {
    if version == Version::Http10 {
        return Err(HttpError::TransferEncodingInHttp10);
    }
    if fields.has_several(KnownField::TransferEncoding) {
        return Err(HttpError::SeveralTransferEncodings);
    }
    let (coding, has_tab) = fields.get_with_tab(KnownField::TransferEncoding).unwrap_or_default();
    if coding.eq_ignore_ascii_case(b"chunked") && !has_tab {
        Ok(Framing::Chunked)
    } else {
        Err(HttpError::TransferCodingNotSupported)
    }
}

/// The value of a Content-Length: digits only, at most 63 bits, because many servers count in signed numbers.
fn length(value: &[u8]) -> Result<u64, HttpError> {
    /// As many as `i64::MAX` has.
    const MAX_DIGITS: usize = 19;
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HttpError::InvalidContentLength);
    }
    if value.len() > MAX_DIGITS {
        return Err(HttpError::LengthOverflow);
    }
    // Nineteen digits cannot overflow 64 bits.
    let length = value.iter().fold(0_u64, |length, digit| length * 10 + u64::from(digit - b'0'));
    if i64::try_from(length).is_ok() { Ok(length) } else { Err(HttpError::LengthOverflow) }
}

/// Whether the connection may carry another message (RFC 9112 §9.3).
pub(super) fn persists(fields: &Fields, version: Version) -> bool {
    if !fields.has(KnownField::Connection) {
        return version == Version::Http11;
    }
    if has_token(fields, KnownField::Connection, b"close") {
        return false;
    }
    version == Version::Http11 || has_token(fields, KnownField::Connection, b"keep-alive")
}

/// Whether one of the lines of this field lists the token, in whatever case.
pub(crate) fn has_token(fields: &Fields, known: KnownField, token: &[u8]) -> bool {
    fields.values(known).flat_map(tokens).any(|candidate| candidate.eq_ignore_ascii_case(token))
}

/// The elements of a comma-separated list, without blanks around them; empty ones are skipped (RFC 9110 §5.6.1).
pub(crate) fn tokens(list: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

fn trim(element: &[u8]) -> &[u8] {
    let mut element = element;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = element {
        element = rest;
    }
    element
}
