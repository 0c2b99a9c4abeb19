//! The one form of a path that is matched, and that endpoints should be sent.
//!
//! If the router looked at one form and the endpoint at another, `/public/../admin` would be routed as something below
//! `/public` and served as `/admin`. So: percent-encoded unreserved characters are decoded, other triplets are written in
//! upper case, bytes that may not stand in a path are encoded, dot segments are resolved (RFC 3986 §6.2.2), and the result
//! is both matched and forwarded. A backslash (a slash to some), an encoded NUL (the end of the path to some), and dot
//! segments that only show to a reader that takes `%2F` or `;` for special, are refused. An encoded slash and a semicolon
//! stay what they are otherwise: part of a segment.

use std::borrow::Cow;

/// The path means different things to different servers: refused rather than guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path has a backslash, an encoded NUL, or a dot segment beside an encoded slash or a semicolon")]
pub struct AmbiguousPath;

/// The normal form of a path (without its query). Borrowed if it is in that form already; nothing is allocated then.
/// What does not begin with a slash (`*`) stays as it is.
pub fn normalise(path: &[u8]) -> Result<Cow<'_, [u8]>, AmbiguousPath> {
    if is_plain(path) || path.first() != Some(&b'/') {
        return Ok(Cow::Borrowed(path));
    }
    let encoded = encode_uniformly(path);
    if has_refused_bytes(&encoded) {
        return Err(AmbiguousPath);
    }
    let mut has_dots = false;
    for segment in encoded.split(|&byte| byte == b'/') {
        if is_dots(segment) {
            has_dots = true;
        } else if hides_dots(segment) {
            return Err(AmbiguousPath);
        }
    }
    Ok(if has_dots { Cow::Owned(resolve_dots(&encoded)) } else { encoded })
}

/// Whether nothing in the path can need a change: no `%`, no `\`, no segment that begins with a dot, printable ASCII only.
fn is_plain(path: &[u8]) -> bool {
    // Nearly every path is plain: looking at all bytes without leaving early costs the least.
    let seen = path.iter().fold(0, |seen, &byte| seen | class(byte));
    // `x/..;` begins with a dot; `x\` and `x%2F..` are not plain; `a;b` hides nothing.
    seen & SPECIAL == 0 && (seen & DOT == 0 || !path.windows(2).any(|pair| pair == b"/."))
}

fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(SPECIAL)
}

/// A byte that needs a second look.
const SPECIAL: u8 = 1;
/// A dot: needs one behind a slash.
const DOT: u8 = 2;

/// What each byte is: [`SPECIAL`], [`DOT`], or 0 for those that never need a second look.
static CLASSES: [u8; 256] = {
    let mut classes = [SPECIAL; 256];
    let mut byte = 0x21;
    #[expect(clippy::indexing_slicing, reason = "evaluated at compile time; out of bounds would not compile")]
    while byte < 0x7f {
        classes[byte] = match byte as u8 {
            b'%' | b'\\' => SPECIAL,
            b'.' => DOT,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// The path with every byte either plain or an upper-case triplet, and no triplet for an unreserved character.
pub(crate) fn encode_uniformly(path: &[u8]) -> Cow<'_, [u8]> {
    if is_uniform(path) {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len() + 16);
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match triplet(rest) {
            Some((decoded, behind)) if is_unreserved(decoded) => {
                out.push(decoded);
                behind
            }
            Some((decoded, behind)) => {
                push_triplet(&mut out, decoded);
                behind
            }
            // A lone `%` must not become part of a triplet that decoding its neighbours forms.
            None if byte == b'%' || !is_path_byte(byte) => {
                push_triplet(&mut out, byte);
                tail
            }
            None => {
                out.push(byte);
                tail
            }
        };
    }
    Cow::Owned(out)
}

fn is_uniform(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match triplet(rest) {
            Some((decoded, behind)) => {
                let upper = rest.iter().take(3).all(|byte| !byte.is_ascii_lowercase());
                if is_unreserved(decoded) || !upper {
                    return false;
                }
                behind
            }
            None if byte == b'%' || !is_path_byte(byte) => return false,
            None => tail,
        };
    }
    true
}

/// The byte that a leading `%XX` stands for, and what follows it.
pub(crate) fn triplet(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = bytes else { return None };
    Some((hex(*high)? << 4 | hex(*low)?, rest))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push_triplet(out: &mut Vec<u8>, byte: u8) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'A' + value - 10 };
    out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Bytes left as they are, though RFC 3986 is stricter: servers differ on `|`, `"` and their like, and none splits at them.
