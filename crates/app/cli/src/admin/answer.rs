//! What an admin port answers, fit to be shown: it may be somebody else who answers there.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads an answer. What would steer the terminal is taken out of its texts.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let mut value = serde_json::from_slice(body)?;
    make_plain(&mut value);
    serde_json::from_value(value)
}

fn make_plain(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(steers) => *text = plain(text),
        Value::Array(values) => values.iter_mut().for_each(make_plain),
        Value::Object(fields) => fields.values_mut().for_each(make_plain),
        _ => {}
    }
}

/// The text without what would steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.replace(steers, &char::REPLACEMENT_CHARACTER.to_string())
}

/// Controls move the mark, set colours and titles, and begin lines that look like Aya's own; marks of direction (Unicode, UAX #9 §2)
/// make what follows read backwards.
fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_steer_are_made_plain() {
        let body = br#"{"a": ["\u001b[31mred\r\nline", {"b": "\u009b1m\u202eback", "c": 1}], "d": "as \u00e9t\u00e9"}"#;
        let expected = serde_json::json!({
            "a": ["\u{fffd}[31mred\u{fffd}\u{fffd}line", {"b": "\u{fffd}1m\u{fffd}back", "c": 1}],
            "d": "as été",
        });
        assert_eq!(read::<Value>(body).unwrap(), expected);
        assert!(read::<u8>(b"300").is_err() && read::<Value>(b"{").is_err());
    }
}
