//! Numbers: who counts what, and how it is read.
//!
//! ```text
//! Family (name, help, labels) ──► Series (label values) ──► one cell per shard ◄── Counter, Gauge, Histogram
//! ```
//! A worker looks its handles up once, through its [`Shard`], and keeps them. A scrape sums the cells of each series.

mod buckets;
pub mod families;
mod instrument;
mod process;
mod registry;
mod render;
mod samples;

pub use buckets::BOUNDS as DURATION_BOUNDS_NANOS;
pub use families::{Family, FamilyKind, status_class};
pub use instrument::{Counter, Gauge, Histogram};
pub use registry::{Registry, Shard};
pub use samples::{Distribution, Labels, Samples};
