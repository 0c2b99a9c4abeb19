//! The reference of filters and handlers, made from the lists.

use std::fmt::Write;

use base_kit::KindInfo;
use serde_json::Value;

use crate::kinds::{FILTERS, HANDLERS};
use crate::template::PLACEHOLDERS;

/// The page on filters and handlers, in Markdown.
pub fn reference_markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## Filters\n");
    for kind in FILTERS {
        describe(
            &mut page,
            kind.info(),
            &kind.schema(),
            &format!("filters: [{{{}: {}}}]", kind.info().name, kind.example()),
        );
    }
    page.push_str("\n## Handlers\n");
    for kind in HANDLERS {
        describe(
            &mut page,
            kind.info(),
            &kind.schema(),
            &format!("{}: {}", kind.info().name, kind.example()),
        );
    }
    page.push_str(PLACEHOLDER_SECTION);
    for (name, meaning) in PLACEHOLDERS {
        append(&mut page, format_args!("| `{{{name}}}` | {meaning} |\n"));
    }
    page
}

const INTRODUCTION: &str = "# Filters and handlers

<!-- Generated from the lists of kinds in traffic-filter; changes are made there. -->

A route's `filters` change requests on their way to the endpoint, in the order of the document, and answers on their way
back, in the reverse order. A handler answers by itself, instead of a pool.

No filter changes the headers that frame a message or belong to one connection (`content-length`, `transfer-encoding`,
`connection`, `keep-alive`, `te`, `trailer`, `upgrade`, `expect`); `host` is changed by `rewrite`.

Programs behind CGI, FastCGI, WSGI and PHP cannot tell `X_User` from `X-User`. So `set-header` and `remove-header` take both:
what they set or remove under one name is gone under the other.
";

const PLACEHOLDER_SECTION: &str = "
## Placeholders

Values marked so may hold placeholders; braces that are meant as such are doubled (`{{`, `}}`). In headers, `header:NAME`
is a header of the same message: of the request in `request`, of the answer in `response`. In paths and targets, values
are percent-encoded, so that nothing in them acts as a delimiter.

| placeholder | stands for |
|---|---|
";

fn describe(page: &mut String, info: KindInfo, schema: &schemars::Schema, example: &str) {
    append(page, format_args!("\n### `{}`\n\n{} ({})\n", info.name, info.summary, info.status));
    append(page, format_args!("\n```yaml\n{example}\n```\n"));
    let Some(settings) = schema.get("properties").and_then(Value::as_object) else { return };
    page.push_str("\n| setting | type | default | meaning |\n|---|---|---|---|\n");
    for (name, setting) in settings {
        let meaning = setting.get("description").and_then(Value::as_str).unwrap_or_default();
        let meaning = meaning.replace('\n', " ");
        let default = match setting.get("default") {
            None | Some(Value::Null) => String::new(),
            Some(default) => format!("`{default}`"),
        };
        append(page, format_args!("| `{name}` | {} | {default} | {meaning} |\n", type_of(setting)));
    }
}

/// The choices of [`crate::settings::Scalar`].
const SCALAR: &[&str] = &["text", "true or false", "number"];

/// What a reader calls the type.
fn type_of(schema: &Value) -> String {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        return words.collect::<Vec<_>>().join(" or ");
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let mut names: Vec<String> = choices.iter().map(type_of).filter(|name| !name.is_empty()).collect();
        names.dedup();
        if names == SCALAR {
            return "value".to_owned();
        }
        return names.join(" or ");
    }
    // What may be left out may be nothing as well.
    let name = match schema.get("type") {
        Some(Value::Array(names)) => names.first(),
        name => name,
    };
    match name {
        Some(name) if name == "object" => {
            let of = schema.get("additionalProperties").map(type_of).unwrap_or_default();
            format!("names with {of}")
        }
        Some(name) if name == "array" => {
            format!("list of {}", schema.get("items").map(type_of).unwrap_or_default())
        }
        Some(name) => type_name(name),
        None => String::new(),
    }
}

fn type_name(name: &Value) -> String {
    match name.as_str() {
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        _ => String::new(),
    }
}

fn append(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = page.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_kind_and_every_setting() {
        let page = reference_markdown();
        for name in ["set-header", "add-header", "remove-header", "rewrite", "redirect", "respond"] {
            assert!(page.contains(&format!("### `{name}`")), "{name}");
        }
        for setting in ["strip-prefix", "keep-query", "content-type", "request"] {
            assert!(page.contains(&format!("| `{setting}` |")), "{setting}");
        }
        assert!(!page.contains("|  | |") && !page.contains("|  |  |"), "a setting without type:\n{page}");
        let rows = page.lines().filter(|line| line.starts_with("| "));
        assert!(
            rows.clone().count() > 20 && rows.clone().all(|row| row.ends_with(" |")),
            "a row in pieces:\n{page}"
        );
    }
}
