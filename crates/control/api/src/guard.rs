//! Who may ask.
//!
//! With a token, whoever knows it. Without one, whoever is on this machine: that leaves web pages, which run in a browser on
//! this machine for somebody else. A page that lets its name point to 127.0.0.1 (DNS rebinding) is known by the `Host` it
//! asks for; a page that posts across origins is known by its `Origin`, which browsers send with every such request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base_model::model::Secret;

use crate::problem::{Code, Problem};

/// Open to everybody: says nothing but that the process lives.
pub(crate) const OPEN_PATH: &str = "/healthz";

/// What is asked of every request.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    token: Option<Arc<Secret>>,
}

impl Guard {
    pub(crate) fn new(token: Option<Secret>) -> Self {
        Self { token: token.map(Arc::new) }
    }

    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        if uri.path() == OPEN_PATH {
            return Ok(());
        }
        match &self.token {
            Some(token) => check_token(token, headers)?,
            None => check_host(uri, headers)?,
        }
        if method.is_safe() { Ok(()) } else { check_origin(headers) }
    }
}

/// Refuses what may not ask, and marks every answer as nobody else's.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    response
}

fn check_token(token: &Secret, headers: &HeaderMap) -> Result<(), Problem> {
    let value = single(headers, &header::AUTHORIZATION)?.unwrap_or_default();
    let (scheme, offered) = value.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") && is_equal(token.expose().as_bytes(), offered.trim().as_bytes())
    {
        return Ok(());
    }
    Err(Problem::new(Code::Unauthorized, "this needs the admin token")
        .at("Authorization")
        .how("send `Authorization: Bearer …` with the token that `admin.token` of the configuration names"))
}

/// Takes as long for a wrong token as for the right one; only its length shows.
fn is_equal(expected: &[u8], offered: &[u8]) -> bool {
    let differences = expected.iter().zip(offered).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    expected.len() == offered.len() && differences == 0
}

fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let field = single(headers, &header::HOST)?;
    // A target in absolute form names a host too; a browser never sends one, so both must be fine.
    let target = uri.authority().map(axum::http::uri::Authority::as_str);
    let mut hosts = field.into_iter().chain(target).peekable();
    if hosts.peek().is_some() && hosts.all(is_loopback) {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "without a token, this is only served under a name of this machine")
        .at("Host")
        .how("ask for 127.0.0.1, [::1] or localhost, or set `admin.token` in the configuration"))
}

/// Whether an authority names this machine, whatever the port.
fn is_loopback(authority: &str) -> bool {
    let (host, rest) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some(parts) => parts,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = rest.strip_prefix(':');
    if !rest.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// A browser names the origin of a page in every request that could change something.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |place| {
        Err(Problem::new(Code::Forbidden, "a page of another origin may not change anything here")
            .at(place)
            .how("send the request from a program, or from a page that this port serves"))
    };
    let host = single(headers, &header::HOST)?.unwrap_or_default();
    if let Some(origin) = single(headers, &header::ORIGIN)? {
        let own = origin.split_once("://").map(|(_scheme, authority)| authority);
        if !own.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
            return refused("Origin");
        }
    }
    // `none` is a request that a person made by hand in the browser.
    match headers.get("sec-fetch-site").map(header::HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => refused("Sec-Fetch-Site"),
    }
}

/// The one value of a field. Two of them could be read differently by two readers.
fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    match (first.map(header::HeaderValue::to_str), second) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        (Some(_), _) => {
            let detail = format!("`{name}` is there more than once, or is not plain text");
            Err(Problem::new(Code::BadRequest, detail).at(name.as_str()).how("send it once"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:9900", "127.0.0.1", "127.1.2.3:1", "[::1]", "[::1]:9900"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":9900",
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "10.0.0.1",
            "[::2]",
            "[::1]evil",
            "0.0.0.0",
            "localhost:1@evil",
            "localhost:",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn tokens_are_equal_as_a_whole() {
        assert!(is_equal(b"secret", b"secret"));
        for offered in ["", "secre", "secrets", "Secret", "secreT"] {
            assert!(!is_equal(b"secret", offered.as_bytes()), "{offered}");
        }
    }
}
