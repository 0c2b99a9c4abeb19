use proptest::prelude::*;

use super::*;
use crate::HttpError;

/// Fields as a parsed head has them.
fn parsed(lines: &str) -> Fields {
    let section = format!("\r\n{lines}\r\n");
    let mut fields = Fields::new();
    parse_field_lines(section.as_bytes(), &mut fields).unwrap();
    fields.check_invariants();
    fields
}

fn encoded(fields: &Fields) -> String {
    fields.check_invariants();
    let mut out = Vec::new();
    fields.encode(&mut out);
    String::from_utf8(out).unwrap()
}

const LINES: &str =
    "Host: a\r\nX-Tier:gold \r\nAccept:  */*\t\r\nx-tier: iron\r\nVia: 1.1 b\r\nVIA: 1.0 c\r\n";

#[test]
fn fields_are_found_in_any_case_and_without_blanks() {
    let fields = parsed(LINES);
    assert_eq!(fields.len(), 6);
    assert!(fields.has(KnownField::Host) && !fields.has(KnownField::Date));
    assert!(fields.has_several(KnownField::Via) && !fields.has_several(KnownField::Host));
    assert_eq!(fields.get(KnownField::Accept), Some(b"*/*".as_slice()));
    assert_eq!(fields.get(KnownField::Date), None);
    assert_eq!(fields.values(KnownField::Via).collect::<Vec<_>>(), [b"1.1 b", b"1.0 c"]);
    assert_eq!(fields.find("ACCEPT"), Some(b"*/*".as_slice()));
    assert_eq!(fields.find_all("X-TIER").collect::<Vec<_>>(), [b"gold", b"iron"]);
    assert_eq!(fields.find("x-tie"), None);
    assert_eq!(fields.find("date"), None);
    assert_eq!(fields.iter().next(), Some((b"Host".as_slice(), b"a".as_slice())));
}

#[test]
fn untouched_lines_leave_byte_for_byte() {
    assert_eq!(encoded(&parsed(LINES)), LINES);
    let mut fields = parsed(LINES);
    assert!(fields.remove("accept"));
    assert!(!fields.remove("accept") && !fields.remove("x-other"));
    assert_eq!(encoded(&fields), LINES.replace("Accept:  */*\t\r\n", ""));
}

#[test]
fn set_replaces_all_lines_in_the_place_of_the_first() {
    let mut fields = parsed(LINES);
    fields.set("x-tier", b" lead ");
    fields.set("Via", b"1.1 d");
    fields.set("date", b"now");
    assert_eq!(
        encoded(&fields),
        "Host: a\r\nx-tier:  lead \r\nAccept:  */*\t\r\nVia: 1.1 d\r\ndate: now\r\n"
    );
    assert_eq!(fields.find("x-tier"), Some(b"lead".as_slice()));
    assert!(!fields.has_several(KnownField::Via));
}

#[test]
fn append_adds_a_line_and_remove_takes_all() {
    let mut fields = Fields::new();
    assert!(fields.is_empty());
    fields.append("cookie", b"a=1");
    fields.append("Cookie", b"b=2");
    fields.append("x-empty", b"");
    assert!(fields.has_several(KnownField::Cookie));
    assert_eq!(encoded(&fields), "cookie: a=1\r\nCookie: b=2\r\nx-empty: \r\n");
    assert_eq!(fields.find("x-empty"), Some(b"".as_slice()));
    assert!(fields.remove_known(KnownField::Cookie));
    assert!(!fields.has(KnownField::Cookie) && fields.len() == 1);
    fields.clear();
    assert_eq!(encoded(&fields), "");
}

#[test]
fn names_that_were_looked_at_do_what_names_do() {
    let name = |text| FieldName::new(text).unwrap();
    assert_eq!((name("X-Tier").known(), name("VIA").known()), (None, Some(KnownField::Via)));
    assert!(FieldName::new("").is_none() && FieldName::new("x tier").is_none());
    let mut fields = parsed(LINES);
    fields.set_named(&name("X-Tier"), b"lead");
    fields.append_named(&name("x-tier"), b" tin ");
    fields.set_known(KnownField::Via, b"1.1 d");
    fields.append_known(KnownField::Host, b"b");
    assert_eq!(fields.find_all("x-tier").collect::<Vec<_>>(), [b"lead", b"tin".as_slice()]);
    assert_eq!(
        encoded(&fields),
        "Host: a\r\nX-Tier: lead\r\nAccept:  */*\t\r\nvia: 1.1 d\r\nx-tier:  tin \r\nhost: b\r\n"
    );
}

