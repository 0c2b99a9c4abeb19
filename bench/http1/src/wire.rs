//! As much of HTTP/1 as the bench's own programs need: where a head ends, and how long its body is.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

/// More fields than any head of this bench has, so that parsing needs no allocation.
const MAX_FIELDS: usize = 64;

/// What a relay, backend or client has to know of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes up to and with the empty line.
    pub(crate) bytes: usize,
    /// The status; 0 in a request.
    pub(crate) status: u16,
    /// `Content-Length`, if there is one.
    pub(crate) length: Option<u64>,
    /// Whether the sender closes after this message.
    pub(crate) closes: bool,
}

/// A head that nobody can parse.
#[derive(Debug)]
pub(crate) struct BadHead;

/// The request head at the front of `input`; `None` while it is incomplete.
pub(crate) fn request_head(input: &[u8]) -> Result<Option<Head>, BadHead> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    match ParserConfig::default().parse_request_with_uninit_headers(&mut request, input, &mut fields) {
        Ok(Status::Complete(bytes)) => Ok(Some(head(bytes, 0, request.headers))),
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(BadHead),
    }
}

/// The response head at the front of `input`; `None` while it is incomplete.
pub(crate) fn response_head(input: &[u8]) -> Result<Option<Head>, BadHead> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    match ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut fields) {
        Ok(Status::Complete(bytes)) => {
            Ok(Some(head(bytes, response.code.unwrap_or_default(), response.headers)))
        }
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(BadHead),
    }
}

fn head(bytes: usize, status: u16, fields: &[Header<'_>]) -> Head {
    let mut head = Head { bytes, status, length: None, closes: false };
    for field in fields {
        if field.name.eq_ignore_ascii_case("content-length") {
            head.length = std::str::from_utf8(field.value).ok().and_then(|text| text.trim().parse().ok());
        } else if field.name.eq_ignore_ascii_case("connection") {
            head.closes = field.value.eq_ignore_ascii_case(b"close");
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_once_it_is_complete() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\nConnection: close\r\n\r\nbody";
        assert_eq!(response_head(&whole[..20]).unwrap(), None);
        let head = response_head(whole).unwrap().unwrap();
        assert_eq!(head, Head { bytes: whole.len() - 4, status: 200, length: Some(12), closes: true });
    }

    #[test]
    fn a_request_without_a_body_has_no_length() {
        let head = request_head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.length, head.closes), (None, false));
        assert!(request_head(b"\0nonsense\r\n\r\n").is_err());
    }
}
