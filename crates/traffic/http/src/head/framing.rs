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
    /// All until the peer closes; responses only. In HTTP/2, of either: all until the end of the stream.
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
    } else if !has_tab && is_chunked_over_others(coding) {
        Err(HttpError::TransferCodingNotSupported)
    } else {
        Err(HttpError::InvalidTransferEncoding)
    }
}

/// Whether the framing is clear, and only the coding inside is not spoken here: `gzip, chunked`.
fn is_chunked_over_others(coding: &[u8]) -> bool {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut codings = coding.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    codings.next_back().is_some_and(is_chunked)
        && codings.all(|coding| !is_chunked(coding) && !coding.is_empty())
}

/// The value of a Content-Length: digits only, at most 63 bits, because many servers count in signed numbers.
fn length(value: &[u8]) -> Result<u64, HttpError> {
    /// As many as `i64::MAX` has.
    const MAX_DIGITS: usize = 19;
    let mut length = 0_u64;
    for digit in value.iter().map(|byte| byte.wrapping_sub(b'0')) {
        if digit > 9 {
            return Err(HttpError::InvalidContentLength);
        }
        // Nineteen digits cannot overflow 64 bits; what more make of it is refused below.
        length = length.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    if value.is_empty() {
        return Err(HttpError::InvalidContentLength);
    }
    if value.len() > MAX_DIGITS {
        return Err(HttpError::LengthOverflow);
    }
    if i64::try_from(length).is_ok() { Ok(length) } else { Err(HttpError::LengthOverflow) }
}

/// Whether the connection may carry another message (RFC 9112 §9.3).
pub(super) fn persists(fields: &Fields, version: Version) -> bool {
    if !fields.has(KnownField::Connection) {
        return version != Version::Http10;
    }
    if has_token(fields, KnownField::Connection, b"close") {
        return false;
    }
    version != Version::Http10 || has_token(fields, KnownField::Connection, b"keep-alive")
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
