//! Errors as clients see them: `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::node::{ApplyError, NodeError};
use crate::types::{CheckReport, Diagnostic};

/// An error: what is wrong, where, and what to do, each without capital or full stop. Its type is `about:blank`; programs go by `code`.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, ToSchema)]
pub struct Problem {
    /// The status in words.
    #[schema(example = "Not Found")]
    pub title: &'static str,
    /// The status.
    #[schema(example = 404)]
    pub status: u16,
    /// What sort of error it is.
    pub code: Code,
    /// What is wrong.
    pub detail: String,
    /// Where it is wrong: a member, header field or parameter.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// What is wrong in a configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// What sort of error it is. The words keep their meaning.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The request cannot be understood.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// The request may come from a web page that has no business here.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The method does not go with the path.
    MethodNotAllowed,
    /// The body did not come in time.
    Timeout,
    /// It does not go with what is there.
    Conflict,
    /// The configuration in use is not the one that the request is about.
    GenerationMismatch,
    /// The body is too long.
    TooLarge,
    /// A value is not one that is possible.
    Invalid,
    /// The configuration is not valid.
    ConfigInvalid,
    /// Something went wrong in carrying it out.
    Failed,
}

impl Code {
    /// The status that goes with it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict | Self::GenerationMismatch => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid | Self::ConfigInvalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Problem {
    /// A problem with nothing but what is wrong.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let status = code.status();
        Self {
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            place: None,
            how: None,
            diagnostics: Vec::new(),
        }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn how(mut self, how: impl Into<String>) -> Self {
        self.how = Some(how.into());
        self
    }

    pub(crate) fn from_report(report: CheckReport) -> Self {
        let count = report.diagnostics.len();
        let detail = if count == 1 {
            "the configuration has an error".into()
        } else {
            format!("the configuration is not valid: {count} findings")
        };
        let problem = Self::new(Code::ConfigInvalid, detail)
            .how("correct what `diagnostics` names; nothing was changed");
        Self { diagnostics: report.diagnostics, ..problem }
    }
}

impl From<NodeError> for Problem {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NotFound { what, how } => Self::new(Code::NotFound, what).how(how),
            NodeError::Conflict { what, how } => Self::new(Code::Conflict, what).how(how),
            NodeError::Invalid { what, place, how } => Self::new(Code::Invalid, what).at(place).how(how),
            NodeError::Failed { what, how } => Self::new(Code::Failed, what).how(how),
        }
    }
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Rejected(report) => Self::from_report(report),
            ApplyError::Outdated { current } => {
                let detail = format!("the configuration in use is generation {current} by now");
                Self::new(Code::GenerationMismatch, detail)
                    .at("If-Match")
                    .how("read the configuration again, redo the change on it, and send its new generation")
            }
            ApplyError::Forbidden { what, how } => Self::new(Code::Forbidden, what).how(how),
            ApplyError::Failed(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Strings, numbers and words: these always serialise.
        let mut body = serde_json::to_vec(&self).unwrap_or_default();
        body.push(b'\n');
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (self.code.status(), [(header::CONTENT_TYPE, kind)], body).into_response();
        if self.code == Code::Unauthorized {
            let challenge = HeaderValue::from_static("Bearer realm=\"aya\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
