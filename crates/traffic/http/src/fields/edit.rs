//! Changing field lines.
//!
//! What is written here reaches the wire, so no edit can bring a line end or another control character into it:
//! such a byte in a value is replaced by a space, a byte in a name that names do not have by `-`. Callers check
//! values where they come from (configuration); a debug build asserts that they did.

use super::{Fields, KnownField, Line, Span, offset};
use crate::head::is_token_byte;

/// Where a finished line goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placement {
    /// After the others.
    End,
    /// In the place of the first line of its name; other lines of that name go.
    Replace,
}

impl Fields {
    /// Replaces all lines of this name by one, in the place of the first; appends it if there is none.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        self.compose(name).push(value).replace();
    }

    /// Adds a line after the others.
    pub fn append(&mut self, name: &str, value: &[u8]) {
        self.compose(name).push(value).append();
    }

    /// Drops all lines of this name; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        match KnownField::from_name(name.as_bytes()) {
            Some(known) => self.remove_known(known),
            None => {
                let bytes = &self.bytes;
                let before = self.lines.len();
                self.lines.retain(|line| !line.name(bytes).eq_ignore_ascii_case(name.as_bytes()));
                self.lines.len() != before
            }
        }
    }

    /// Drops all lines of this field; whether there was one.
    pub fn remove_known(&mut self, known: KnownField) -> bool {
        self.remove_set(known.bit())
    }

    /// Drops all lines of the known fields of this set; whether there was one.
    pub(crate) fn remove_set(&mut self, set: u64) -> bool {
        if self.present & set == 0 {
            return false;
        }
        self.lines.retain(|line| line.known.is_none_or(|known| known.bit() & set == 0));
        self.present &= !set;
        self.repeated &= !set;
        true
    }

    /// Which fields of this set are there.
    pub(crate) const fn present_of(&self, set: u64) -> u64 {
        self.present & set
    }

    /// Drops the lines for which `keep` is false, given whether they are known, and their name.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Option<KnownField>, &[u8]) -> bool) {
        let Self { bytes, lines, present, repeated } = self;
        (*present, *repeated) = (0, 0);
        lines.retain(|line| {
            let kept = keep(line.known, line.name(bytes));
            if let (true, Some(known)) = (kept, line.known) {
                *repeated |= *present & known.bit();
                *present |= known.bit();
            }
            kept
        });
    }

    /// Drops the lines of unknown fields whose name stands at `span` of the store.
    pub(crate) fn remove_unknown_named_at(&mut self, span: Span) {
        let Self { bytes, lines, .. } = self;
        let name = span.of(bytes);
        lines.retain(|line| line.known.is_some() || !line.name(bytes).eq_ignore_ascii_case(name));
    }

    /// Drops the unknown fields whose names begin so.
    pub(crate) fn remove_unknown_with_prefix(&mut self, prefix: &[u8]) {
        let Self { bytes, lines, .. } = self;
        lines.retain(|line| {
            let start = line.name(bytes).get(..prefix.len()).unwrap_or_default();
            line.known.is_some() || !start.eq_ignore_ascii_case(prefix)
        });
    }

    /// The place in the store of a slice that this value gave out.
    pub(crate) fn span_of(&self, part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize);
        Span::new(start, start.saturating_add(part.len()))
    }

    /// The place of the `index`th value of this field.
    pub(crate) fn value_span(&self, known: KnownField, index: usize) -> Option<Span> {
        if !self.has(known) {
            return None;
        }
        self.lines_of(known).nth(index).map(|line| line.value)
    }

    /// Begins a line whose value is put together from pieces, without an allocation of its own.
    pub(crate) fn compose(&mut self, name: &str) -> Composer<'_> {
        let start = self.bytes.len();
        push_name(&mut self.bytes, name.as_bytes());
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(b": ");
        let value_start = self.bytes.len();
        Composer { fields: self, start, name_end, value_start }
    }

    /// Copies bytes to the end of the store and tells where they are.
    pub(crate) fn store(&mut self, pieces: &[&[u8]]) -> Span {
        let start = self.bytes.len();
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        Span::new(start, self.bytes.len())
    }

    /// Copies a part of the store to its end, `prefix` before it, and tells where they are.
    pub(crate) fn store_copy(&mut self, prefix: &[u8], part: Span) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(prefix);
        if part.range().end <= start && part.start <= part.end {
            self.bytes.extend_from_within(part.range());
        }
        Span::new(start, self.bytes.len())
    }
}

