//! Compiling and writing.

use std::net::{IpAddr, Ipv4Addr};

use super::*;

fn context() -> RequestContext<'static> {
    RequestContext {
        client: IpAddr::V6(Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped()),
        certificate: None,
        scheme: "http",
        host: b"Shop.example:8080",
        path: b"/a/b",
        query: Some(b"v=1"),
        route: "shop route",
        origin: None,
        request_id: "id-1",
    }
}

fn fields() -> Fields {
    let mut fields = Fields::default();
    fields.set("x-tenant", b"a/../b?c#d");
    fields
}

fn value(text: &str) -> String {
    let (context, fields) = (context(), fields());
    let mut out = Vec::new();
    let sources = Sources { context: &context, fields: &fields, groups: None };
    Template::compile(text).unwrap().write_value(sources, &mut out);
    String::from_utf8(out).unwrap()
}

fn uri(text: &str) -> String {
    let (context, fields) = (context(), fields());
    let mut out = Vec::new();
    let sources = Sources { context: &context, fields: &fields, groups: None };
    Template::compile(text).unwrap().write_uri(sources, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_placeholder_has_its_value() {
    assert_eq!(
        value(
            "{client} {host} {path} {query} {route} {request-id} {scheme} {header:X-Tenant} {header:none}|"
        ),
        "10.0.0.9 Shop.example /a/b v=1 shop route id-1 http a/../b?c#d |"
    );
    assert_eq!(value("{{{path}}}"), "{/a/b}");
    assert_eq!(value(""), "");
    for (name, _) in PLACEHOLDERS {
        assert!(Template::compile(&format!("{{{name}}}")).is_ok(), "{name}");
    }
}

#[test]
fn data_cannot_delimit_a_uri() {
    assert_eq!(uri("/t/{header:x-tenant}{path}?{query}"), "/t/a%2F..%2Fb%3Fc%23d/a/b?v=1");
    assert_eq!(uri("/{path}"), "/a/b");
    assert_eq!(uri("/r/{route}/ü"), "/r/shop%20route/%C3%BC");
}

#[test]
fn mistakes_are_named() {
    let problem = |text: &str| Template::compile(text).unwrap_err().to_string();
    assert!(problem("{hots}").contains("did you mean `{host}`?"));
    assert!(problem("{nonsense}").contains("{client}"));
    assert!(problem("a{b").contains("lone brace"));
    assert!(problem("a}b").contains("lone brace"));
    assert!(problem("{1}").contains("no placeholder"));
    assert!(problem("{header:a b}").contains("header name"));
}

#[test]
fn groups_are_placeholders_too() {
    let regex = Regex::new("^/(?P<first>[^/]+)/(.*)").unwrap();
    let template = Template::compile_with("/{2}/{first}", Some(&regex)).unwrap();
    let (context, fields) = (context(), fields());
    let groups = regex.captures(b"/a/b/c").unwrap();
    let mut out = Vec::new();
    let sources = Sources { context: &context, fields: &fields, groups: Some(&groups) };
    template.write_uri(sources, &mut out);
    assert_eq!(out, b"/b/c/a");
    assert!(Template::compile_with("{3}", Some(&regex)).is_err());
}

#[test]
fn words_apart_are_measured() {
    assert_eq!(distance("host", "host"), 0);
    assert_eq!(distance("hots", "host"), 2);
    assert_eq!(distance("", "ab"), 2);
    assert_eq!(distance("query", "quer"), 1);
}

#[test]
fn the_buffer_is_empty_each_time_and_may_be_asked_for_twice() {
    with_buffer(|buffer| buffer.extend_from_slice(b"left"));
    with_buffer(|outer| {
        assert!(outer.is_empty());
        with_buffer(|inner| assert!(inner.is_empty()));
    });
}
