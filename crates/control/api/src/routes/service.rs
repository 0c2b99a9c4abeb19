//! What supervisors, scrapers and newcomers ask for.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::NodeRef;
use super::body::Json;
use crate::problem::Problem;
use crate::types::{Readiness, Stats, Status, Upgraded};

/// What the API says about itself.
#[derive(Debug)]
pub(crate) struct Pages {
    /// HTML.
    pub(crate) index: String,
    /// JSON.
    pub(crate) openapi: String,
}

/// A page that lists all this.
#[utoipa::path(get, path = "/", tag = "service", operation_id = "index",
    responses((status = 200, description = "Links.", content_type = "text/html", body = String)))]
pub(super) async fn index(Extension(pages): Extension<Arc<Pages>>) -> Html<String> {
    Html(pages.index.clone())
}

/// Whether the process lives. Open to everybody, token or not.
#[utoipa::path(get, path = "/healthz", tag = "service", operation_id = "healthz",
    responses((status = 200, description = "It does.", content_type = "text/plain", body = String, example = "ok\n")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the process should get traffic: it is configured, its listeners are open, and it is not about to end.
#[utoipa::path(get, path = "/readyz", tag = "service", operation_id = "readyz",
    responses(
        (status = 200, description = "It should.", body = Readiness),
        (status = 503, description = "It should not; the reasons are in the body.", body = Readiness),
    ))]
pub(super) async fn readyz(State(node): State<NodeRef>) -> Response {
    let readiness = node.is_ready();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

/// All metrics, as Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "service", operation_id = "metrics",
    responses((status = 200, description = "The reference of metrics says what they mean.",
        content_type = "text/plain", body = String)))]
pub(super) async fn metrics(State(node): State<NodeRef>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], node.metrics()).into_response()
}

/// Has a new process of the program that lies where this one was started from take over.
///
/// It gets the sockets that are listened on; when it serves, this is answered, and this process ends as its connections do. If it does not come to serve, this one goes on as before.
#[utoipa::path(post, path = "/api/v1/upgrade", tag = "service", operation_id = "upgrade",
    responses(
        (status = 200, description = "It serves.", body = Upgraded),
        (status = 409, description = "Somebody else has asked for it before, and it has been done.", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "It did not come to serve; nothing has changed.", body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn upgrade(State(node): State<NodeRef>) -> Result<Json<Upgraded>, Problem> {
    Ok(Json(node.upgrade().await?))
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "service", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object)))]
pub(super) async fn openapi(Extension(pages): Extension<Arc<Pages>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], pages.openapi.clone()).into_response()
}

/// The process as a whole: version, configuration, workers, listeners.
#[utoipa::path(get, path = "/api/v1/status", tag = "service", operation_id = "status",
    responses((status = 200, description = "As it is now.", body = Status)))]
pub(super) async fn status(State(node): State<NodeRef>) -> Json<Status> {
    Json(node.status())
}

/// Counts of everything, and every endpoint as it is now: what `aya top` shows.
#[utoipa::path(get, path = "/api/v1/stats", tag = "service", operation_id = "stats",
    responses((status = 200, description = "As it is now.", body = Stats)))]
pub(super) async fn stats(State(node): State<NodeRef>) -> Json<Stats> {
    Json(node.stats())
}
