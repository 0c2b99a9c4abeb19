//! Moving bytes between a client and an endpoint.

mod pump;
mod transfer;
mod tunnel;

pub(crate) use pump::{Pump, Replay};
pub(crate) use transfer::{Broken, Fault, Transfer};
pub(crate) use tunnel::tunnel;
