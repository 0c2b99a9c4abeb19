//! One JSON Schema (draft 2020-12) for the whole vocabulary: that of the document with those of the kinds put in.
//!
//! Besides the standard's keywords it uses `title` on unions and objects of kinds, which names in messages what an unknown
//! word should have been.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Document;
use super::catalog::{KindCatalog, KindEntry};

/// Where definitions are.
const DEFINITIONS: &str = "#/$defs/";

/// The full schema, for editors and for the checks.
pub fn schema(catalog: &KindCatalog) -> Value {
    let (root, mut definitions) = parts::<Document>();
    place_balancers(&mut definitions, catalog);
    place_filters(&mut definitions, catalog);
    place_handlers(&mut definitions, catalog);
    place_access_fields(&mut definitions, catalog);
    let mut out = Map::from_iter([
        ("$schema".to_owned(), Value::from("https://json-schema.org/draft/2020-12/schema")),
        ("title".to_owned(), "Aya".into()),
    ]);
    out.extend(root.into_iter().filter(|(key, _)| key != "$schema" && key != "title"));
    out.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(out)
}

/// The schema of another sort of file: its definition `Balancer` is filled with the balancers of the catalog.
pub(crate) fn schema_of<T: JsonSchema>(catalog: &KindCatalog) -> Value {
    let (mut root, mut definitions) = parts::<T>();
    place_balancers(&mut definitions, catalog);
    root.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(root)
}

/// The schema that a type makes, without `null`, and its definitions.
fn parts<T: JsonSchema>() -> (Map<String, Value>, Map<String, Value>) {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = generator.into_root_schema_for::<T>().to_value();
    without_null(&mut root);
    let Value::Object(mut root) = root else { return (Map::new(), Map::new()) };
    match root.remove("$defs") {
        Some(Value::Object(definitions)) => (root, definitions),
        _ => (root, Map::new()),
    }
}

/// The definition that a schema refers to, or the schema itself.
pub(crate) fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    /// References to references: the vocabulary has none longer.
    const LONGEST_CHAIN: usize = 8;
    let mut schema = schema;
    for _ in 0..LONGEST_CHAIN {
        let Some(name) = schema.get("$ref").and_then(Value::as_str) else { break };
        let Some(found) = name.strip_prefix(DEFINITIONS).and_then(|name| root.get("$defs")?.get(name)) else {
            break;
        };
        schema = found;
    }
    schema
}

/// The settings of a kind as an object schema, its own definitions moved to the common ones.
fn settings_schema(
    definitions: &mut Map<String, Value>,
    section: &str,
    entry: &KindEntry,
) -> Map<String, Value> {
    let mut schema = entry.schema.clone();
    let prefix = format!("{section}-{}-", entry.info.name);
    rename_references(&mut schema, &prefix);
    without_null(&mut schema);
    let Value::Object(mut schema) = schema else { return empty_object() };
    for keyword in ["$schema", "title"] {
        schema.remove(keyword);
    }
    if let Some(Value::Object(own)) = schema.remove("$defs") {
        for (name, definition) in own {
            definitions.insert(format!("{prefix}{name}"), definition);
        }
    }
    let composed = ["anyOf", "oneOf", "$ref"].iter().any(|keyword| schema.contains_key(*keyword));
    if composed {
        return schema;
    }
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return empty_object();
    }
    schema.entry("properties").or_insert_with(|| json!({}));
    schema.entry("additionalProperties").or_insert(Value::Bool(false));
    schema
}

fn empty_object() -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), json!({}));
    schema.insert("additionalProperties".to_owned(), false.into());
    schema
}

/// Makes `#/$defs/X` of a kind's own schema `#/$defs/<prefix>X`.
fn rename_references(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value.as_str().and_then(|text| text.strip_prefix(DEFINITIONS)) {
                    Some(name) if key == "$ref" => *value = format!("{DEFINITIONS}{prefix}{name}").into(),
                    _ => rename_references(value, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, prefix)),
        _ => {}
    }
}

