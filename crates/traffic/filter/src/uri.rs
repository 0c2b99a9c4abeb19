//! Bytes that may stand in a URI, and the form in which the others do.

/// How a value is written into a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It is a URI or a piece of one already: only bytes that no URI has are encoded.
    Written,
    /// It is data: nothing in it may act as a delimiter.
    Data,
}

/// Appends `bytes`, percent-encoded where needed.
pub(crate) fn push(out: &mut Vec<u8>, bytes: &[u8], part: Part) {
    for &byte in bytes {
        let plain = match part {
            Part::Written => is_unreserved(byte) || b"%:/?#[]@!$&'()*+,;=".contains(&byte),
            Part::Data => is_unreserved(byte),
        };
        if plain {
            out.push(byte);
        } else {
            let digit = |value: u8| if value < 10 { b'0' + value } else { b'A' + value - 10 };
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends a path so that it begins with just one slash, also when a slash stands there already: `//host` would be taken
/// for another server.
pub(crate) fn push_path(out: &mut Vec<u8>, path: &[u8]) {
    let inner = path.iter().position(|byte| !matches!(byte, b'/' | b'\\')).unwrap_or(path.len());
    if out.last() != Some(&b'/') {
        out.push(b'/');
    }
    push(out, path.get(inner..).unwrap_or_default(), Part::Written);
}

/// What is behind a prefix that ends at a segment's border. Runs of slashes in the path count as one, as they do when a
/// route is found; the prefix has none. What is behind it stays as it is.
pub(crate) fn strip_prefix<'p>(path: &'p [u8], prefix: &[u8]) -> Option<&'p [u8]> {
    let mut rest = path;
    for &byte in prefix {
        rest = rest.strip_prefix(&[byte])?;
        while byte == b'/' && rest.first() == Some(&b'/') {
            rest = rest.strip_prefix(b"/")?;
        }
    }
    matches!(rest, [] | [b'/', ..]).then_some(rest)
}

/// The host in an authority, without the port; `None` if it is empty or has bytes that no host has.
pub(crate) fn host_of(authority: &[u8]) -> Option<&[u8]> {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let front = authority.get(..authority.len() - digits)?;
    let host = front.strip_suffix(b":").unwrap_or(authority);
    let valid = match host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")) {
        Some(inner) => inner.iter().all(|&byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
        None => host.iter().all(|&byte| is_unreserved(byte)),
    };
    (valid && !host.is_empty()).then_some(host)
}

/// Whether a segment of the path is a dot segment, plain or encoded.
pub(crate) fn has_dot_segments(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').any(|segment| {
        let mut rest = segment;
        let mut dots = 0;
        while let Some(behind) = strip_dot(rest) {
            rest = behind;
            dots += 1;
        }
        rest.is_empty() && (1..=2).contains(&dots)
    })
}

fn strip_dot(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_port_and_nothing_else_passes() {
        for (authority, host) in [
            ("a.b:80", Some("a.b")),
            ("a.b", Some("a.b")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("", None),
            (":80", None),
            ("a@b", None),
            ("a/b", None),
            ("a b", None),
            ("[a/b]", None),
            ("a:b", None),
        ] {
            assert_eq!(host_of(authority.as_bytes()), host.map(str::as_bytes), "{authority}");
        }
    }

    #[test]
    fn prefixes_are_stripped_as_routes_are_matched() {
        for (path, prefix, rest) in [
            ("/api/x", "/api", Some("/x")),
            ("//api/x", "/api", Some("/x")),
            ("///a//b//c", "/a/b", Some("//c")),
            ("//api", "/api", Some("")),
            ("/apis", "/api", None),
            ("//apis/x", "/api", None),
            ("/ap/i", "/api", None),
            ("/", "/api", None),
            ("//x", "", Some("//x")),
        ] {
            let found = strip_prefix(path.as_bytes(), prefix.as_bytes());
            assert_eq!(found, rest.map(str::as_bytes), "{path} {prefix}");
        }
    }

    #[test]
    fn dot_segments_are_seen_in_every_spelling() {
        for path in ["/..", "/a/./b", "/%2e%2E/x", "/.%2e"] {
            assert!(has_dot_segments(path.as_bytes()), "{path}");
        }
        for path in ["/", "//", "/...", "/.a", "/a..", "/%2e%2e%2e"] {
            assert!(!has_dot_segments(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn paths_begin_with_one_slash() {
        for (before, path, expected) in [
            ("", "//evil", "/evil"),
            ("/", "/x", "/x"),
            ("/v2", "/x", "/v2/x"),
            ("", "/\\/evil", "/evil"),
            ("", "*", "/*"),
        ] {
            let mut out = before.as_bytes().to_vec();
            push_path(&mut out, path.as_bytes());
            assert_eq!(out, expected.as_bytes());
        }
    }
}
