//! The access log: one line a request, written without ever making a request wait.
//!
//! ```text
//! worker: AccessWriter ─ formats into its batch ─ full, or flush() ─► bounded queue ─► one thread ─► target
//! ```
//! A queue that is full drops the batch and counts its lines. Batches come back to the workers when they are written.

mod format;
mod log;
mod record;
mod text;
mod thread;

pub use format::{AccessFieldError, AccessFormat, AccessLayout};
pub use log::{AccessLog, AccessLogError, AccessTarget, AccessWriter};
pub use record::{AccessField, AccessRecord, TlsRecord};
