//! Reading and changing the configuration.

use axum::extract::{Query, Request, State};
use axum::http::header::{ETAG, HeaderMap, IF_MATCH};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::timeout;

use super::body::Json;
use super::{NodeRef, body};
use crate::limits::{CHECK_TIMEOUT, CONFIG_BYTES};
use crate::problem::{Code, Problem};
use crate::types::{Applied, CheckReport, ConfigView, HistoryEntry, RollbackRequest};

/// The configuration in use.
#[utoipa::path(get, path = "/api/v1/config", tag = "config", operation_id = "config",
    responses((status = 200, description = "As it was written. `ETag` is the generation.", body = ConfigView)))]
pub(super) async fn show(State(node): State<NodeRef>) -> Response {
    let config = node.config();
    with_etag(config.generation, Json(config))
}

/// What to do with an offered configuration. An unknown parameter is an error: a misspelt `dry-run` must not apply anything.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Parameters {
    #[serde(default)]
    dry_run: bool,
}

/// Takes a configuration into use, all of it or nothing.
///
/// It is checked first; with `dry-run=true`, that is all, and the answer is a report, whether it is valid or not. With `If-Match`, it is only applied if the configuration in use has
/// that generation.
#[utoipa::path(post, path = "/api/v1/config", tag = "config", operation_id = "apply_config",
    params(
        ("dry-run" = Option<bool>, Query, description = "Check only; the answer is then a `CheckReport`, with status 200 also if the configuration is not valid."),
        ("If-Match" = Option<String>, Header, description = "Generation that the configuration in use must have.",
            example = "\"7\""),
    ),
    request_body(description = "The configuration, in YAML or JSON.",
        content((String = "application/yaml"), (Object = "application/json"))),
    responses(
        (status = 200, description = "It is in use; after a dry run: it was checked, and `valid` says what came of it.", body = inline(AppliedOrReport)),
        (status = 400, description = "The request cannot be understood.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The configuration in use has another generation.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The configuration is too long.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is not valid, and this was no dry run; `diagnostics` says why.", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "It is valid, but could not be put to work; the one before stays in use.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn apply(State(node): State<NodeRef>, request: Request) -> Result<Response, Problem> {
    let parameters = Query::<Parameters>::try_from_uri(request.uri()).map_err(|rejection| {
        Problem::new(Code::BadRequest, rejection.body_text())
            .at("query")
            .how("the only parameter is `dry-run=true`")
    })?;
    let if_generation = if_generation(request.headers())?;
    let source = body::read(request, CONFIG_BYTES).await?;
    if parameters.dry_run {
        return Ok(Json(check(node, source).await?).into_response());
    }
    let applied = node.apply(source, if_generation).await?;
    Ok(with_etag(applied.generation, Json(applied)))
}

/// What is answered to an offered configuration: `Applied`, or `CheckReport` after a dry run.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes an answer; the values are sent as what they are")]
#[schema(title = "Applied, or CheckReport after a dry run")]
#[serde(untagged)]
enum AppliedOrReport {
    Applied(Applied),
    Report(CheckReport),
}

/// Checking takes CPU time, and the files that a configuration names may keep it waiting: on a thread of its own kind,
/// away from the runtime's.
async fn check(node: NodeRef, source: Vec<u8>) -> Result<CheckReport, Problem> {
    let checking = tokio::task::spawn_blocking(move || node.check(&source));
    match timeout(CHECK_TIMEOUT, checking).await {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(error)) => {
            tracing::error!(%error, "checking a configuration failed");
            let detail = "a fault in Aya kept the configuration from being checked; nothing was changed";
            Err(Problem::new(Code::Failed, detail).how("the log says more"))
        }
        Err(_elapsed) => {
            let detail = format!("the check did not end within {} s", CHECK_TIMEOUT.as_secs());
            Err(Problem::new(Code::Failed, detail)
                .how("see whether the files that the configuration names can be read"))
        }
    }
}

/// The generation in `If-Match`: `"7"`, or `7` for those who write it by hand; `*` is any.
fn if_generation(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    number.parse().map(Some).map_err(|_not_a_number| {
        Problem::new(Code::BadRequest, "`If-Match` is not a generation")
            .at("If-Match")
            .how("send the `ETag` of `GET /api/v1/config`, for instance `\"7\"`")
    })
}

fn with_etag(generation: u64, body: impl IntoResponse) -> Response {
    ([(ETAG, format!("\"{generation}\""))], body).into_response()
}

/// Configurations that can be taken up again, the latest first.
#[utoipa::path(get, path = "/api/v1/config/history", tag = "config", operation_id = "config_history",
    responses(
        (status = 200, description = "What is kept.", body = [HistoryEntry]),
        (status = 500, description = "The history cannot be read.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn history(State(node): State<NodeRef>) -> Result<Json<Vec<HistoryEntry>>, Problem> {
    Ok(Json(node.history()?))
}

/// Takes an earlier configuration into use again, under a new generation.
#[utoipa::path(post, path = "/api/v1/config/rollback", tag = "config", operation_id = "rollback_config",
    request_body = RollbackRequest,
    responses(
        (status = 200, description = "It is in use.", body = Applied),
        (status = 400, description = "The request cannot be understood.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No configuration of that generation is kept.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is no longer valid; `diagnostics` says why.", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "It could not be put to work; the one before stays in use.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn rollback(State(node): State<NodeRef>, request: Request) -> Result<Response, Problem> {
    let RollbackRequest { generation } = body::read_json(request).await?;
    let applied = node.rollback(generation).await?;
    Ok(with_etag(applied.generation, Json(applied)))
}
