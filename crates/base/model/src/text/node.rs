//! The tree.

use crate::diagnostic::Span;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a document is made of.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A name and what it names.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

/// Anything that is not a list or a map.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// The text, without quotes, with environment variables put in.
    pub(crate) text: String,
    /// The text before environment variables were put in, where there were any: their values may be secret, so
    /// messages show this instead.
    pub(crate) written: Option<String>,
    /// What the text is by itself.
    pub(crate) kind: ScalarKind,
    /// Whether it is written in quotes or as a block.
    pub(crate) quoted: bool,
}

/// What a text means when nothing else is known, as in the core schema of YAML 1.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ScalarKind {
    Null,
    Bool(bool),
    /// Saturated where it does not fit: every range check refuses it then.
    Integer(i128),
    Float(f64),
    Text,
}

impl Scalar {
    /// A scalar as written; only plain ones can be anything but text.
    pub(crate) fn new(text: String, quoted: bool) -> Self {
        let kind = if quoted { ScalarKind::Text } else { ScalarKind::of(&text) };
        Self { text, written: None, kind, quoted }
    }

    /// What it is where no text is wanted. A variable may have to stand in quotes (`{max: "${MAX}"}`), but its value is
    /// a number all the same.
    pub(crate) fn kind_without_quotes(&self) -> ScalarKind {
        if self.written.is_some() { ScalarKind::of(&self.text) } else { self.kind }
    }

    /// The text for messages, in backticks; cut where it is long.
    pub(crate) fn shown(&self) -> String {
        const LONGEST_SHOWN: usize = 60;
        let text = self.written.as_deref().unwrap_or(&self.text);
        let cut: String =
            text.chars().take(LONGEST_SHOWN).map(|c| if c.is_control() { '·' } else { c }).collect();
        if cut.len() < text.len() { format!("`{cut}…`") } else { format!("`{cut}`") }
    }
}

impl ScalarKind {
    /// What a plain scalar is (YAML 1.2.2 §10.3.2).
    pub(crate) fn of(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        Self::integer(text).or_else(|| Self::float(text)).unwrap_or(Self::Text)
    }

    fn integer(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let saturated = if text.starts_with('-') { i128::MIN } else { i128::MAX };
        Some(Self::Integer(text.parse().unwrap_or(saturated)))
    }

    fn float(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
        let looks_like_one = text.bytes().all(allowed) && text.bytes().any(|byte| byte.is_ascii_digit());
        if !looks_like_one {
            return None;
        }
        text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Float)
    }
}

impl Node {
    /// Whether nothing stands here.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind == ScalarKind::Null)
    }

    /// The entry of a map.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The value of an entry of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// An item of a list.
    pub(crate) fn item(&self, index: usize) -> Option<&Node> {
        match &self.value {
            Value::List(items) => items.get(index),
            _ => None,
        }
    }

    /// The names in a map; nothing for all else.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// The scalar, if it is one.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// What it is, for messages: `the text `x``, `a list`.
    pub(crate) fn described(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Scalar(scalar) => match scalar.kind {
                ScalarKind::Null => "nothing".to_owned(),
                ScalarKind::Text => format!("the text {}", scalar.shown()),
                ScalarKind::Bool(_) => scalar.shown(),
                ScalarKind::Integer(_) | ScalarKind::Float(_) => format!("the number {}", scalar.shown()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_typed_as_in_the_core_schema() {
        let cases = [
            ("", ScalarKind::Null),
            ("~", ScalarKind::Null),
            ("true", ScalarKind::Bool(true)),
            ("yes", ScalarKind::Text),
            ("off", ScalarKind::Text),
            ("-12", ScalarKind::Integer(-12)),
            ("0.5", ScalarKind::Float(0.5)),
            ("1e3", ScalarKind::Float(1_000.0)),
            ("1.2.3", ScalarKind::Text),
            ("10.0.0.1", ScalarKind::Text),
            ("-", ScalarKind::Text),
            ("64KiB", ScalarKind::Text),
        ];
        for (text, kind) in cases {
            assert_eq!(ScalarKind::of(text), kind, "{text}");
        }
        let endless = "9".repeat(100);
        assert_eq!(ScalarKind::of(&endless), ScalarKind::Integer(i128::MAX));
    }
}
