//! Taking over the field lines of a head: one copy of its bytes, and where each line lies.
//!
//! [`Fields::read`] is the quick way: one pass that knows only what well-formed lines look like. What it does not
//! understand, for whatever reason, goes through the tokeniser and [`Fields::load`], which name what is wrong.

use super::{Fields, KnownField, Line, Span};
use crate::HttpError;
use crate::head::is_token;
use crate::limits::SPARE_BYTES;
use crate::scan;

impl Fields {
    /// Takes over a whole head whose first line begins at `start` of `head`; gives the length of the head. `None`, and no
    /// fields, when it is not all there, or anything in it is unusual.
    pub(crate) fn read(&mut self, head: &[u8], start: usize, max_fields: usize) -> Option<usize> {
        self.clear();
        let length = self.read_lines(head, start, max_fields);
        match length.and_then(|length| head.get(..length)) {
            Some(head) => self.copy(head),
            None => self.clear(),
        }
        length
    }

    fn read_lines(&mut self, head: &[u8], start: usize, max_fields: usize) -> Option<usize> {
        u32::try_from(head.len()).ok()?;
        let mut start = start;
        loop {
            let name_end = scan::name_end(head, start);
            if name_end == start {
                return (head.get(start..start + 2) == Some(b"\r\n")).then_some(start + 2);
            }
            let name = head.get(start..name_end)?;
            if *head.get(name_end)? != b':' || self.lines.len() >= max_fields {
                return None;
            }
            let known = KnownField::from_name(name);
            if known.is_none() && (!is_token(name) || looks_like_framing(name)) {
                return None;
            }
            let value_start = skip_blanks(head, name_end + 1);
            let mut line_end = scan::text_end(head, value_start);
            while head.get(line_end) == Some(&b'\t') {
                line_end = scan::text_end(head, line_end + 1);
            }
            if head.get(line_end..line_end + 2) != Some(b"\r\n") {
                return None;
            }
            let value = trim_end(head.get(value_start..line_end)?);
            // Cannot be cut off: the head is shorter than 4 GiB.
            self.push_line(Line {
                start: start as u32,
                name_end: name_end as u32,
                value: Span { start: value_start as u32, end: (value_start + value.len()) as u32 },
                end: line_end as u32 + 2,
                known,
            });
            start = line_end + 2;
        }
    }

    /// Takes over a tokenised head: `headers` are slices of `head`.
    ///
    /// The tokeniser accepts a line that ends with LF alone; here it is refused, by looking at the two bytes before
    /// each line's beginning.
    pub(crate) fn load(&mut self, head: &[u8], headers: &[httparse::Header<'_>]) -> Result<(), HttpError> {
        self.clear();
        if u32::try_from(head.len()).is_err() {
            return Err(HttpError::HeadTooLarge);
        }
        self.copy(head);
        let base = head.as_ptr() as usize;
        for header in headers {
            // Cannot be cut off: the head is shorter than 4 GiB.
            let start = (header.name.as_ptr() as usize - base) as u32;
            let value_start = (header.value.as_ptr() as usize - base) as u32;
            self.end_line(head, start)?;
            let known = KnownField::from_name(header.name.as_bytes());
            if known.is_none() && looks_like_framing(header.name.as_bytes()) {
                return Err(HttpError::AmbiguousFieldName);
            }
            self.push_line(Line {
                start,
                name_end: start + header.name.len() as u32,
                value: Span { start: value_start, end: value_start + header.value.len() as u32 },
                end: 0,
                known,
            });
        }
        let end = head.len().saturating_sub(2);
        self.end_line(head, end as u32)?;
        if head.get(end..) == Some(b"\r\n") { Ok(()) } else { Err(HttpError::InvalidLineEnd) }
    }

    /// A new line begins at `position`, or the head ends there: what is before it must be CRLF.
    #[inline]
    fn end_line(&mut self, head: &[u8], position: u32) -> Result<(), HttpError> {
        if let Some(last) = self.lines.last_mut() {
            last.end = position;
        }
        let position = position as usize;
        match head.get(position.wrapping_sub(2)..position) {
            Some(b"\r\n") => Ok(()),
            _ => Err(HttpError::InvalidLineEnd),
        }
    }

    fn copy(&mut self, head: &[u8]) {
        self.bytes.reserve(head.len() + SPARE_BYTES);
        self.bytes.extend_from_slice(head);
    }
}

#[inline]
fn skip_blanks(head: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(b' ' | b'\t') = head.get(at) {
        at += 1;
    }
    at
}

#[inline]
fn trim_end(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Gateways to CGI-like interfaces read `_` as `-`, and so take this for a framing field.
#[inline]
fn looks_like_framing(name: &[u8]) -> bool {
    #[cold]
    fn compare(name: &[u8], framing: KnownField) -> bool {
        name.iter().zip(framing.name().bytes()).all(|(&byte, expected)| {
            byte.eq_ignore_ascii_case(&expected) || (byte == b'_' && expected == b'-')
        })
    }
    [KnownField::ContentLength, KnownField::TransferEncoding]
        .into_iter()
        .any(|framing| name.len() == framing.name().len() && compare(name, framing))
}
