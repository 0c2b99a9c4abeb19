//! Field names and values that may be set.

use traffic_http::FieldName;

use crate::SettingsError;

/// Names that filters may not touch, and who looks after them instead. The framing of a message, and what belongs to one
/// connection, is not the route's to decide: a wrong value would let one message be read as two.
const KEPT: &[(&str, &str)] = &[
    ("connection", "it belongs to one connection"),
    ("content-length", "it frames the message"),
    ("expect", "it belongs to one connection"),
    ("host", "use the filter `rewrite` with `host`"),
    ("http2-settings", "it belongs to one connection"),
    ("keep-alive", "it belongs to one connection"),
    ("proxy-connection", "it belongs to one connection"),
    ("te", "it belongs to one connection"),
    ("trailer", "it frames the message"),
    ("transfer-encoding", "it frames the message"),
    ("upgrade", "it belongs to one connection"),
];

/// A field name that may be changed, in lower case.
pub(crate) fn name(text: &str) -> Result<FieldName, SettingsError> {
    let name = readable_name(text)?;
    // Many servers read `_` as `-`.
    let read = name.as_str().replace('_', "-");
    match KEPT.iter().find(|(kept, _)| *kept == read) {
        Some((_, reason)) => {
            let problem = format!("`{}` cannot be changed here", name.as_str());
            Err(SettingsError::at([], problem).suggest(*reason))
        }
        None => Ok(name),
    }
}

/// Any field name, in lower case.
pub(crate) fn readable_name(text: &str) -> Result<FieldName, SettingsError> {
    FieldName::new(&text.to_ascii_lowercase()).ok_or_else(|| {
        let problem = format!("`{}` is not a header name", text.escape_debug());
        SettingsError::at([], problem).suggest("letters, digits and !#$%&'*+-.^_`|~")
    })
}

/// A value that may stand in a field line, without white space around it (RFC 9110 §5.5).
pub(crate) fn value(text: &str) -> Result<&str, SettingsError> {
    match text.bytes().find(|&byte| is_control(byte)) {
        Some(byte) => {
            Err(SettingsError::at([], format!("a header value may not hold the control byte {byte:#04x}")))
        }
        None => Ok(text.trim_matches([' ', '\t'])),
    }
}

/// Whether the byte may not stand in a value.
pub(crate) fn is_control(byte: u8) -> bool {
    byte != b'\t' && byte.is_ascii_control()
}

/// Refuses names that differ in case only, or are one to servers that read `_` as `-`: which of the two is meant?
pub(crate) fn no_duplicates<'n>(names: impl Iterator<Item = &'n String>) -> Result<(), SettingsError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name.to_ascii_lowercase().replace('_', "-")) {
            return Err(SettingsError::at([], format!("`{name}` stands here twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_that_a_route_may_change() {
        assert_eq!(name("X-From").unwrap().as_str(), "x-from");
        for bad in [
            "",
            "a b",
            "a:",
            "ü",
            "a\r\nb",
            "Content-Length",
            "transfer-encoding",
            "HOST",
            "Connection",
            "Content_Length",
            "keep_alive",
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        assert!(name("Host").unwrap_err().to_string().contains("rewrite"));
    }

    #[test]
    fn values_have_no_control_bytes() {
        assert_eq!(value(" a\tb "), Ok("a\tb"));
        for bad in ["a\r\nb", "a\nb", "a\0", "\u{7f}", "\r"] {
            assert!(value(bad).is_err(), "{bad:?}");
        }
    }
}
