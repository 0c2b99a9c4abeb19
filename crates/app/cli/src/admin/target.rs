//! Whom to ask, and with which token.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

use base_model::model::Secret;

/// Where the token is looked for when no file is named.
pub(crate) const TOKEN_VARIABLE: &str = "AYA_TOKEN";
/// A longer token is none: this is more than a head of HTTP may hold.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;

/// The admin port of an Aya.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for Target {
    type Err = String;

    /// `http://HOST:PORT` or `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "write http://HOST:PORT, for instance http://127.0.0.1:9900";
        let authority = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => return Err(NO_TLS.to_owned()),
            Some((scheme, _)) => return Err(format!("`{scheme}` is not spoken here; {wanted}")),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains('@') {
            return Err(format!(
                "it carries a name or password; the token is given with --token-file or {TOKEN_VARIABLE}"
            ));
        }
        if authority.contains(['/', '?', '#']) {
            return Err(format!("it has a path, and the port as a whole is wanted; {wanted}"));
        }
        let Some((host, port)) = authority.rsplit_once(':').filter(|(host, _)| is_whole(host)) else {
            return Err(format!("it has no port; {wanted}"));
        };
        let port = port.parse().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| format!("its port is not a number from 1 to 65535; {wanted}"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
        if host.is_empty() || !host.bytes().all(fits) {
            return Err(format!("it has no host that could be asked; {wanted}"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// What to do where the way is not to be trusted.
const NO_TLS: &str = "the admin port speaks plain HTTP; through a network that is not to be trusted, open a tunnel: \
                      ssh -L 9900:127.0.0.1:9900 HOST, then ask http://127.0.0.1:9900";

/// Whether the last colon did not cut an address of IPv6 in two.
fn is_whole(host: &str) -> bool {
    !host.contains(':') || host.starts_with('[') && host.ends_with(']')
}

impl fmt::Display for Target {
    /// As in the `Host` of a request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The token: that of the file if one is named, else that of the environment, else none.
///
/// # Errors
/// If there is one that cannot be used; says why.
pub(crate) fn token(file: Option<&Path>, variable: Option<String>) -> Result<Option<Secret>, String> {
    let (text, place) = match (file, variable) {
        (Some(file), _) => (read(file)?, format!("the token in {}", file.display())),
        // An empty variable is the usual way to say that there is none.
        (None, Some(text)) if !text.is_empty() => (text, format!("the token in {TOKEN_VARIABLE}")),
        (None, _) => return Ok(None),
    };
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{place} is empty, or holds something that cannot be sent in a header field"));
    }
    Ok(Some(Secret::new(value)))
}

fn read(file: &Path) -> Result<String, String> {
    let unreadable = |error| format!("the token in {} cannot be read: {error}", file.display());
    let mut text = String::new();
    let mut source = File::open(file).map_err(unreadable)?.take(MAX_TOKEN_BYTES + 1);
    if source.read_to_string(&mut text).map_err(unreadable)? as u64 > MAX_TOKEN_BYTES {
        return Err(format!("{} is too large to be a token", file.display()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_an_admin_port_are_taken() {
        for (text, shown) in [
            ("http://127.0.0.1:9900", "127.0.0.1:9900"),
            ("http://127.0.0.1:9900/", "127.0.0.1:9900"),
            ("HTTP://lb-1.example.com:80", "lb-1.example.com:80"),
            ("localhost:9900", "localhost:9900"),
            ("http://[::1]:9900", "[::1]:9900"),
        ] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn other_urls_are_refused_with_the_way_out() {
        for (text, part) in [
            ("https://lb:9900", "ssh -L"),
            ("ftp://lb:9900", "`ftp` is not spoken here"),
            ("http://me:secret@lb:9900", "--token-file"),
            ("http://lb:9900/metrics", "it has a path"),
            ("http://lb:9900?x", "it has a path"),
            ("http://lb", "it has no port"),
            ("http://::1", "it has no port"),
            ("http://lb:0", "from 1 to 65535"),
            ("http://lb:99999", "from 1 to 65535"),
            ("http://:9900", "no host"),
            ("http://a b:9900", "no host"),
            ("http://lb\r\nx:9900", "no host"),
            ("", "it has no port"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_token_is_from_the_file_or_the_environment() {
        let folder = std::env::temp_dir().join(format!("aya-top-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let value = |token: Option<Secret>| token.map(|token| token.expose().to_owned());
        let good = file("good", "s3cret\n");
        assert_eq!(value(token(Some(&good), Some("other".into())).unwrap()).as_deref(), Some("s3cret"));
        assert_eq!(value(token(None, Some("other".into())).unwrap()).as_deref(), Some("other"));
        assert_eq!(value(token(None, Some(String::new())).unwrap()), None);
        assert_eq!(value(token(None, None).unwrap()), None);
        for (path, part) in [
            (file("empty", "\n"), "is empty"),
            (file("split", "a\r\nx: y"), "cannot be sent"),
            (file("huge", &"x".repeat(20_000)), "too large"),
            (folder.join("missing"), "cannot be read"),
        ] {
            let error = token(Some(&path), None).unwrap_err();
            assert!(error.contains(part) && !error.contains("x: y"), "{error}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_admin_port_is_refused() {
        for url in ["https://a:1", "http://a", "a:1/b", "http://a b:1", ""] {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
        assert!("http://localhost:9900/".parse::<Target>().is_ok());
    }
}
