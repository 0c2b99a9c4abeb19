//! Places in a text.

use std::fmt;

/// A character in the text: line and column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// From the first character to behind the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first character.
    pub start: Position,
    /// Behind the last character.
    pub end: Position,
}

impl Span {
    /// A part of a text that stands on one line: `from` and `to` count characters from the span's start.
    pub(crate) fn part(self, from: usize, to: usize) -> Self {
        let shift = |by: usize| {
            let by = u32::try_from(by).unwrap_or(u32::MAX);
            Position { column: self.start.column.saturating_add(by), ..self.start }
        };
        Self { start: shift(from), end: shift(to.max(from + 1)) }
    }
}

/// The lines of a text as the parser counts them: `\n`, `\r\n` and `\r` end one.
pub(crate) fn lines(source: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for line in source.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        lines.extend(line.split('\r'));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_counts_once() {
        assert_eq!(lines("a\nb\r\nc\rd\r\r\n"), ["a", "b", "c", "d", "", ""]);
        assert_eq!(lines(""), [""]);
    }
}