/// A line under construction at the end of the store.
pub(crate) struct Composer<'a> {
    fields: &'a mut Fields,
    start: usize,
    name_end: usize,
    value_start: usize,
}

impl Composer<'_> {
    /// Adds bytes that may be anything.
    pub(crate) fn push(self, value: &[u8]) -> Self {
        let at = self.fields.bytes.len();
        self.fields.bytes.extend_from_slice(value);
        // Without an early end, so that many bytes are judged at a time.
        if value.iter().fold(false, |is_bad, &byte| is_bad | is_refused_in_value(byte)) {
            debug_assert!(false, "a control character in the value of a field: {value:?}");
            for byte in self.fields.bytes.iter_mut().skip(at).filter(|byte| is_refused_in_value(**byte)) {
                *byte = b' ';
            }
        }
        self
    }

    /// Adds a copy of a part of the store, which was checked when it got there.
    pub(crate) fn push_stored(self, part: Span) -> Self {
        let range = part.range();
        if range.start <= range.end && range.end <= self.fields.bytes.len() {
            self.fields.bytes.extend_from_within(range);
        }
        self
    }

    /// Adds the values that the lines of this field have now, each with a comma after it.
    pub(crate) fn push_values(self, known: KnownField) -> Self {
        let mut line = self;
        let mut index = 0;
        while let Some(value) = line.fields.value_span(known, index) {
            index += 1;
            if !value.is_empty() {
                line = line.push_stored(value).push(b", ");
            }
        }
        line
    }

    /// Ends the line; it follows the others.
    pub(crate) fn append(self) {
        self.finish(Placement::End);
    }

    /// Ends the line; it takes the place of all lines of its name. Gives the place of its value.
    pub(crate) fn replace(self) -> Span {
        self.finish(Placement::Replace)
    }

    fn finish(self, placement: Placement) -> Span {
        let Self { fields, start, name_end, value_start } = self;
        let value = trimmed(&fields.bytes, value_start);
        fields.bytes.extend_from_slice(b"\r\n");
        let name = Span::new(start, name_end);
        let known = KnownField::from_name(name.of(&fields.bytes));
        let line =
            Line { start: name.start, name_end: name.end, value, end: offset(fields.bytes.len()), known };
        match placement {
            Placement::End => fields.push_line(line),
            Placement::Replace => fields.replace_line(line),
        }
        value
    }
}

impl Fields {
    fn replace_line(&mut self, line: Line) {
        if line.known.is_some_and(|known| !self.has(known)) {
            return self.push_line(line);
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

fn push_name(bytes: &mut Vec<u8>, name: &[u8]) {
    debug_assert!(!name.is_empty() && name.iter().copied().all(is_token_byte), "no field name: {name:?}");
    if name.is_empty() {
        bytes.push(b'-');
    }
    bytes.extend(name.iter().map(|&byte| if is_token_byte(byte) { byte } else { b'-' }));
}

/// The value from `start` to the end of the store, without blanks around it.
fn trimmed(bytes: &[u8], start: usize) -> Span {
    let value = bytes.get(start..).unwrap_or_default();
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let leading = value.iter().take_while(|byte| is_blank(byte)).count();
    let trailing = value.iter().skip(leading).rev().take_while(|byte| is_blank(byte)).count();
    Span::new(start + leading, bytes.len() - trailing)
}
