//! Writing one field line at the end of the store, piece by piece.

use super::{Fields, KnownField, Line, Span, offset, scan};

/// A line under construction at the end of the store.
///
/// All of it is inlined: where name and pieces are constants, little is left.
pub(crate) struct Composer<'a> {
    pub(super) fields: &'a mut Fields,
    pub(super) start: usize,
    pub(super) name_end: usize,
    pub(super) known: Option<KnownField>,
    /// Whether there may be blanks around the value.
    pub(super) may_have_blanks: bool,
}

impl Composer<'_> {
    /// Adds bytes that may be anything.
    #[inline(always)]
    pub(crate) fn push(mut self, value: &[u8]) -> Self {
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        self.may_have_blanks |= is_blank(value.first()) | is_blank(value.last());
        let at = self.fields.bytes.len();
        self.fields.bytes.extend_from_slice(value);
        if !scan::is_text(value) {
            self.fields.clean_from(at);
        }
        self
    }

    /// Adds bytes that were made here, or are constants: text that needs no look, without blanks at the value's ends.
    #[inline(always)]
    pub(crate) fn push_own(self, value: &[u8]) -> Self {
        debug_assert!(!value.iter().copied().any(is_refused_in_value), "an own value: {value:?}");
        self.fields.bytes.extend_from_slice(value);
        self
    }

    /// Adds a copy of a value in the store, which was checked when it got there.
    #[inline(always)]
    pub(crate) fn push_stored(self, part: Span) -> Self {
        let range = part.range();
        if range.start <= range.end && range.end <= self.fields.bytes.len() {
            self.fields.bytes.extend_from_within(range);
        }
        self
    }

    /// Adds the values that the lines of this field have now, each with a comma after it.
    #[inline(always)]
    pub(crate) fn push_values(self, known: KnownField) -> Self {
        if !self.fields.has(known) {
            return self;
        }
        self.fields.push_all_values(known);
        self
    }

    /// Ends the line; it follows the others.
    #[inline(always)]
    pub(crate) fn append(mut self) {
        let line = self.end();
        self.fields.push_line(line);
    }

    /// Ends the line; it takes the place of all lines of its name: that of the first, and the others go. Gives the place
    /// of its value.
    #[inline(always)]
    pub(crate) fn replace(mut self) -> Span {
        let line = self.end();
        match self.known {
            Some(known) if !self.fields.may_have(known.bit()) => self.fields.push_line(line),
            _ => self.fields.replace_line(line),
        }
        line.value
    }

    #[inline(always)]
    fn end(&mut self) -> Line {
        let bytes = &mut self.fields.bytes;
        let value_start = self.name_end + 2;
        let value_end = bytes.len();
        bytes.extend_from_slice(b"\r\n");
        if self.may_have_blanks || u32::try_from(bytes.len()).is_err() {
            return self.unusual(value_start, value_end);
        }
        // Cannot be cut off: the store is shorter than 4 GiB.
        Line {
            start: self.start as u32,
            name_end: self.name_end as u32,
            value: Span { start: value_start as u32, end: value_end as u32 },
            end: value_end as u32 + 2,
            known: self.known,
        }
    }

    /// A line with blanks around its value, or too far behind to have a place.
    #[cold]
    fn unusual(&self, value_start: usize, value_end: usize) -> Line {
        let bytes = self.fields.bytes.get(..value_end).unwrap_or_default();
        Line {
            start: offset(self.start),
            name_end: offset(self.name_end),
            value: trimmed(bytes, value_start),
            end: offset(value_end + 2),
            known: self.known,
        }
    }
}

impl Fields {
    /// Adds the values of this field to the store, each with a comma after it.
    fn push_all_values(&mut self, known: KnownField) {
        let Self { bytes, lines, .. } = self;
        for line in lines.iter().filter(|line| line.known == Some(known) && !line.value.is_empty()) {
            let range = line.value.range();
            if range.end <= bytes.len() {
                bytes.extend_from_within(range);
                bytes.extend_from_slice(b", ");
            }
        }
    }

    /// Puts a space in the place of each byte from `start` on that a value must not have; tabs stay.
    #[cold]
    fn clean_from(&mut self, start: usize) {
        for byte in self.bytes.iter_mut().skip(start).filter(|byte| is_refused_in_value(**byte)) {
            debug_assert!(false, "a control character in the value of a field: {byte}");
            *byte = b' ';
        }
    }

    fn replace_line(&mut self, line: Line) {
        if self.has_underscores() {
            self.remove_alike_to(line);
        }
        let mut fresh = Some(line);
        let Self { bytes, lines, repeated, .. } = self;
        lines.retain_mut(|old| {
            let same = match line.known {
                Some(_) => old.known == line.known,
                None => old.known.is_none() && old.name(bytes).eq_ignore_ascii_case(line.name(bytes)),
            };
            if !same {
                return true;
            }
            match fresh.take() {
                Some(line) => {
                    *old = line;
                    true
                }
                None => false,
            }
        });
        if let Some(known) = line.known {
            *repeated &= !known.bit();
        }
        if let Some(line) = fresh {
            self.push_line(line);
        }
    }

    /// Moves the last line to the front: where Host belongs.
    pub(crate) fn move_last_to_front(&mut self) {
        self.lines.rotate_right(1);
    }
}

/// Whether a value must not contain this byte (RFC 9110 §5.5).
const fn is_refused_in_value(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// The value from `start` to the end of the store, without blanks around it.
fn trimmed(bytes: &[u8], start: usize) -> Span {
    let (mut start, mut value) = (start, bytes.get(start..).unwrap_or_default());
    while let [b' ' | b'\t', rest @ ..] = value {
        start += 1;
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    Span::new(start, start + value.len())
}
