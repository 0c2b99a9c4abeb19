//! The reference page of the health checks, made from the list of kinds.

use std::fmt::Write as _;

use crate::kinds;

const HEAD: &str = "\
# Health checks

<!-- Made from the list of kinds in `traffic-health`; do not edit. -->

`health:` of a pool names the check, with settings if need be: `health: tcp`, `health: {http: /healthz, interval: 5s}`;
or it lists several, which must all pass. The settings are under [`pools.NAME.health`](configuration.md#poolsnamehealth).
";

/// `docs/reference/health-checks.md`.
pub fn reference_markdown() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n| kind | status | what passes |\n|---|---|---|\n");
    for kind in kinds::ALL {
        let info = kind.info();
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | {} | {} |", info.name, info.status, info.summary);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_documentation_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/reference/health-checks.md");
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == reference_markdown(), "{path} is out of date: `cargo xtask docs` writes it");
    }
}
