//! Every kind builds from its example; each does what it says; bad settings say what is wrong.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base_signal::Reason;
use serde_json::{Value, json};
use traffic_http::{ClientCertificate, HeadLimits, RequestHead, ResponseHead};

use super::*;
use crate::{Answer, Flow, RequestContext};

pub(super) fn context() -> RequestContext<'static> {
    RequestContext {
        client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)),
        certificate: None,
        scheme: "http",
        host: b"shop.example:8080",
        path: b"/api/items",
        query: Some(b"v=1"),
        route: "shop",
        origin: None,
        request_id: "id-1",
    }
}

fn request(target: &str, fields: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let text = format!("GET {target} HTTP/1.1\r\nHost: shop.example:8080\r\n{fields}\r\n");
    let consumed = head.parse(text.as_bytes(), &HeadLimits::default()).unwrap();
    assert_eq!(consumed, Some(text.len()));
    head
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The request after one filter.
fn filtered(name: &str, settings: &Value, mut head: RequestHead) -> RequestHead {
    let filter = filter(name).unwrap().build(settings).unwrap();
    assert!(matches!(filter.request_head(&context(), &mut head), Flow::Continue));
    head
}

/// The target after `rewrite`.
fn rewritten(settings: &Value, target: &str) -> String {
    text(filtered("rewrite", settings, request(target, "")).path_and_query())
}

fn answered(name: &str, settings: &Value, context: &RequestContext<'_>) -> Answer {
    handler(name)
        .unwrap()
        .build(settings)
        .unwrap()
        .answer(context, &request("/api/items?v=1", "X-Tenant: //e?#\r\n"))
}

fn location(settings: &Value, context: &RequestContext<'_>) -> String {
    text(answered("redirect", settings, context).head.fields().find("location").unwrap())
}

#[test]
fn every_kind_is_complete() {
    let mut names = Vec::new();
    for kind in FILTERS {
        let example: Value = serde_json::from_str(kind.example()).unwrap();
        kind.build(&example).unwrap();
        check(kind.info(), &kind.schema(), |settings| kind.build(settings).err(), &mut names);
    }
    for kind in HANDLERS {
        let example: Value = serde_json::from_str(kind.example()).unwrap();
        kind.build(&example).unwrap();
        check(kind.info(), &kind.schema(), |settings| kind.build(settings).err(), &mut names);
    }
}

fn check(
    info: base_kit::KindInfo,
    schema: &schemars::Schema,
    build: impl Fn(&Value) -> Option<crate::SettingsError>,
    names: &mut Vec<&'static str>,
) {
    assert!(!names.contains(&info.name), "{} stands twice", info.name);
    names.push(info.name);
    assert!(info.summary.ends_with('.'));
    assert_eq!(schema.get("additionalProperties"), Some(&json!(false)), "{}", info.name);
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut properties = properties.iter().flat_map(|properties| properties.values());
    assert!(properties.all(|property| property.get("description").is_some()), "{}", info.name);
    for bad in [json!({"no-such-setting": 1}), json!([]), json!("text"), json!(null)] {
        assert!(build(&bad).is_some(), "{} takes {bad}", info.name);
    }
}

#[test]
fn headers_are_set_added_and_removed() {
    let head = request("/", "X-A: 1\r\nx-a: 2\r\nX-B: 3\r\n");
    let settings = json!({"request": {"X-A": "{client} {header:x-b}", "x-n": 5, "x-t": true}});
    let head = filtered("set-header", &settings, head);
    assert_eq!(head.fields().find_all("x-a").map(text).collect::<Vec<_>>(), ["10.0.0.9 3"]);
    assert_eq!(head.fields().find("x-n"), Some(b"5".as_slice()));
    assert_eq!(head.fields().find("x-t"), Some(b"true".as_slice()));
    let head = filtered("add-header", &json!({"request": {"x-b": ["4", "{route}"]}}), head);
    assert_eq!(head.fields().find_all("x-b").map(text).collect::<Vec<_>>(), ["3", "4", "shop"]);
    let head = filtered("remove-header", &json!({"request": ["X-B", "none"]}), head);
    assert_eq!(head.fields().find("x-b"), None);
}

#[test]
fn a_name_written_otherwise_is_no_way_around_a_filter() {
    let sent = "X_Internal: 1\r\nX-Internal: 2\r\nX_internal: 3\r\nX-Tier: gold\r\n";
    let names =
        |head: &RequestHead| head.fields().iter().skip(1).map(|(name, _)| text(name)).collect::<Vec<_>>();
    let head = filtered("remove-header", &json!({"request": ["x-internal"]}), request("/", sent));
    assert_eq!(names(&head), ["X-Tier"]);
    let head = filtered("set-header", &json!({"request": {"x-internal": "own"}}), request("/", sent));
    assert_eq!(names(&head), ["x-internal", "X-Tier"]);
    assert_eq!(head.fields().find("x-internal"), Some(b"own".as_slice()));
    let twice = json!({"request": {"x-internal": "a", "x_internal": "b"}});
    assert!(filter("set-header").unwrap().build(&twice).is_err());
    let framing = json!({"request": {"content_length": "5"}});
    assert!(filter("set-header").unwrap().build(&framing).is_err());
}

#[test]
fn answers_have_their_own_part() {
    let settings = json!({"response": {"x-id": "{request-id} {header:server} {path}"}});
    let filter = filter("set-header").unwrap().build(&settings).unwrap();
    let mut response = ResponseHead::new(200);
    response.fields_mut().set("server", b"s");
    filter.response_head(&context(), &mut response);
    assert_eq!(response.fields().find("x-id"), Some(b"id-1 s /api/items".as_slice()));
    let mut head = request("/", "");
    assert!(matches!(filter.request_head(&context(), &mut head), Flow::Continue));
    assert_eq!(head.fields().find("x-id"), None);
}

#[test]
fn header_filters_refuse_what_is_not_theirs() {
    for (name, settings, part) in [
        ("set-header", json!({}), "nothing to do"),
        ("set-header", json!({"request": {"content-length": "1"}}), "request: `content-length` cannot"),
        ("set-header", json!({"request": {"Transfer-Encoding": "chunked"}}), "frames the message"),
        ("add-header", json!({"response": {"connection": "close"}}), "response: `connection`"),
        ("remove-header", json!({"request": ["host"]}), "use the filter `rewrite`"),
        ("set-header", json!({"request": {"a b": "1"}}), "not a header name"),
        ("set-header", json!({"request": {"x": "a\r\nb: c"}}), "request.x: a header value may not hold"),
        ("set-header", json!({"request": {"x": "{hots}"}}), "did you mean `{host}`?"),
        ("set-header", json!({"request": {"X": "1", "x": "2"}}), "twice"),
        ("set-header", json!({"request": {"x": ["1"]}}), "expected text"),
        ("set-header", json!({"reqest": {"x": "1"}}), "unknown field `reqest`"),
    ] {
        let problem = filter(name).unwrap().build(&settings).unwrap_err().to_string();
        assert!(problem.contains(part), "{settings}: {problem}");
    }
}

#[test]
fn paths_are_rewritten_and_queries_stay() {
    for (settings, target, expected) in [
        (json!({"path": "/new"}), "/old?q=1", "/new?q=1"),
        (json!({"path": "/v2{path}"}), "/api/items?", "/v2/api/items?"),
        (json!({"path": "/t/{header:host}"}), "/", "/t/shop.example%3A8080"),
        (json!({"strip-prefix": "/api"}), "/api/x?q", "/x?q"),
        (json!({"strip-prefix": "/api/"}), "/api", "/"),
        (json!({"strip-prefix": "/api"}), "/apix", "/apix"),
        (json!({"strip-prefix": "/api"}), "//api/x?q", "/x?q"),
        (json!({"strip-prefix": "/api"}), "/api//evil.example/x", "/evil.example/x"),
        (json!({"strip-prefix": "/a//b", "add-prefix": "/c"}), "/a///b//x", "/c//x"),
        (json!({"add-prefix": "/v2"}), "/x", "/v2/x"),
        (json!({"add-prefix": "/v2"}), "/", "/v2/"),
        (json!({"strip-prefix": "/a", "add-prefix": "/b"}), "/a", "/b"),
        (json!({"regex": "^/old/([^/]+)", "to": "/{1}/new"}), "/old/x/y?q", "/x/new/y?q"),
        (json!({"regex": "(?P<last>[^/]+)$", "to": "{last}.html"}), "/a/b", "/a/b.html"),
        (json!({"regex": "^/none", "to": "/x"}), "/a", "/a"),
    ] {
        assert_eq!(rewritten(&settings, target), expected, "{settings}");
    }
}

#[test]
fn the_host_is_rewritten() {
    let head = filtered("rewrite", &json!({"host": "app.internal:81"}), request("/x", ""));
    assert_eq!(text(head.host()), "app.internal:81");
    assert_eq!(head.fields().find_all("host").count(), 1);
    assert_eq!(text(head.path_and_query()), "/x");
}

#[test]
fn no_value_of_the_request_climbs_out_of_the_path() {
    let filter = filter("rewrite").unwrap().build(&json!({"path": "/t/{header:x-tenant}/d"})).unwrap();
    let mut head = request("/", "X-Tenant: ..\r\n");
    let Flow::Answer(answer) = filter.request_head(&context(), &mut head) else { panic!("passed") };
    assert_eq!(answer.head.status(), 400);
    let mut head = request("/", "X-Tenant: ../../admin\r\n");
    assert!(matches!(filter.request_head(&context(), &mut head), Flow::Continue));
    assert_eq!(text(head.path()), "/t/..%2F..%2Fadmin/d");
}

#[test]
fn rewrite_refuses_unclear_settings() {
    for (settings, part) in [
        (json!({}), "nothing to do"),
        (json!({"path": "/a", "add-prefix": "/b"}), "more than one way"),
        (json!({"path": "a"}), "path: a path begins with"),
        (json!({"path": "/a?b"}), "the query stays"),
        (json!({"path": "/a?{query}"}), "the query stays"),
        (json!({"path": "/new/**"}), "strip-prefix"),
        (json!({"regex": "("}), "go together"),
        (json!({"regex": "(", "to": "/"}), "regex: "),
        (json!({"regex": "a", "to": "{1}"}), "to: there is no placeholder"),
        (json!({"regex": r"(\w{500}){500}", "to": "/"}), "regex: "),
        (json!({"strip-prefix": "api"}), "strip-prefix: a prefix begins"),
        (json!({"host": "a b"}), "host: `a b` is not a host"),
        (json!({"host": "a\r\nb"}), "is not a host"),
    ] {
        let problem = filter("rewrite").unwrap().build(&settings).unwrap_err().to_string();
        assert!(problem.contains(part), "{settings}: {problem}");
    }
}

#[test]
fn redirects_point_where_they_should() {
    for (settings, expected) in [
        (json!({"to": "https://www.example.com{path}"}), "https://www.example.com/api/items?v=1"),
        (json!({"to": "https://{host}:8443{path}"}), "https://shop.example:8443/api/items?v=1"),
        (json!({"to": "{scheme}://x/{path}"}), "http://x/api/items?v=1"),
        (json!({"to": "/login?from={path}"}), "/login?from=/api/items&v=1"),
        (json!({"to": "/a?{query}#top"}), "/a?v=1#top"),
        (json!({"to": "/a#top"}), "/a?v=1#top"),
        (json!({"to": "/a", "keep-query": false}), "/a"),
        (json!({"to": "/{header:x-tenant}", "keep-query": false}), "/%2F%2Fe%3F%23"),
        (json!({"scheme": "https"}), "https://shop.example/api/items?v=1"),
        (json!({"scheme": "https", "port": 443}), "https://shop.example/api/items?v=1"),
        (json!({"port": 81}), "http://shop.example:81/api/items?v=1"),
        (json!({"host": "[::1]", "path": "/x"}), "http://[::1]/x?v=1"),
        (json!({"path": "/v2{path}"}), "/v2/api/items?v=1"),
    ] {
        assert_eq!(location(&settings, &context()), expected, "{settings}");
        assert_eq!(answered("redirect", &settings, &context()).head.status(), 308);
    }
    let seen = answered("redirect", &json!({"to": "/", "status": 302}), &context());
    assert_eq!((seen.head.status(), seen.body.len()), (302, 0));
}

#[test]
fn no_request_chooses_the_server_it_is_sent_to() {
    for path in ["//evil.example/x", "/\\evil.example/x", "///evil.example/x"] {
        let context = RequestContext { path: path.as_bytes(), query: None, ..context() };
        assert_eq!(location(&json!({"to": "{path}"}), &context), "/evil.example/x");
        assert_eq!(location(&json!({"to": "/{path}"}), &context), "/evil.example/x");
        assert_eq!(location(&json!({"path": "{path}"}), &context), "/evil.example/x");
        assert_eq!(location(&json!({"to": "https://a.b{path}"}), &context), "https://a.b/evil.example/x");
    }
    let split = RequestContext { path: b"/a\r\nset-cookie: x\xff", query: Some(b"\r\n"), ..context() };
    assert_eq!(location(&json!({"to": "{path}"}), &split), "/a%0D%0Aset-cookie:%20x%FF?%0D%0A");
    for host in ["", "a/b", "a@b", "a b"] {
        let context = RequestContext { host: host.as_bytes(), ..context() };
        for settings in [json!({"scheme": "https"}), json!({"to": "https://{host}/"})] {
            assert_eq!(answered("redirect", &settings, &context).head.status(), 400, "{host}");
        }
    }
}

#[test]
fn redirect_refuses_unclear_settings() {
    for (settings, part) in [
        (json!({}), "where to?"),
        (json!({"to": "/a", "host": "b"}), "the whole target"),
        (json!({"to": "/a", "status": 200}), "status: 200 is not a redirect"),
        (json!({"to": "//evil"}), "begins with one"),
        (json!({"to": "ftp://x/"}), "begins with one"),
        (json!({"to": "javascript:x"}), "begins with one"),
        (json!({"to": "https://"}), "is not a server"),
        (json!({"to": "https:///x"}), "is not a server"),
        (json!({"to": "https://a@b/"}), "is not a server"),
        (json!({"to": "https://{header:x}/"}), "may name the server"),
        (json!({"to": "https://a.b{query}"}), "may name the server"),
        (json!({"to": "{header:x}"}), "begins with one"),
        (json!({"host": "a:80"}), "the port goes to `port`"),
        (json!({"port": 0}), "not a port"),
        (json!({"scheme": "ftp"}), "unknown variant `ftp`"),
    ] {
        let problem = handler("redirect").unwrap().build(&settings).err().unwrap().to_string();
        assert!(problem.contains(part), "{settings}: {problem}");
    }
}

#[test]
fn fixed_answers_are_given() {
    let settings =
        json!({"status": 503, "body": "later\n", "headers": {"Retry-After": 60, "x-route": "{route}"}});
    let answer = answered("respond", &settings, &context());
    assert_eq!((answer.head.status(), text(&answer.body).as_str()), (503, "later\n"));
    let field = |name: &str| answer.head.fields().find(name).map(text);
    assert_eq!(field("retry-after").as_deref(), Some("60"));
    assert_eq!(field("x-route").as_deref(), Some("shop"));
    assert_eq!(field("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    let empty = answered("respond", &json!({"status": 204}), &context());
    assert!(empty.head.fields().is_empty() && empty.body.is_empty());
    for (settings, part) in [
        (json!({"status": 199}), "status: 199"),
        (json!({"status": 600}), "status: 600"),
        (json!({"status": 204, "body": "x"}), "has no body"),
        (json!({"headers": {"content-type": "a"}}), "place of its own"),
        (json!({"headers": {"content-length": "1"}}), "headers: `content-length`"),
        (json!({"content-type": "a\nb"}), "content-type: "),
    ] {
        let problem = handler("respond").unwrap().build(&settings).err().unwrap().to_string();
        assert!(problem.contains(part), "{settings}: {problem}");
    }
}

fn certificate(subject: &str, names: &[&str]) -> ClientCertificate {
    ClientCertificate {
        subject: subject.into(),
        issuer: "CN=authority".into(),
        serial: "0a".into(),
        names: names.iter().map(|name| (*name).into()).collect(),
        fingerprint: "00".into(),
        ends: Duration::MAX,
        client_cert: Box::default(),
        client_cert_chain: Box::default(),
    }
}

/// `require-certificate` lets pass who is named, or everybody with a certificate; others are refused, and told why.
#[test]
fn only_those_with_a_wanted_certificate_pass() {
    let (alice, bob) =
        (certificate("CN=alice", &["DNS:a.test"]), certificate("CN=bob", &["URI:b", "DNS:b.test"]));
    let refused = |settings: &Value, certificate| {
        let filter = filter("require-certificate").unwrap().build(settings).unwrap();
        let context = RequestContext { certificate, ..context() };
        match filter.request_head(&context, &mut request("/", "")) {
            Flow::Continue => None,
            Flow::Refuse(reason, detail) => {
                assert_eq!(reason, Reason::CertificateRequired);
                Some(detail)
            }
            Flow::Answer(_) | Flow::Recode(_) => panic!("it does nothing by itself"),
        }
    };
    let any = json!({});
    assert_eq!((refused(&any, Some(&alice)), refused(&any, None).is_some()), (None, true));
    let named = json!({"subject": ["CN=alice"], "name": ["URI:b"]});
    assert_eq!((refused(&named, Some(&alice)), refused(&named, Some(&bob))), (None, None));
    let other = json!({"name": ["DNS:b", "a.test"]});
    let said = "the certificate of `CN=alice` is not one of those let in here";
    assert_eq!(refused(&other, Some(&alice)).as_deref(), Some(said));
    for empty in [json!({"subject": []}), json!({"name": []})] {
        assert!(filter("require-certificate").unwrap().build(&empty).is_err(), "{empty}");
    }
}
