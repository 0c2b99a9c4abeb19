//! Heads and trailers from one protocol to the other.
//!
//! What comes in is written as HTTP/1.1 would write it, and read by the codec that reads everything else: names, values, hosts, lengths and
//! targets are held to the same rules, whatever they came by. The names and values that `h2` gives hold no line ends.

use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use thiserror::Error;
use traffic_http::{Fields, RequestHead, ResponseHead, websocket};

/// A head that cannot be said in HTTP/2: its library does not take this part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the {0} cannot be sent over HTTP/2")]
pub struct NotSayable(pub(crate) &'static str);

/// Room for a start line and the usual fields.
const USUAL_HEAD_BYTES: usize = 512;

/// The lines of a request's head. `has_body` is false if its stream has ended with it. Who asks for another protocol (RFC 8441), asks as one
/// does in HTTP/1.1.
pub(crate) fn request_lines(head: &http::request::Parts, has_body: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_HEAD_BYTES);
    let (uri, fields) = (&head.uri, &head.headers);
    let protocol = head.extensions.get::<Protocol>();
    let authority = uri.authority().map(Authority::as_str);
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let (method, target) = match (&head.method, protocol) {
        (_, Some(_)) => ("GET", path),
        (&Method::CONNECT, None) => ("CONNECT", authority.unwrap_or_default()),
        (method, None) => (method.as_str(), path),
    };
    put_line(&mut out, &[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1"]);
    if let Some(protocol) = protocol {
        put_field(&mut out, "connection", b"upgrade");
        // What is no name of a protocol is none: there is nothing to switch to.
        let name = protocol.as_str();
        let is_name =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/+!#$&'*^`|".contains(&byte));
        put_field(&mut out, "upgrade", if is_name { name.as_bytes() } else { b"" });
    }
    if let Some(authority) = authority {
        put_field(&mut out, "host", authority.as_bytes());
    }
    let is_repeated = |name: &HeaderName, value: &HeaderValue| {
        // Both may be there if they say the same (RFC 9113 §8.3.1). Two that differ are refused like any two hosts.
        name == HOST && authority.is_some_and(|authority| value.as_bytes() == authority.as_bytes())
    };
    for (name, value) in fields {
        if name != COOKIE && !is_repeated(name, value) {
            put_field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    put_cookies(&mut out, fields);
    // Servers tell by it that there is no body, where one would be usual (RFC 9110 §8.6).
    let is_usual = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    if !has_body && is_usual && !fields.contains_key(CONTENT_LENGTH) {
        put_field(&mut out, "content-length", b"0");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Cookies may come in pieces, which belong together elsewhere (RFC 9113 §8.2.3).
fn put_cookies(out: &mut Vec<u8>, fields: &HeaderMap) {
    let mut cookies = fields.get_all(COOKIE).into_iter();
    let Some(first) = cookies.next() else { return };
    out.extend_from_slice(b"cookie: ");
    out.extend_from_slice(first.as_bytes());
    for cookie in cookies {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(cookie.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// The lines of an answer's head.
pub(crate) fn response_lines(status: StatusCode, fields: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_HEAD_BYTES);
    let reason = status.canonical_reason().unwrap_or_default();
    put_line(&mut out, &[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes()]);
    put_fields(&mut out, fields);
    out.extend_from_slice(b"\r\n");
    out
}

/// The lines of a trailer section, and the empty one behind it.
pub(crate) fn trailer_lines(fields: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_HEAD_BYTES);
    put_fields(&mut out, fields);
    out.extend_from_slice(b"\r\n");
    out
}

fn put_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        put_field(out, name.as_str(), value.as_bytes());
    }
}

fn put_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    put_line(out, &[name.as_bytes(), b": ", value]);
}

fn put_line(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    out.extend_from_slice(b"\r\n");
}

/// A request as `h2` sends it.
pub(crate) fn request(head: &RequestHead, is_secure: bool) -> Result<Request<()>, NotSayable> {
    let protocol = head.upgrade().map(|protocol| std::str::from_utf8(protocol).map(Protocol::from));
    let protocol = protocol.transpose().map_err(|_| NotSayable("protocol"))?;
    let mut target = http::uri::Parts::default();
    target.scheme = Some(if is_secure { Scheme::HTTPS } else { Scheme::HTTP });
    target.authority = Some(Authority::try_from(head.host()).map_err(|_| NotSayable("host"))?);
    let path = PathAndQuery::try_from(head.path_and_query()).map_err(|_| NotSayable("path"))?;
    target.path_and_query = Some(path);
    let mut request = Request::new(());
    *request.method_mut() = match &protocol {
        Some(_) => Method::CONNECT,
        None => Method::from_bytes(head.method_bytes()).map_err(|_| NotSayable("method"))?,
    };
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(protocol);
    }
    *request.uri_mut() = Uri::from_parts(target).map_err(|_| NotSayable("path"))?;
    *request.version_mut() = Version::HTTP_2;
    let is_tunnel = protocol_is_asked(&request);
    let wanted = |name: &HeaderName| {
        // What goes through a tunnel is no body.
        name != HOST && name.as_str() != websocket::KEY && !(is_tunnel && name == CONTENT_LENGTH)
    };
    *request.headers_mut() = fields(head.fields(), wanted)?;
    Ok(request)
}

fn protocol_is_asked(request: &Request<()>) -> bool {
    request.extensions().get::<Protocol>().is_some()
}

/// An answer as `h2` sends it.
pub(crate) fn response(head: &ResponseHead) -> Result<Response<()>, NotSayable> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status()).map_err(|_| NotSayable("status"))?;
    *response.version_mut() = Version::HTTP_2;
    *response.headers_mut() = fields(head.fields(), |_| true)?;
    Ok(response)
}

/// Trailers as `h2` sends them, if there are any.
pub(crate) fn trailers(trailers: &Fields) -> Result<Option<HeaderMap>, NotSayable> {
    if trailers.is_empty() { Ok(None) } else { fields(trailers, |_| true).map(Some) }
}

/// The fields, in lower case, without those that are about a connection of HTTP/1.1 (RFC 9113 §8.2.2).
fn fields(fields: &Fields, wanted: impl Fn(&HeaderName) -> bool) -> Result<HeaderMap, NotSayable> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields.iter() {
        let name = HeaderName::from_bytes(name).map_err(|_| NotSayable("field name"))?;
        if is_of_connection(&name) || !wanted(&name) {
            continue;
        }
        let value = HeaderValue::from_bytes(value).map_err(|_| NotSayable("field value"))?;
        map.try_append(name, value).map_err(|_| NotSayable("number of fields"))?;
    }
    Ok(map)
}

fn is_of_connection(name: &HeaderName) -> bool {
    const OF_CONNECTION: [&str; 6] =
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"];
    OF_CONNECTION.contains(&name.as_str())
}

/// The length that a head tells of its body, if it does.
pub(crate) fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
