//! Scenarios of the simulator.

use std::path::Path;

use sim::{LoadError, Overrides, load_bytes};

/// A document. It is not run: how long that takes, the document says.
pub fn run(data: &[u8]) {
    let path = Path::new("/nowhere/fuzz.yaml");
    let of_all = Overrides { policies: vec!["all".to_owned()], ..Overrides::default() };
    let plain = load_bytes(data, path, &Overrides::default());
    match (&plain, load_bytes(data, path, &of_all)) {
        (Ok(_), all) => assert!(all.is_ok(), "every policy can be taken for a scenario that is good"),
        (Err(LoadError::Scenario(diagnostics)), _) => assert!(diagnostics.has_errors()),
        (Err(LoadError::Override(_)), _) => {}
    }
}
