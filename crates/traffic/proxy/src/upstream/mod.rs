//! The way to endpoints: choosing one, and connections to it.

mod connection;
mod dial;
mod meters;
mod pool;
mod probe_line;
mod prober;
mod reach;
mod sessions;
mod shared;

pub(crate) use connection::Connection;
pub(crate) use dial::{Dial, DialError, Dialed};
pub(crate) use meters::PoolMeters;
pub(crate) use pool::{LocalPool, PickContext};
pub(crate) use probe_line::ProbeLine;
pub(crate) use prober::{Bell, Prober};
pub(crate) use reach::{Picked, Reach, Turn};
pub(crate) use sessions::LocalSessions;
pub(crate) use shared::SharedConnection;
