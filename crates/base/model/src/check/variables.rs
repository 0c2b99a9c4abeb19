//! The document with references to environment variables where their values are.

use serde_json::Value as Json;

use crate::document::Document;
use crate::text::{Node, Scalar, Value};

/// The document as JSON with `${NAME}` for every value that was put in; `None` if there was none.
pub(super) fn without_variables(root: &Node, document: &Document) -> Option<Json> {
    if !has_variables(root) {
        return None;
    }
    let mut value = serde_json::to_value(document).unwrap_or_default();
    put_back(root, &mut value);
    Some(value)
}

fn has_variables(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.written.is_some(),
        Value::List(items) => items.iter().any(has_variables),
        Value::Map(entries) => entries.iter().any(|entry| has_variables(&entry.node)),
    }
}

/// Walks through what was written and what it stands for. Shorthands only add levels: a list around, a map inside.
fn put_back(node: &Node, value: &mut Json) {
    if let (false, Json::Array(items)) = (matches!(node.value, Value::List(_)), &mut *value) {
        items.iter_mut().for_each(|item| put_back(node, item));
        return;
    }
    match &node.value {
        Value::Scalar(Scalar { text, written: Some(written), .. }) => {
            // Some texts are written in another way than they came: then nothing in the value looks like them.
            if !value.is_object() || !hide(value, text, written) {
                *value = Json::from(written.as_str());
            }
        }
        Value::Scalar(_) => {}
        Value::List(items) => {
            let values = value.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
            items.iter().zip(values).for_each(|(item, value)| put_back(item, value));
        }
        Value::Map(entries) => {
            for entry in entries {
                if let Some(value) = value.get_mut(&entry.key) {
                    put_back(&entry.node, value);
                }
            }
        }
    }
}

/// Replaces this text in what a shorthand stands for; whether it was there.
fn hide(value: &mut Json, text: &str, written: &str) -> bool {
    match value {
        Json::Object(entries) => {
            let hidden = entries.values_mut().filter_map(|value| hide(value, text, written).then_some(()));
            hidden.count() > 0
        }
        Json::String(found) if found == text => {
            *value = Json::from(written);
            true
        }
        _ => false,
    }
}
