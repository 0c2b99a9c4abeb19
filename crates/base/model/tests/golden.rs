//! Bad configurations and the messages they get.
//!
//! Each `bad/*.yaml` has its messages in the `.txt` beside it. `AYA_BLESS=1 cargo test -p base-model` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says why")]

mod catalog;

use std::fs;
use std::path::{Path, PathBuf};

use base_model::diagnostic::Colour;
use base_model::{Diagnostics, load_bytes, load_file};

/// The variables that the files may use.
fn environment(name: &str) -> Option<String> {
    match name {
        "AYA_TEST_PORT" => Some("sesame".to_owned()),
        "AYA_TEST_TOKEN" => Some("open sesame".to_owned()),
        "AYA_TEST_KEY" => Some("sesame-of-32-characters-and-more".to_owned()),
        _ => None,
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

fn messages(name: &str, bytes: &[u8]) -> Diagnostics {
    match load_bytes(bytes, name, &environment, &catalog::catalog()) {
        Err(diagnostics) => diagnostics,
        Ok(loaded) => loaded.warnings,
    }
}

/// Compares with the file, or writes it.
fn compare(name: &str, actual: &str, faults: &mut Vec<String>) {
    let path = folder().join(name).with_extension("txt");
    if std::env::var_os("AYA_BLESS").is_some() {
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected != actual {
        faults.push(format!("--- {name}, expected:\n{expected}\n--- actual:\n{actual}"));
    }
}

#[test]
fn every_bad_file_gets_its_messages() {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension != "txt"));
    names.sort();
    assert!(names.len() >= 30, "only {} files", names.len());
    let mut faults = Vec::new();
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        let diagnostics = messages(name, &fs::read(&path).unwrap());
        assert!(!diagnostics.is_empty(), "{name} has nothing wrong");
        assert!(
            diagnostics.items().iter().all(|item| item.help.is_some()),
            "{name} has a message without help"
        );
        let text = diagnostics.render(Colour::Plain);
        assert!(!text.contains("sesame"), "{name} shows a secret:\n{text}");
        compare(name, &text, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_file_that_is_not_there() {
    let path = Path::new("nowhere/aya.yaml");
    let error = load_file(path, &environment, &catalog::catalog()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "error: nowhere/aya.yaml: the configuration cannot be read: No such file or directory (os error 2); \
         check the path\n"
    );
}

/// 10 MB of letters, brackets and line breaks, the same every time.
fn garbage(bytes: usize) -> Vec<u8> {
    const LETTERS: &[u8] = b"ab: [{\n -\"'#&*x]}, 01|>%@`!\t";
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        LETTERS.iter().copied().cycle().nth((state >> 33) as usize % LETTERS.len()).unwrap_or_default()
    };
    (0..bytes).map(|_| letter()).collect()
}

#[test]
fn ten_megabytes_of_garbage_are_refused() {
    let mut faults = Vec::new();
    let text = messages("garbage.yaml", &garbage(10_000_000)).render(Colour::Plain);
    compare("garbage", &text, &mut faults);
    let text = messages("long-line.yaml", "x".repeat(1_000_000).as_bytes()).render(Colour::Plain);
    compare("long-line", &text, &mut faults);
    let text = messages("too-large.yaml", &vec![b'#'; (10 << 20) + 1]).render(Colour::Plain);
    compare("too-large", &text, &mut faults);
    let text = messages("many-values.yaml", format!("a: [{}]", "0,".repeat(1_000_001)).as_bytes())
        .render(Colour::Plain);
    compare("many-values", &text, &mut faults);
    let text = messages("brackets.yaml", &vec![b'['; 1_000_000]).render(Colour::Plain);
    compare("brackets", &text, &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn colours_are_only_where_they_are_wanted_and_programs_get_json() {
    let diagnostics = messages("x.yaml", b"listeners: {web: {bind: \":80\", bnid: 1}}");
    assert!(!diagnostics.render(Colour::Plain).contains('\x1b'));
    assert!(diagnostics.render(Colour::Ansi).contains('\x1b'));
    let json = diagnostics.to_json();
    assert_eq!(json[0]["code"], "unknown-key");
    assert_eq!(json[0]["severity"], "error");
    assert_eq!(json[0]["path"], "listeners.web.bnid");
    assert_eq!(json[0]["place"]["line"], 1);
    assert_eq!(json[0]["place"]["column"], 32);
    assert_eq!(json[0]["help"], "did you mean `bind`?");
}

/// A configuration with these routes.
fn with_routes(routes: impl Iterator<Item = String>) -> String {
    let mut text =
        "listeners: {web: {bind: \"127.0.0.1:0\"}}\npools: {a: {endpoints: [10.0.0.1]}}\nroutes:\n"
            .to_owned();
    routes.for_each(|matches| text.push_str(&format!("  - {{match: {{{matches}}}, pool: a}}\n")));
    text
}

#[test]
fn routes_that_the_router_cannot_take_are_refused() {
    let deep = |segments: usize, end: &str| format!("path: \"{}{end}\"", "/s".repeat(segments));
    let fits = [deep(256, ""), deep(255, "/"), deep(256, "/**"), deep(255, "/{id}")];
    assert_eq!(messages("fits.yaml", with_routes(fits.into_iter()).as_bytes()).items(), []);
    let mut faults = Vec::new();
    let paths = [deep(257, ""), deep(256, "/"), deep(257, "/**"), deep(256, "/{id}")];
    let mut found = messages("deep-paths.yaml", with_routes(paths.into_iter()).as_bytes()).to_json();
    // Without the excerpts, which are very long.
    found.as_array_mut().unwrap().iter_mut().for_each(|item| *item = item["message"].take());
    compare("deep-paths", &format!("{found:#}\n"), &mut faults);

    let regexes = |count: usize| {
        let header = (0..count / 2).map(|index| format!("header: {{x-{index}: \"~ ^{index}$\"}}"));
        header.chain((0..count - count / 2).map(|index| format!("path: \"~ ^/{index}$\"")))
    };
    assert_eq!(messages("fits.yaml", with_routes(regexes(1_000)).as_bytes()).items(), []);
    let text = messages("many-regexes.yaml", with_routes(regexes(1_002)).as_bytes()).render(Colour::Plain);
    compare("many-regexes", &text, &mut faults);

    // 250 hosts, 200 segments: 50,000 a route.
    let hosts: Vec<String> = (0..250).map(|index| format!("h{index}")).collect();
    let hosts = hosts.join(", ");
    let routes = |count: usize| {
        let hosts = hosts.clone();
        (0..count).map(move |index| format!("host: [{hosts}], path: /{index}{}", "/s".repeat(199)))
    };
    assert_eq!(messages("fits.yaml", with_routes(routes(80)).as_bytes()).items(), []);
    let found = messages("many-segments.yaml", with_routes(routes(82)).as_bytes());
    let shown: Vec<_> = found.items().iter().map(|item| (&*item.path, &*item.message)).collect();
    assert_eq!(
        shown,
        [(
            "routes[80].match.path",
            "up to this path, the routes have over 4000000 segments, counted once for each host"
        )]
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
