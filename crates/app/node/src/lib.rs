//! Puts Aya together: builds the catalogs of kinds, starts and stops the planes, and carries configurations from the control side to
//! the workers.
//!
//! Always true here: a configuration is taken up whole or not at all; what is running goes on until its successor is ready. The
//! planes know each other only through what is handed in here.
//!
//! Not here: the command line, the screen, the meaning of settings.

mod admin;
mod apply;
mod catalog;
mod check_thread;
mod control;
mod cores;
mod files;
mod history;
mod keys;
mod listening;
mod node;
mod reload;
mod transitions;
mod workers;

pub use apply::{ApplyOutcome, RejectReason};
pub use catalog::catalog;
pub use control_api::{AdminState, EndpointView, Health, PoolView};
pub use cores::usable_cores;
pub use files::raise_file_limit;
pub use listening::HandoverError;
pub use node::{Node, Origin, Overrides, StartError, Started};
pub use reload::{apply_file, follow_file};
