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

    #[inline]
    fn read_lines(&mut self, head: &[u8], start: usize, max_fields: usize) -> Option<usize> {
        u32::try_from(head.len()).ok()?;
        let mut start = start;
        let (mut present, mut repeated) = (0, 0);
        loop {
            let name_end = scan::name_end(head, start);
            let name = head.get(start..name_end)?;
            let after_name = head.get(name_end..)?;
            if name.is_empty() {
                (self.present, self.repeated) = (present, repeated);
                return after_name.starts_with(b"\r\n").then_some(start + 2);
            }
            let value_start = match after_name {
                [b':', b' ', first, ..] if !is_blank(*first) => name_end + 2,
                [b':', value @ ..] => name_end + 1 + count_blanks(value),
                _ => return None,
            };
            let mut line_end = scan::text_end(head, value_start);
            while head.get(line_end) == Some(&b'\t') {
                line_end = scan::text_end(head, line_end + 1);
            }
            let value = head.get(value_start..line_end)?;
            let known = KnownField::from_name(name);
            let is_usual = head.get(line_end..)?.starts_with(b"\r\n")
                && self.lines.len() < max_fields
                && (known.is_some() || (is_token(name) && !looks_like_framing(name)));
            if !is_usual {
                return None;
            }
            if let Some(known) = known {
                repeated |= present & known.bit();
                present |= known.bit();
            }
            // Cannot be cut off: the head is shorter than 4 GiB.
            self.lines.push(Line {
                start: start as u32,
                name_end: name_end as u32,
                value: Span { start: value_start as u32, end: (value_start + trim_end(value).len()) as u32 },
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

    /// Copies all but the empty line at the end, so that lines that are appended follow the others without a gap.
    fn copy(&mut self, head: &[u8]) {
        self.bytes.reserve(head.len() + SPARE_BYTES);
        self.bytes.extend_from_slice(head.get(..head.len().saturating_sub(2)).unwrap_or_default());
    }
}

#[inline]
const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cold]
fn count_blanks(value: &[u8]) -> usize {
    value.iter().take_while(|byte| is_blank(**byte)).count()
}

#[inline]
fn trim_end(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [rest @ .., last] = value
        && is_blank(*last)
    {
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
