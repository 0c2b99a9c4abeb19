//! The programs that the bench starts beside the proxies. They are roles of one executable, so that one
//! `cargo run` builds them all.

pub(crate) mod launch;
pub(crate) mod relay;
