//! Which hosts are valid.

use std::net::Ipv6Addr;

use crate::HttpError;

/// Checks `host [":" port]`.
///
/// Narrower than RFC 3986: a name is made of letters, digits, `-`, `.`, `_` and `~`; percent-encoding and
/// sub-delimiters are refused, because no host has them and servers disagree about them; so are userinfo, zone ids,
/// an empty host, an empty port and port 0.
pub(super) fn check(authority: &[u8]) -> Result<(), HttpError> {
    let is_valid = match authority.strip_prefix(b"[") {
        Some(rest) => is_valid_literal(rest),
        None => {
            let name_length =
                authority.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(authority.len());
            name_length > 0 && is_valid_port_suffix(authority.get(name_length..).unwrap_or_default())
        }
    };
    if is_valid { Ok(()) } else { Err(HttpError::InvalidHost) }
}

/// Whether there is a port.
pub(super) fn has_port(authority: &[u8]) -> bool {
    authority.iter().rposition(|&byte| byte == b':').is_some_and(|colon| {
        authority.get(colon..).is_some_and(|suffix| is_valid_port_suffix(suffix) && !suffix.contains(&b']'))
    })
}

#[inline]
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES.get(usize::from(byte)).copied().unwrap_or_default()
}

static NAME_BYTES: [bool; 256] = name_bytes();

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn name_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
}

/// `2001:db8::1]` or `2001:db8::1]:8080`.
fn is_valid_literal(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().position(|&byte| byte == b']') else { return false };
    let (address, suffix) = rest.split_at(end);
    let is_address = std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
    is_address && is_valid_port_suffix(suffix.get(1..).unwrap_or_default())
}

/// Nothing, or a colon and a port.
fn is_valid_port_suffix(suffix: &[u8]) -> bool {
    match suffix {
        [] => true,
        [b':', digits @ ..] => {
            (1..=5).contains(&digits.len())
                && digits.iter().all(u8::is_ascii_digit)
                && (1..=u32::from(u16::MAX))
                    .contains(&digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_accepted_or_refused() {
        for host in [
            "a",
            "a.example:80",
            "a_b-c.example",
            "10.0.0.1",
            "10.0.0.1:65535",
            "[::1]",
            "[2001:db8::1]:8080",
        ] {
            assert_eq!(check(host.as_bytes()), Ok(()), "{host}");
        }
        for host in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:000080",
            "a:8o",
            "a:+80",
            "a:80:80",
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "u:p@b",
            "a\\b",
            "a?b",
            "a#b",
            "a%41",
            "[",
            "[]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[::1%eth0]",
            "::1",
            "[a]",
            "\u{e9}",
        ] {
            assert_eq!(check(host.as_bytes()), Err(HttpError::InvalidHost), "{host}");
        }
    }

    #[test]
    fn ports_are_told_from_addresses() {
        assert!(has_port(b"a:80") && has_port(b"[::1]:80"));
        assert!(!has_port(b"a") && !has_port(b"[::1]"));
    }
}
