//! The process as a whole.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process that has taken over.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Upgraded {
    /// Its id.
    pub pid: u32,
}

/// The process as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Status {
    /// Version of Aya.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Number of the configuration in use.
    pub generation: u64,
    /// Fingerprint of the configuration in use.
    pub fingerprint: String,
    /// When the process started, in milliseconds since 1970-01-01 UTC.
    pub started_ms: u64,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Worker threads.
    pub workers: u32,
    /// What drives their sockets: `epoll` or `io-uring`.
    #[schema(example = "io-uring")]
    pub io: String,
    /// Where traffic comes in.
    pub listeners: Vec<ListenerView>,
    /// Whether the process is about to end: running requests are finished, new connections are not accepted.
    pub draining: bool,
}

/// A listener.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct ListenerView {
    /// Its name in the configuration.
    pub name: String,
    /// What is spoken there.
    #[schema(example = "http")]
    pub protocol: String,
    /// The addresses it is bound to, with the ports that the system chose where the configuration says 0.
    #[schema(example = json!(["127.0.0.1:8080"]))]
    pub addresses: Vec<String>,
}

/// Whether the process should get traffic.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Readiness {
    /// Whether it should.
    pub ready: bool,
    /// Why not; empty if it should.
    pub reasons: Vec<String>,
}
