//! What a scenario needs to be a short play: a running Aya, clients and backends that speak in bytes, and real counterparts.
//!
//! What always holds: every wait has a deadline; ports are picked, never fixed; folders and processes go when their value goes;
//! HTTP is read by a small parser of this crate's own, so that a fault in Aya's codec cannot hide itself; a backend's or a
//! process's fault fails the play that owns it.
//!
//! What it does not do: it measures no speed, and it knows nothing of Aya but the command line, the wire and the admin API.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a play fails by panicking; what is used here runs in tests only"
)]

mod aya;
mod backend;
mod client;
mod counterpart;
mod evidence;
mod fault;
mod folder;
mod message;
mod metrics;
mod port;
mod process;
mod time;
mod wire;

pub use aya::{Aya, aya_binary};
pub use backend::{Backend, Session};
pub use client::Client;
pub use counterpart::{
    Authority, HaProxy, Issued, Load, LoadReport, Nginx, Node, ORIGINS, Origin, OriginKind, Python, Seen,
    SeenBody, Wanted, curl, is_program, load,
};
pub use evidence::Evidence;
pub use fault::WireError;
pub use folder::{TempFolder, target_folder};
pub use message::{Fields, Request, Response, answer, checksum};
pub use metrics::Metrics;
pub use port::{FullPort, free_port};
pub use process::{Ended, Memory, Process, Signal, cpu_time, raise_file_limit};
pub use time::{Gate, PATIENCE, Stopwatch, never_within, wait_at_most, wait_for, wait_until};
pub use wire::Wire;
