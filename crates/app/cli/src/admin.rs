//! Asking the admin port of a running Aya.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer;

/// Where the admin port is if nothing is said: as in the guide's configurations.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:9900";

/// For connecting, and without a byte of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer: far more than the largest page.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// The admin port of a running Aya.
pub(crate) struct Admin {
    /// Host and port.
    authority: String,
    token: Option<String>,
}

impl Admin {
    /// At `url`, with the token in this file if one is needed.
    pub(crate) fn new(url: &str, token_file: Option<&Path>) -> anyhow::Result<Self> {
        let authority = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let is_plain = authority.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        ensure!(
            is_plain && authority.contains(':'),
            "`{url}` is not where an admin port can be; write http://HOST:PORT"
        );
        let read = |file: &Path| {
            let token = std::fs::read_to_string(file);
            token.with_context(|| format!("the token in {} cannot be read", file.display()))
        };
        let token = token_file.map(read).transpose()?.map(|token| token.trim_end().to_owned());
        if let Some(token) = &token {
            let is_sendable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            ensure!(is_sendable, "the token file does not hold a token");
        }
        Ok(Self { authority: authority.to_owned(), token })
    }

    /// What is answered to `GET path`; with what to do about it if that is an error.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.exchange(path).with_context(|| {
            format!(
                "the admin port at {} cannot be asked; see `admin.bind` in its configuration",
                self.authority
            )
        })?;
        let (status, body) = parts(&answer).context("what is there does not answer like an admin port")?;
        if status != 200 {
            let problem: Value = answer::read(body).unwrap_or_default();
            let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
            let how = text("how").map(|how| format!("; {how}")).unwrap_or_default();
            bail!("{} ({status}){how}", text("detail").unwrap_or_else(|| "it refuses".to_owned()));
        }
        answer::read(body).context("the answer is not understood: is it another version of Aya?")
    }

    /// HTTP/1.0, so that the answer ends with the connection.
    fn exchange(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n{token}\r\n", self.authority)?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut last = std::io::ErrorKind::NotFound.into();
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Status and body of an answer.
fn parts(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let line = std::str::from_utf8(answer.split(|&byte| byte == b'\r').next()?).ok()?;
    let status = line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.get(end + 4..)?))
}

/// A value as it may stand in a query.
pub(crate) fn escaped(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        assert_eq!(parts(b"HTTP/1.0 404 Not Found\r\na: b\r\n\r\n{}"), Some((404, &b"{}"[..])));
        assert_eq!(parts(b"SSH-2.0\r\n\r\n"), None);
        assert_eq!(parts(b"HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn values_are_escaped() {
        assert_eq!(escaped("a-1+/b c=é"), "a-1%2B%2Fb%20c%3D%C3%A9");
    }

    #[test]
    fn what_is_no_admin_port_is_refused() {
        for url in ["https://a:1", "http://a", "a:1/b", "http://a b:1", ""] {
            assert!(Admin::new(url, None).is_err(), "{url}");
        }
        assert!(Admin::new("http://localhost:9900/", None).is_ok());
    }
}
