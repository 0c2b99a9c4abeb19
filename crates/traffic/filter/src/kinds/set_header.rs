//! `set-header`: replaces fields.

use base_kit::{KindInfo, Status};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::edits::{self, FieldEdits};
use crate::settings::{self, FieldValues, Scalar};
use crate::{Filter, FilterKind, SettingsError};

/// The kind.
pub(super) struct SetHeader;

/// Its settings; one of the two at least.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Name and value of each field that is set in requests. Values may hold placeholders.
    #[serde(default)]
    request: FieldValues<Scalar>,
    /// The same for answers.
    #[serde(default)]
    response: FieldValues<Scalar>,
}

impl FilterKind for SetHeader {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "set-header",
            summary: "Sets headers; what the message had under the same name, with `-` or `_`, goes.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        r#"{"request": {"x-from": "aya", "x-client": "{client}"}, "response": {"cache-control": "no-store"}}"#
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Filter>, SettingsError> {
        let Settings { request, response } = settings::parse(settings)?;
        Ok(Box::new(FieldEdits::build(&request, &response, edits::set)?))
    }
}
