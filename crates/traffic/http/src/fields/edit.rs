//! Changing field lines.
//!
//! What is written here reaches the wire, so no edit can bring a line end or another control character into it:
//! such a byte in a value is replaced by a space, a byte in a name that names do not have by `-`. Callers check
//! values where they come from (configuration); a debug build asserts that they did.
//!
//! Setting and dropping take what is read as the same name, too: see [`super::alike`].

use super::compose::Composer;
use super::name::{Letters, examine};
use super::{FieldName, Fields, KnownField, Line, Span, UNDERSCORES, is_token_byte, known_alike};

impl Fields {
    /// Replaces all lines of this name by one, in the place of the first; appends it if there is none. Lines whose names are
    /// read as this one by servers that take `_` for `-` go.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        self.compose(name).push(value).replace();
    }

    /// Adds a line after the others.
    pub fn append(&mut self, name: &str, value: &[u8]) {
        self.compose(name).push(value).append();
    }

    /// Like [`Fields::set`], for a name that needs no look.
    pub fn set_known(&mut self, known: KnownField, value: &[u8]) {
        self.compose_known(known).push(value).replace();
    }

    /// Like [`Fields::append`], for a name that needs no look.
    pub fn append_known(&mut self, known: KnownField, value: &[u8]) {
        self.compose_known(known).push(value).append();
    }

    /// Like [`Fields::set`], for a name that was looked at before.
    pub fn set_named(&mut self, name: &FieldName, value: &[u8]) {
        self.compose_named(name).push(value).replace();
    }

    /// Like [`Fields::append`], for a name that was looked at before.
    pub fn append_named(&mut self, name: &FieldName, value: &[u8]) {
        self.compose_named(name).push(value).append();
    }

    /// Drops all lines of this name, and of names that are read as this one by servers that take `_` for `-`; whether there
    /// was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let name = name.as_bytes();
        self.remove_name(name, KnownField::from_name(name), name.contains(&b'_'))
    }

    /// Like [`Fields::remove`], for a name that was looked at before.
    pub fn remove_named(&mut self, name: &FieldName) -> bool {
        self.remove_name(name.as_str().as_bytes(), name.known(), name.has_underscore())
    }

    fn remove_name(&mut self, name: &[u8], known: Option<KnownField>, has_underscore: bool) -> bool {
        let Some(known) = known else {
            let bytes = &self.bytes;
            let before = self.lines.len();
            self.lines.retain(|line| !line.name(bytes).eq_ignore_ascii_case(name));
            let removed = self.lines.len() != before;
            let may_have_alike = has_underscore || self.has_underscores();
            return (may_have_alike && self.remove_alike(name)) || removed;
        };
        self.remove_known(known)
    }

    /// Drops all lines of this field; whether there was one.
    #[inline]
    pub fn remove_known(&mut self, known: KnownField) -> bool {
        self.remove_set(known.bit())
    }

    /// Drops all lines of the known fields of this set, and what is taken for one of them; whether there was one.
    #[inline]
    pub(crate) fn remove_set(&mut self, set: u64) -> bool {
        self.may_have(set) && self.remove_some_of(set)
    }

    fn remove_some_of(&mut self, set: u64) -> bool {
        let Self { bytes, lines, present, .. } = self;
        let has_underscores = *present & UNDERSCORES != 0;
        let before = lines.len();
        lines.retain(|line| match line.known {
            Some(known) => known.bit() & set == 0,
            None if has_underscores => {
                known_alike(line.name(bytes)).is_none_or(|known| known.bit() & set == 0)
            }
            None => true,
        });
        self.present &= !set;
        self.repeated &= !set;
        self.lines.len() != before
    }

    /// Whether there may be a field of this set, or something that is taken for one.
    #[inline]
    pub(crate) const fn may_have(&self, set: u64) -> bool {
        self.present & (set | UNDERSCORES) != 0
    }

    /// Drops the lines for which `keep` is false, given whether they are known, and their name.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Option<KnownField>, &[u8]) -> bool) {
        self.retain_lines(|bytes, line| keep(line.known, line.name(bytes)));
    }

    /// Drops the lines for which `keep` is false, given the byte store and the line.
    pub(super) fn retain_lines(&mut self, mut keep: impl FnMut(&[u8], Line) -> bool) {
        let Self { bytes, lines, present, repeated } = self;
        (*present, *repeated) = (*present & UNDERSCORES, 0);
        lines.retain(|line| {
            let kept = keep(bytes, *line);
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

    /// Drops the unknown fields whose names begin so, and those that are taken for one of them.
    pub(crate) fn remove_unknown_with_prefix(&mut self, prefix: &[u8]) {
        self.remove_alike_to_any(0, prefix);
        let Self { bytes, lines, .. } = self;
        let has_prefix = |line: &Line| {
            let start = || line.name(bytes).get(..prefix.len()).unwrap_or_default();
            line.known.is_none() && start().eq_ignore_ascii_case(prefix)
        };
        // Rarely there is one, and looking costs less than moving.
        if lines.iter().any(has_prefix) {
            lines.retain(|line| !has_prefix(line));
        }
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
    #[inline(always)]
    pub(crate) fn compose(&mut self, name: &str) -> Composer<'_> {
        let name = name.as_bytes();
        let known = KnownField::from_name(name);
        if known.is_none() {
            match examine(name) {
                Some(Letters::Plain) => {}
                Some(Letters::WithUnderscore) => self.note_underscore(),
                None => return self.compose_invalid(name),
            }
        }
        self.compose_valid(name, known)
    }

    /// Begins a line with a name that was looked at before.
    fn compose_named(&mut self, name: &FieldName) -> Composer<'_> {
        if name.has_underscore() {
            self.note_underscore();
        }
        self.compose_valid(name.as_str().as_bytes(), name.known())
    }

    #[cold]
    fn compose_invalid(&mut self, name: &[u8]) -> Composer<'_> {
        debug_assert!(false, "no field name: {name:?}");
        let start = self.bytes.len();
        if name.is_empty() {
            self.bytes.push(b'-');
        }
        self.bytes.extend(name.iter().map(|&byte| if is_token_byte(byte) { byte } else { b'-' }));
        if name.contains(&b'_') {
            self.note_underscore();
        }
        let known = KnownField::from_name(self.bytes.get(start..).unwrap_or_default());
        self.compose_after(start, known)
    }

    /// Begins a line with a name that is valid.
    #[inline(always)]
    fn compose_valid(&mut self, name: &[u8], known: Option<KnownField>) -> Composer<'_> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.compose_after(start, known)
    }

    /// The name is there from `start` on.
    #[inline(always)]
    fn compose_after(&mut self, start: usize, known: Option<KnownField>) -> Composer<'_> {
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(b": ");
        Composer { fields: self, start, name_end, known, may_have_blanks: false }
    }

    /// Begins a line of a known field. Where `known` is a constant, its name costs two moves.
    #[inline(always)]
    pub(crate) fn compose_known(&mut self, known: KnownField) -> Composer<'_> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(known.prefix().as_bytes());
        let name_end = start + known.name().len();
        Composer { fields: self, start, name_end, known: Some(known), may_have_blanks: false }
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
