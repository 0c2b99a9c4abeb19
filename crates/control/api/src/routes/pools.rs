//! Looking at pools, and changing who is in them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;

use super::body::Json;
use super::{NodeRef, body};
use crate::limits::MAX_WEIGHT;
use crate::problem::{Code, Problem};
use crate::types::{EndpointChange, EndpointView, NewEndpoint, PoolView};

/// All pools with their endpoints.
#[utoipa::path(get, path = "/api/v1/pools", tag = "pools", operation_id = "pools",
    responses((status = 200, description = "In the order of the configuration.", body = [PoolView])))]
pub(super) async fn list(State(node): State<NodeRef>) -> Json<Vec<PoolView>> {
    Json(node.pools())
}

/// One pool with its endpoints.
#[utoipa::path(get, path = "/api/v1/pools/{pool}", tag = "pools", operation_id = "pool",
    params(("pool" = String, Path, description = "Name of the pool.")),
    responses(
        (status = 200, description = "As it is now.", body = PoolView),
        (status = 404, description = "There is no such pool.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn show(
    State(node): State<NodeRef>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<PoolView>, Problem> {
    let name = segments(path)?;
    node.pool(&name).map(Json).ok_or_else(|| {
        Problem::new(Code::NotFound, format!("there is no pool `{name}`"))
            .how("`GET /api/v1/pools` lists them")
    })
}

/// Adds an endpoint. It stays until the configuration changes the pool's own list of endpoints.
#[utoipa::path(post, path = "/api/v1/pools/{pool}/endpoints", tag = "pools", operation_id = "add_endpoint",
    params(("pool" = String, Path, description = "Name of the pool.")),
    request_body = NewEndpoint,
    responses(
        (status = 201, description = "It is there; it gets traffic once it is known to be fit.", body = EndpointView),
        (status = 400, description = "The request cannot be understood.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such pool.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is there already.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Its address or weight is not valid.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn add(
    State(node): State<NodeRef>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<EndpointView>), Problem> {
    let pool = segments(path)?;
    let endpoint: NewEndpoint = body::read_json(request).await?;
    check_weight(Some(endpoint.weight))?;
    Ok((StatusCode::CREATED, Json(node.add_endpoint(&pool, endpoint)?)))
}

/// Changes an endpoint's weight or state: `ready`, `drain` or `maintenance`.
#[utoipa::path(patch, path = "/api/v1/pools/{pool}/endpoints/{address}", tag = "pools", operation_id = "change_endpoint",
    params(
        ("pool" = String, Path, description = "Name of the pool."),
        ("address" = String, Path, description = "Host and port of the endpoint.", example = "10.0.0.1:8080"),
    ),
    request_body = EndpointChange,
    responses(
        (status = 200, description = "As it is now.", body = EndpointView),
        (status = 400, description = "The request cannot be understood, or changes nothing.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such pool or endpoint.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The weight is not valid.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn change(
    State(node): State<NodeRef>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Json<EndpointView>, Problem> {
    let (pool, address) = segments(path)?;
    let change: EndpointChange = body::read_json(request).await?;
    if change == EndpointChange::default() {
        return Err(Problem::new(Code::BadRequest, "the body changes nothing")
            .at("body")
            .how("give `weight` or `state`"));
    }
    check_weight(change.weight)?;
    Ok(Json(node.change_endpoint(&pool, &address, change)?))
}

/// Takes an endpoint out of a pool; requests it is working on are finished.
#[utoipa::path(delete, path = "/api/v1/pools/{pool}/endpoints/{address}", tag = "pools", operation_id = "remove_endpoint",
    params(
        ("pool" = String, Path, description = "Name of the pool."),
        ("address" = String, Path, description = "Host and port of the endpoint.", example = "10.0.0.1:8080"),
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is no such pool or endpoint.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn remove(
    State(node): State<NodeRef>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let (pool, address) = segments(path)?;
    node.remove_endpoint(&pool, &address)?;
    Ok(StatusCode::NO_CONTENT)
}

fn segments<T>(path: Result<Path<T>, PathRejection>) -> Result<T, Problem> {
    path.map(|Path(segments)| segments)
        .map_err(|rejection| Problem::new(Code::BadRequest, rejection.body_text()).at("path"))
}

fn check_weight(weight: Option<u32>) -> Result<(), Problem> {
    match weight {
        Some(weight) if weight > MAX_WEIGHT => {
            let detail = format!("the weight {weight} is more than {MAX_WEIGHT}");
            Err(Problem::new(Code::Invalid, detail)
                .at("weight")
                .how("weights are relative: divide all of them"))
        }
        _ => Ok(()),
    }
}
