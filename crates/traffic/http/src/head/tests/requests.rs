use super::*;
use crate::fields::KnownField;
use crate::fields::is_token_byte;

/// A request and what becomes of it: how its body is framed, or why it is refused.
type Case = (&'static str, Result<Framing, HttpError>);

const EMPTY: Result<Framing, HttpError> = Ok(Framing::Empty);

/// Request lines. `Host: a` and the empty line are added.
const REQUEST_LINES: &[Case] = &[
    ("GET / HTTP/1.1\r\n", EMPTY),
    ("\r\nGET / HTTP/1.1\r\n", EMPTY),
    ("GET / HTTP/1.0\r\n", EMPTY),
    ("M-SEARCH /x HTTP/1.1\r\n", EMPTY),
    ("getting / HTTP/1.1\r\n", EMPTY),
    ("OPTIONS * HTTP/1.1\r\n", EMPTY),
    ("GET //a/../b?c|d={e}^ HTTP/1.1\r\n", EMPTY),
    ("CONNECT a:443 HTTP/1.1\r\n", EMPTY),
    ("CONNECT [::1]:443 HTTP/1.1\r\n", EMPTY),
    ("GET http://b/ HTTP/1.1\r\n", EMPTY),
    ("GET HTTPS://b:8443?x HTTP/1.1\r\n", EMPTY),
    ("\r\n\r\nGET / HTTP/1.1\r\n", Err(HttpError::LeadingBytes)),
    ("\nGET / HTTP/1.1\r\n", Err(HttpError::LeadingBytes)),
    ("\rGET / HTTP/1.1\r\n", Err(HttpError::LeadingBytes)),
    (" GET / HTTP/1.1\r\n", Err(HttpError::InvalidMethod)),
    ("get / HTTP/1.1\r\n", Err(HttpError::InvalidMethod)),
    ("Options / HTTP/1.1\r\n", Err(HttpError::InvalidMethod)),
    ("G@T / HTTP/1.1\r\n", Err(HttpError::InvalidMethod)),
    ("G\u{e9}T / HTTP/1.1\r\n", Err(HttpError::InvalidMethod)),
    ("GET\t/ HTTP/1.1\r\n", Err(HttpError::InvalidMethod)),
    ("\u{16}\u{3}\u{1}\u{0}\u{5}\u{1}\r\n", Err(HttpError::TlsHandshake)),
    ("GET\r\n", Err(HttpError::InvalidMethod)),
    ("GET /\r\n", Err(HttpError::InvalidStartLine)),
    ("GET  / HTTP/1.1\r\n", Err(HttpError::InvalidStartLine)),
    ("GET /  HTTP/1.1\r\n", Err(HttpError::InvalidStartLine)),
    ("GET / x HTTP/1.1\r\n", Err(HttpError::InvalidStartLine)),
    ("GET / http/1.1\r\n", Err(HttpError::InvalidStartLine)),
    ("GET / HTTP/1.1 \r\n", Err(HttpError::InvalidLineEnd)),
    ("GET / HTTP/1.10\r\n", Err(HttpError::InvalidLineEnd)),
    ("GET / HTTP/1.1\n", Err(HttpError::InvalidLineEnd)),
    ("GET / HTTP/1.1\r\r\n", Err(HttpError::InvalidLineEnd)),
    ("GET / HTTP/1.2\r\n", Err(HttpError::VersionNotSupported)),
    ("GET / HTTP/2.0\r\n", Err(HttpError::VersionNotSupported)),
    ("GET / HTTP/0.9\r\n", Err(HttpError::VersionNotSupported)),
    ("PRI * HTTP/2.0\r\n", Err(HttpError::VersionNotSupported)),
    ("GET /\t HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET /\u{e9} HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET /\0 HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET /\x7f HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET /a#b HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET a HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET * HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET a:443 HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET ftp://a/ HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET http:/a HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("CONNECT / HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("CONNECT a HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("CONNECT http://a/ HTTP/1.1\r\n", Err(HttpError::InvalidTarget)),
    ("GET http:///a HTTP/1.1\r\n", Err(HttpError::InvalidHost)),
    ("GET http://u:p@a/ HTTP/1.1\r\n", Err(HttpError::InvalidHost)),
    ("GET http://a:b/ HTTP/1.1\r\n", Err(HttpError::InvalidHost)),
];

/// Fields of a request. `POST / HTTP/1.1` and the empty line are added.
const FIELDS: &[Case] = &[
    ("Host: a\r\n", EMPTY),
    ("hOST:a\r\n", EMPTY),
    ("Host: a\r\nX:\r\nY: \t \r\nZ: \u{e9}\t!\r\n", EMPTY),
    ("", Err(HttpError::MissingHost)),
    ("Host: a\r\nHost: a\r\n", Err(HttpError::SeveralHosts)),
    ("Host:\r\n", Err(HttpError::InvalidHost)),
    ("Host: a, b\r\n", Err(HttpError::InvalidHost)),
    ("Host: u@a\r\n", Err(HttpError::InvalidHost)),
    ("Host: a/b\r\n", Err(HttpError::InvalidHost)),
    ("Host: a:99999\r\n", Err(HttpError::InvalidHost)),
    ("Host: a\n", Err(HttpError::InvalidLineEnd)),
    ("Host: a\r\nX: b\n", Err(HttpError::InvalidLineEnd)),
    ("X: b\nHost: a\r\n", Err(HttpError::InvalidLineEnd)),
    ("Host: a\r\nX:\n", Err(HttpError::InvalidLineEnd)),
    ("Host: a\r\nX: b\rc\r\n", Err(HttpError::InvalidFieldValue)),
    ("Host: a\r\nX: b\0\r\n", Err(HttpError::InvalidFieldValue)),
    ("Host: a\r\nX: b\x0b\r\n", Err(HttpError::InvalidFieldValue)),
    ("Host: a\r\nX: b\x7f\r\n", Err(HttpError::InvalidFieldValue)),
    ("Host: a\r\nX: b\r\n c\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\nX: b\r\n\tc\r\n", Err(HttpError::InvalidFieldName)),
    (" Host: a\r\n", Err(HttpError::InvalidFieldName)),
    ("\tX: b\r\nHost: a\r\n", Err(HttpError::InvalidFieldName)),
    ("Host : a\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\nX\t: b\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\n: b\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\nX\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\nX(Y): b\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\nX\u{e9}: b\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\nX\0: b\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\nContent-Length : 5\r\n", Err(HttpError::InvalidFieldName)),
    ("Host: a\r\nContent_Length: 5\r\n", Err(HttpError::AmbiguousFieldName)),
    ("Host: a\r\nTransfer_Encoding: chunked\r\n", Err(HttpError::AmbiguousFieldName)),
];

/// Framing fields. `POST / HTTP/1.1`, `Host: a` and the empty line are added.
const FRAMING: &[Case] = &[
    ("Content-Length: 0\r\n", Ok(Framing::Length(0))),
    ("content-length:005 \r\n", Ok(Framing::Length(5))),
    ("Content-Length: 9223372036854775807\r\n", Ok(Framing::Length(i64::MAX as u64))),
    ("Content-Length: 9223372036854775808\r\n", Err(HttpError::LengthOverflow)),
    ("Content-Length: 18446744073709551616\r\n", Err(HttpError::LengthOverflow)),
    ("Content-Length: 00000000000000000000\r\n", Err(HttpError::LengthOverflow)),
    ("Content-Length:\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: +5\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: -5\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: 5 5\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: 5, 5\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: 5, 6\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: 5;a=b\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: 0x5\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: 5.0\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: \u{661}\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length:\t5\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: 5\t\r\n", Err(HttpError::InvalidContentLength)),
    ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(HttpError::SeveralContentLengths)),
    ("Content-Length: 5\r\nCONTENT-LENGTH: 6\r\n", Err(HttpError::SeveralContentLengths)),
    ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
    ("TRANSFER-ENCODING:   CHUNKED  \r\n", Ok(Framing::Chunked)),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(HttpError::LengthAndTransferEncoding)),
    ("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", Err(HttpError::LengthAndTransferEncoding)),
    ("Transfer-Encoding:\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: identity\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: gzip, chunked\r\n", Err(HttpError::TransferCodingNotSupported)),
    ("Transfer-Encoding: chunked, gzip\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: chunked, chunked\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: chunked,\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: chunked;q=1\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: xchunked\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: \"chunked\"\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: chunked\u{a0}\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding:\tchunked\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: chunked\t\r\n", Err(HttpError::InvalidTransferEncoding)),
    ("Transfer-Encoding: \x0bchunked\r\n", Err(HttpError::InvalidFieldValue)),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Err(HttpError::SeveralTransferEncodings),
    ),
    (
        "Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n",
        Err(HttpError::SeveralTransferEncodings),
    ),
];

