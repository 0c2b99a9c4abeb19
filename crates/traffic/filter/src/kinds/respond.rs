//! `respond`: a fixed answer.

use std::sync::Arc;

use base_kit::{KindInfo, Status};
use schemars::JsonSchema;
use serde::Deserialize;
use traffic_http::{RequestHead, ResponseHead};

use crate::edits::{self, Edit};
use crate::settings::{self, FieldValues, Scalar};
use crate::{Answer, Handler, HandlerKind, RequestContext, SettingsError, field};

const CONTENT_TYPE: &str = "content-type";

/// The kind.
pub(super) struct Respond;

/// Its settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// 200 to 599.
    #[serde(default = "ok")]
    status: u16,
    /// Further headers. Values may hold placeholders.
    #[serde(default)]
    headers: FieldValues<Scalar>,
    /// The body, as it is sent.
    #[serde(default)]
    body: String,
    /// What the body is; not sent without one.
    #[serde(default = "plain_text")]
    content_type: String,
}

const fn ok() -> u16 {
    200
}

fn plain_text() -> String {
    "text/plain; charset=utf-8".to_owned()
}

/// The handler.
#[derive(Debug)]
struct FixedAnswer {
    head: ResponseHead,
    edits: Box<[Edit]>,
    body: Arc<[u8]>,
}

impl HandlerKind for Respond {
    fn info(&self) -> KindInfo {
        KindInfo { name: "respond", summary: "Gives the same answer to every request.", status: Status::Beta }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        r#"{"status": 503, "body": "back at noon\n", "headers": {"retry-after": 3600}}"#
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Handler>, SettingsError> {
        let Settings { status, headers, body, content_type } = settings::parse(settings)?;
        if !(200..=599).contains(&status) {
            return Err(SettingsError::at(["status"], format!("{status} is not from 200 to 599")));
        }
        // RFC 9110 §15.3.5, §15.3.6, §15.4.5.
        if matches!(status, 204 | 205 | 304) && !body.is_empty() {
            return Err(SettingsError::at(["body"], format!("an answer with status {status} has no body"))
                .suggest("leave out the body"));
        }
        if headers.keys().any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE)) {
            return Err(SettingsError::at(["headers"], "`content-type` has a place of its own")
                .suggest("use `content-type` beside `body`"));
        }
        let edits = edits::set(&headers).map_err(|error| error.below("headers"))?;
        let content_type = field::value(&content_type).map_err(|error| error.below(CONTENT_TYPE))?;
        let mut head = ResponseHead::new(status);
        if !body.is_empty() {
            head.fields_mut().set(CONTENT_TYPE, content_type.as_bytes());
        }
        Ok(Box::new(FixedAnswer { head, edits: edits.into(), body: body.into_bytes().into() }))
    }
}

impl Handler for FixedAnswer {
    fn answer(&self, context: &RequestContext<'_>, _request: &RequestHead) -> Answer {
        let mut head = self.head.clone();
        edits::apply(&self.edits, context, head.fields_mut());
        Answer { head, body: Arc::clone(&self.body) }
    }
}
