//! `fmt` keeps what people wrote; `diff` says what really differs.

#![expect(clippy::panic, reason = "a test that cannot go on says why")]

mod catalog;

use base_model::{Change, ChangeKind, FormatError, Loaded, diff, format, load};

fn loaded(source: &str) -> Loaded {
    let environment = |_: &str| Some("7".to_owned());
    load(source, "test.yaml", &environment, &catalog::catalog()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn formatting_keeps_comments_variables_and_blank_lines() {
    let source = "# head\n\n\nlisteners:   # names\n    'web' : { bind : [ '127.0.0.1:${PORT}' ,':80' ] } # two\n    # below web\n\
                  # routes now\nroutes:\n- match:\n     path: '/a/**'\n  # the pool\n  pool: \"api\"\n-   pool:   api\n\
                  pools: {api: {endpoints: [\n   # the first\n   10.0.0.1:80,\n   \"10.0.0.2\" # the second\n  ]}}\n# end\n";
    let expected = "# head\n\nlisteners:  # names\n  web: {bind: [\"127.0.0.1:${PORT}\", \":80\"]}  # two\n  # below web\n\
                    # routes now\nroutes:\n  - match:\n      path: /a/**\n    # the pool\n    pool: api\n  - pool: api\n\
                    pools:\n  api:\n    endpoints:\n      # the first\n      - 10.0.0.1:80\n      - 10.0.0.2  # the second\n# end\n";
    assert_eq!(format(source, "x").unwrap(), expected);
    assert_eq!(format(expected, "x").unwrap(), expected);
}

#[test]
fn formatting_keeps_what_values_are() {
    let source = "a: '5'\nb: 5\nc: 'true'\nd: ~\ne: ''\nf: \"a: b\"\ng: 'x #y'\nh: |\n  one\n   two\n\n  three\ni: >-\n  folded\n  text\n\
                  j: {}\nk: []\nl: \"tab\\there\"\nm: é\n";
    let expected = "a: \"5\"\nb: 5\nc: \"true\"\nd: ~\ne: \"\"\nf: \"a: b\"\ng: \"x #y\"\nh: |\n  one\n   two\n\n  three\ni: folded text\n\
                    j: {}\nk: []\nl: \"tab\\there\"\nm: é\n";
    assert_eq!(format(source, "x").unwrap(), expected);
}

#[test]
fn comments_between_the_dashes_of_lists_in_lists_come_to_rest() {
    for source in [
        "- -\n\n#above\n    a\n",
        "- a\n\n-\n  # above\n  - b\n  # between\n  - c\n",
        "- a\n- -\n\n    - b\n\n    - c\n# below\n- d\n",
        "x:\n  - # beside\n    - - {a: 1}  # behind\n      - b\n",
    ] {
        let once = format(source, "x").unwrap();
        assert_eq!(format(&once, "x").unwrap(), once, "{source}");
        assert_eq!(once.matches('#').count(), source.matches('#').count(), "{once}");
    }
}

#[test]
fn nothing_with_an_anchor_stays_an_item() {
    for (source, formatted) in [
        ("a: [&b, x]\n", "a: [null, x]\n"),
        ("a: [&b.#c, \"\"]\n", "a: [null, \"\"]\n"),
        ("a: [x, &b]\n", "a: [x, null]\n"),
        ("a: {b: &c , d: [&e]}\n", "a: {b: , d: [null]}\n"),
        ("- &a\n- x\n", "-\n- x\n"),
    ] {
        let once = format(source, "x").unwrap();
        assert_eq!(once, formatted, "{source}");
        assert_eq!(format(&once, "x").unwrap(), once, "{source}");
    }
}

/// Plain, these would end an item or the document.
#[test]
fn texts_that_look_like_marks_are_quoted() {
    for (source, formatted) in [
        ("a: [b\n  - , c]\n", "a: [\"b -\", c]\n"),
        ("a: {b: c\n  - }\n", "a: {b: \"c -\"}\n"),
        (" ...\n", "\"...\"\n"),
        ("a: ../b - c.yaml\n", "a: ../b - c.yaml\n"),
    ] {
        assert_eq!(format(source, "x").unwrap(), formatted, "{source}");
    }
}

/// A text of several lines that becomes a block, and comments below an item that is nothing.
#[test]
fn what_moves_with_the_first_look_has_come_to_rest() {
    for source in ["- a\n\n- b\n\n  c\n", "a:\n-  # beside\n     # below\n", "- -\n\n    # below\n- a\n"] {
        let once = format(source, "x").unwrap();
        assert_eq!(format(&once, "x").unwrap(), once, "{source}");
    }
}

#[test]
fn long_lines_are_broken_and_json_becomes_yaml() {
    let source = r#"{"listeners": {"web": {"bind": ":80"}}, "pools": {"api": {"endpoints": ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080", "10.0.0.4:8080"], "balance": "weighted-round-robin"}}}"#;
    let expected = "listeners: {web: {bind: \":80\"}}\npools:\n  api:\n    endpoints: [10.0.0.1:8080, 10.0.0.2:8080, 10.0.0.3:8080, 10.0.0.4:8080]\n    \
                    balance: weighted-round-robin\n";
    assert_eq!(format(source, "x").unwrap(), expected);
}

/// A key that is short enough as it was written may be too long with escapes.
#[test]
fn long_keys_are_marked() {
    let key = format!("a{}", "\"".repeat(700));
    let quoted = format!("\"a{}\"", "\\\"".repeat(700));
    for (value, expected) in [
        (" 1", " 1\n"),
        ("", "\n"),
        ("\n    b:\n    - c: 1\n      d: 2\n    - e", "\n    b:\n      - c: 1\n        d: 2\n      - e\n"),
        (" 1 # why", " 1  # why\n"),
        (" # why\n    b: 1", "\n    # why\n    b: 1\n"),
    ] {
        let formatted = format(&format!("x:\n  {key}:{value}\n"), "x").unwrap();
        assert_eq!(formatted, format!("x:\n  ? {quoted}\n  :{expected}"));
        assert_eq!(format(&formatted, "x").unwrap(), formatted);
    }
    let in_list = format(&format!("- {key}: 1\n  b: 2\n"), "x").unwrap();
    assert_eq!(in_list, format!("- ? {quoted}\n  : 1\n  b: 2\n"));
    assert_eq!(format(&in_list, "x").unwrap(), in_list);
}

#[test]
fn what_is_not_yaml_is_not_formatted() {
    assert!(matches!(format("a: [", "x"), Err(FormatError::Unreadable(_))));
    assert_eq!(format("", "x").unwrap(), "");
    assert_eq!(format("# only a comment\n", "x").unwrap(), "# only a comment\n");
    // An anchor without a value is nothing, too.
    assert_eq!(format("&&\n", "x").unwrap(), "");
    assert_eq!(format("&a # c\n", "x").unwrap(), "# c\n");
}

const BASE: &str = "
listeners: {web: {bind: '127.0.0.1:80'}}
routes:
  - {name: shop, match: {path: /shop}, pool: api}
  - {match: {path: /x}, pool: api}
pools:
  api: {endpoints: [10.0.0.1:80, 10.0.0.2:80], health: tcp}
";

#[test]
fn other_spelling_is_no_difference() {
    let spelt = BASE
        .replace("'127.0.0.1:80'", "['127.0.0.1:80']")
        .replace("health: tcp", "health: [{tcp: true, interval: 2000ms}]")
        .replace("10.0.0.2:80", "{address: 10.0.0.2:80, weight: 1}");
    assert_eq!(diff(&loaded(BASE), &loaded(&spelt)), []);
}

#[test]
fn differences_are_listed_by_path() {
    let after = BASE
        .replace("10.0.0.2:80", "{address: 10.0.0.1:81, weight: 2}")
        .replace("health: tcp", "balance: random, health: off")
        .replace("health: off", "timeouts: {connect: 1s}")
        .replace("  - {match: {path: /x}, pool: api}", "  - {match: {path: /y}, pool: blue}")
        + "  blue: {endpoints: [10.0.0.9]}\ndrain: 1m\n";
    let changes = diff(&loaded(BASE), &loaded(&after));
    let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "~ drain: 30s → 1m",
            "- routes[{path: /x}]: {match: {path: /x}, filters: [], pool: api, timeouts: {request: off}, retry: {attempts: 3}}",
            "+ routes[{path: /y}]: {match: {path: /y}, filters: [], pool: blue, timeouts: {request: off}, retry: {attempts: 3}}",
            "- pools.api.endpoints[10.0.0.2:80]: {address: 10.0.0.2:80, weight: 1}",
            "+ pools.api.endpoints[10.0.0.1:81]: {address: 10.0.0.1:81, weight: 2}",
            "~ pools.api.balance.kind: round-robin → random",
            "~ pools.api.health: [{tcp: true, interval: 2s, timeout: 1s, rise: 2, fall: 3, jitter: 0.1}] → []",
            "~ pools.api.timeouts.connect: 2s → 1s",
            "+ pools.blue: {endpoints: [{address: 10.0.0.9, weight: 1}], balance: {kind: round-robin}, health: [], ejection: \
             {consecutive-failures:…",
        ]
    );
    assert_eq!(changes[0].to_json()["kind"], "changed");
    let back = diff(&loaded(&after), &loaded(BASE));
    assert_eq!(back.len(), changes.len());
}

