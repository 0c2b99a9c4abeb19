//! Diagnostics for people (with the line and a mark under the spot) and for programs (JSON).

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde_json::json;

use super::{Diagnostic, Diagnostics, Severity, Span, lines};

/// Characters of a line that are shown; longer lines are cut around the spot.
const WIDEST_LINE: usize = 110;

/// Characters shown in front of the spot in a cut line.
const LEAD: usize = 40;

/// Whether to use terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// ANSI sequences.
    Ansi,
    /// Plain text.
    Plain,
}

impl Colour {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

impl Diagnostics {
    /// For people: each with its line, a mark under the spot and a way out.
    pub fn render(&self, colour: Colour) -> String {
        let lines = self.shown_lines();
        let mut out = String::new();
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            self.render_one(&mut out, item, &lines, colour);
        }
        if self.omitted > 0 {
            let _ = writeln!(out, "\nand {} more", self.omitted);
        }
        out
    }

    /// The lines of the source, what must not be shown made unreadable.
    fn shown_lines(&self) -> Vec<Cow<'_, str>> {
        let mut out: Vec<Cow<'_, str>> = lines(&self.source).into_iter().map(Cow::Borrowed).collect();
        for span in self.items.iter().filter(|item| item.concealed).filter_map(|item| item.span) {
            for line in span.start.line..=span.end.line {
                let from = if line == span.start.line { span.start.column } else { 1 };
                let to = if line == span.end.line { span.end.column } else { u32::MAX };
                let Some(text) = out.get_mut((line as usize).saturating_sub(1)) else { continue };
                let dots = (1_u32..).zip(text.chars());
                *text = dots.map(|(column, c)| if (from..to).contains(&column) { '•' } else { c }).collect();
            }
        }
        out
    }

    fn render_one(&self, out: &mut String, item: &Diagnostic, lines: &[Cow<'_, str>], colour: Colour) {
        let shade = if item.severity == Severity::Error { "1;31" } else { "1;33" };
        let head = colour.paint(shade, item.severity.word());
        let Some(span) = item.span else {
            // Without a place, one line says it all.
            let help = item.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
            let _ = writeln!(out, "{head}: {}: {}{help}", self.file, colour.paint("1", &item.message));
            return;
        };
        let _ = writeln!(out, "{head}: {}", colour.paint("1", &item.message));
        let all_spans = std::iter::once(&span).chain(item.notes.iter().map(|note| &note.span));
        let width = all_spans.map(|span| span.start.line.to_string().len()).max().unwrap_or(1);
        let gutter = colour.paint("34", &format!("{:width$} │", ""));
        let path = if item.path.is_empty() { String::new() } else { format!(" in {}", item.path) };
        let arrow = colour.paint("34", &format!("{:width$}─▶", ""));
        let _ = writeln!(out, "{arrow} {}:{}{path}", self.file, span.start);
        excerpt(out, lines, span, width, colour, (shade, ""));
        for note in &item.notes {
            let _ = writeln!(out, "{gutter}");
            excerpt(out, lines, note.span, width, colour, ("34", &note.message));
        }
        if let Some(help) = &item.help {
            let _ = writeln!(out, "{:width$} {} {help}", "", colour.paint("1;36", "="));
        }
    }

    /// For programs: a list of objects.
    pub fn to_json(&self) -> serde_json::Value {
        let place = |span: Span| {
            json!({
                "line": span.start.line, "column": span.start.column,
                "end-line": span.end.line, "end-column": span.end.column,
            })
        };
        let one = |item: &Diagnostic| {
            let notes =
                item.notes.iter().map(|note| json!({"message": note.message, "place": place(note.span)}));
            json!({
                "severity": item.severity.word(),
                "code": item.code,
                "message": item.message,
                "help": item.help,
                "file": &*self.file,
                "path": item.path,
                "place": item.span.map(place),
                "notes": notes.collect::<Vec<_>>(),
            })
        };
        self.items.iter().map(one).collect()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Plain))
    }
}

/// The line of the span and a mark under its characters.
fn excerpt(
    out: &mut String,
    lines: &[Cow<'_, str>],
    span: Span,
    width: usize,
    colour: Colour,
    mark: (&str, &str),
) {
    let (shade, message) = mark;
    let line = lines.get((span.start.line as usize).saturating_sub(1)).map(Cow::as_ref).unwrap_or_default();
    let length = line.chars().count();
    let start = (span.start.column as usize).saturating_sub(1).min(length);
    let end =
        if span.end.line > span.start.line { length } else { (span.end.column as usize).saturating_sub(1) };
    let end = end.min(length).max(start);
    let skip = if length > WIDEST_LINE { start.saturating_sub(LEAD) } else { 0 };
    let shown: String = line.chars().skip(skip).take(WIDEST_LINE).map(printable).collect();
    let marked: String = line.chars().skip(start).take(end - start).collect();
    let marks = marked.trim_end().chars().count().clamp(1, WIDEST_LINE.saturating_sub(start - skip).max(1));
    let (left, right) = (if skip > 0 { "…" } else { "" }, if length > skip + WIDEST_LINE { "…" } else { "" });
    let number = colour.paint("34", &format!("{:>width$} │", span.start.line));
    let _ = writeln!(out, "{number} {left}{}{right}", shown.trim_end());
    let gutter = colour.paint("34", &format!("{:width$} │", ""));
    let pad = " ".repeat(start - skip + left.chars().count());
    let text = format!("{} {message}", "^".repeat(marks));
    let _ = writeln!(out, "{gutter} {pad}{}", colour.paint(shade, text.trim_end()));
}

/// One column for every character, and nothing that a terminal would obey.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '·',
        c => c,
    }
}
