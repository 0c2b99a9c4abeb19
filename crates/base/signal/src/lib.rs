//! The recording side of what Aya tells about itself: reasons, metrics, access events.
//!
//! Always true here: recording never blocks and never fails. A counter is a plain load and store in memory that only its
//! own thread writes; what does not fit (a series too many, a line too many) is dropped and counted. All names, labels and
//! help texts come from [`families`], so that documentation and output cannot disagree.
//!
//! Not here: serving the numbers ([`Registry::render`] gives text, the admin API sends it), keeping a history, and Aya's own
//! messages, which go through `tracing`.

mod access;
mod metrics;
mod reason;
pub mod reference;

pub use access::{
    AccessField, AccessFieldError, AccessFormat, AccessLayout, AccessLog, AccessLogError, AccessRecord,
    AccessTarget, AccessWriter, TlsRecord,
};
pub use metrics::{
    Counter, DURATION_BOUNDS_NANOS, Distribution, Family, FamilyKind, Gauge, Histogram, Labels, Registry,
    Samples, Shard, families, status_class,
};
pub use reason::{Blame, Reason};
