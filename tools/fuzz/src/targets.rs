//! One function for each thing that reads bytes.

pub mod agent;
pub mod chunked;
pub mod client_hello;
pub mod config;
pub mod cookie;
pub mod grpc_web;
pub mod introduction;
pub mod load_report;
pub mod pair;
pub mod request;
pub mod response;
pub mod route;
pub mod scenario;
mod split;
#[path = "../../../crates/traffic/http/tests/codec/stream.rs"]
mod stream;
