use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::Value as Json;

use super::*;

fn line(layout: &AccessLayout, record: &AccessRecord<'_>) -> String {
    let mut out = Vec::new();
    layout.write(record, &mut out);
    String::from_utf8(out).expect("a line is UTF-8")
}

fn record() -> AccessRecord<'static> {
    AccessRecord {
        time: Duration::new(1_700_000_000, 1_000),
        request_id: "r1",
        client: "2001:db8::1".parse().unwrap(),
        listener: "web",
        method: b"GET",
        host: b"shop.example.com",
        path: b"/a b",
        query: Some(b""),
        version: "HTTP/1.1",
        status: 502,
        reason: Some(Reason::ConnectFailed),
        pool: Some("api"),
        attempts: 2,
        bytes_in: 100,
        bytes_out: u64::MAX,
        duration: Duration::from_micros(1_250),
        ..AccessRecord::default()
    }
}

#[test]
fn fields_come_in_the_order_asked_for() {
    let names = [
        "status",
        "path",
        "query",
        "client",
        "time",
        "reason",
        "blame",
        "route",
        "duration_ms",
        "connect_ms",
    ];
    let json = AccessLayout::new(AccessFormat::Json, &names).unwrap();
    assert_eq!(
        line(&json, &record()),
        concat!(
            r#"{"status":502,"path":"/a b","query":"","client":"2001:db8::1","time":"2023-11-14T22:13:20.000001Z","#,
            r#""reason":"connect-failed","blame":"upstream","route":null,"duration_ms":1.250,"connect_ms":null}"#,
            "\n"
        )
    );
    let text = AccessLayout::new(AccessFormat::Text, &names).unwrap();
    assert_eq!(
        line(&text, &record()),
        "status=502 path=\"/a b\" query=\"\" client=2001:db8::1 time=2023-11-14T22:13:20.000001Z \
         reason=connect-failed blame=upstream route=- duration_ms=1.250 connect_ms=-\n"
    );
}

#[test]
fn without_names_the_default_fields_are_written() {
    let layout = AccessLayout::new::<&str>(AccessFormat::Json, &[]).unwrap();
    let parsed: Json = serde_json::from_str(&line(&layout, &record())).unwrap();
    let names: Vec<_> = parsed.as_object().unwrap().keys().cloned().collect();
    let expected = AccessField::ALL.iter().filter(|field| field.is_default()).map(|field| field.name());
    assert_eq!(names.len(), expected.clone().count());
    assert!(expected.into_iter().all(|name| names.iter().any(|held| held == name)));
    assert!(!names.contains(&"query".to_owned()), "a query may hold secrets");
}

#[test]
fn unknown_and_repeated_names_are_refused() {
    let repeated = AccessLayout::new(AccessFormat::Json, &["time", "status", "time"]);
    assert_eq!(repeated, Err(AccessFieldError::Repeated("time")));
    assert_eq!(
        AccessLayout::new(AccessFormat::Json, &["time", "staus"]),
        Err(AccessFieldError::Unknown("staus".into()))
    );
    for field in AccessField::ALL {
        assert_eq!(AccessField::named(field.name()), Some(*field));
    }
}

/// Bytes that clients send to confuse a log.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        any::<String>().prop_map(String::into_bytes),
        Just(b"\",\"status\":200,\"x\":\"".to_vec()),
        Just(b"\xf0\x9f\x98\r\n\\\x7f\xc2\x85\xe2\x80\xa8".to_vec()),
        Just(vec![0xc3; 9_000]),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_line_is_one_line_of_valid_json(path in hostile(), agent in hostile(), status in any::<u16>(), bytes in any::<u64>()) {
        let layout = AccessLayout::new(AccessFormat::Json, &["path", "user_agent", "status", "bytes_in"]).unwrap();
        let record = AccessRecord { path: &path, user_agent: Some(&agent), status, bytes_in: bytes, ..record() };
        let line = line(&layout, &record);
        prop_assert_eq!(line.bytes().filter(u8::is_ascii_control).count(), 1);
        let parsed: Json = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(parsed.as_object().unwrap().len(), 4);
        prop_assert_eq!(&parsed["status"], &Json::from(status));
        prop_assert_eq!(&parsed["bytes_in"], &Json::from(bytes));
        if path.len() <= super::super::text::MAX_VALUE_BYTES {
            prop_assert_eq!(parsed["path"].as_str().unwrap(), String::from_utf8_lossy(&path));
        }
    }

    #[test]
    fn every_text_line_splits_back_into_its_fields(path in hostile(), host in hostile()) {
        let layout = AccessLayout::new(AccessFormat::Text, &["path", "host", "status"]).unwrap();
        let line = line(&layout, &AccessRecord { path: &path, host: &host, ..record() });
        prop_assert_eq!(line.bytes().filter(u8::is_ascii_control).count(), 1);
        let rest = value_after(&line, "path=").and_then(|rest| value_after(rest, " host=")).map(str::to_owned);
        prop_assert_eq!(rest.as_deref(), Some(" status=502\n"));
        prop_assert!(line.ends_with('\n'));
    }
}

/// What follows the value that follows `name`, read as a log reader would.
fn value_after<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.strip_prefix(name)?;
    if !value.starts_with('"') {
        return Some(value.trim_start_matches(|character: char| character != ' '));
    }
    let mut reader = serde_json::Deserializer::from_str(value).into_iter::<String>();
    reader.next()?.ok()?;
    value.get(reader.byte_offset()..)
}