#[test]
fn another_order_of_routes_is_told() {
    let lines: Vec<&str> = BASE.lines().collect();
    let swapped = [lines[0], lines[1], lines[2], lines[4], lines[3], lines[5], lines[6]].join("\n");
    let changes = diff(&loaded(BASE), &loaded(&swapped));
    let expected =
        Change { path: "routes".to_owned(), kind: ChangeKind::Reordered, before: None, after: None };
    assert_eq!(changes, [expected]);
}

#[test]
fn values_of_variables_are_compared_but_not_shown() {
    let source = |listener: &str| {
        format!(
            "listeners: {{web: {{bind: '${{BIND}}', via: '${{VIA}}', max-connections: '${{MAX}}', {listener}}}}}\n\
             routes: [{{match: {{host: '${{VIA}}.com'}}, pool: api}}]\n\
             pools: {{api: {{endpoints: ['${{BIND}}', 10.0.0.7], timeouts: {{connect: '${{TIME}}'}}, health: '${{CHECK}}'}}}}"
        )
    };
    let with = |listener: &str, bind: &str, via: &str, number: &str| {
        let environment = |name: &str| {
            let value = match name {
                "BIND" => bind,
                "VIA" => via,
                "TIME" => return Some(format!("{number}s")),
                "CHECK" => "tcp",
                _ => number,
            };
            Some(value.to_owned())
        };
        load(&source(listener), "test.yaml", &environment, &catalog::catalog()).unwrap()
    };
    let before = with("limits: {fields: 7}", "127.0.0.1:81", "hush", "7");
    assert_eq!(diff(&before, &with("limits: {fields: 7}", "127.0.0.1:81", "hush", "7")), []);
    let changes = diff(&before, &with("limits: {fields: 8}", "127.0.0.1:82", "quiet", "8"));
    let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "~ listeners.web.bind: [\"${BIND}\"] → [\"${BIND}\"]",
            "~ listeners.web.via: \"${VIA}\" → \"${VIA}\"",
            "~ listeners.web.max-connections: \"${MAX}\" → \"${MAX}\"",
            "~ listeners.web.limits.fields: 7 → 8",
            "- routes[{host: [\"${VIA}.com\"]}]: {match: {host: [\"${VIA}.com\"]}, filters: [], pool: api, timeouts: {request: off}, retry: \
             {attempts: 3}}",
            "+ routes[{host: [\"${VIA}.com\"]}]: {match: {host: [\"${VIA}.com\"]}, filters: [], pool: api, timeouts: {request: off}, retry: \
             {attempts: 3}}",
            "- pools.api.endpoints[${BIND}]: {address: \"${BIND}\", weight: 1}",
            "+ pools.api.endpoints[${BIND}]: {address: \"${BIND}\", weight: 1}",
            "~ pools.api.timeouts.connect: \"${TIME}\" → \"${TIME}\"",
        ]
    );
    let literal = load(
        &source("limits: {fields: 7}")
            .replace("${VIA}", "aya")
            .replace("${CHECK}", "{http: /}")
            .replace("'{http: /}'", "{http: /}"),
        "test.yaml",
        &|name| {
            Some(
                match name {
                    "BIND" => "127.0.0.1:81",
                    "TIME" => "7s",
                    _ => "7",
                }
                .to_owned(),
            )
        },
        &catalog::catalog(),
    )
    .unwrap();
    let changes = diff(&before, &literal);
    let text = serde_json::to_string(&changes.iter().map(Change::to_json).collect::<Vec<_>>()).unwrap();
    assert!(!text.contains("hush") && text.contains("${VIA}") && text.contains("${CHECK}"), "{text}");
}
