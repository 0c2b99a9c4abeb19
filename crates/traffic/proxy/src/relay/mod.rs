//! Moving bytes between a client and an endpoint.

mod exchange;
mod lent;
mod pump;
mod transfer;
mod tunnel;

pub(crate) use exchange::{Exchange, Lenders, Lookup};
pub(crate) use lent::Shelf;
pub(crate) use transfer::{Broken, Transfer};
pub(crate) use tunnel::{Parting, tunnel};
