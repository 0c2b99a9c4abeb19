//! Comments: the parser drops them, so they are looked for between the values.

use crate::diagnostic::{Position, Span, lines};
use crate::text::{Node, Value};

/// One comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comment {
    /// Where its `#` stands.
    pub(super) at: Position,
    /// With the `#`, without spaces at the end.
    pub(super) text: String,
    /// Whether nothing stands in front of it.
    pub(super) own_line: bool,
}

/// All comments of a text, in order. A `#` inside of a value or key is none.
pub(super) fn find(source: &str, root: &Node) -> Vec<Comment> {
    let mut spans = Vec::new();
    collect(root, &mut spans);
    spans.sort_unstable();
    let numbered = (1_u32..).zip(lines(source));
    numbered.filter_map(|(number, line)| in_line(number, line, &spans)).collect()
}

fn collect(node: &Node, spans: &mut Vec<Span>) {
    match &node.value {
        Value::Scalar(_) => spans.push(node.span),
        Value::List(items) => items.iter().for_each(|item| collect(item, spans)),
        Value::Map(entries) => {
            for entry in entries {
                spans.push(entry.key_span);
                collect(&entry.node, spans);
            }
        }
    }
}

fn in_line(number: u32, line: &str, spans: &[Span]) -> Option<Comment> {
    let mut before = None;
    for (column, (offset, c)) in (1_u32..).zip(line.char_indices()) {
        let at = Position { line: number, column };
        if c == '#' && before.is_none_or(char::is_whitespace) && !inside(at, spans) {
            let (front, text) = line.split_at(offset);
            return Some(Comment { at, text: text.trim_end().to_owned(), own_line: front.trim().is_empty() });
        }
        before = Some(c);
    }
    None
}

/// The spans do not overlap, so only the last one that begins before can hold the position.
fn inside(at: Position, spans: &[Span]) -> bool {
    let after = spans.partition_point(|span| span.start <= at);
    after.checked_sub(1).and_then(|index| spans.get(index)).is_some_and(|span| at < span.end)
}
