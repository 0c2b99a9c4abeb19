//! Text → tree, within limits. JSON is read the same way: as far as it matters here it is a part of YAML.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as ParserSpan, StrInput};

use super::node::{Entry, Node, Scalar, Value};
use super::syntax::{bracketed_address, position, syntax_diagnostic, too_deep, unquoted_address};
use super::{Environment, substitute};
use crate::diagnostic::{Diagnostic, Position, Problems, Span};
use crate::limits::{MAX_ALIAS_BYTES, MAX_ALIAS_NODES, MAX_DEPTH, MAX_NODES};

/// The tree of a text, or `None` if it is not one. Problems that leave a tree behind are reported too. Without an
/// environment, references to variables stay as they are.
pub(crate) fn read(
    source: &str,
    environment: Option<Environment<'_>>,
    problems: &mut Problems,
) -> Option<Node> {
    let mut reader = Reader {
        parser: Parser::new_from_str(source),
        text: CharacterIndex::of(source),
        environment,
        problems,
        anchors: HashMap::new(),
        total: Size::default(),
        aliased: Size::default(),
    };
    match reader.stream() {
        Ok(root) => root,
        Err(Stop::Told) => None,
        Err(Stop::Syntax(error)) => {
            problems.push(syntax_diagnostic(source, &error));
            None
        }
    }
}

/// Why reading ends early.
enum Stop {
    /// A diagnostic says it.
    Told,
    /// Not YAML.
    Syntax(ScanError),
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self::Syntax(error)
    }
}

/// What a part of the tree costs.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

struct Reader<'s, 'r> {
    parser: Parser<'s, StrInput<'s>>,
    text: CharacterIndex<'s>,
    environment: Option<Environment<'r>>,
    problems: &'r mut Problems,
    anchors: HashMap<usize, (Node, Size)>,
    total: Size,
    aliased: Size,
}

impl<'s> Reader<'s, '_> {
    fn next(&mut self) -> Result<(Event<'s>, ParserSpan), Stop> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, ParserSpan::default())),
        }
    }

    fn stop<T>(&mut self, diagnostic: Diagnostic) -> Result<T, Stop> {
        self.problems.push(diagnostic);
        Err(Stop::Told)
    }

    /// The one document of the stream.
    fn stream(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if root.is_some() => {
                    return self.stop(
                        Diagnostic::error("second-document", "a second document begins here".to_owned())
                            .at(convert(span))
                            .help("keep one document in a file: remove the `---` and what follows"),
                    );
                }
                Event::DocumentStart(_) => {
                    let first = self.next()?;
                    root = Some(self.node(first, 0)?);
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, (event, span): (Event<'s>, ParserSpan), depth: usize) -> Result<Node, Stop> {
        self.total.nodes += 1;
        if self.total.nodes > MAX_NODES {
            return self.stop(too_large(span, &format!("more than {MAX_NODES} values")));
        }
        if depth > MAX_DEPTH {
            return self.stop(too_deep(convert(span)));
        }
        let before = self.total;
        let (anchor, tagged, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.total.bytes += text.len();
                let span = self.scalar_span(&text, style, span);
                (anchor, tag.is_some(), self.scalar(text.into_owned(), style, span))
            }
            Event::SequenceStart(anchor, tag) => (anchor, tag.is_some(), self.list(span, depth)?),
            Event::MappingStart(anchor, tag) => (anchor, tag.is_some(), self.map(span, depth)?),
            Event::Alias(anchor) => (0, false, self.alias(anchor, span)?),
            _ => {
                return Ok(Node {
                    span: convert(span),
                    value: Value::Scalar(Scalar::new(String::new(), false)),
                });
            }
        };
        if tagged {
            self.problems.push(
                Diagnostic::error("tag", "YAML tags such as `!!str` are not used here".to_owned())
                    .at(node.span)
                    .help("remove the tag; quotes make a text of anything"),
            );
        }
        if anchor > 0 {
            let size =
                Size { nodes: self.total.nodes - before.nodes + 1, bytes: self.total.bytes - before.bytes };
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    /// The parser lets some scalars reach up to the next token, over spaces and comments.
    fn scalar_span(&self, text: &str, style: ScalarStyle, span: ParserSpan) -> Span {
        let rest = self.text.from(span.start.index());
        let span = convert(span);
        let end = match style {
            ScalarStyle::SingleQuoted => closing_quote(rest, span.start, '\''),
            ScalarStyle::DoubleQuoted => closing_quote(rest, span.start, '"'),
            ScalarStyle::Plain if rest.starts_with(text) => {
                Some(span.part(0, text.chars().count().max(1)).end)
            }
            _ => None,
        };
        Span { end: end.unwrap_or(span.end), ..span }
    }

    /// A value; plain ones get their type after environment variables are put in.
    fn scalar(&mut self, text: String, style: ScalarStyle, span: Span) -> Node {
        let quoted = style != ScalarStyle::Plain;
        let substituted = self.environment.map_or(Ok(None), |environment| substitute(&text, environment));
        let scalar = match substituted {
            Ok(None) => Scalar::new(text, quoted),
            Ok(Some(value)) => Scalar { written: Some(text), ..Scalar::new(value, quoted) },
            Err(error) => {
                let place = if span.start.line == span.end.line && text.is_ascii() {
                    let quote = usize::from(quoted);
                    span.part(error.range.start + quote, error.range.end + quote)
                } else {
                    span
                };
                self.problems.push(
                    Diagnostic::error("environment", error.message).at(place).help(error.help).incomplete(),
                );
                Scalar { written: Some(text.clone()), ..Scalar::new(text, true) }
            }
        };
        Node { span, value: Value::Scalar(scalar) }
    }

    fn list(&mut self, span: ParserSpan, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.0, Event::SequenceEnd | Event::StreamEnd) {
                let span = Span { start: convert(span).start, end: convert(event.1).end };
                return Ok(Node { span, value: Value::List(items) });
            }
            items.push(self.node(event, depth + 1)?);
        }
    }

    fn map(&mut self, span: ParserSpan, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        loop {
            let (event, key_span) = self.next()?;
            let key = match event {
                Event::MappingEnd | Event::StreamEnd => {
                    let span = Span { start: convert(span).start, end: convert(key_span).end };
                    return Ok(Node { span, value: Value::Map(entries) });
                }
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return self.not_a_key(key_span),
            };
            self.total.bytes += key.len();
            let value = self.next()?;
            let node = self.node(value, depth + 1)?;
            let key_span = convert(key_span);
            if seen.insert(key.clone()) {
                entries.push(Entry { key, key_span, node });
            } else {
                self.duplicate_key(&entries, &key, key_span);
            }
        }
    }

    fn not_a_key<T>(&mut self, span: ParserSpan) -> Result<T, Stop> {
        if let Some(address) = bracketed_address(self.text.from(span.start.index())) {
            return self.stop(unquoted_address(convert(span).start, address));
        }
        self.stop(
            Diagnostic::error("key", "a list, a map or an alias cannot be a key".to_owned())
                .at(convert(span))
                .help("write a name in front of the colon"),
        )
    }

    fn duplicate_key(&mut self, entries: &[Entry], key: &str, span: Span) {
        let mut diagnostic =
            Diagnostic::error("duplicate-key", format!("`{key}` is given twice in this map"))
                .at(span)
                .help("keep one of them");
        if let Some(first) = entries.iter().find(|entry| entry.key == key) {
            diagnostic = diagnostic.note(first.key_span, "first given here");
        }
        self.problems.push(diagnostic);
    }

    /// A copy of what the anchor names, counted as if it were written out.
    fn alias(&mut self, anchor: usize, span: ParserSpan) -> Result<Node, Stop> {
        let Some((_, size)) = self.anchors.get(&anchor) else {
            return self.stop(
                Diagnostic::error("alias", "this alias is used inside of what it names".to_owned())
                    .at(convert(span))
                    .help("write the value out"),
            );
        };
        let size = *size;
        self.aliased.nodes += size.nodes;
        self.aliased.bytes += size.bytes;
        self.total.nodes += size.nodes;
        self.total.bytes += size.bytes;
        if self.aliased.nodes > MAX_ALIAS_NODES || self.aliased.bytes > MAX_ALIAS_BYTES {
            let what =
                format!("more than {MAX_ALIAS_NODES} values, or {MAX_ALIAS_BYTES} bytes, through aliases");
            return self.stop(too_large(span, &what));
        }
        match self.anchors.get(&anchor) {
            Some((node, _)) => Ok(node.clone()),
            None => Err(Stop::Told),
        }
    }
}

