//! Regular expressions, within bounds.

use std::collections::HashMap;

use base_model::model::Route;
use regex::bytes::{Regex, RegexBuilder};

use crate::error::CompileError;
use crate::limits::{MAX_REGEX_BYTES, MAX_REGEX_NESTING};

/// Compiles regular expressions, each distinct one once.
#[derive(Default)]
pub(crate) struct Regexes(HashMap<(String, bool), Regex>);

impl Regexes {
    /// Found somewhere in a value.
    pub(crate) fn anywhere(&mut self, pattern: &str, route: &Route) -> Result<Regex, CompileError> {
        self.compile(pattern, false, route)
    }

    /// Matches the whole of a path.
    pub(crate) fn whole(&mut self, pattern: &str, route: &Route) -> Result<Regex, CompileError> {
        self.compile(pattern, true, route)
    }

    fn compile(&mut self, pattern: &str, whole: bool, route: &Route) -> Result<Regex, CompileError> {
        let key = (pattern.to_owned(), whole);
        if let Some(regex) = self.0.get(&key) {
            return Ok(regex.clone());
        }
        // Checked by itself first, so that a message shows what was written, and `a)|(b` does not pass.
        let mut regex = build(pattern);
        if whole && regex.is_ok() {
            // A comment at its end (`(?x)`) would hide the bracket; there, the line break means nothing.
            regex = build(&format!(r"\A(?:{pattern})\z"))
                .or_else(|error| build(&format!("\\A(?:{pattern}\n)\\z")).map_err(|_| error));
        }
        let regex = regex.map_err(|error| CompileError::Regex {
            route: route.name.to_string(),
            pattern: pattern.to_owned(),
            problem: error.to_string(),
        })?;
        self.0.insert(key, regex.clone());
        Ok(regex)
    }
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .nest_limit(MAX_REGEX_NESTING)
        .build()
}
