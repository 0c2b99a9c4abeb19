//! The pages of `docs/reference` on what is logged, made from the lists. That on metrics is
//! [`crate::families::reference_markdown`].

use std::fmt::Write as _;

use crate::access::AccessField;
use crate::reason::Reason;

const REASONS_HEAD: &str = "\
# Reasons

<!-- Made from the list of reasons in `base-signal`; do not edit. -->

Every failure has one. It is the word in `x-aya-reason` of an answer that Aya makes itself, `reason` in the access log and
the label `reason` of `aya_failures_total`. Blame says who has to act for it to go away: the client, the upstream (the
endpoint, or the way to it), or Aya and its configuration.

| reason | status | blame | what it means |
|---|---|---|---|
";

/// `docs/reference/reasons.md`.
pub fn reasons_markdown() -> String {
    let mut page = String::from(REASONS_HEAD);
    for reason in Reason::ALL {
        let (word, status, blame) = (reason.word(), reason.status(), reason.blame().word());
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(page, "| `{word}` | {status} | {blame} | {} |", reason.meaning().trim());
    }
    page
}

const ACCESS_LOG_HEAD: &str = "\
# Access log

<!-- Made from the list of fields in `base-signal`; do not edit. -->

`logs: {access: …}` writes one line a request: `json` is one JSON object, `text` is `name=value` pairs (logfmt). `fields`
names the fields, in order; without it, those marked below are written. What is not known is `null` in JSON and `-` in text.

| field | default | what it tells |
|---|---|---|
";

/// `docs/reference/access-log.md`.
pub fn access_log_markdown() -> String {
    let mut page = String::from(ACCESS_LOG_HEAD);
    for field in AccessField::ALL {
        let default = if field.is_default() { "yes" } else { "" };
        let _ = writeln!(page, "| `{}` | {default} | {} |", field.name(), field.meaning());
    }
    page.push_str(
        "\nValues are as received and cannot break out of their place: control characters are escaped, what is not UTF-8 \
         becomes U+FFFD,\nand a value is cut at 8 KiB, with `…` at its end.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_in_the_documentation_are_these() {
        for (name, text) in [
            ("metrics.md", crate::families::reference_markdown()),
            ("reasons.md", reasons_markdown()),
            ("access-log.md", access_log_markdown()),
        ] {
            let path = format!("{}/../../../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
            let page = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(page == text, "{path} is out of date: `cargo xtask docs` writes it");
        }
    }

    #[test]
    fn no_cell_breaks_its_table() {
        for page in [crate::families::reference_markdown(), reasons_markdown(), access_log_markdown()] {
            let rows: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
            let columns = |row: &&&str| row.matches('|').count();
            assert!(rows.iter().all(|row| columns(&row) == columns(&&rows[0])), "{page}");
        }
    }
}
