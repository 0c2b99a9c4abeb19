//! HTTP/1.1 without sockets and without a clock: bytes in, heads and body pieces out, and back; for both roles.
//!
//! - [`RequestHead`], [`ResponseHead`]: parsed out of a read buffer by one copy, edited as a list of lines ([`Fields`]),
//!   encoded so that untouched lines leave as they came.
//! - [`BodyReader`], [`BodyWriter`]: content-length, chunked (with trailers) and until-close bodies.
//! - [`hygiene`], [`forwarding`], [`via`], [`trace_context`], [`request_id`], [`websocket`]: what a gateway does to fields; [`grpc`]: calls of gRPC.
//!
//! Always true here: framing is strict (RFC 9112); what two servers could read differently is refused with the
//! [`HttpError`] that names it. The events do not depend on how the input was split. Heads are reused: in steady
//! state no message allocates. Every byte that can reach an encoder was checked, so no edit can inject a line.
//!
//! Not here: timeouts, connections, mapping errors to answers, HTTP/2 and /3.

mod body;
mod error;
mod fields;
mod gateway;
mod head;
mod limits;

pub use body::{BodyEvent, BodyReader, BodyWriter, ChunkFrame};
pub use error::HttpError;
pub use fields::{FieldName, Fields, KnownField};
pub use gateway::forwarding::client_certificate::{self, ClientCertificate};
pub use gateway::{forwarding, grpc, hygiene, request_id, trace_context, via, websocket};
pub use head::{Framing, HeadLimits, Method, RequestHead, ResponseHead, Version};
