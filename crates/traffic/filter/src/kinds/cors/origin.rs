//! Which sites are meant.

use crate::{SettingsError, uri};

/// Stands in front of a host for all names below it.
const WILDCARD: &str = "*.";

/// A site, or all below a name. In lower case, as browsers write them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Just this.
    One(Box<str>),
    /// Whatever begins and ends like this, with a name between.
    Below(Box<str>, Box<str>),
}

impl Origin {
    /// What a document says: `https://shop.example.com:8443`, `https://*.example.com` or `null`.
    pub(super) fn parse(text: &str) -> Result<Self, SettingsError> {
        let lower = text.to_ascii_lowercase();
        if lower == "null" {
            return Ok(Self::One(lower.into()));
        }
        let shown = text.escape_debug();
        let Some((scheme, authority)) = lower.split_once("://") else {
            let error = SettingsError::at([], format!("`{shown}` is not a site"));
            return Err(error.suggest("write it as browsers do, like `https://shop.example.com`"));
        };
        if let Some((site, _)) = authority.split_once('/') {
            let error = SettingsError::at([], format!("`{shown}` has a path, and sites have none"));
            return Err(error.suggest(format!("write `{scheme}://{site}`")));
        }
        let is_below = authority.starts_with(WILDCARD);
        let named = authority.strip_prefix(WILDCARD).unwrap_or(authority);
        let host =
            uri::host_of(named.as_bytes()).and_then(|host| named.get(..host.len())).unwrap_or_default();
        let port = named.get(host.len()..).and_then(|rest| rest.strip_prefix(':'));
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !is_scheme || !is_host(host) || !is_port {
            let error = SettingsError::at([], format!("`{shown}` is not a site"));
            return Err(error.suggest("a scheme, a host and at most a port, like `https://shop.example.com:8443`; `*.` may stand in front of the host"));
        }
        // Browsers leave it away, so that nobody would ever match.
        if matches!((scheme, port), ("https", Some("443")) | ("http", Some("80"))) {
            let error = SettingsError::at([], format!("`{shown}` names the port that is usual anyway"));
            let front = if is_below { WILDCARD } else { "" };
            return Err(error.suggest(format!("browsers leave it away: write `{scheme}://{front}{host}`")));
        }
        Ok(match is_below {
            true => Self::Below(format!("{scheme}://").into(), format!(".{named}").into()),
            false => Self::One(lower.into()),
        })
    }

    /// Whether a browser's word for a site means this one.
    pub(super) fn takes(&self, origin: &[u8]) -> bool {
        match self {
            Self::One(site) => origin.eq_ignore_ascii_case(site.as_bytes()),
            Self::Below(front, back) => {
                let between = strip(origin, front.as_bytes(), back.as_bytes());
                between.is_some_and(|name| is_host(std::str::from_utf8(name).unwrap_or_default()))
            }
        }
    }
}

/// What lies between this beginning and this end.
fn strip<'a>(text: &'a [u8], front: &[u8], back: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = text.split_at_checked(front.len())?;
    let (between, end) = rest.split_at_checked(rest.len().checked_sub(back.len())?)?;
    (found.eq_ignore_ascii_case(front) && end.eq_ignore_ascii_case(back)).then_some(between)
}

/// Whether it is a name, or an address.
fn is_host(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_itself_alone() {
        let site = Origin::parse("https://Shop.example.com:8443").unwrap();
        assert!(site.takes(b"https://shop.example.com:8443"));
        for other in [
            "http://shop.example.com:8443",
            "https://shop.example.com",
            "https://shop.example.com:84433",
            "https://a.shop.example.com:8443",
            "null",
            "",
        ] {
            assert!(!site.takes(other.as_bytes()), "{other}");
        }
        assert!(Origin::parse("null").unwrap().takes(b"null"));
        assert!(Origin::parse("http://[::1]:3000").unwrap().takes(b"http://[::1]:3000"));
    }

    #[test]
    fn names_below_are_whole_names() {
        let below = Origin::parse("https://*.example.com").unwrap();
        for site in ["https://a.example.com", "https://a.b.EXAMPLE.com"] {
            assert!(below.takes(site.as_bytes()), "{site}");
        }
        for other in [
            "https://example.com",
            "https://.example.com",
            "https://evilexample.com",
            "https://evil.com/.example.com",
            "https://evil.com:1.example.com",
            "https://evil@a.example.com",
            "http://a.example.com",
            "https://a.example.com.evil.com",
            "https://a.example.com:8443",
        ] {
            assert!(!below.takes(other.as_bytes()), "{other}");
        }
        assert!(Origin::parse("https://*.example.com:8443").unwrap().takes(b"https://a.example.com:8443"));
    }

    #[test]
    fn what_is_no_site_is_refused_with_a_way_out() {
        for (text, part) in [
            ("shop.example.com", "write it as browsers do"),
            ("https://shop.example.com/", "write `https://shop.example.com`"),
            ("https://shop.example.com/a/b", "write `https://shop.example.com`"),
            ("https://shop.example.com:443", "browsers leave it away: write `https://shop.example.com`"),
            ("http://*.example.com:80", "write `http://*.example.com`"),
            ("https://shop.*.com", "is not a site"),
            ("https://*", "is not a site"),
            ("https://*.", "is not a site"),
            ("https://", "is not a site"),
            ("https://a b", "is not a site"),
            ("https://a:b@c", "is not a site"),
            ("https://a:0", "is not a site"),
            ("://a", "is not a site"),
        ] {
            let problem = Origin::parse(text).unwrap_err().to_string();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }
}
