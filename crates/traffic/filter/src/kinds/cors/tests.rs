//! What browsers are told.

use serde_json::{Value, json};
use traffic_http::{HeadLimits, RequestHead, ResponseHead};

use super::*;
use crate::kinds::tests::context;

const SHOP: &str = "https://shop.example.com";

fn filter(settings: &Value) -> Box<dyn Filter> {
    Cors.build(settings).unwrap()
}

fn from(origin: &'static str) -> RequestContext<'static> {
    RequestContext { origin: Some(origin.as_bytes()), ..context() }
}

/// A browser's question about a method and some headers.
fn question(method: &str, headers: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let headers = if headers.is_empty() { String::new() } else { format!("{ASKED_FIELDS}: {headers}\r\n") };
    let text = format!("OPTIONS / HTTP/1.1\r\nhost: a\r\n{ASKED_METHOD}: {method}\r\n{headers}\r\n");
    head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
    head
}

/// The fields of an answer, as lines without those that every answer has.
fn lines(head: &ResponseHead) -> Vec<String> {
    let line = |(name, value): (&[u8], &[u8])| {
        format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
    };
    head.fields().iter().map(line).collect()
}

fn asked(
    filter: &dyn Filter,
    origin: &'static str,
    mut question: RequestHead,
) -> Result<Vec<String>, String> {
    match filter.request_head(&from(origin), &mut question) {
        Flow::Answer(mut answer) => {
            assert_eq!((answer.head.status(), answer.body.len()), (204, 0));
            filter.response_head(&from(origin), &mut answer.head);
            Ok(lines(&answer.head))
        }
        Flow::Refuse(Reason::CrossOrigin, why) => Err(why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn questions_are_answered_for_those_who_may() {
    let any = filter(&json!({"origins": [SHOP]}));
    let told = asked(&*any, SHOP, question("PUT", "content-type, x-token")).unwrap();
    let expected = [
        "access-control-allow-methods: PUT",
        "access-control-allow-headers: content-type, x-token",
        "access-control-max-age: 600",
        "vary: access-control-request-method, access-control-request-headers",
        "vary: origin",
        "access-control-allow-origin: https://shop.example.com",
    ];
    assert_eq!(told, expected);
    let why = asked(&*any, "https://evil.example", question("PUT", "")).unwrap_err();
    assert_eq!(why, "pages of `https://evil.example` may make no requests here");

    let some = filter(&json!({
        "origins": [SHOP], "methods": ["GET", "PATCH"], "headers": ["Content-Type"], "max-age": "1h", "credentials": true
    }));
    let told = asked(&*some, SHOP, question("PATCH", "content-type")).unwrap();
    for line in [
        "access-control-allow-methods: GET, PATCH",
        "access-control-allow-headers: Content-Type",
        "access-control-max-age: 3600",
        "access-control-allow-credentials: true",
    ] {
        assert!(told.iter().any(|each| each == line), "{line}: {told:?}");
    }
    assert!(asked(&*some, SHOP, question("PUT", "")).unwrap_err().contains("may not use PUT"));
    let why = asked(&*some, SHOP, question("GET", "content-type,,x-token")).unwrap_err();
    assert!(why.contains("may not set the header `x-token`"), "{why}");
}

#[test]
fn what_is_no_question_passes() {
    let filter = filter(&json!({"origins": ["*"]}));
    let mut head = question("GET", "");
    assert!(matches!(filter.request_head(&context(), &mut head), Flow::Continue), "no origin");
    head.fields_mut().remove(ASKED_METHOD);
    assert!(matches!(filter.request_head(&from(SHOP), &mut head), Flow::Continue), "no method");
}

#[test]
fn answers_are_shared_with_those_who_may() {
    let shared = |settings: Value, origin: Option<&'static str>| {
        let mut head = ResponseHead::new(200);
        // An endpoint that has an opinion of its own.
        head.fields_mut().set("Access-Control-Allow-Origin", b"*");
        head.fields_mut().set("access-control-allow-credentials", b"true");
        let context = RequestContext { origin: origin.map(str::as_bytes), ..context() };
        filter(&settings).response_head(&context, &mut head);
        lines(&head)
    };
    let one = json!({"origins": [SHOP], "expose": ["x-a", "x-b"]});
    let told = [
        "vary: origin",
        "access-control-allow-origin: https://shop.example.com",
        "access-control-expose-headers: x-a, x-b",
    ];
    assert_eq!(shared(one.clone(), Some(SHOP)), told);
    assert_eq!(shared(one.clone(), Some("https://evil.example")), ["vary: origin"]);
    assert_eq!(shared(one, None), ["vary: origin"]);
    let all = json!({"origins": ["*"]});
    assert_eq!(shared(all.clone(), Some("https://any.example")), ["access-control-allow-origin: *"]);
    assert_eq!(shared(all, None), Vec::<String>::new());
}

#[test]
fn failures_can_be_read_as_well() {
    let mut head = ResponseHead::new(502);
    filter(&json!({"origins": [SHOP]})).failure_head(&from(SHOP), &mut head);
    assert_eq!(lines(&head), ["vary: origin", "access-control-allow-origin: https://shop.example.com"]);
}

#[test]
fn unclear_settings_are_refused() {
    for (settings, part) in [
        (json!({}), "missing field `origins`"),
        (json!({"origins": []}), "origins: it names nobody"),
        (json!({"origins": ["*", SHOP]}), "leave the others away"),
        (json!({"origins": ["*"], "credentials": true}), "credentials: `*` lets every site act"),
        (json!({"origins": ["shop.example.com"]}), "origins: `shop.example.com` is not a site"),
        (json!({"origins": [SHOP], "methods": []}), "methods: it names none"),
        (json!({"origins": [SHOP], "methods": ["GET, PUT"]}), "methods: `GET, PUT` is not the name of one"),
        (json!({"origins": [SHOP], "headers": ["a b"]}), "headers: `a b`"),
        (json!({"origins": [SHOP], "expose": ["a:"]}), "expose: `a:`"),
        (json!({"origins": [SHOP], "max-age": "soon"}), "max-age: "),
    ] {
        let problem = Cors.build(&settings).unwrap_err().to_string();
        assert!(problem.contains(part), "{settings}: {problem}");
    }
}