#[test]
fn what_is_read_as_the_same_name_goes_too() {
    let lines = "X_Internal: 1\r\nX-Tier: gold\r\nx-internal: 2\r\nX_REQUEST-id: 3\r\nX-Request-Id: 4\r\nX_Tier_: 5\r\n";
    for remove in [
        |fields: &mut Fields| fields.remove("x-internal"),
        |fields: &mut Fields| fields.remove("X_INTERNAL"),
        |fields: &mut Fields| fields.remove_named(&FieldName::new("x_internal").unwrap()),
        |fields: &mut Fields| fields.remove_named(&FieldName::new("x-internal").unwrap()),
    ] {
        let mut fields = parsed(lines);
        assert!(remove(&mut fields) && !remove(&mut fields));
        assert_eq!(encoded(&fields), "X-Tier: gold\r\nX_REQUEST-id: 3\r\nX-Request-Id: 4\r\nX_Tier_: 5\r\n");
    }
    let others = "X_Internal: 1\r\nX-Tier: gold\r\nx-internal: 2\r\nX_Tier_: 5\r\n";
    for remove in [
        |fields: &mut Fields| fields.remove_known(KnownField::XRequestId),
        |fields: &mut Fields| fields.remove("x_request_id"),
    ] {
        let mut fields = parsed(lines);
        assert!(remove(&mut fields) && !remove(&mut fields));
        assert_eq!(encoded(&fields), others);
    }
    let mut fields = parsed(lines);
    fields.set("x-internal", b"own");
    fields.set_known(KnownField::XRequestId, b"own");
    fields.set_named(&FieldName::new("x-tier-").unwrap(), b"own");
    fields.append("x_tier", b"another");
    assert_eq!(
        encoded(&fields),
        "X-Tier: gold\r\nx-internal: own\r\nx-request-id: own\r\nx-tier-: own\r\nx_tier: another\r\n"
    );
    fields.set("X_Request_Id", b"last");
    assert!(!fields.has(KnownField::XRequestId));
    fields.check_invariants();
}

#[test]
fn look_alikes_that_were_written_here_are_known_as_such() {
    for write in [
        |fields: &mut Fields| fields.append("x_real_ip", b"1"),
        |fields: &mut Fields| fields.append_named(&FieldName::new("x_real_ip").unwrap(), b"1"),
        |fields: &mut Fields| fields.set("x_real_ip", b"1"),
    ] {
        let mut fields = parsed("Host: a\r\n");
        write(&mut fields);
        fields.check_invariants();
        assert!(fields.remove_known(KnownField::XRealIp));
        assert_eq!(encoded(&fields), "Host: a\r\n");
    }
}

#[test]
fn the_framing_does_not_go_by_a_look_alike() {
    let mut fields = parsed("content-length: 5\r\n");
    assert!(!fields.remove("content_length"));
    fields.set("content_length", b"6");
    assert_eq!(fields.get(KnownField::ContentLength), Some(b"5".as_slice()));
}

#[test]
fn a_value_kept_from_the_head_can_be_composed_with_others() {
    let mut fields = parsed(LINES);
    fields.compose("via").push_values(KnownField::Via).push(b"1.1 aya").replace();
    assert_eq!(fields.values(KnownField::Via).collect::<Vec<_>>(), [b"1.1 b, 1.0 c, 1.1 aya"]);
    fields.check_invariants();
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "control character"))]
fn a_value_cannot_bring_a_line() {
    let mut fields = Fields::new();
    fields.append("x-a", b"1\r\nx-b: 2\0\x7f");
    assert_eq!(encoded(&fields), "x-a: 1  x-b: 2  \r\n");
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "no field name"))]
fn a_name_cannot_bring_a_line() {
    let mut fields = Fields::new();
    fields.append("x-a: 1\r\nx b", b"2");
    fields.append("", b"3");
    assert_eq!(encoded(&fields), "x-a--1--x-b: 2\r\n-: 3\r\n");
}

#[test]
fn lines_that_end_otherwise_than_with_crlf_are_refused() {
    for lines in ["\r\na: 1\n\r\n", "\r\na: 1\r\nb: 2\n\r\n", "\r\na: 1\r\n\n"] {
        let mut fields = Fields::new();
        let outcome = parse_field_lines(lines.as_bytes(), &mut fields);
        assert_eq!(outcome, Err(HttpError::InvalidLineEnd), "{lines:?}");
    }
}

#[test]
fn what_is_well_formed_is_read_the_quick_way() {
    for lines in [LINES, "", "a:1\r\n", "a:\r\n", "a: \t \r\nb:\t1 2\t3 \r\n", "a: caf\u{e9} \u{e9}\r\n"] {
        let section = format!("\r\n{lines}\r\nwhat follows");
        let mut fields = Fields::new();
        assert_eq!(fields.read(section.as_bytes(), 2, 6), Some(section.len() - 12), "{lines:?}");
        assert_eq!(encoded(&fields), lines);
        assert!(fields.iter().eq(parsed(lines).iter()));
    }
}

