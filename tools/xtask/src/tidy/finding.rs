//! What a rule says when it is broken.

use std::fmt;

/// One breach: where it is, which rule, what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// From the root of the checkout.
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    /// One word.
    pub(crate) rule: &'static str,
    /// What is wrong and how to mend it.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(rule: &'static str, path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_compiler_message() {
        let finding = Finding::new("size", "a/b.rs", 7, "too long; split it");
        assert_eq!(finding.to_string(), "a/b.rs:7: size: too long; split it");
    }
}
