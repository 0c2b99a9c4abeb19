//! A tree → canonical YAML: two spaces, blocks, short leaves in one line, quotes only where they are needed.

use std::collections::VecDeque;

use super::comments::Comment;
use crate::diagnostic::lines;
use crate::text::{Entry, Node, Scalar, ScalarKind, Value};

/// Lists and maps that are longer go over several lines.
const WIDEST_LINE: usize = 100;

/// Longer keys have to be marked (YAML 1.2 §7.4.2 says 1024, quotes included). What was short enough may no longer be with its escapes.
const LONGEST_KEY: usize = 1000;

/// What decides whether a list or map is written in one line.
pub(super) enum Style<'a> {
    /// As in the source, where it fits.
    Source(&'a str),
    /// What holds only scalars, where it fits.
    Leaves,
}

/// Writes a document.
pub(super) struct Writer<'a> {
    out: String,
    comments: VecDeque<Comment>,
    lines: Vec<&'a str>,
    style: Style<'a>,
    /// In front of the next line, instead of the last two spaces of its indentation.
    dash: bool,
    /// Whether the comments above the first item of the next list were written already, above the dash of the list around it.
    is_led: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(style: Style<'a>, comments: Vec<Comment>) -> Self {
        let lines = match style {
            Style::Source(source) => lines(source),
            Style::Leaves => Vec::new(),
        };
        Self { out: String::new(), comments: comments.into(), lines, style, dash: false, is_led: false }
    }

    /// The text of the tree.
    pub(super) fn write(mut self, root: &Node) -> String {
        match &root.value {
            Value::Map(entries) if !entries.is_empty() => self.map(entries, 0, u32::MAX),
            Value::List(items) if !items.is_empty() => self.list(items, 0, u32::MAX),
            _ => {
                let text = flow(root);
                if !text.is_empty() {
                    self.line(0, &text);
                }
            }
        }
        while let Some(comment) = self.comments.pop_front() {
            self.own_line_comment(&comment, 0);
        }
        self.out
    }

    /// `until`: the line where what follows this block begins.
    fn map(&mut self, entries: &[Entry], indent: usize, until: u32) {
        let column = entries.first().map_or(1, |entry| entry.key_span.start.column);
        for (index, entry) in entries.iter().enumerate() {
            let start = entry.key_span.start.line;
            let next = entries.get(index + 1).map_or(until, |next| next.key_span.start.line);
            if !self.dash {
                self.comments_before(start, indent);
            }
            self.value(&head_of(&entry.key, indent), &entry.node, indent, (start, next));
        }
        self.comments_inside(until, column, indent);
    }

    fn list(&mut self, items: &[Node], indent: usize, until: u32) {
        let column = items.first().map_or(1, |item| item.span.start.column.saturating_sub(2).max(1));
        let is_led = std::mem::take(&mut self.is_led);
        for (index, item) in items.iter().enumerate() {
            let start = item.span.start.line;
            let next = items.get(index + 1).map_or(until, |next| next.span.start.line);
            let is_block = !self.fits(item, indent + 2);
            // Where the dash of a list stands is not known: what is above its first item could be above or below that. It goes above it.
            self.is_led = is_block && matches!(&item.value, Value::List(inner) if !inner.is_empty());
            match (is_led && index == 0, self.is_led) {
                (true, _) => {}
                (false, true) => self.comments_above(first_line(item), indent),
                (false, false) => self.comments_before(start, indent),
            }
            match &item.value {
                Value::Map(entries) if !entries.is_empty() && is_block => {
                    self.dash = true;
                    self.map(entries, indent + 2, next);
                }
                _ => self.value("-", item, indent, (start, next)),
            }
        }
        self.comments_inside(until, column, indent);
    }

    /// A key or dash with its value. `lines`: where it begins, and where the next thing does.
    fn value(&mut self, head: &str, node: &Node, indent: usize, (start, next): (u32, u32)) {
        let is_block = match &node.value {
            Value::Scalar(scalar) => return self.scalar(head, node, scalar, indent),
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
        };
        if !is_block || self.fits(node, indent + head.len() + 1) {
            let comment = self.trailing_comment(node.span.end.line.max(start));
            let text = flow(node);
            return self.line(indent, &format!("{head} {text}{comment}"));
        }
        // Behind a marked key's colon it would stand in the next line, and come down from there the next time; behind the dash of a list it would come up.
        let comment =
            if head.starts_with('?') || self.is_led { String::new() } else { self.trailing_comment(start) };
        self.line(indent, &format!("{head}{comment}"));
        match &node.value {
            Value::List(items) => self.list(items, indent + 2, next),
            Value::Map(entries) => self.map(entries, indent + 2, next),
            Value::Scalar(_) => {}
        }
    }

    fn scalar(&mut self, head: &str, node: &Node, scalar: &Scalar, indent: usize) {
        if let Some((mark, lines)) = block_text(scalar) {
            let comment = self.trailing_comment(node.span.start.line);
            self.line(indent, &format!("{head} {mark}{comment}"));
            for line in lines {
                if line.is_empty() {
                    self.out.push('\n');
                } else {
                    self.line(indent + 2, line);
                }
            }
            return;
        }
        let comment = self.trailing_comment(node.span.end.line);
        let text = text_of(scalar);
        let space = if text.is_empty() { "" } else { " " };
        self.line(indent, &format!("{head}{space}{text}{comment}"));
    }

    fn line(&mut self, indent: usize, text: &str) {
        let spaces = if self.dash { indent.saturating_sub(2) } else { indent };
        self.out.push_str(&" ".repeat(spaces));
        if std::mem::take(&mut self.dash) {
            self.out.push_str("- ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// Whether it can be written in the rest of the line.
    fn fits(&self, node: &Node, used: usize) -> bool {
        let wanted = match self.style {
            Style::Source(_) => self.is_flow(node) && !self.has_comments(node),
            Style::Leaves => is_leaf(node),
        };
        wanted && used + flow(node).chars().count() <= WIDEST_LINE
    }

    /// Whether it is written with brackets in the source.
    fn is_flow(&self, node: &Node) -> bool {
        let line = self.lines.get((node.span.start.line as usize).saturating_sub(1));
        let first =
            line.and_then(|line| line.chars().nth((node.span.start.column as usize).saturating_sub(1)));
        matches!(first, Some('{' | '['))
    }

    /// Whether comments stand between its lines.
    fn has_comments(&self, node: &Node) -> bool {
        let inside = node.span.start.line..node.span.end.line;
        self.comments.iter().any(|comment| inside.contains(&comment.at.line))
    }

    /// The comments above a line, and the blank line in front of it.
    fn comments_before(&mut self, line: u32, indent: usize) {
        self.comments_above(line, indent);
        self.blank_line_before(line);
    }

    fn comments_above(&mut self, line: u32, indent: usize) {
        while let Some(comment) = self.comments.pop_front_if(|comment| comment.at.line < line) {
            self.own_line_comment(&comment, indent);
        }
    }

    /// What stands below the last entry of a block, as far as it is indented like it.
    fn comments_inside(&mut self, until: u32, column: u32, indent: usize) {
        let belongs = |comment: &mut Comment| comment.at.line < until && comment.at.column >= column;
        if indent == 0 {
            return;
        }
        while let Some(comment) = self.comments.pop_front_if(belongs) {
            self.own_line_comment(&comment, indent);
        }
    }

    fn own_line_comment(&mut self, comment: &Comment, indent: usize) {
        if comment.own_line {
            self.blank_line_before(comment.at.line);
        }
        self.line(indent, &comment.text);
    }

    /// The comment at the end of a line.
    fn trailing_comment(&mut self, line: u32) -> String {
        match self.comments.pop_front_if(|comment| !comment.own_line && comment.at.line <= line) {
            Some(comment) => format!("  {}", comment.text),
            None => String::new(),
        }
    }

    /// One blank line where the source has one or more.
    fn blank_line_before(&mut self, line: u32) {
        let above = (line as usize).checked_sub(2).and_then(|index| self.lines.get(index));
        if above.is_some_and(|line| line.trim().is_empty())
            && !self.out.is_empty()
            && !self.out.ends_with("\n\n")
        {
            self.out.push('\n');
        }
    }
}

/// Where the first item of a list of lists begins.
fn first_line(node: &Node) -> u32 {
    match &node.value {
        Value::List(items) => items.first().map_or(node.span.start.line, first_line),
        _ => node.span.start.line,
    }
}

/// A key up to its colon. One that is too long to be seen as a key without it gets a mark.
fn head_of(key: &str, indent: usize) -> String {
    let text = text_of(&Scalar::new(key.to_owned(), true));
    if text.chars().count() > LONGEST_KEY { format!("? {text}\n{:indent$}:", "") } else { format!("{text}:") }
}

fn is_leaf(node: &Node) -> bool {
    let scalar = |node: &Node| matches!(node.value, Value::Scalar(_));
    match &node.value {
        Value::Scalar(_) => true,
        Value::List(items) => items.iter().all(scalar),
        Value::Map(entries) => entries.iter().all(|entry| scalar(&entry.node)),
    }
}

/// In one line.
pub(super) fn flow(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => text_of(scalar),
        Value::List(items) => {
            // Between brackets nothing at all is no item.
            let item = |item: &Node| {
                Some(flow(item)).filter(|text| !text.is_empty()).unwrap_or_else(|| "null".to_owned())
            };
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entry = |entry: &Entry| {
                let key = text_of(&Scalar::new(entry.key.clone(), true));
                format!("{key}: {}", flow(&entry.node))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// With quotes where it would be something else without them.
fn text_of(scalar: &Scalar) -> String {
    let is_plain = match scalar.kind {
        ScalarKind::Text => ScalarKind::of(&scalar.text) == ScalarKind::Text && can_be_plain(&scalar.text),
        _ => true,
    };
    if is_plain { scalar.text.clone() } else { quoted(&scalar.text) }
}

/// A careful choice: more could be plain.
fn can_be_plain(text: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || " -_./:+@%=~*^$()|?<>&;".contains(c);
    let first = |c: char| c.is_alphanumeric() || "/._$(^+<".contains(c);
    text.starts_with(first)
        && text.chars().all(inner)
        && !text.contains(": ")
        && !text.contains("::")
        && !text.ends_with([':', ' '])
        // Between brackets it would begin an item.
        && !text.ends_with(" -")
        && !text.contains("  ")
        // The end of a document.
        && !text.starts_with("...")
}

/// In double quotes. JSON's escapes are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// As a literal block, for texts of several lines that are kept exactly by it.
fn block_text(scalar: &Scalar) -> Option<(&'static str, Vec<&str>)> {
    let text = &scalar.text;
    let (mark, body) = match text.strip_suffix('\n') {
        Some(body) => ("|", body),
        None => ("|-", text.as_str()),
    };
    let lines: Vec<&str> = body.split('\n').collect();
    let exact = |line: &&str| !line.ends_with(' ') && !line.contains(|c: char| c.is_control());
    let begins_well = lines.first().is_some_and(|line| !line.is_empty() && !line.starts_with(' '));
    let ends_well = lines.last().is_some_and(|line| !line.is_empty());
    (lines.len() > 1 && begins_well && ends_well && lines.iter().all(exact)).then_some((mark, lines))
}
