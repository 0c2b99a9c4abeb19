use super::*;
use crate::fields::KnownField;

/// Status lines with fields; the empty line is added. The request is GET.
const CASES: &[(&str, Result<Framing, HttpError>)] = &[
    ("HTTP/1.1 200 OK\r\n", Ok(Framing::UntilClose)),
    ("HTTP/1.0 200 OK\r\n", Ok(Framing::UntilClose)),
    ("HTTP/1.1 200 \r\n", Ok(Framing::UntilClose)),
    ("HTTP/1.1 200\r\n", Ok(Framing::UntilClose)),
    ("HTTP/1.1 599 \u{e9}\tx  y\r\n", Ok(Framing::UntilClose)),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", Ok(Framing::Length(5))),
    ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", Ok(Framing::Length(5))),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
    ("HTTP/1.1 100 Continue\r\n", Ok(Framing::Empty)),
    ("HTTP/1.1 101 Switching Protocols\r\n", Ok(Framing::Empty)),
    ("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n", Ok(Framing::Empty)),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", Ok(Framing::Empty)),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", Ok(Framing::Empty)),
    ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n", Ok(Framing::Empty)),
    ("HTTP/1.1 304 x\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Err(HttpError::SeveralContentLengths)),
    ("HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Err(HttpError::SeveralContentLengths)),
    ("HTTP/1.1 200 x\r\nContent-Length: 5,5\r\n", Err(HttpError::InvalidContentLength)),
    (
        "HTTP/1.1 200 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        Err(HttpError::LengthAndTransferEncoding),
    ),
    ("HTTP/1.0 200 x\r\nTransfer-Encoding: chunked\r\n", Err(HttpError::TransferEncodingInHttp10)),
    ("HTTP/1.1 200 x\r\nTransfer-Encoding: gzip, chunked\r\n", Err(HttpError::TransferCodingNotSupported)),
    ("HTTP/1.1 099 x\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1 600 x\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1 20 x\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1 2000 x\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1 2x0 x\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1  200 x\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1 200\tx\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1 200 x\0\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1 200 x\ry\r\n", Err(HttpError::InvalidStatus)),
    ("HTTP/1.1\t200 x\r\n", Err(HttpError::InvalidStartLine)),
    ("HTTP/1.1\r\n", Err(HttpError::InvalidStartLine)),
    ("http/1.1 200 x\r\n", Err(HttpError::InvalidStartLine)),
    (" HTTP/1.1 200 x\r\n", Err(HttpError::InvalidStartLine)),
    ("ICY 200 OK\r\n", Err(HttpError::InvalidStartLine)),
    ("HTTP/2.0 200 x\r\n", Err(HttpError::VersionNotSupported)),
    ("HTTP/1.2 200 x\r\n", Err(HttpError::VersionNotSupported)),
    ("\r\nHTTP/1.1 200 x\r\n", Err(HttpError::LeadingBytes)),
    ("\nHTTP/1.1 200 x\r\n", Err(HttpError::LeadingBytes)),
    ("HTTP/1.1 200 x\n", Err(HttpError::InvalidLineEnd)),
    ("HTTP/1.1 200\nX: y\r\n", Err(HttpError::InvalidLineEnd)),
    ("HTTP/1.1 200 x\r\nX: y\n", Err(HttpError::InvalidLineEnd)),
    ("HTTP/1.1 200 x\r\nX : y\r\n", Err(HttpError::InvalidFieldName)),
    ("HTTP/1.1 200 x\r\nX: y\r\n z\r\n", Err(HttpError::InvalidFieldName)),
    ("HTTP/1.1 200 x\r\n X: y\r\n", Err(HttpError::InvalidFieldName)),
    ("HTTP/1.1 200 x\r\nX: y\rz\r\n", Err(HttpError::InvalidFieldValue)),
];

fn dripped(input: &[u8]) -> Result<Framing, HttpError> {
    let mut head = ResponseHead::default();
    for length in 1..=input.len() {
        if let Some(consumed) = head.parse(&input[..length], &LIMITS)? {
            assert_eq!(consumed, input.len());
            return head.framing(Method::Get);
        }
    }
    panic!("incomplete: {:?}", String::from_utf8_lossy(input));
}

#[test]
fn response_heads() {
    for (text, expected) in CASES {
        let input = format!("{text}\r\n");
        let outcome = response(input.as_bytes()).and_then(|head| head.framing(Method::Get));
        assert_eq!(outcome, *expected, "{input:?}");
        assert_eq!(dripped(input.as_bytes()), *expected, "dripped: {input:?}");
    }
}

#[test]
fn the_answer_to_head_has_no_body() {
    for fields in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let head = response(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes()).unwrap();
        assert_eq!(head.framing(Method::Head), Ok(Framing::Empty));
    }
}

