//! Field lines: one byte store, and spans into it.

mod alike;
mod compose;
mod cookie;
mod edit;
mod known;
mod load;
mod name;
pub(crate) mod scan;
mod section;
#[cfg(test)]
mod tests;

use std::ops::Range;

use alike::UNDERSCORES;
pub(crate) use alike::{begins_alike, known_alike};
pub use known::KnownField;
pub use name::FieldName;
pub(crate) use name::{is_token, is_token_byte};
pub(crate) use section::{field_error, parse_field_lines};

/// A place in the byte store. Kept in 32 bits because heads are small and lists of lines should stay in cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) const EMPTY: Self = Self { start: 0, end: 0 };

    /// Positions beyond 4 GiB become an empty span; limits on heads keep that theoretical.
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: offset(start), end: offset(end) }
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.range()).unwrap_or_default()
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One field line: `name: value CRLF`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    start: u32,
    name_end: u32,
    pub(crate) value: Span,
    end: u32,
    known: Option<KnownField>,
}

impl Line {
    pub(crate) fn name(self, bytes: &[u8]) -> &[u8] {
        Span { start: self.start, end: self.name_end }.of(bytes)
    }

    /// What surrounds the value: `(after the colon, before CRLF)`.
    fn surroundings(self, bytes: &[u8]) -> (&[u8], &[u8]) {
        (
            Span { start: self.name_end + 1, end: self.value.start }.of(bytes),
            Span { start: self.value.end, end: self.end.saturating_sub(2) }.of(bytes),
        )
    }
}

fn offset(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// The field lines of a message, in order. Keeps its memory when cleared, so that heads can be reused.
///
/// Edits append to the byte store and add or drop spans; lines that nobody touched are encoded byte for byte as they
/// were received, a run of them with one copy.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The head as received (start line included), then what edits appended.
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// Which known fields are there, and whether there may be a name with a `_` ([`UNDERSCORES`]).
    present: u64,
    /// Which known fields have more than one line.
    repeated: u64,
}

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), lines: Vec::new(), present: 0, repeated: 0 }
    }

    /// Bytes of memory held.
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.lines.capacity() * size_of::<Line>()
    }

    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        self.present = 0;
        self.repeated = 0;
    }

    /// Whether a line of this field is there.
    #[inline]
    pub const fn has(&self, known: KnownField) -> bool {
        self.present & known.bit() != 0
    }

    /// Whether more than one line of this field is there.
    #[inline]
    pub const fn has_several(&self, known: KnownField) -> bool {
        self.repeated & known.bit() != 0
    }

    /// The first value of this field, without blanks around it.
    #[inline]
    pub fn get(&self, known: KnownField) -> Option<&[u8]> {
        if !self.has(known) {
            return None;
        }
        self.lines_of(known).next().map(|line| line.value.of(&self.bytes))
    }

    /// The values of all lines of this field, in order, without blanks around them.
    pub fn values(&self, known: KnownField) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.lines_of(known).map(|line| line.value.of(&self.bytes))
    }

    /// The first value of the field of this name, in whatever case.
    pub fn find(&self, name: &str) -> Option<&[u8]> {
        self.find_all(name).next()
    }

    /// The values of all lines of this name, in order.
    pub fn find_all(&self, name: &str) -> impl DoubleEndedIterator<Item = &[u8]> {
        let known = KnownField::from_name(name.as_bytes());
        let absent = known.is_some_and(|known| !self.has(known));
        let lines = if absent { &[] } else { self.lines.as_slice() };
        lines
            .iter()
            .filter(move |line| self.is_named(line, known, name.as_bytes()))
            .map(|line| line.value.of(&self.bytes))
    }

    /// All lines as (name, value), in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (line.name(&self.bytes), line.value.of(&self.bytes)))
    }

    /// How many lines there are.
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Appends the lines, each with its CRLF, without the empty line that ends a head.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_after(Span::default(), out);
    }

    /// Appends `run` of the store, then the lines; what lies side by side is one copy.
    pub(crate) fn encode_after(&self, run: Span, out: &mut Vec<u8>) {
        let Span { mut start, mut end } = run;
        for line in &self.lines {
            if line.start != end {
                out.extend_from_slice(Span { start, end }.of(&self.bytes));
                start = line.start;
            }
            end = line.end;
        }
        out.extend_from_slice(Span { start, end }.of(&self.bytes));
    }

    /// The byte store: the head as received, then what edits appended.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn lines_of(&self, known: KnownField) -> impl DoubleEndedIterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.known == Some(known))
    }

    #[inline]
    fn is_named(&self, line: &Line, known: Option<KnownField>, name: &[u8]) -> bool {
        match known {
            Some(_) => line.known == known,
            None => line.known.is_none() && line.name(&self.bytes).eq_ignore_ascii_case(name),
        }
    }

    /// The first value of this field, and whether there is a tab beside it. RFC 9110 allows it as a blank; servers that do
    /// not know that read framing fields differently.
    #[inline]
    pub(crate) fn get_with_tab(&self, known: KnownField) -> Option<(&[u8], bool)> {
        if !self.has(known) {
            return None;
        }
        let line = self.lines_of(known).next()?;
        let has_tab = match line.surroundings(&self.bytes) {
            (b" " | b"", b"") => false,
            (before, after) => before.contains(&b'\t') || after.contains(&b'\t'),
        };
        Some((line.value.of(&self.bytes), has_tab))
    }

    /// Whether there are blanks behind the value of this field's first line.
    #[inline]
    pub(crate) fn has_blanks_behind(&self, known: KnownField) -> bool {
        self.lines_of(known).next().is_some_and(|line| line.value.end + 2 < line.end)
    }

    #[inline]
    fn push_line(&mut self, line: Line) {
        if let Some(known) = line.known {
            self.repeated |= self.present & known.bit();
            self.present |= known.bit();
        }
        self.lines.push(line);
    }

    /// Panics when the parts of this value do not fit together. For tests and simulations.
    pub fn check_invariants(&self) {
        let (mut present, mut repeated) = (0, 0);
        let mut has_underscore = false;
        for line in &self.lines {
            assert!(line.start < line.name_end && line.name_end < line.value.start + 1);
            assert!(line.value.start <= line.value.end && line.value.end + 2 <= line.end);
            assert!(line.end as usize <= self.bytes.len());
            assert_eq!(line.known, KnownField::from_name(line.name(&self.bytes)));
            assert!(self.bytes.get(..line.end as usize).is_some_and(|bytes| bytes.ends_with(b"\r\n")));
            has_underscore |= line.name(&self.bytes).contains(&b'_');
            if let Some(known) = line.known {
                repeated |= present & known.bit();
                present |= known.bit();
            }
        }
        assert_eq!((self.present & !UNDERSCORES, self.repeated), (present, repeated));
        assert!(!has_underscore || self.has_underscores());
    }
}