/// `?` and `#` would end the path, so a pattern that holds one means the encoded one.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')
}

fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

/// Whether there is a backslash, plain or encoded, or an encoded NUL. In the uniform form every `%` begins a triplet.
fn has_refused_bytes(encoded: &[u8]) -> bool {
    encoded.contains(&b'\\') || encoded.windows(3).any(|triplet| matches!(triplet, b"%5C" | b"%00"))
}

/// Whether a reader that decodes slashes, or cuts parameters at `;`, finds a dot segment in here.
fn hides_dots(segment: &[u8]) -> bool {
    let mut rest = segment;
    loop {
        let border = rest.windows(3).position(|triplet| triplet == b"%2F");
        let piece = rest.get(..border.unwrap_or(rest.len())).unwrap_or_default();
        if is_dots(piece.split(|&byte| byte == b';').next().unwrap_or_default()) {
            return true;
        }
        let Some(border) = border else { return false };
        rest = rest.get(border + 3..).unwrap_or_default();
    }
}

/// RFC 3986 §5.2.4.
fn resolve_dots(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut segments = path.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if is_dots(segment) {
            if segment == b".." {
                let parent = out.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            if segments.peek().is_none() {
                out.push(b'/');
            }
        } else {
            out.push(b'/');
            out.extend_from_slice(segment);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> String {
        normalise(path.as_bytes())
            .map_or_else(|error| format!("{error:?}"), |path| String::from_utf8_lossy(&path).into_owned())
    }

    #[test]
    fn normal_forms() {
        for (raw, expected) in [
            ("/", "/"),
            ("", ""),
            ("*", "*"),
            ("/a/b.c/.well-known", "/a/b.c/.well-known"),
            ("/public/../admin", "/admin"),
            ("/public/%2e%2E/admin", "/admin"),
            ("/public/.%2e/admin", "/admin"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/./b/", "/a/b/"),
            ("/a//../b", "/a/b"),
            ("/%41%7Eb", "/A~b"),
            ("/%c3%bc", "/%C3%BC"),
            ("/ü", "/%C3%BC"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%20b", "/a%20b"),
            ("/100%", "/100%25"),
            ("/%%32%65%2e/a", "/%252e./a"),
            ("/..%2fadmin", "AmbiguousPath"),
            ("/public/..;x=1/admin", "AmbiguousPath"),
            ("/.;/admin", "AmbiguousPath"),
            ("/public/..\\admin", "AmbiguousPath"),
            ("/public\\..\\admin", "AmbiguousPath"),
            ("/x%5c%2e%2e", "AmbiguousPath"),
            ("/\\admin/x", "AmbiguousPath"),
            ("/admin\\x", "AmbiguousPath"),
            ("/%5Cadmin", "AmbiguousPath"),
            ("/admin%5c", "AmbiguousPath"),
            ("/admin%00/x", "AmbiguousPath"),
            ("/admin\0/x", "AmbiguousPath"),
            ("/a%2F..;x/b", "AmbiguousPath"),
            ("/a%2F.%2Fb", "AmbiguousPath"),
            ("/a%255Cb%2500", "/a%255Cb%2500"),
            ("/a%%5cb", "AmbiguousPath"),
            ("/a%01", "/a%01"),
            ("/a;b/c", "/a;b/c"),
            ("/group%2Fproject", "/group%2Fproject"),
            ("/...", "/..."),
        ] {
            assert_eq!(normal(raw), expected, "{raw}");
        }
    }

    #[test]
    fn what_is_normal_is_borrowed() {
        for path in ["/", "/a/b", "/.well-known/x", "/a%20b", "/a%2Fb"] {
            assert!(matches!(normalise(path.as_bytes()), Ok(Cow::Borrowed(_))), "{path}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "/[a./%02eEfF5cC;\\\\3 ü]{0,24}") {
            if let Ok(once) = normalise(path.as_bytes()) {
                let twice = normalise(&once);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
                prop_assert!(once.starts_with(b"/"));
                prop_assert!(!once.split(|&byte| byte == b'/').any(is_dots));
                // Nor does a reader that decodes it find what we refuse.
                let (mut decoded, mut rest) = (Vec::new(), &*once);
                while let Some((&byte, tail)) = rest.split_first() {
                    let (byte, behind) = triplet(rest).unwrap_or((byte, tail));
                    decoded.push(byte);
                    rest = behind;
                }
                prop_assert!(!decoded.iter().any(|byte| matches!(byte, 0 | b'\\')));
                prop_assert!(!decoded.split(|&byte| byte == b'/').any(is_dots));
            }
        }
    }
}
