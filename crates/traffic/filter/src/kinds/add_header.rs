//! `add-header`: adds field lines.

use base_kit::{KindInfo, Status};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::edits::{self, FieldEdits};
use crate::settings::{self, FieldValues, OneOrMany};
use crate::{Filter, FilterKind, SettingsError};

/// The kind.
pub(super) struct AddHeader;

/// Its settings; one of the two at least.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Name and value, or list of values, of each field that is added to requests. Values may hold placeholders.
    #[serde(default)]
    request: FieldValues<OneOrMany>,
    /// The same for answers.
    #[serde(default)]
    response: FieldValues<OneOrMany>,
}

impl FilterKind for AddHeader {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "add-header",
            summary: "Adds headers; what the message has under the same name stays.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        r#"{"response": {"vary": "accept-encoding", "link": ["</a.css>; rel=preload", "</b.js>; rel=preload"]}}"#
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Filter>, SettingsError> {
        let Settings { request, response } = settings::parse(settings)?;
        Ok(Box::new(FieldEdits::build(&request, &response, edits::add)?))
    }
}
