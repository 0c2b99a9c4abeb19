//! The reference page of the balancers, made from the list of kinds.

use std::fmt::Write as _;

use serde_json::Value;

use crate::balancer::BalancerKind;
use crate::kinds;

const HEAD: &str = "\
# Balancers

<!-- Made from the list of kinds in `traffic-balance`; do not edit. -->

`balance:` of a pool names the balancer, alone or with settings: `balance: random`,
`balance: {kind: source-hash, ipv4-prefix: 24}`.
";

/// `docs/reference/balancers.md`.
pub fn reference_markdown() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n| kind | status | what it does |\n|---|---|---|\n");
    for kind in kinds::ALL {
        let info = kind.info();
        let default = if info.name == kinds::DEFAULT { " (default)" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}`{default} | {} | {} |", info.name, info.status, info.summary);
    }
    for kind in kinds::ALL {
        describe(*kind, &mut page);
    }
    page
}

fn describe(kind: &dyn BalancerKind, page: &mut String) {
    let info = kind.info();
    let _ = write!(page, "\n## {}\n\n{}\n", info.name, info.summary);
    let schema = kind.schema();
    let settings =
        schema.get("properties").and_then(Value::as_object).filter(|settings| !settings.is_empty());
    let Some(settings) = settings else {
        page.push_str("\nNo settings.\n");
        return;
    };
    page.push_str("\n| setting | range | default | meaning |\n|---|---|---|---|\n");
    for (name, setting) in settings {
        let text = |key: &str| setting.get(key).map(plain).unwrap_or_default();
        let (least, most, default) = (text("minimum"), text("maximum"), text("default"));
        let range = if least.is_empty() { String::new() } else { format!("{least}–{most}") };
        let default = if default == "null" { "none".to_owned() } else { default };
        let meaning = text("description").replace('\n', " ");
        let _ = writeln!(page, "| `{name}` | {range} | {default} | {meaning} |");
    }
}

/// A JSON value as a person writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_documentation_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/reference/balancers.md");
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == reference_markdown(), "{path} is out of date: `cargo xtask docs` writes it");
    }
}
