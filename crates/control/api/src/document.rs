//! The API described: as OpenAPI, as a page of the reference, as a list of links. All from the handlers' own descriptions.

use std::fmt::Write as _;

use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::routes;
use crate::types::CheckReport;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Aya admin API",
        description = "What can be asked and changed while Aya runs. Errors are `application/problem+json` (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        routes::index, routes::healthz, routes::readyz, routes::metrics, routes::openapi, routes::status, routes::stats,
        routes::upgrade,
        routes::show_config, routes::apply, routes::history, routes::rollback,
        routes::list_decisions,
        routes::list, routes::show_pool, routes::add, routes::change, routes::remove,
    ),
    components(schemas(CheckReport)),
    tags(
        (name = "service", description = "What supervisors and scrapers ask for."),
        (name = "config", description = "Reading and changing the configuration."),
        (name = "decisions", description = "Asking what became of requests."),
        (name = "pools", description = "Looking at pools, and changing who is in them."),
    ),
    security((), ("token" = [])),
    modifiers(&Token),
)]
struct Description;

/// The token is needed where the admin port is not on loopback.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Needed if `admin.token` is set; without it, the port serves loopback only."));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    }
}

/// The OpenAPI document, as served at `/api/v1/openapi.json`.
pub fn openapi_json() -> String {
    // Built from strings and numbers: it always serialises.
    let mut text = serde_json::to_string_pretty(&Description::openapi()).unwrap_or_default();
    text.push('\n');
    text
}

/// An operation, as the pages below need it.
struct Operation {
    method: String,
    path: String,
    /// Summary and description.
    text: String,
    /// Name and description; those in the path speak for themselves.
    parameters: Vec<(String, String)>,
    body: Option<String>,
    /// Status, description, schema.
    answers: Vec<(String, String, Option<String>)>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let text = |name: &str| operation[name].as_str().unwrap_or_default().to_owned();
            let answers = operation["responses"].as_object().into_iter().flatten().map(|(status, answer)| {
                (
                    status.clone(),
                    answer["description"].as_str().unwrap_or_default().into(),
                    schema_name(&answer["content"]),
                )
            });
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                text: [text("summary"), text("description")].join(" ").trim().replace('\n', " "),
                parameters: parameters(operation).collect(),
                body: operation.get("requestBody").and_then(body_text),
                answers: answers.collect(),
            });
        }
    }
    operations
}

fn parameters(operation: &Value) -> impl Iterator<Item = (String, String)> {
    let outside_path = |parameter: &&Value| parameter["in"] != "path";
    operation["parameters"].as_array().into_iter().flatten().filter(outside_path).map(|parameter| {
        let text = |name: &str| parameter[name].as_str().unwrap_or_default();
        (format!("{} ({})", text("name"), text("in")), text("description").to_owned())
    })
}

/// What a request's body is: in words if there are any, else by its type.
fn body_text(body: &Value) -> Option<String> {
    let described = body["description"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    described.or_else(|| schema_name(&body["content"]).map(|name| format!("`{name}`.")))
}

/// The type of a body, if it has a name; `[Name]` for a list.
fn schema_name(content: &Value) -> Option<String> {
    content.as_object()?.values().find_map(|media| type_name(&media["schema"]))
}

fn type_name(schema: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().map(Into::into);
    }
    if let Some(variants) = schema["oneOf"].as_array() {
        let names: Vec<_> = variants.iter().filter_map(type_name).filter(|name| name != "null").collect();
        return (!names.is_empty()).then(|| names.join(" or "));
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => Some(format!("[{}]", type_name(&schema["items"])?)),
        Value::String(name) => Some(name.clone()),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").map(Into::into)
        }
        _ => None,
    }
}

/// The reference page of the API.
pub fn reference_markdown() -> String {
    let document = serde_json::from_str(&openapi_json()).unwrap_or_default();
    let mut page = String::from(
        "# Admin API\n\n\
         <!-- Made from the handlers of `control-api`; do not edit. -->\n\n\
         Served where `admin.bind` says. On loopback no token is needed, but the `Host` asked for must be a name or address of\n\
         this machine, and what changes something must not come from a web page of another origin. Elsewhere every request\n\
         except `GET /healthz` needs `Authorization: Bearer …` with the token that `admin.token` names. Errors are\n\
         `application/problem+json`: see `Problem` below. The same, for programs: `/api/v1/openapi.json`.\n\n\
         ## Requests\n",
    );
    for operation in operations(&document) {
        // Writing into a string cannot fail, here and below.
        let _ = write!(page, "\n### {} {}\n\n{}\n\n", operation.method, operation.path, operation.text);
        if let Some(body) = operation.body {
            let _ = writeln!(page, "Body: {body}\n");
        }
        for (name, meaning) in &operation.parameters {
            let _ = writeln!(page, "- `{name}`: {meaning}");
        }
        if !operation.parameters.is_empty() {
            page.push('\n');
        }
        page.push_str("| status | body | meaning |\n|---|---|---|\n");
        for (status, meaning, body) in operation.answers {
            let body = body.map(|name| format!("`{name}`")).unwrap_or_default();
            let _ = writeln!(page, "| {status} | {body} | {meaning} |");
        }
    }
    page.push_str("\n## Types\n");
    for (name, schema) in
        document.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten()
    {
        describe_type(&mut page, name, schema);
    }
    page
}

/// A schema's description; that of an optional type is a level deeper.
fn one_line(schema: &Value) -> String {
    let mut variants = schema["oneOf"].as_array().into_iter().flatten();
    let deeper = || variants.find_map(|variant| variant["description"].as_str());
    schema["description"].as_str().or_else(deeper).unwrap_or_default().replace('\n', " ")
}

fn describe_type(page: &mut String, name: &str, schema: &Value) {
    let _ = write!(page, "\n### {name}\n\n{}\n", one_line(schema));
    if let Some(members) = schema["properties"].as_object() {
        page.push_str("\n| member | type | meaning |\n|---|---|---|\n");
        let required: Vec<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (member, held) in members {
            let kind = type_name(held).unwrap_or_default();
            let absent = if required.contains(&member.as_str()) { "" } else { ", optional" };
            let _ = writeln!(page, "| `{member}` | {kind}{absent} | {} |", one_line(held));
        }
    }
    let words: Vec<_> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !words.is_empty() {
        let _ = writeln!(page, "\nOne of `{}`.", words.join("`, `"));
    }
}

/// The page at `/`: everything there is, with links where a browser can follow them.
pub(crate) fn index_page() -> String {
    let document = serde_json::from_str(&openapi_json()).unwrap_or_default();
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Aya</title></head>\n<body>\n<h1>Aya</h1>\n<ul>\n",
    );
    for Operation { method, path, text, .. } in operations(&document) {
        let place = if method == "GET" && !path.contains('{') {
            format!("<a href=\"{path}\">{path}</a>")
        } else {
            path
        };
        let _ = writeln!(page, "<li><code>{method} {place}</code> {}</li>", text.replace('<', "&lt;"));
    }
    page.push_str("</ul>\n</body>\n</html>\n");
    page
}
