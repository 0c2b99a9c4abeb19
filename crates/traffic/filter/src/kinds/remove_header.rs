//! `remove-header`: drops fields.

use base_kit::{KindInfo, Status};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::edits::{self, FieldEdits};
use crate::settings;
use crate::{Filter, FilterKind, SettingsError};

/// The kind.
pub(super) struct RemoveHeader;

/// Its settings; one of the two at least.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Names of the fields that requests lose.
    #[serde(default)]
    request: Vec<String>,
    /// Names of the fields that answers lose.
    #[serde(default)]
    response: Vec<String>,
}

impl FilterKind for RemoveHeader {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "remove-header",
            summary: "Removes headers, whether their names are written with `-` or `_`.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        r#"{"request": ["x-debug"], "response": ["server", "x-powered-by"]}"#
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Filter>, SettingsError> {
        let Settings { request, response } = settings::parse(settings)?;
        Ok(Box::new(FieldEdits::build(&request, &response, |names| edits::remove(names))?))
    }
}
