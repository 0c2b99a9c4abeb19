//! Configurations.

use std::sync::LazyLock;

use base_model::diagnostic::Colour;
use base_model::{FormatError, KindCatalog, check_bytes, diff, format, render_full};
use traffic_route::Router;

/// In a folder that is not there, so that nothing is read from files.
const FILE: &str = "/nowhere/fuzz.yaml";

static KINDS: LazyLock<KindCatalog> = LazyLock::new(app_node::catalog);

fn environment(name: &str) -> Option<String> {
    (name == "X").then(|| "api".to_owned())
}

/// A document.
pub fn run(data: &[u8]) {
    match check_bytes(data, FILE, &environment, &KINDS) {
        Ok(loaded) => {
            let full = render_full(&loaded.document);
            let again = check_bytes(full.as_bytes(), FILE, &environment, &KINDS);
            assert!(
                again.is_ok(),
                "{}\n{full}",
                again.map_or_else(|error| error.to_string(), |_| String::new())
            );
            if let Ok(again) = again {
                assert_eq!(again.model, loaded.model, "{full}");
                assert!(diff(&loaded, &again).is_empty(), "{full}");
            }
            let _ = Router::compile(&loaded.model.routes);
        }
        Err(diagnostics) => {
            assert!(diagnostics.has_errors());
            diagnostics.render(Colour::Ansi);
            diagnostics.to_json();
        }
    }
    if let Ok(source) = std::str::from_utf8(data) {
        check_format(source);
    }
}

fn check_format(source: &str) {
    match format(source, FILE) {
        Ok(text) => {
            let again = format(&text, FILE);
            assert!(again.as_ref().is_ok_and(|again| *again == text), "{text:?} becomes {again:?}");
            let model = |text: &str| {
                check_bytes(text.as_bytes(), FILE, &environment, &KINDS).ok().map(|loaded| loaded.model)
            };
            assert_eq!(model(&text), model(source), "{text:?}");
        }
        Err(FormatError::Unreadable(_)) => {}
        Err(error @ FormatError::Unfaithful(_)) => assert!(error.to_string().is_empty(), "{error}"),
    }
}