fn check(table: &[Case], whole: impl Fn(&str) -> String) {
    for (text, expected) in table {
        let input = whole(text);
        let outcome = request(input.as_bytes()).and_then(|head| head.framing());
        assert_eq!(outcome, *expected, "{input:?}");
        assert_eq!(dripped(input.as_bytes()), *expected, "dripped: {input:?}");
    }
}

/// The same, byte by byte.
fn dripped(input: &[u8]) -> Result<Framing, HttpError> {
    let mut head = RequestHead::new();
    for length in 1..=input.len() {
        if let Some(consumed) = head.parse(&input[..length], &LIMITS)? {
            assert_eq!(consumed, input.len());
            return head.framing();
        }
    }
    panic!("incomplete: {:?}", String::from_utf8_lossy(input));
}

#[test]
fn request_lines() {
    check(REQUEST_LINES, |line| format!("{line}Host: a\r\n\r\n"));
}

#[test]
fn request_fields() {
    check(FIELDS, |fields| format!("POST / HTTP/1.1\r\n{fields}\r\n"));
}

#[test]
fn request_framing() {
    check(FRAMING, |fields| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
}

#[test]
fn http_1_0_needs_no_host_and_knows_no_transfer_encoding() {
    let head = request(b"GET /a HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((head.version(), head.host(), head.persists()), (Version::Http10, b"".as_slice(), false));
    let head = request(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(head.framing(), Err(HttpError::TransferEncodingInHttp10));
}

#[test]
fn all_256_bytes_in_every_place_are_judged_as_the_grammar_says() {
    for byte in 0..=255_u8 {
        let with = |before: &str, after: &str| {
            let mut input = before.as_bytes().to_vec();
            // Behind a long run too, where the tokeniser works on many bytes at a time.
            input.push(byte);
            input.extend_from_slice(after.as_bytes());
            let mut head = RequestHead::new();
            matches!(head.parse(&input, &LIMITS), Ok(Some(length)) if length == input.len())
        };
        let run = "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz";
        let is_visible = (0x21..0x7f).contains(&byte);
        for run in ["", run] {
            let end = " HTTP/1.1\r\nHost: a\r\n\r\n";
            assert_eq!(
                with(&format!("X{run}"), &format!("{run} /{end}")),
                is_token_byte(byte),
                "method {byte}"
            );
            assert_eq!(
                with(&format!("GET /{run}"), &format!("{run}{end}")),
                is_visible && byte != b'#',
                "target {byte}"
            );
            assert_eq!(
                with(&format!("GET / HTTP/1.1\r\nHost: a\r\nX{run}"), &format!("{run}: b\r\n\r\n")),
                // A colon ends the name; the rest is the value.
                is_token_byte(byte) || byte == b':',
                "name {byte}"
            );
            assert_eq!(
                with(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: b{run}"), &format!("{run}c\r\n\r\n")),
                is_visible || byte == b' ' || byte == b'\t' || byte >= 0x80,
                "value {byte}"
            );
        }
    }
}

#[test]
fn the_parts_of_a_request_are_found() {
    let head = request(b"PUT /a/b?c=d?e HTTP/1.1\r\nHost: Shop.example:8080\r\n\r\nbody").unwrap();
    assert_eq!((head.method(), head.method_bytes()), (Method::Put, b"PUT".as_slice()));
    assert_eq!(head.target(), b"/a/b?c=d?e");
    assert_eq!((head.path(), head.query()), (b"/a/b".as_slice(), Some(b"c=d?e".as_slice())));
    assert_eq!(head.path_and_query(), b"/a/b?c=d?e");
    assert_eq!(head.host(), b"Shop.example:8080");
    assert!(head.persists());
    let head = request(b"PURGE /? HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!((head.method(), head.method_bytes()), (Method::Other, b"PURGE".as_slice()));
    assert_eq!(head.query(), Some(b"".as_slice()));
}

fn encoded(head: &RequestHead) -> String {
    head.check_invariants();
    let mut out = Vec::new();
    head.encode(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn absolute_form_becomes_origin_form_and_its_authority_wins() {
    let head = request(b"GET http://b:81/x?y HTTP/1.1\r\nX: 1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(
        (head.host(), head.path(), head.query()),
        (b"b:81".as_slice(), b"/x".as_slice(), Some(b"y".as_slice()))
    );
    assert_eq!(head.target(), b"http://b:81/x?y");
    assert_eq!(encoded(&head), "GET /x?y HTTP/1.1\r\nX: 1\r\nhost: b:81\r\n\r\n");

    let same = request(b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(encoded(&same), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let query = request(b"GET http://a?x HTTP/1.0\r\nX: 1\r\n\r\n").unwrap();
    assert_eq!((query.host(), query.path()), (b"a".as_slice(), b"/".as_slice()));
    assert_eq!(encoded(&query), "GET /?x HTTP/1.1\r\nhost: a\r\nX: 1\r\n\r\n");
    let options = request(b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(encoded(&options), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn connect_names_its_authority() {
    let head = request(b"CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(
        (head.method(), head.host(), head.path()),
        (Method::Connect, b"b:443".as_slice(), b"".as_slice())
    );
    assert_eq!(encoded(&head), "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n");
}

#[test]
fn an_untouched_head_leaves_as_it_came_and_an_old_one_in_the_new_version() {
    let text = "DELETE /a%20b?c HTTP/1.1\r\nHoSt:  a\r\nX-Y:z\t\r\n\r\n";
    assert_eq!(encoded(&request(text.as_bytes()).unwrap()), text);
    let old = request(b"\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(encoded(&old), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn path_and_host_can_be_rewritten() {
    let mut head = request(b"GET /old?q HTTP/1.1\r\nX: 1\r\nHost: a\r\n\r\n").unwrap();
    head.set_path_and_query(b"/new path\xc3\xa9#\r\n?z");
    head.set_host(b"b");
    assert_eq!(head.target(), b"/old?q");
    assert_eq!(
        (head.path(), head.query()),
        (b"/new%20path%C3%A9%23%0D%0A".as_slice(), Some(b"z".as_slice()))
    );
    assert_eq!((head.host(), head.fields().get(KnownField::Host)), (b"b".as_slice(), Some(b"b".as_slice())));
    assert_eq!(encoded(&head), "GET /new%20path%C3%A9%23%0D%0A?z HTTP/1.1\r\nX: 1\r\nhost: b\r\n\r\n");
    head.set_path_and_query(b"relative");
    assert_eq!((head.path(), head.query()), (b"/relative".as_slice(), None));
    let mut old = request(b"GET / HTTP/1.0\r\nX: 1\r\n\r\n").unwrap();
    old.set_host(b"c");
    assert_eq!(encoded(&old), "GET / HTTP/1.1\r\nhost: c\r\nX: 1\r\n\r\n");
}

#[test]
fn connections_persist_by_version_and_option() {
    let persists = |version: &str, connection: &str| {
        request(format!("GET / {version}\r\nHost: a\r\n{connection}\r\n").as_bytes()).unwrap().persists()
    };
    assert!(persists("HTTP/1.1", ""));
    assert!(persists("HTTP/1.1", "Connection: x, keep-alive\r\n"));
    assert!(!persists("HTTP/1.1", "Connection: keep-alive , Close\r\n"));
    assert!(!persists("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(persists("HTTP/1.1", "Connection: closed\r\n"));
    assert!(!persists("HTTP/1.0", ""));
    assert!(!persists("HTTP/1.0", "Connection: upgrade\r\n"));
    assert!(persists("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!persists("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn the_only_expectation_is_continue() {
    let expects = |version: &str, fields: &str| {
        request(format!("POST / {version}\r\nHost: a\r\n{fields}\r\n").as_bytes()).unwrap().expects_continue()
    };
    assert_eq!(expects("HTTP/1.1", ""), Ok(false));
    assert_eq!(expects("HTTP/1.1", "Expect: 100-Continue\r\n"), Ok(true));
    assert_eq!(expects("HTTP/1.0", "Expect: 100-continue\r\n"), Ok(false));
    for fields in [
        "Expect: 200-ok\r\n",
        "Expect:\r\n",
        "Expect: 100-continue, x\r\n",
        "Expect: 100-continue\r\nExpect: x\r\n",
    ] {
        assert_eq!(expects("HTTP/1.1", fields), Err(HttpError::ExpectationFailed), "{fields}");
    }
}

#[test]
fn a_host_leaves_without_blanks_behind_it() {
    for line in ["Host: a  \r\n", "Host:a \r\n", "Host: a\t\r\n"] {
        let head = request(format!("GET / HTTP/1.1\r\n{line}X: y  \r\n\r\n").as_bytes()).unwrap();
        let mut out = Vec::new();
        head.encode(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.to_lowercase().contains("\r\nhost: a\r\n") && text.contains("X: y  \r\n"), "{text:?}");
        assert_eq!(head.host(), b"a");
    }
}

#[test]
fn an_upgrade_needs_both_fields_and_another_protocol_than_http() {
    let upgrade = |version: &str, fields: &str| {
        let head = request(format!("GET / {version}\r\nHost: a\r\n{fields}\r\n").as_bytes()).unwrap();
        head.upgrade().map(|protocol| String::from_utf8(protocol.to_vec()).unwrap())
    };
    let asked = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert_eq!(upgrade("HTTP/1.1", asked), Some("WebSocket".to_owned()));
    assert_eq!(upgrade("HTTP/1.0", asked), None);
    for fields in [
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "Connection: upgrade\r\nUpgrade:\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n",
        "Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(upgrade("HTTP/1.1", fields), None, "{fields}");
    }
}

#[test]
fn limits_are_kept_to_the_byte() {
    let text = "GET /1234 HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
    let parse = |max_head_bytes, max_fields, max_target_bytes| {
        let limits = HeadLimits { max_head_bytes, max_fields, max_target_bytes };
        let whole = RequestHead::new().parse(text.as_bytes(), &limits);
        let mut head = RequestHead::new();
        let dripped = (1..=text.len())
            .map(|length| head.parse(&text.as_bytes()[..length], &limits))
            .find(|outcome| *outcome != Ok(None));
        assert_eq!(dripped, Some(whole));
        whole
    };
    assert_eq!(parse(text.len(), 2, 5), Ok(Some(text.len())));
    assert_eq!(parse(text.len() - 1, 2, 5), Err(HttpError::HeadTooLarge));
    assert_eq!(parse(text.len(), 1, 5), Err(HttpError::TooManyFields));
    assert_eq!(parse(text.len(), 0, 5), Err(HttpError::TooManyFields));
    assert_eq!(parse(text.len(), 2, 4), Err(HttpError::TargetTooLong));
    assert_eq!(parse(8, 2, 3), Err(HttpError::TargetTooLong));
    // More fields than fit the stack.
    let many = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(count - 1));
    let limits = HeadLimits { max_fields: 300, ..HeadLimits::default() };
    assert!(matches!(RequestHead::new().parse(many(300).as_bytes(), &limits), Ok(Some(_))));
    assert_eq!(RequestHead::new().parse(many(301).as_bytes(), &limits), Err(HttpError::TooManyFields));
}

#[test]
fn a_long_target_or_head_is_named_before_it_is_complete() {
    let mut head = RequestHead::new();
    let line = format!("GET /{}", "a".repeat(300));
    assert_eq!(head.parse(line.as_bytes(), &LIMITS), Err(HttpError::TargetTooLong));
    let field = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(LIMITS.max_head_bytes));
    head.clear();
    assert_eq!(head.parse(field.as_bytes(), &LIMITS), Err(HttpError::HeadTooLarge));
}

#[test]
fn a_head_without_any_carriage_return_is_refused_when_it_ends() {
    for end in ["\n\n", "\n\r\n"] {
        let input = format!("GET / HTTP/1.1\nHost: a{end}");
        assert_eq!(request(input.as_bytes()).map(|_| ()), Err(HttpError::InvalidLineEnd));
        assert_eq!(dripped(input.as_bytes()), Err(HttpError::InvalidLineEnd));
    }
}

#[test]
fn a_head_that_drips_in_is_tokenised_a_few_times_only() {
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X-Name: value\r\n".repeat(250));
    let limits = HeadLimits { max_fields: 1000, ..LIMITS };
    let mut progress = tokenize::Progress::default();
    let due = (1..=text.len()).filter(|&length| progress.is_due(&text.as_bytes()[..length], &limits)).count();
    // Once per doubling: 1, 2, 4 … 2048.
    assert_eq!(due, 12);
}

#[test]
fn a_head_is_reused_without_traces_of_the_last() {
    let mut head = request(b"POST http://b/x?y HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\n").unwrap();
    head.clear();
    assert_eq!((head.host(), head.path(), head.query()), (b"".as_slice(), b"".as_slice(), None));
    assert!(head.fields().is_empty());
    let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Some(text.len())));
    assert_eq!(encoded(&head), text);
    assert_eq!(head.framing(), Ok(Framing::Empty));
}