#[test]
fn the_parts_of_a_response_are_found() {
    let head = response(b"HTTP/1.0 404 Not  Found \r\nConnection: keep-alive\r\n\r\nrest").unwrap();
    assert_eq!((head.status(), head.version()), (404, Version::Http10));
    assert_eq!(head.reason(), b"Not  Found ");
    assert!(head.persists() && !head.is_interim() && !head.is_switching());
    assert_eq!(response(b"HTTP/1.1 200\r\n\r\n").unwrap().reason(), b"");
    assert_eq!(response(b"HTTP/1.1 200 \r\nA: b\r\n\r\n").unwrap().reason(), b"");
    assert!(!response(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap().persists());
}

#[test]
fn interim_responses_are_told_from_switching() {
    for (status, is_interim, is_switching) in
        [(100, true, false), (101, false, true), (103, true, false), (199, true, false), (200, false, false)]
    {
        let head = response(format!("HTTP/1.1 {status} x\r\n\r\n").as_bytes()).unwrap();
        assert_eq!((head.is_interim(), head.is_switching()), (is_interim, is_switching), "{status}");
    }
}

fn encoded(head: &ResponseHead) -> String {
    head.check_invariants();
    let mut out = Vec::new();
    head.encode(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn responses_leave_as_they_came_and_old_ones_in_the_new_version() {
    let text = "HTTP/1.1 299 \u{e9}  x\r\nServer:y \r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n";
    let mut head = response(text.as_bytes()).unwrap();
    assert_eq!(encoded(&head), text);
    head.fields_mut().remove_known(KnownField::Server);
    assert_eq!(encoded(&head), text.replace("Server:y \r\n", ""));
    assert_eq!(
        encoded(&response(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n").unwrap()),
        "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    );
    // The blank behind the status is put in where it is missing.
    for version in ["1.0", "1.1"] {
        let text = format!("HTTP/{version} 200\r\nA: b\r\n\r\n");
        assert_eq!(encoded(&response(text.as_bytes()).unwrap()), "HTTP/1.1 200 \r\nA: b\r\n\r\n");
    }
}

#[test]
fn own_answers_have_their_reason_phrase() {
    let mut head = ResponseHead::new(503);
    head.fields_mut().set("content-length", b"0");
    assert_eq!(encoded(&head), "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((head.status(), head.reason()), (503, b"Service Unavailable".as_slice()));
    head.reset(299);
    assert_eq!(encoded(&head), "HTTP/1.1 299 \r\n\r\n");
    // What is encoded is parsed as the same.
    assert_eq!(response(encoded(&ResponseHead::new(204)).as_bytes()).unwrap().reason(), b"No Content");
}

#[test]
fn limits_are_kept_to_the_byte() {
    let text = "HTTP/1.1 200 OK\r\nX: 1\r\nY: 2\r\n\r\n";
    let parse = |max_head_bytes, max_fields| {
        let limits = HeadLimits { max_head_bytes, max_fields, max_target_bytes: 0 };
        ResponseHead::default().parse(text.as_bytes(), &limits)
    };
    assert_eq!(parse(text.len(), 2), Ok(Some(text.len())));
    assert_eq!(parse(text.len() - 1, 2), Err(HttpError::HeadTooLarge));
    assert_eq!(parse(text.len(), 1), Err(HttpError::TooManyFields));
}
