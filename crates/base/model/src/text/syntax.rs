//! What is wrong with a text that is not YAML, in terms of what was probably meant.

use saphyr_parser::{Marker, ScanError};

use crate::diagnostic::{Diagnostic, Position, Span, lines};
use crate::limits::MAX_DEPTH;

/// Says what is wrong with the syntax in terms of the text where that can be told.
pub(super) fn syntax_diagnostic(source: &str, error: &ScanError) -> Diagnostic {
    let start = position(*error.marker());
    let line = lines(source).into_iter().nth((start.line as usize).saturating_sub(1)).unwrap_or_default();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    if let Some(tab) = indent.chars().position(|c| c == '\t') {
        let start = Position { line: start.line, column: u32::try_from(tab + 1).unwrap_or(1) };
        return Diagnostic::error("syntax", "a tab is used for indentation".to_owned())
            .at(Span { start, end: start }.part(0, 1))
            .help("use spaces: YAML does not allow tabs there");
    }
    let span = Span { start, end: start }.part(0, 1);
    if error.info().contains("recursion limit") {
        return too_deep(span);
    }
    let unquoted = unquoted_star(line, start, error.info()).or_else(|| unquoted_brackets(line, start));
    if let Some(diagnostic) = unquoted {
        return diagnostic;
    }
    Diagnostic::error("syntax", format!("this is not valid YAML: {}", error.info())).at(span).help(
        if line.contains(['{', '[']) {
            "look at brackets and quotes here and just above; inside of `{…}` and `[…]`, \
             quote what holds a bracket, a brace as in `${NAME}`, a comma or a colon"
        } else {
            "look at the indentation, colons, quotes and brackets here and just above"
        },
    )
}

/// `*.example.com` without quotes: to YAML, a star in front is an alias.
fn unquoted_star(line: &str, start: Position, info: &str) -> Option<Diagnostic> {
    if !["anchor", "alias"].iter().any(|word| info.contains(word)) {
        return None;
    }
    // Where the parser stops is at the star or somewhere behind it.
    let stars = beginnings(line).filter(|(_, rest)| rest.starts_with('*'));
    let (column, rest) = stars.take_while(|(column, _)| *column <= start.column as usize).last()?;
    let text: &str = rest.split([' ', '\t', ',', ']', '}', '#']).next().unwrap_or_default();
    let text = text.strip_suffix(':').unwrap_or(text);
    let name = text.strip_prefix('*').unwrap_or_default();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let (message, help) = if !name.is_empty() && name.chars().all(is_name) {
        (
            format!("there is no anchor `&{name}` in front of the alias `{text}`"),
            format!(
                "quote it if it is a text: `\"{text}\"`; else put `&{name}` before the value it stands for"
            ),
        )
    } else {
        (
            format!("`{text}` is not quoted, so its `*` stands for an alias"),
            format!("quote values that begin with `*`: `\"{text}\"`"),
        )
    };
    let span = on_line(start.line, column, text.chars().count());
    Some(Diagnostic::error("syntax", message).at(span).help(help))
}

/// `[::]:80` without quotes: to YAML, a bracket in front is a list.
fn unquoted_brackets(line: &str, start: Position) -> Option<Diagnostic> {
    let mut addresses =
        beginnings(line).filter_map(|(column, rest)| Some((column, bracketed_address(rest)?)));
    let (column, address) = addresses.next()?;
    let place = Position { line: start.line, column: u32::try_from(column).unwrap_or(u32::MAX) };
    Some(unquoted_address(place, address))
}

/// Says that an address with brackets is not quoted.
pub(super) fn unquoted_address(start: Position, address: &str) -> Diagnostic {
    let message = format!("`{address}` is not quoted, so its brackets stand for a list");
    Diagnostic::error("syntax", message)
        .at(Span { start, end: start }.part(0, address.chars().count()))
        .help(format!("quote addresses with brackets: `\"{address}\"`"))
}

/// The address with brackets and a port at the start of a text: `[::1]:80`.
pub(super) fn bracketed_address(text: &str) -> Option<&str> {
    let (inner, behind) = text.strip_prefix('[')?.split_once(']')?;
    let port = behind.strip_prefix(':')?;
    let digits = port.bytes().take_while(u8::is_ascii_digit).count();
    let in_address = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '%');
    if digits == 0 || !inner.contains(':') || !inner.chars().all(in_address) {
        return None;
    }
    text.get(..inner.len() + "[]:".len() + digits)
}

/// Where a value can begin in this line: the column (from 1), and what stands there.
fn beginnings(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut before = ' ';
    line.char_indices().enumerate().filter_map(move |(index, (start, c))| {
        let begins = matches!(before, ' ' | '\t' | '[' | '{' | ',') && !c.is_whitespace();
        before = c;
        begins.then(|| Some((index + 1, line.get(start..)?))).flatten()
    })
}

fn on_line(line: u32, column: usize, width: usize) -> Span {
    let start = Position { line, column: u32::try_from(column).unwrap_or(u32::MAX) };
    Span { start, end: start }.part(0, width)
}

pub(super) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error("too-deep", format!("lists and maps are nested deeper than {MAX_DEPTH}"))
        .at(span)
        .help("no setting needs that depth; is a bracket missing?")
}

/// The parser counts lines from 1 and columns from 0.
pub(super) fn position(marker: Marker) -> Position {
    Position {
        line: u32::try_from(marker.line().max(1)).unwrap_or(u32::MAX),
        column: u32::try_from(marker.col()).unwrap_or(u32::MAX).saturating_add(1),
    }
}
