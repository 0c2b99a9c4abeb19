//! Methods that several kinds share.

pub(crate) mod draw;
pub(crate) mod hash;
pub(crate) mod latency;
pub(crate) mod rendezvous;
