//! Values as bytes of a line: numbers, times, and text that cannot break out of its place.

use std::time::Duration;

/// Longest value in a line, in bytes as received; the rest is cut off and `…` says so. Long enough for real paths and agents,
/// short enough that a hostile request does not make a line of a megabyte.
pub(super) const MAX_VALUE_BYTES: usize = 8 * 1024;

/// A whole number.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    push_digits(out, number, 1);
}

/// A whole number, with zeros in front up to `width` digits.
fn push_digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    /// Digits of the largest number.
    const MOST: usize = 20;
    let mut digits = [b'0'; MOST];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 && count >= width {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        count += 1;
    }
    out.extend_from_slice(digits.get(MOST - count..).unwrap_or_default());
}

/// Milliseconds, with microseconds behind the point.
pub(super) fn push_milliseconds(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    push_number(out, micros / 1_000);
    out.push(b'.');
    push_digits(out, micros % 1_000, 3);
}

/// RFC 3339 in UTC, with microseconds.
pub(super) fn push_time(out: &mut Vec<u8>, since_epoch: Duration) {
    /// Later times are written as 9999-12-31T23:59:59: RFC 3339 has four digits for the year.
    const LAST_SECOND: u64 = 253_402_300_799;
    let seconds = since_epoch.as_secs().min(LAST_SECOND);
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day_of_month) = civil(day);
    for (number, width, end) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day_of_month, 2, b'T'),
        (second / 3_600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (since_epoch.subsec_micros().into(), 6, b'Z'),
    ] {
        push_digits(out, number, width);
        out.push(end);
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar. Years are counted from March, so that the leap
/// day is their last; 400 of them are 146,097 days.
fn civil(day: u64) -> (u64, u64, u64) {
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    let day = day + EPOCH;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 31, 30, 31, 30, 31 days, again and again: 153 in five.
    let shifted = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
}

/// Text in quotes, as a JSON string (RFC 8259): what is not UTF-8 becomes U+FFFD, control characters (C1 and DEL too, which
/// terminals obey) become escapes.
pub(super) fn push_quoted(out: &mut Vec<u8>, value: &[u8]) {
    let (kept, is_cut) = match value.get(..MAX_VALUE_BYTES) {
        Some(kept) if kept.len() < value.len() => (kept, true),
        _ => (value, false),
    };
    out.push(b'"');
    if kept.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(kept);
    } else {
        for chunk in kept.utf8_chunks() {
            chunk.valid().chars().for_each(|character| push_character(out, character));
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    if is_cut {
        out.extend_from_slice("…".as_bytes());
    }
    out.push(b'"');
}

/// As it is if nothing in it could be misread, else in quotes.
pub(super) fn push_logfmt(out: &mut Vec<u8>, value: &[u8]) {
    let is_bare = |byte: &u8| is_plain(*byte) && !matches!(byte, b' ' | b'=');
    if !value.is_empty() && value != b"-" && value.len() <= MAX_VALUE_BYTES && value.iter().all(is_bare) {
        out.extend_from_slice(value);
    } else {
        push_quoted(out, value);
    }
}

/// Printable ASCII that needs no escape in quotes.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

fn push_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => push_escape(out, character),
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// `\u` and four hexadecimal digits; only for characters of the basic plane.
fn push_escape(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = char::from_digit(u32::from(character) >> shift & 0xf, 16).unwrap_or('0');
        out.push(digit as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        for number in [0, 7, 10, 999, u64::MAX] {
            assert_eq!(written(|out| push_number(out, number)), number.to_string());
        }
        assert_eq!(written(|out| push_milliseconds(out, Duration::from_micros(12_034))), "12.034");
        assert_eq!(written(|out| push_milliseconds(out, Duration::from_nanos(999))), "0.000");
    }

    #[test]
    fn times() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000001Z"),
            (951_782_399, "2000-02-28T23:59:59.000001Z"),
            (951_782_400, "2000-02-29T00:00:00.000001Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000001Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000001Z"),
            (u64::MAX, "9999-12-31T23:59:59.000001Z"),
        ] {
            assert_eq!(written(|out| push_time(out, Duration::new(seconds, 1_500))), expected);
        }
    }

    #[test]
    fn text_stays_inside_its_quotes() {
        assert_eq!(written(|out| push_quoted(out, b"a\"b\\c\n\x1b[0m")), r#""a\"b\\c\n\u001b[0m""#);
        assert_eq!(written(|out| push_quoted(out, b"\xff\xc3\xa9\xc2\x9b")), "\"\u{fffd}é\\u009b\"");
        for (value, expected) in
            [("a", "a"), ("", "\"\""), ("-", "\"-\""), ("a b", "\"a b\""), ("a=b", "\"a=b\"")]
        {
            assert_eq!(written(|out| push_logfmt(out, value.as_bytes())), expected);
        }
    }

    #[test]
    fn long_values_are_cut() {
        let text = written(|out| push_logfmt(out, &vec![b'x'; MAX_VALUE_BYTES + 1]));
        assert_eq!(text.len(), MAX_VALUE_BYTES + "\"…\"".len());
    }
}