/// Takes `null` out: a setting that is not wanted is not written.
fn without_null(schema: &mut Value) {
    let Value::Object(map) = schema else {
        if let Value::Array(items) = schema {
            items.iter_mut().for_each(without_null);
        }
        return;
    };
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = map.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
    for keyword in ["anyOf", "oneOf"] {
        flatten_nullable(map, keyword);
    }
    map.values_mut().for_each(without_null);
}

/// `anyOf: [X, null]` is `X`.
fn flatten_nullable(map: &mut Map<String, Value>, keyword: &str) {
    let Some(Value::Array(branches)) = map.get_mut(keyword) else { return };
    branches.retain(|branch| branch.get("type").and_then(Value::as_str) != Some("null"));
    if let [Value::Object(only)] = branches.as_slice() {
        let only = only.clone();
        map.remove(keyword);
        for (key, value) in only {
            map.entry(key).or_insert(value);
        }
    }
}

fn place_balancers(definitions: &mut Map<String, Value>, catalog: &KindCatalog) {
    let mut branches = Vec::new();
    for entry in &catalog.balancers {
        let settings = settings_schema(definitions, "balancer", entry);
        if settings.get("required").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            branches.push(json!({ "const": entry.info.name, "description": summary(entry) }));
        }
    }
    for entry in &catalog.balancers {
        let mut settings = settings_schema(definitions, "balancer", entry);
        settings.insert("description".to_owned(), summary(entry).into());
        if let Some(Value::Object(properties)) = settings.get_mut("properties") {
            properties.shift_insert(0, "kind".to_owned(), json!({ "const": entry.info.name }));
        }
        if let Value::Array(required) = settings.entry("required").or_insert_with(|| json!([])) {
            required.insert(0, "kind".into());
        }
        branches.push(Value::Object(settings));
    }
    definitions.insert(
        "Balancer".to_owned(),
        json!({ "title": "balancer", "description": "How an endpoint is chosen.", "anyOf": branches }),
    );
}

fn place_filters(definitions: &mut Map<String, Value>, catalog: &KindCatalog) {
    let mut properties = Map::new();
    for entry in &catalog.filters {
        let mut settings = settings_schema(definitions, "filter", entry);
        settings.insert("description".to_owned(), summary(entry).into());
        properties.insert(entry.info.name.to_owned(), Value::Object(settings));
    }
    definitions.insert(
        "Filter".to_owned(),
        json!({
            "title": "filter", "description": "A filter by its name, with its settings.",
            "type": "object", "properties": properties, "additionalProperties": false,
            "minProperties": 1, "maxProperties": 1,
        }),
    );
}

fn place_handlers(definitions: &mut Map<String, Value>, catalog: &KindCatalog) {
    let mut handlers = Map::new();
    for entry in &catalog.handlers {
        let mut settings = settings_schema(definitions, "handler", entry);
        settings.insert("description".to_owned(), summary(entry).into());
        handlers.insert(entry.info.name.to_owned(), Value::Object(settings));
    }
    let route = definitions.get_mut("Route").and_then(|route| route.get_mut("properties"));
    if let Some(Value::Object(properties)) = route {
        properties.extend(handlers);
    }
}

fn place_access_fields(definitions: &mut Map<String, Value>, catalog: &KindCatalog) {
    let mut field = json!({ "title": "field of the access log", "type": "string" });
    if let (false, Some(field)) = (catalog.access_fields.is_empty(), field.as_object_mut()) {
        field.insert("enum".to_owned(), catalog.access_fields.iter().copied().collect());
    }
    definitions.insert("AccessField".to_owned(), field);
}

/// The sentence of a kind, with its status where that matters.
fn summary(entry: &KindEntry) -> String {
    match entry.info.status {
        base_kit::Status::Stable => entry.info.summary.to_owned(),
        status => format!("{} ({status})", entry.info.summary),
    }
}
