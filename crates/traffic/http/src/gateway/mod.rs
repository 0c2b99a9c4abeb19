//! What a gateway does to the fields of a message.

pub mod forwarding;
pub mod grpc;
pub mod hygiene;
pub mod request_id;
pub mod trace_context;
pub mod via;
pub mod websocket;
