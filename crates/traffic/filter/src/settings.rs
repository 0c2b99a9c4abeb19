//! Reading settings, and what can be wrong with them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Settings that a kind does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    /// Where in the settings, as keys from the outside in; empty for the settings as a whole.
    pub path: Vec<String>,
    /// What is wrong with it.
    pub problem: String,
    /// What was probably meant, or the way out.
    pub suggestion: Option<String>,
}

impl SettingsError {
    /// Something is wrong at `path`.
    pub fn at<const N: usize>(path: [&str; N], problem: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|&key| key.to_owned()).collect(),
            problem: problem.into(),
            suggestion: None,
        }
    }

    /// The same, with a way out.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// The same, seen from one level further out.
    #[must_use]
    pub(crate) fn below(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join("."))?;
        }
        f.write_str(&self.problem)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, " ({suggestion})"),
            None => Ok(()),
        }
    }
}

/// The kind's settings struct out of the JSON value.
pub(crate) fn parse<T: DeserializeOwned>(settings: &serde_json::Value) -> Result<T, SettingsError> {
    if !settings.is_object() {
        // A list would pass for a struct whose fields all have defaults.
        return Err(SettingsError::at([], "expected settings by name, like `{name: value}`"));
    }
    serde_json::from_value(settings.clone()).map_err(|error| SettingsError::at([], error.to_string()))
}

/// The schema of a settings struct, all in one piece.
pub(crate) fn schema<T: JsonSchema>() -> schemars::Schema {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Text, or what YAML makes of text that looks like something else (`x-version: 2`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected text, a number, true or false")]
pub(crate) enum Scalar {
    /// As it is.
    Text(String),
    /// As YAML writes it.
    Flag(bool),
    /// In decimal.
    Number(serde_json::Number),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// One value or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a value or a list of values")]
pub(crate) enum OneOrMany {
    /// Just this.
    One(Scalar),
    /// In this order.
    Many(Vec<Scalar>),
}

impl OneOrMany {
    pub(crate) fn as_slice(&self) -> &[Scalar] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Values by field name.
pub(crate) type FieldValues<Value> = BTreeMap<String, Value>;
