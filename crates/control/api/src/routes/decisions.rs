//! Asking what became of requests.

use axum::extract::{Query, Request, State};
use base_kit::TimeSpan;
use serde::Deserialize;

use super::NodeRef;
use super::body::Json;
use crate::limits::{DECISIONS, MAX_DECISIONS};
use crate::problem::{Code, Problem};
use crate::types::{DecisionFilter, DecisionView};

/// An unknown parameter is an error: with a misspelt `failed` one would look at the wrong requests.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Parameters {
    request_id: Option<String>,
    failed: bool,
    slower_than: Option<String>,
    pool: Option<String>,
    route: Option<String>,
    endpoint: Option<String>,
    limit: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            request_id: None,
            failed: false,
            slower_than: None,
            pool: None,
            route: None,
            endpoint: None,
            limit: DECISIONS,
        }
    }
}

/// What became of requests that are still remembered, the latest first. `decisions` in the configuration says how many are.
#[utoipa::path(get, path = "/api/v1/decisions", tag = "decisions", operation_id = "decisions",
    params(
        ("request-id" = Option<String>, Query, description = "Only with this id."),
        ("failed" = Option<bool>, Query, description = "With `true`, only those answered with 5xx, or not at all for a reason that is not the client's."),
        ("slower-than" = Option<String>, Query, description = "Only those that took longer.", example = "250ms"),
        ("pool" = Option<String>, Query, description = "Only those meant for this pool."),
        ("route" = Option<String>, Query, description = "Only those that this route took."),
        ("endpoint" = Option<String>, Query, description = "Only those sent to this endpoint, whether it answered or not.", example = "10.0.0.1:8080"),
        ("limit" = Option<usize>, Query, description = "So many at most, 50 if not given.", maximum = 1_000),
    ),
    responses(
        (status = 200, description = "Those that fit; an empty list if none is remembered.", body = [DecisionView]),
        (status = 400, description = "A parameter is unknown or not valid.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No requests are remembered here.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(node): State<NodeRef>,
    request: Request,
) -> Result<Json<Vec<DecisionView>>, Problem> {
    let parameters = Query::<Parameters>::try_from_uri(request.uri()).map_err(|rejection| {
        Problem::new(Code::BadRequest, rejection.body_text())
            .at("query")
            .how("the parameters are `request-id`, `failed`, `slower-than`, `pool`, `route`, `endpoint` and `limit`")
    })?;
    let Query(Parameters { request_id, failed, slower_than, pool, route, endpoint, limit }) = parameters;
    if limit > MAX_DECISIONS {
        let detail = format!("{limit} is more than {MAX_DECISIONS} at a time");
        return Err(Problem::new(Code::BadRequest, detail).at("limit").how("ask for the ones that matter"));
    }
    let slower_than_ms = slower_than.map(|text| milliseconds(&text)).transpose()?;
    let filter = DecisionFilter { request_id, failed, slower_than_ms, pool, route, endpoint, limit };
    Ok(Json(node.decisions(filter).await?))
}

fn milliseconds(text: &str) -> Result<u64, Problem> {
    let span = text.parse::<TimeSpan>().map_err(|error| {
        Problem::new(Code::BadRequest, error.message()).at("slower-than").how(error.help())
    })?;
    Ok(u64::try_from(span.duration().as_millis()).unwrap_or(u64::MAX))
}
