//! Text of others, fit for logs.

/// The beginning of a text, so many characters at most, without control characters.
pub fn excerpt(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut short: String = text.chars().take(most).map(plain).collect();
    if text.chars().nth(most).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_plain() {
        assert_eq!(excerpt("a\x1b[31mb\r\n", 99), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
        assert_eq!((excerpt("ääää", 3), excerpt("äää", 3)), ("äää…".to_owned(), "äää".to_owned()));
        assert_eq!(excerpt("", 0), "");
    }
}
