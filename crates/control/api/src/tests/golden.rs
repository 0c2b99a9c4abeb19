//! The documents in `docs/reference` say what the program says.

fn check(name: &str, expected: &str) {
    let path = format!("{}/../../../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == expected, "{path} is out of date: `cargo xtask docs` writes it");
}

#[test]
fn the_openapi_document_is_as_agreed() {
    check("openapi.json", &crate::openapi_json());
}

#[test]
fn the_reference_page_is_up_to_date() {
    check("admin-api.md", &crate::reference_markdown());
}

#[test]
fn every_reference_has_its_schema() {
    let text = crate::openapi_json();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for reference in text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}
