//! gRPC-Web to gRPC and back.

use serde_json::json;
use traffic_http::{HeadLimits, RequestHead, ResponseHead};

use super::*;
use crate::kinds::tests::context;

fn request(method: &str, fields: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let text = format!("{method} /shop.Orders/List HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
    head
}

fn asked(head: &mut RequestHead, origin: Option<&'static [u8]>) -> Option<Recoding> {
    let filter = GrpcWeb.build(&json!({})).unwrap();
    match filter.request_head(&RequestContext { origin, ..context() }, head) {
        Flow::Continue => None,
        Flow::Recode(recoding) => Some(recoding),
        other => panic!("{other:?}"),
    }
}

fn field<'f>(fields: &'f Fields, name: &str) -> &'f str {
    std::str::from_utf8(fields.find(name).unwrap_or_default()).unwrap()
}

/// A message in its frame.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// What becomes of a body that comes in pieces of this size.
fn recoded(
    mut recoder: Box<dyn Recoder>,
    body: &[u8],
    size: usize,
    trailers: &Fields,
) -> Result<Vec<u8>, RecodeError> {
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        recoder.recode(piece, &mut out)?;
    }
    recoder.finish(trailers, &mut out)?;
    Ok(out)
}

fn answer_of(accept: &str, content_type: &str, response: &mut ResponseHead) -> Option<Box<dyn Recoder>> {
    let fields = format!("content-type: {content_type}\r\n{accept}");
    asked(&mut request("POST", &fields), None).unwrap().answer.head(response)
}

fn grpc_answer() -> ResponseHead {
    let mut head = ResponseHead::new(200);
    head.fields_mut().set("content-type", b"application/grpc+proto");
    head
}

#[test]
fn only_grpc_web_is_turned_into_grpc() {
    for (method, content_type) in
        [("POST", "application/grpc"), ("POST", "text/plain"), ("PUT", "application/grpc-web")]
    {
        let mut head = request(method, &format!("content-type: {content_type}\r\n"));
        assert!(asked(&mut head, None).is_none(), "{method} {content_type}");
        assert_eq!(field(head.fields(), "content-type"), content_type);
    }
    let mut head = request("POST", "content-type: application/grpc-web+proto\r\n");
    assert!(asked(&mut head, None).unwrap().request.is_none(), "its frames are the same");
    assert_eq!(field(head.fields(), "content-type"), "application/grpc+proto");
    assert_eq!(field(head.fields(), "te"), "trailers");
    let mut head = request("POST", "content-type: application/grpc-web-text\r\n");
    assert!(asked(&mut head, None).unwrap().request.is_some());
    assert_eq!(field(head.fields(), "content-type"), "application/grpc");
}

#[test]
fn the_answer_is_in_the_dialect_that_is_asked_for() {
    for (accept, content_type, expected) in [
        ("", "application/grpc-web", "application/grpc-web+proto"),
        ("", "application/grpc-web-text", "application/grpc-web-text+proto"),
        ("accept: */*\r\n", "application/grpc-web-text", "application/grpc-web-text+proto"),
        ("accept: application/grpc-web-text\r\n", "application/grpc-web", "application/grpc-web-text+proto"),
        (
            "accept: a/b, application/grpc-web+proto\r\n",
            "application/grpc-web-text",
            "application/grpc-web+proto",
        ),
    ] {
        let mut response = grpc_answer();
        assert!(answer_of(accept, content_type, &mut response).is_some());
        assert_eq!(field(response.fields(), "content-type"), expected, "{accept}{content_type}");
    }
}

#[test]
fn what_stands_behind_the_answer_becomes_its_last_frame() {
    let mut trailers = Fields::new();
    trailers.set("Grpc-Status", b"5");
    trailers.set("grpc-message", b"no such order");
    let lines = b"grpc-status: 5\r\ngrpc-message: no such order\r\n";
    let last = [&[0x80, 0, 0, 0, lines.len() as u8][..], lines].concat();
    let body = [frame(b"one"), frame(b""), frame(&[7; 1000])].concat();
    let whole = [&*body, &*last].concat();
    for size in [1, 2, 3, 7, 4096] {
        let binary = answer_of("", "application/grpc-web", &mut grpc_answer()).unwrap();
        assert_eq!(recoded(binary, &body, size, &trailers).unwrap(), whole);
        let text = answer_of("", "application/grpc-web-text", &mut grpc_answer()).unwrap();
        let text = recoded(text, &body, size, &trailers).unwrap();
        // Each frame can be read as soon as it is there.
        let padded = text.iter().filter(|byte| **byte == b'=').count();
        assert!(padded > 0, "no frame ends with three bytes");
        for size in [1, 2, 3, 4, 5, 64, 4096] {
            let mut back =
                asked(&mut request("POST", "content-type: application/grpc-web-text\r\n"), None).unwrap();
            let decoded = recoded(back.request.take().unwrap(), &text, size, &Fields::new());
            assert_eq!(decoded.unwrap(), whole, "{size}");
        }
    }
}

#[test]
fn an_answer_without_a_status_gets_one() {
    let binary = answer_of("", "application/grpc-web", &mut grpc_answer()).unwrap();
    let out = recoded(binary, b"", 1, &Fields::new()).unwrap();
    assert!(out.starts_with(&[0x80]) && String::from_utf8_lossy(&out).contains("grpc-status: 13\r\n"));
}

#[test]
fn what_is_whole_in_its_head_and_what_is_no_grpc_stay() {
    let mut whole = grpc_answer();
    whole.fields_mut().set("grpc-status", b"7");
    assert!(answer_of("", "application/grpc-web", &mut whole).is_none());
    assert_eq!(field(whole.fields(), "content-type"), "application/grpc-web+proto");
    let mut page = ResponseHead::new(503);
    page.fields_mut().set("content-type", b"text/html");
    assert!(answer_of("", "application/grpc-web", &mut page).is_none());
    assert_eq!(field(page.fields(), "content-type"), "text/html");
}

#[test]
fn pages_of_other_sites_can_read_the_status() {
    let exposed = |origin| {
        let mut response = grpc_answer();
        let recoding = asked(&mut request("POST", "content-type: application/grpc-web\r\n"), origin).unwrap();
        recoding.answer.head(&mut response);
        field(response.fields(), "access-control-expose-headers").to_owned()
    };
    assert!(exposed(Some(b"https://a.example")).contains("grpc-status"));
    assert_eq!(exposed(None), "");
}

#[test]
fn base64_that_is_none_is_refused() {
    let decoded = |text: &[u8]| recoded(Box::new(TextDecoder::default()), text, 3, &Fields::new());
    assert_eq!(decoded(b"AAECAw==AAEC").unwrap(), [0, 1, 2, 3, 0, 1, 2]);
    for bad in [&b"AAE"[..], b"A", b"AA=C", b"A===", b"AA*C", b"AAEC\r\n==", b"====", b"AB=="] {
        assert!(decoded(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}