#[test]
fn names_that_look_like_framing_are_refused() {
    for name in ["Content_Length", "transfer_ENCODING"] {
        let mut fields = Fields::new();
        let outcome = parse_field_lines(format!("\r\n{name}: 5\r\n\r\n").as_bytes(), &mut fields);
        assert_eq!(outcome, Err(HttpError::AmbiguousFieldName), "{name}");
    }
    parsed("content_lengths: 5\r\nc0ntent-length: 5\r\n");
}

/// An edit, for the comparison with a plain list.
#[derive(Clone, Debug)]
enum Edit {
    Set(&'static str, String),
    Append(&'static str, String),
    Remove(&'static str),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let name = prop::sample::select(vec![
        "host",
        "Host",
        "via",
        "VIA",
        "x-tier",
        "X-Tier",
        "x_tier",
        "x-other",
        "date",
        "x-real-ip",
        "X_Real_IP",
    ]);
    let edit = (0..3, name, "[a-z]{0,5}").prop_map(|(kind, name, value)| match kind {
        0 => Edit::Set(name, value),
        1 => Edit::Append(name, value),
        _ => Edit::Remove(name),
    });
    prop::collection::vec(edit, 0..20)
}

/// What an edit does to a plain list of lines.
fn edit_plainly(list: &mut Vec<(String, String)>, edit: &Edit) {
    let is = |entry: &(String, String), name: &str| entry.0.eq_ignore_ascii_case(name);
    let is_alike = |entry: &(String, String), name: &str| {
        entry.0.replace('_', "-").eq_ignore_ascii_case(&name.replace('_', "-")) && !is(entry, name)
    };
    if let Edit::Set(name, _) | Edit::Remove(name) = edit {
        list.retain(|entry| !is_alike(entry, name));
    }
    match edit {
        Edit::Append(name, value) => list.push(((*name).to_owned(), value.clone())),
        Edit::Remove(name) => list.retain(|entry| !is(entry, name)),
        Edit::Set(name, value) => {
            let at = list.iter().position(|entry| is(entry, name)).unwrap_or(list.len());
            list.retain(|entry| !is(entry, name));
            list.insert(at, ((*name).to_owned(), value.clone()));
        }
    }
}

/// Sections that are mostly well-formed, and spoilt in all places.
fn sections() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "Host",
        "x-a",
        "VIA",
        "content_length",
        "content-length",
        "x_a",
        "a b",
        "",
        ":",
        ": ",
        ": ",
        ": ",
        ":  ",
        ":\t",
        "v",
        "some longer value, with words",
        " ",
        "\t",
        "\u{e9}",
        "\x7f",
        "\0",
        "\r",
        "\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n\r\n",
    ]);
    let line = prop_oneof![
        4 => ("[A-Za-z-]{1,20}", ":[ \t]{0,2}", "[ -~]{0,40}", "[ \t]{0,2}")
            .prop_map(|(name, colon, value, blanks)| format!("{name}{colon}{value}{blanks}\r\n")),
        1 => prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat()),
    ];
    (prop::collection::vec(line, 0..6), "(\r\n){0,1}")
        .prop_map(|(lines, end)| format!("\r\n{}{end}", lines.concat()).into_bytes())
}

proptest! {
    #[test]
    fn the_quick_way_reads_what_the_tokeniser_reads(section in sections(), rest in "[a-z\r\n:]{0,12}") {
        let mut quick = Fields::new();
        let window = [section.as_slice(), rest.as_bytes()].concat();
        if let Some(length) = quick.read(&window, 2, 100) {
            quick.check_invariants();
            let mut careful = Fields::new();
            prop_assert_eq!(parse_field_lines(&window[..length], &mut careful), Ok(()));
            prop_assert_eq!(format!("{:?}", quick), format!("{:?}", careful));
            let mut limited = Fields::new();
            prop_assert_eq!(limited.read(&window, 2, quick.len()), Some(length));
            prop_assert!(quick.is_empty() || limited.read(&window, 2, quick.len() - 1).is_none());
        } else {
            prop_assert!(quick.is_empty());
        }
    }

    #[test]
    fn edits_do_what_they_do_to_a_plain_list(edits in edits()) {
        let mut fields = parsed(LINES);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut list: Vec<_> = fields.iter().map(|(name, value)| (text(name), text(value))).collect();
        for edit in &edits {
            match edit {
                Edit::Set(name, value) => fields.set(name, value.as_bytes()),
                Edit::Append(name, value) => fields.append(name, value.as_bytes()),
                Edit::Remove(name) => { fields.remove(name); }
            }
            edit_plainly(&mut list, edit);
            fields.check_invariants();
        }
        let now: Vec<_> = fields.iter().map(|(name, value)| (text(name), text(value))).collect();
        prop_assert_eq!(now, list);
        // What is encoded is parsed as the same fields.
        let again = parsed(&encoded(&fields));
        prop_assert!(again.iter().eq(fields.iter()));
    }
}
