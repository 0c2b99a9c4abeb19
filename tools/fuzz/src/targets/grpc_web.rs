//! Bodies of gRPC-Web.
#![expect(clippy::expect_used, clippy::panic, reason = "a target panics where something does not hold")]

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;
use traffic_filter::{Flow, RecodeError, Recoder, Recoding, RequestContext, kinds};
use traffic_http::{Fields, HeadLimits, RequestHead, ResponseHead};

use super::split::lengths;

/// Flags and length.
const FRAME_HEAD: usize = 5;

/// A client's body in base64, and an endpoint's frames.
pub fn run(data: &[u8]) {
    let whole = recoded(to_grpc("application/grpc-web-text"), data, &[]);
    assert_eq!(recoded(to_grpc("application/grpc-web-text"), data, &lengths(data)), whole);
    let binary =
        recoded(from_grpc("application/grpc-web"), data, &[]).expect("nothing is wrong with any bytes");
    let last = binary.strip_prefix(data).expect("frames go as they are");
    let (head, lines) = last.split_at(FRAME_HEAD);
    assert_eq!(head.first(), Some(&0x80));
    assert_eq!(head.get(1..), Some(&u32::try_from(lines.len()).unwrap_or_default().to_be_bytes()[..]));
    let text = recoded(from_grpc("application/grpc-web-text"), data, &lengths(data)).expect("nor in base64");
    assert_eq!(recoded(to_grpc("application/grpc-web-text"), &text, &lengths(&text)), Ok(binary));
}

/// What becomes of a body, as it grows.
fn recoded(mut recoder: Box<dyn Recoder>, body: &[u8], lengths: &[usize]) -> Result<Vec<u8>, RecodeError> {
    let (mut out, mut start) = (Vec::new(), 0);
    for &end in lengths.iter().chain([&body.len()]) {
        recoder.recode(body.get(start..end).unwrap_or_default(), &mut out)?;
        start = end;
    }
    recoder.finish(&Fields::new(), &mut out)?;
    Ok(out)
}

fn recoding(content_type: &str) -> Recoding {
    let filter = kinds::filter("grpc-web").expect("there is such a filter");
    let filter = filter.build(&json!({})).expect("it has no settings");
    let mut request = RequestHead::new();
    let text = format!("POST /a.A/B HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\n\r\n");
    request.parse(text.as_bytes(), &HeadLimits::default()).expect("a head");
    let context = RequestContext {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        certificate: None,
        scheme: "http",
        host: b"a",
        path: b"/a.A/B",
        query: None,
        route: "a",
        origin: None,
        request_id: "a",
    };
    match filter.request_head(&context, &mut request) {
        Flow::Recode(recoding) => recoding,
        other => panic!("{other:?}"),
    }
}

fn to_grpc(content_type: &str) -> Box<dyn Recoder> {
    recoding(content_type).request.expect("text is changed")
}

fn from_grpc(content_type: &str) -> Box<dyn Recoder> {
    let mut response = ResponseHead::new(200);
    response.fields_mut().set("content-type", b"application/grpc");
    recoding(content_type).answer.head(&mut response).expect("the answer is changed")
}
