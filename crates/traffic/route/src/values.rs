//! Named values in a request: query parameters and cookies.

use crate::normal::triplet;
use crate::request::FieldLookup;

/// Decoded on the stack up to this size: longer than nearly every value, small enough for any stack.
const STACK_BYTES: usize = 256;

/// Offers the decoded values of a query parameter, until `accept` takes one. Names are decoded too; `+` is a space.
pub fn any_query_value(query: &[u8], name: &str, accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).any(|pair| {
        let (own, value) = split_pair(pair);
        decoded(own).eq(name.bytes()) && with_decoded(value, accept)
    })
}

/// Offers the values of a cookie, without quotes around them, until `accept` takes one (RFC 6265 §4.2.1).
pub fn any_cookie_value(fields: &dyn FieldLookup, name: &str, accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    fields.any_value("cookie", &mut |line| {
        line.split(|&byte| byte == b';').any(|pair| {
            let (own, value) = split_pair(pair.trim_ascii());
            own.trim_ascii_end() == name.as_bytes() && accept(without_quotes(value.trim_ascii_start()))
        })
    })
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
    (pair.get(..equals).unwrap_or_default(), pair.get(equals + 1..).unwrap_or_default())
}

/// A cookie's value without the quotes that it may stand in (RFC 6265 §4.1.1).
pub fn without_quotes(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The bytes that a part of a query stands for. What is no valid triplet stands for itself.
fn decoded(mut bytes: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        if let Some((byte, rest)) = triplet(bytes) {
            bytes = rest;
            return Some(byte);
        }
        let (&byte, rest) = bytes.split_first()?;
        bytes = rest;
        Some(if byte == b'+' { b' ' } else { byte })
    })
}

fn with_decoded(value: &[u8], accept: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    if !value.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return accept(value);
    }
    if value.len() > STACK_BYTES {
        return accept(&decoded(value).collect::<Vec<u8>>());
    }
    let mut buffer = [0; STACK_BYTES];
    let mut length = 0;
    for (slot, byte) in buffer.iter_mut().zip(decoded(value)) {
        *slot = byte;
        length += 1;
    }
    accept(buffer.get(..length).unwrap_or_default())
}

/// What `look` finds in the path with runs of slashes merged into one.
pub(crate) fn with_merged_slashes<T>(path: &[u8], look: impl FnOnce(&[u8]) -> T) -> T {
    let doubled = |pair: &[u8]| pair == b"//";
    if !path.windows(2).any(doubled) {
        return look(path);
    }
    let mut merged = path.to_vec();
    merged.dedup_by(|next, previous| *next == b'/' && *previous == b'/');
    look(&merged)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn query_values(query: &str, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        any_query_value(query.as_bytes(), name, &mut |value| {
            values.push(String::from_utf8_lossy(value).into_owned());
            false
        });
        values
    }

    #[test]
    fn query_names_and_values_are_decoded() {
        assert_eq!(query_values("v=1&w=2&v=a%20b+c&&v", "v"), ["1", "a b c", ""]);
        assert_eq!(query_values("%76=%zz%", "v"), ["%zz%"]);
        assert_eq!(query_values("a=b=c", "a"), ["b=c"]);
        assert_eq!(query_values("", ""), [""; 0]);
        let long = "x".repeat(300);
        assert_eq!(query_values(&format!("a=%41{long}"), "a"), [format!("A{long}")]);
    }

    #[test]
    fn cookies_are_found_in_every_line() {
        let fields = vec![("Cookie", "a=1; beta=\"true\" ;c"), ("cookie", "beta=2")];
        let values = |name: &str| {
            let mut values = Vec::new();
            any_cookie_value(&fields, name, &mut |value| {
                values.push(String::from_utf8_lossy(value).into_owned());
                false
            });
            values
        };
        assert_eq!(values("beta"), ["true", "2"]);
        assert_eq!(values("c"), [""]);
        assert_eq!(values("Beta"), [""; 0]);
    }

    #[test]
    fn runs_of_slashes_become_one() {
        assert!(with_merged_slashes(b"//a///b/", |path| path == b"/a/b/"));
        assert!(with_merged_slashes(b"/a", |path| path == b"/a"));
    }
}
