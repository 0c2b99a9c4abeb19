//! Which request is answered by what.

mod body;
mod config;
mod decisions;
mod pools;
mod service;

use std::sync::Arc;

use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post};
use axum::{Extension, Router};
use base_model::model::Secret;

use crate::guard::{Guard, OPEN_PATH, guard};
use crate::node::Node;
use crate::problem::{Code, Problem};

/// How handlers hold the node.
pub(crate) type NodeRef = Arc<dyn Node>;

pub(crate) use config::{__path_apply, __path_history, __path_rollback, __path_show as __path_show_config};
pub(crate) use decisions::__path_list as __path_list_decisions;
pub(crate) use pools::{
    __path_add, __path_change, __path_list, __path_remove, __path_show as __path_show_pool,
};
pub(crate) use service::Pages;
pub(crate) use service::{
    __path_healthz, __path_index, __path_metrics, __path_openapi, __path_readyz, __path_stats, __path_status,
    __path_upgrade,
};

/// All of the API.
pub(crate) fn router(node: NodeRef, pages: Pages, token: Option<Secret>) -> Router {
    Router::new()
        .route("/", get(service::index))
        .route(OPEN_PATH, get(service::healthz))
        .route("/readyz", get(service::readyz))
        .route("/metrics", get(service::metrics))
        .route("/api/v1/openapi.json", get(service::openapi))
        .route("/api/v1/status", get(service::status))
        .route("/api/v1/stats", get(service::stats))
        .route("/api/v1/upgrade", post(service::upgrade))
        .route("/api/v1/config", get(config::show).post(config::apply))
        .route("/api/v1/config/history", get(config::history))
        .route("/api/v1/config/rollback", post(config::rollback))
        .route("/api/v1/decisions", get(decisions::list))
        .route("/api/v1/pools", get(pools::list))
        .route("/api/v1/pools/{pool}", get(pools::show))
        .route("/api/v1/pools/{pool}/endpoints", post(pools::add))
        .route("/api/v1/pools/{pool}/endpoints/{address}", patch(pools::change).delete(pools::remove))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(Extension(Arc::new(pages)))
        .layer(from_fn_with_state(Guard::new(token), guard))
        .with_state(node)
}

async fn unknown_path() -> Problem {
    Problem::new(Code::NotFound, "there is nothing under this path").how("`GET /` lists what there is")
}

async fn unknown_method(method: Method) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("`{method}` does not go with this path"))
        .how("the `Allow` field and `GET /` say what does")
}
