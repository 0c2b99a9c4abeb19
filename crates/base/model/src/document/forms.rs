//! Shapes that several settings share.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};

// One value, or a list of them. The list is tried first: a map whose keys all have defaults could be read from an
// empty list. (Doc comments would become part of the schema.)
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(super) enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

// One value, or a list of at least one.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum OneOrSome<T> {
    One(T),
    Some(#[schemars(length(min = 1))] Vec<T>),
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(form: OneOrMany<T>) -> Self {
        match form {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values,
        }
    }
}

/// For `#[serde(deserialize_with)]`: a list that may be written as its only item.
pub(super) fn one_or_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    OneOrMany::deserialize(deserializer).map(Into::into)
}

// Tells the schema that a text is a host, or all names below one.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "host-pattern"))]
pub(super) struct HostText(#[expect(dead_code, reason = "only its schema is used")] String);

/// Something that can be switched off with the word `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrOff<T> {
    /// Switched off.
    Off,
    /// On, like this.
    On(T),
}

impl<T> OrOff<T> {
    /// Switched off: the default of what is not there unless it is asked for.
    pub const fn off() -> Self {
        Self::Off
    }

    /// What it is when it is on.
    pub const fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

/// The word `off`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Off {
    Off,
}

/// Something that can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

// Something that is switched, or on like this.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(super) enum Switched<T> {
    Word(Switch),
    Full(T),
}

/// For `#[serde(deserialize_with)]`: `off`, `on` for what is usual, or how it is on.
pub(super) fn switched<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<OrOff<T>, D::Error> {
    Ok(match Switched::deserialize(deserializer)? {
        Switched::Word(Switch::Off) => OrOff::Off,
        Switched::Word(Switch::On) => OrOff::On(T::default()),
        Switched::Full(settings) => OrOff::On(settings),
    })
}

impl<T: Serialize> Serialize for OrOff<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => Off::Off.serialize(serializer),
            Self::On(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value == "off" {
            return Ok(Self::Off);
        }
        T::deserialize(value).map(Self::On).map_err(D::Error::custom)
    }
}

impl<T: JsonSchema> JsonSchema for OrOff<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}OrOff", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let on = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "const": "off" }, on] })
    }
}
