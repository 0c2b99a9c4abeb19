//! Taking over the field lines of a head: one copy of its bytes, and where each line lies.
//!
//! [`Fields::read`] is the quick way: one pass that knows only what well-formed lines look like. What it does not
//! understand, for whatever reason, goes through the tokeniser and [`Fields::load`], which name what is wrong.

use super::alike::looks_like_framing;
use super::name::{Letters, examine};
use super::{Fields, KnownField, Line, Span, scan};
use crate::HttpError;
use crate::limits::SPARE_BYTES;

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
        // Cannot be cut off: the head is shorter than 4 GiB.
        let place = |rest: &[u8]| (head.len() - rest.len()) as u32;
        let mut rest = head.get(start..)?;
        loop {
            let (name, after_name) = rest.split_at_checked(scan::name_length(head, rest))?;
            if name.is_empty() {
                return after_name.starts_with(b"\r\n").then_some(head.len() - rest.len() + 2);
            }
            let from_value = after_name.strip_prefix(b": ").or_else(|| after_name.strip_prefix(b":"))?;
            let (value, from_end) = from_value.split_at_checked(scan::text_length(head, from_value))?;
            let (blanks, length, next) = match (from_end.strip_prefix(b"\r\n"), value) {
                // In plain text only the blank is not above the blank.
                (Some(next), [first, ..]) if *first > b' ' && value.last() > Some(&b' ') => {
                    (0, value.len(), next)
                }
                _ => unusual_value(from_value)?,
            };
            let known = KnownField::recognise(name);
            if self.lines.len() >= max_fields || (known.is_none() && !self.allows_unknown(name)) {
                return None;
            }
            let value_start = place(from_value) + blanks;
            self.push_line(Line {
                start: place(rest),
                name_end: place(after_name),
                value: Span { start: value_start, end: value_start + length as u32 },
                end: place(next),
                known,
            });
            rest = next;
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
            if known.is_none() && !self.allows_unknown(header.name.as_bytes()) {
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

    /// Whether this is the name of an unknown field, and can mean nothing else. Gateways to CGI-like interfaces read `_` as
    /// `-`, and so take `Content_Length` for a framing field.
    #[inline(never)]
    fn allows_unknown(&mut self, name: &[u8]) -> bool {
        match examine(name) {
            Some(Letters::Plain) => true,
            Some(Letters::WithUnderscore) => {
                self.note_underscore();
                !looks_like_framing(name)
            }
            None => false,
        }
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

/// A value that is empty, or has blanks around it, or not only plain text: how many blanks are before it, how long it is,
/// and what follows its line.
#[cold]
fn unusual_value(from_value: &[u8]) -> Option<(u32, usize, &[u8])> {
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let mut length = scan::text_length(from_value, from_value);
    while let Some(b'\t' | 0x80..) = from_value.get(length) {
        let after = from_value.get(length + 1..)?;
        length += 1 + scan::text_length(from_value, after);
    }
    let (value, end) = from_value.split_at_checked(length)?;
    let next = end.strip_prefix(b"\r\n")?;
    let leading = value.iter().take_while(is_blank).count();
    let trailing = value.iter().skip(leading).rev().take_while(is_blank).count();
    Some((u32::try_from(leading).ok()?, length - leading - trailing, next))
}
