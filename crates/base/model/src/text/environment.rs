//! `${NAME}` and `${NAME:-default}` in values; `$${` stands for a plain `${`.

use std::ops::Range;

use crate::limits::MAX_SCALAR_BYTES;

/// The values of variables by name.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a value could not be completed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SubstituteError {
    pub(crate) message: String,
    pub(crate) help: String,
    /// In bytes of the text.
    pub(crate) range: Range<usize>,
}

/// The text with all variables put in; `None` if there are none in it.
pub(crate) fn substitute(
    text: &str,
    environment: Environment<'_>,
) -> Result<Option<String>, SubstituteError> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        let offset = text.len() - after.len();
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after.get(2..).unwrap_or_default();
            continue;
        }
        out.push_str(before);
        let (value, length) = variable(after, offset, environment)?;
        out.push_str(&value);
        if out.len() > MAX_SCALAR_BYTES {
            return Err(SubstituteError {
                message: format!(
                    "with its environment variables this value is over {MAX_SCALAR_BYTES} bytes"
                ),
                help: "use shorter variables".to_owned(),
                range: offset..offset + length,
            });
        }
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// The value of the variable at the start of `text`, and how many bytes its reference takes.
fn variable(
    text: &str,
    offset: usize,
    environment: Environment<'_>,
) -> Result<(String, usize), SubstituteError> {
    let error = |message: String, help: &str, length: usize| SubstituteError {
        message,
        help: help.to_owned(),
        range: offset..offset + length,
    };
    let Some(end) = text.find('}') else {
        return Err(error(
            "`${` has no closing `}`".to_owned(),
            "close it, or write `$${` for a plain `${`",
            2,
        ));
    };
    let inner = text.get(2..end).unwrap_or_default();
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_name(name) {
        return Err(error(
            format!("`{name}` is not the name of an environment variable"),
            "write `${NAME}` or `${NAME:-default}`, or `$${` for a plain `${`",
            end + 1,
        ));
    }
    match environment(name).filter(|value| !value.is_empty()).or_else(|| default.map(str::to_owned)) {
        Some(value) => Ok((value, end + 1)),
        None => Err(error(
            format!("the environment variable `{name}` is not set"),
            &format!("set it, or give a default: `${{{name}:-value}}`"),
            end + 1,
        )),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_in(text: &str) -> Result<Option<String>, SubstituteError> {
        substitute(text, &|name| match name {
            "HOST" => Some("shop".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_defaults_and_escapes() {
        let cases = [
            ("${HOST}", "shop"),
            ("a ${HOST} b ${HOST}", "a shop b shop"),
            ("${NONE:-x}", "x"),
            ("${NONE:-}", ""),
            ("${EMPTY:-x}", "x"),
            ("$${HOST}", "${HOST}"),
            ("$${HOST} ${HOST}", "${HOST} shop"),
        ];
        for (text, expected) in cases {
            assert_eq!(put_in(text).unwrap().as_deref(), Some(expected), "{text}");
        }
        assert_eq!(put_in("$HOST costs 5$").unwrap(), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = put_in("x${NONE}").unwrap_err();
        assert_eq!(error.message, "the environment variable `NONE` is not set");
        assert_eq!(error.help, "set it, or give a default: `${NONE:-value}`");
        assert_eq!(error.range, 1..8);
        assert_eq!(put_in("${NONE").unwrap_err().message, "`${` has no closing `}`");
        assert_eq!(put_in("${A B}").unwrap_err().message, "`A B` is not the name of an environment variable");
        assert!(put_in("${EMPTY}").is_err());
    }
}