/// Behind the quote that closes the scalar at the start of the text.
fn closing_quote(text: &str, start: Position, quote: char) -> Option<Position> {
    let mut at = Position { column: start.column + 1, ..start };
    let mut characters = text.chars().skip(1).peekable();
    let mut escaped = false;
    while let Some(c) = characters.next() {
        let mut width = 1;
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote && quote == '\'' && characters.next_if_eq(&quote).is_some() {
            width = 2;
        } else if c == quote {
            return Some(Position { column: at.column + 1, ..at });
        }
        let ends_line = c == '\n' || (c == '\r' && characters.peek() != Some(&'\n'));
        at = if ends_line {
            Position { line: at.line + 1, column: 1 }
        } else {
            Position { column: at.column + width, ..at }
        };
    }
    None
}

/// Finds characters by their number, as the parser counts, without walking through all that is in front of them.
struct CharacterIndex<'s> {
    text: &'s str,
    /// Where every [`STRIDE`]th character begins, in bytes.
    starts: Vec<usize>,
}

/// Few enough characters to walk through, many enough to keep the index small.
const STRIDE: usize = 64;

impl<'s> CharacterIndex<'s> {
    fn of(text: &'s str) -> Self {
        Self { text, starts: text.char_indices().step_by(STRIDE).map(|(start, _)| start).collect() }
    }

    /// The text from this character on.
    fn from(&self, index: usize) -> &'s str {
        let near =
            self.starts.get(index / STRIDE).and_then(|start| self.text.get(*start..)).unwrap_or_default();
        let mut characters = near.chars();
        characters.by_ref().take(index % STRIDE).for_each(drop);
        characters.as_str()
    }
}

fn too_large(span: ParserSpan, what: &str) -> Diagnostic {
    Diagnostic::error("too-large", format!("the document holds {what}")).at(convert(span)).help(
        "nothing that big is needed to balance traffic; write it without aliases of aliases, or split it",
    )
}

fn convert(span: ParserSpan) -> Span {
    Span { start: position(span.start), end: position(span.end) }
}
