//! One cookie among those of a request.

use super::{Fields, KnownField, Span};

impl Fields {
    /// Takes the cookie of this name out of a request's `Cookie` lines (RFC 6265 §5.4), however often it is there; the others stay
    /// as they are. Whether it was there.
    pub fn remove_cookie(&mut self, name: &str) -> bool {
        if !self.has(KnownField::Cookie) {
            return false;
        }
        let (mut was_there, mut is_one_empty) = (false, false);
        let Self { bytes, lines, .. } = self;
        for line in lines.iter_mut().filter(|line| line.known == Some(KnownField::Cookie)) {
            let range = line.value.range();
            let (start, end) = (range.start, range.end);
            // The line's end belongs to what may move: what is kept is never longer.
            let Some(value) = bytes.get_mut(range) else { continue };
            let Some(kept) = drop_cookie(value, name.as_bytes()) else { continue };
            (was_there, is_one_empty) = (true, is_one_empty || kept == 0);
            let value_end = start + kept.min(end - start);
            if let Some(line_end) = bytes.get_mut(value_end..value_end + 2) {
                line_end.copy_from_slice(b"\r\n");
            }
            line.value = Span::new(start, value_end);
            line.end = super::offset(value_end + 2);
        }
        if is_one_empty {
            self.retain_lines(|_, line| line.known != Some(KnownField::Cookie) || !line.value.is_empty());
        }
        was_there
    }
}

/// Moves the pairs that have other names to the front; how many bytes they take, or `None` if all have.
fn drop_cookie(value: &mut [u8], name: &[u8]) -> Option<usize> {
    if !value.split(|&byte| byte == b';').any(|pair| is_named(pair, name)) {
        return None;
    }
    let (mut kept, mut start) = (0, 0);
    while start <= value.len() {
        let rest = value.get(start..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b';').unwrap_or(rest.len());
        let pair = rest.get(..length).unwrap_or_default();
        let end = start + length;
        if !is_named(pair, name) {
            // The first pair has no blank in front; further ones have their semicolon, which fits where one was dropped.
            let blanks = if kept == 0 { pair.len() - pair.trim_ascii_start().len() } else { 0 };
            if let Some(semicolon) = value.get_mut(kept).filter(|_| kept > 0) {
                *semicolon = b';';
                kept += 1;
            }
            value.copy_within(start + blanks..end, kept);
            kept += length - blanks;
        }
        start = end + 1;
    }
    Some(value.get(..kept).unwrap_or_default().trim_ascii_end().len())
}

fn is_named(pair: &[u8], name: &[u8]) -> bool {
    pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii() == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(lines: &[&str], name: &str) -> (bool, Vec<String>) {
        let mut fields = Fields::new();
        fields.append("host", b"a");
        lines.iter().for_each(|line| fields.append("Cookie", line.as_bytes()));
        fields.append("x-after", b"b");
        let removed = fields.remove_cookie(name);
        fields.check_invariants();
        let mut encoded = Vec::new();
        fields.encode(&mut encoded);
        let text = String::from_utf8(encoded).unwrap();
        let lines: Vec<_> = text.strip_suffix("\r\n").unwrap().split("\r\n").map(str::to_owned).collect();
        assert_eq!((lines[0].as_str(), lines[lines.len() - 1].as_str()), ("host: a", "x-after: b"));
        (removed, lines[1..lines.len() - 1].to_vec())
    }

    #[test]
    fn one_goes_and_the_others_stay_as_they_are() {
        for (before, after) in [
            ("node=1; a=2; b=3", "a=2; b=3"),
            ("a=2; node=1; b=3", "a=2; b=3"),
            ("a=2;node=1;b=3", "a=2;b=3"),
            ("a=2; b=3; node=1", "a=2; b=3"),
            ("node=1;a=\"x;y\"", "a=\"x;y\""),
            ("node=1; node=2; a= b ; node", "a= b"),
            ("node = 1 ;  c", "c"),
            ("node=1;;b=3", "b=3"),
            ("a;node=", "a"),
        ] {
            assert_eq!(without(&[before], "node"), (true, vec![format!("Cookie: {after}")]), "{before}");
        }
    }

    #[test]
    fn other_names_are_left_alone() {
        for line in ["nodes=1; Node=2", "a=node; b=node=1", "", ";", "xnode=1"] {
            assert_eq!(without(&[line], "node"), (false, vec![format!("Cookie: {line}")]), "{line}");
        }
        assert_eq!(without(&[], "node"), (false, vec![]));
    }

    #[test]
    fn a_line_without_cookies_goes() {
        assert_eq!(without(&["node=1"], "node"), (true, vec![]));
        assert_eq!(
            without(&["node=1", "a=2", "b=3; node=1"], "node"),
            (true, vec!["Cookie: a=2".to_owned(), "Cookie: b=3".to_owned()])
        );
        let mut fields = Fields::new();
        fields.append("cookie", b"node=1");
        fields.remove_cookie("node");
        assert!(!fields.has(KnownField::Cookie) && fields.is_empty());
    }

    /// Whatever stands in the line: what is left is what is left when the pairs are taken out one by one.
    #[test]
    fn it_does_what_splitting_and_joining_does() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut line = String::new();
            while !state.is_multiple_of(13) || line.is_empty() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                line.push(['n', '=', ';', ' ', 'a', ';'][(state >> 33) as usize % 6]);
                if line.len() > 24 {
                    break;
                }
            }
            state = state.wrapping_add(1);
            let kept: Vec<_> =
                line.trim().split(';').filter(|pair| !is_named(pair.as_bytes(), b"n")).collect();
            let mut value = line.trim().as_bytes().to_vec();
            let Some(length) = drop_cookie(&mut value, b"n") else { continue };
            let text = std::str::from_utf8(&value[..length]).unwrap();
            let spaced = |text: &str| text.trim().trim_start_matches([';', ' ']).to_owned();
            assert_eq!(spaced(text), spaced(&kept.join(";")), "{line:?}");
        }
    }
}
