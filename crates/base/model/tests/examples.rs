//! The examples: each is valid, in canonical form, and says how to run it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says why")]

mod catalog;

use std::fs;
use std::path::{Path, PathBuf};

use base_model::{
    KindCatalog, Loaded, diff, format, load, load_file, reference_markdown, render_full, schema,
};
use serde_json::Value;

fn environment(name: &str) -> Option<String> {
    matches!(name, "AYA_TOKEN" | "AYA_STICKY_KEY" | "AYA_TICKET_KEY")
        .then(|| "token-of-the-test, of 32 characters".replace([',', ' '], "-"))
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    paths
}

fn loaded(source: &str, name: &str) -> Loaded {
    load(source, name, &environment, &catalog::catalog())
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

#[test]
fn every_example_is_valid_and_says_how_to_run_it() {
    let examples = examples();
    assert!(examples.len() >= 8);
    for path in examples {
        let loaded =
            load_file(&path, &environment, &catalog::catalog()).unwrap_or_else(|error| panic!("{error}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let name = path.file_name().unwrap().to_str().unwrap();
        let head: Vec<&str> = loaded.source.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(head.len() >= 4, "{name} has no header");
        assert!(head.iter().any(|line| line.contains(&format!("aya run examples/{name}"))), "{name}");
    }
}

#[test]
fn every_example_is_in_canonical_form() {
    for path in examples() {
        let source = fs::read_to_string(&path).unwrap();
        let formatted = format(&source, "example.yaml").unwrap();
        assert_eq!(formatted, source, "{}", path.display());
    }
}

#[test]
fn the_full_form_says_the_same() {
    for path in examples() {
        let name = path.display().to_string();
        let short = loaded(&fs::read_to_string(&path).unwrap(), &name);
        let text = render_full(&short.document);
        let full = loaded(&text, &name);
        assert_eq!(full.model, short.model, "{text}");
        assert_eq!(diff(&short, &full), [], "{text}");
        assert_eq!(render_full(&full.document), text);
        assert!(!text.contains("token-of-the-test"), "a secret is shown");
    }
}

/// Keys of the vocabulary that are missing in a document.
fn missing(root: &Value, schema: &Value, value: &Value, path: &str, out: &mut Vec<String>) {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    for keyword in ["anyOf", "oneOf"] {
        for branch in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            let wanted = if value.is_object() { "object" } else { "array" };
            let resolved = match branch.get("$ref").and_then(Value::as_str) {
                Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
                None => branch,
            };
            let kind = resolved.pointer("/properties/kind/const");
            let required = resolved.get("required").and_then(Value::as_array);
            let is_written = |key: &Value| key.as_str().is_some_and(|key| value.get(key).is_some());
            if resolved.get("type").and_then(Value::as_str) == Some(wanted)
                && (kind.is_none() || kind == value.get("kind"))
                && required.is_none_or(|keys| keys.iter().all(is_written))
            {
                missing(root, resolved, value, path, out);
            }
        }
    }
    for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        match value.get(key) {
            Some(value) => missing(root, property, value, &format!("{path}.{key}"), out),
            None => out.push(format!("{path}.{key}")),
        }
    }
    if let (Some(schema), Some(values)) = (schema.get("additionalProperties"), value.as_object())
        && schema.is_object()
    {
        values
            .iter()
            .take(1)
            .for_each(|(key, value)| missing(root, schema, value, &format!("{path}.{key}"), out));
    }
    if let (Some(schema), Some(first)) = (schema.get("items"), value.get(0)) {
        missing(root, schema, first, &format!("{path}[0]"), out);
    }
}

#[test]
fn full_yaml_shows_every_key() {
    let path = examples().into_iter().find(|path| path.ends_with("full.yaml")).unwrap();
    let full = loaded(&fs::read_to_string(&path).unwrap(), &path.display().to_string());
    let mut value = serde_json::to_value(&full.document).unwrap();
    // Whichever of these is shown elsewhere in the file, or cannot stand beside what is there.
    let elsewhere = [
        ".split",
        ".folder",
        ".key-log",
        ".listeners.web.pool",
        ".ocsp",
        ".revoked",
        ".redirect",
        ".respond",
        ".tcp",
        ".agent",
        ".send",
        ".exec",
        ".icmp",
        ".udp",
        ".expect",
        ".grpc",
        ".file",
        ".rewrite",
        ".add-header",
        ".remove-header",
        ".require-certificate",
        ".cors",
        ".grpc-web",
        ".pass-through",
        ".lifetime",
        ".pools.api.proxy-protocol",
    ];
    let root = schema(&catalog::catalog());
    let mut out = Vec::new();
    missing(&root, &root, &value, "", &mut out);
    out.retain(|path| !elsewhere.iter().any(|key| path.ends_with(key)));
    assert_eq!(out, Vec::<String>::new());

    // And the defaults in it are the defaults: what `small` leaves away is what `api` writes.
    let pools = value.get_mut("pools").unwrap();
    let (api, small) = (pools["api"].clone(), pools["small"].clone());
    for key in ["balance", "ejection", "connections", "timeouts", "replay", "limits"] {
        assert_eq!(api[key], small[key], "{key}");
    }
    let mut plain = loaded(
        "listeners: {web: {bind: [\"127.0.0.1:8080\", \"[::1]:8080\"]}}\nroutes: [{respond: {status: 200}}]",
        "x",
    );
    plain.document.routes.clear();
    let plain = serde_json::to_value(&plain.document).unwrap();
    // What there may be depends on the machine, and without certificates there is no TLS.
    let listener = value.pointer_mut("/listeners/web").and_then(|web| web.as_object_mut()).unwrap();
    assert!(listener.remove("max-connections").is_some());
    let tls = listener.remove("tls").unwrap();
    assert_eq!((&tls["policy"], &tls["unknown-name"]), (&"intermediate".into(), &"first".into()));
    // What is usual depends on what is spoken.
    assert_eq!(listener["timeouts"].as_object_mut().unwrap().remove("idle"), Some("75s".into()));
    assert_eq!(plain["listeners"]["web"], value["listeners"]["web"]);
    for key in ["workers", "drain"] {
        assert_eq!(plain[key], value[key], "{key}");
    }
}

#[test]
fn the_schema_is_a_schema_and_the_reference_knows_every_kind() {
    let catalog = catalog::catalog();
    let schema = schema(&catalog);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let text = schema.to_string();
    assert!(!text.contains("\"null\""), "null is no value");
    for (start, _) in text.match_indices("\"$ref\":\"#") {
        let pointer = text[start + 9..].split('"').next().unwrap();
        assert!(schema.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
    let reference = reference_markdown(&catalog);
    let KindCatalog { balancers, filters, handlers, .. } = &catalog;
    for kind in balancers.iter().chain(filters).chain(handlers) {
        assert!(reference.contains(&format!("[`{}`](", kind.info.name)), "{}", kind.info.name);
    }
    for key in ["request-head", "consecutive-failures", "max-idle", "pools.NAME.health"] {
        assert!(reference.contains(key), "{key}");
    }
}
