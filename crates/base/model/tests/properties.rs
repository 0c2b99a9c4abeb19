//! Whatever is read, the answer is a model or diagnostics.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says why")]

mod catalog;

use base_model::diagnostic::Colour;
use base_model::{FormatError, format, load, load_bytes, render_full};
use proptest::prelude::*;

/// Pieces that get deeper into the checks than random letters do.
const PIECES: &[&str] = &[
    "listeners",
    "routes",
    "pools",
    "admin",
    "logs",
    "web",
    "api",
    "bind",
    "endpoints",
    "pool",
    "split",
    "match",
    "path",
    "host",
    "header",
    "health",
    "http",
    "tcp",
    "balance",
    "kind",
    "filters",
    "set-header",
    "respond",
    "redirect",
    "status",
    "timeouts",
    "limits",
    "head",
    "token",
    "env",
    "X",
    ": ",
    ":",
    "\n",
    "\n  ",
    "\n    ",
    "\n  - ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\"",
    "'",
    "#",
    " # c\n",
    "&a ",
    "*a",
    "!!str ",
    "|\n",
    ">\n",
    "---\n",
    "? ",
    "<<",
    "${X}",
    "${",
    "$${X}",
    "${Y:-1}",
    "10.0.0.1:80",
    ":80",
    "127.0.0.1:0",
    "0",
    "-1",
    "99999999999999999999",
    "1.5",
    "1e999",
    "true",
    "off",
    "~",
    "~ (a",
    "~ a",
    "/a/**",
    "/{x}",
    "64KiB",
    "2s",
    "5",
    "\u{e9}",
    "\u{1f600}",
    "\r\n",
    "\r",
    "\t",
    "\0",
    "\u{feff}",
];

fn environment(name: &str) -> Option<String> {
    (name == "X").then(|| "api".to_owned())
}

/// Loads, renders and formats: nothing may panic, and what is said must hold.
fn survive(source: &str) {
    match load(source, "random.yaml", &environment, &catalog::catalog()) {
        Ok(loaded) => {
            let full = render_full(&loaded.document);
            let again = load(&full, "random.yaml", &environment, &catalog::catalog());
            assert_eq!(again.unwrap_or_else(|error| panic!("{error}\n{full}")).model, loaded.model);
        }
        Err(diagnostics) => {
            assert!(diagnostics.has_errors());
            assert!(!diagnostics.items().iter().any(|item| item.code == "unusable"), "{diagnostics}");
            diagnostics.render(Colour::Ansi);
            diagnostics.to_json();
        }
    }
    come_to_rest(source);
}

/// What can be read can be formatted, and once is enough.
fn come_to_rest(source: &str) {
    match format(source, "random.yaml") {
        Ok(text) => {
            let twice = format(&text, "random.yaml").unwrap();
            assert_eq!(twice, text, "formatting twice changes more than once");
        }
        Err(FormatError::Unreadable(_)) => {}
        Err(error @ FormatError::Unfaithful(_)) => panic!("{error}\n{source}"),
    }
}

/// Every text of three characters that mean something somewhere, wherever a text can stand.
#[test]
fn any_short_text_can_be_formatted() {
    const PLACES: &[(&str, &str)] = &[
        ("", "\n"),
        ("- ", "\n"),
        ("a: ", "\n"),
        ("", ": b\n"),
        ("a: [", ", b]\n"),
        ("a: [b, ", "]\n"),
        ("a: {b: ", ", c: d}\n"),
        ("a: {b: ", "}\n"),
        ("a: {", ": b}\n"),
    ];
    let characters: Vec<char> = "a0- :,[]{}#&*!|>'%?~.\n".chars().collect();
    for number in 0..characters.len().pow(3) {
        let digits = [number, number / characters.len(), number / characters.len().pow(2)];
        let text: String = digits.iter().map(|digit| characters[digit % characters.len()]).collect();
        let quoted = serde_json::Value::from(text).to_string();
        for (before, after) in PLACES {
            come_to_rest(&format!("{before}{quoted}{after}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_a_model_or_diagnostics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Err(diagnostics) = load_bytes(&bytes, "random.yaml", &environment, &catalog::catalog()) {
            prop_assert!(diagnostics.has_errors());
        }
    }

    #[test]
    fn any_pieces_give_a_model_or_diagnostics(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60)) {
        survive(&pieces.concat());
    }

    #[test]
    fn a_good_file_with_something_put_in(at in 0_usize..2_000, piece in proptest::sample::select(PIECES), cut in 0_usize..8) {
        let mut source = include_str!("../../../../examples/full.yaml").to_owned();
        let start = source.len() / 2_000 * at;
        let start = (start..source.len()).find(|index| source.is_char_boundary(*index)).unwrap_or(source.len());
        let end = (start + cut..source.len()).find(|index| source.is_char_boundary(*index)).unwrap_or(source.len());
        source.replace_range(start..end, piece);
        survive(&source);
    }
}
