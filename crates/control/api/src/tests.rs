//! The API over real sockets, with a node that only remembers.

mod client;
mod fake;
mod golden;
mod guard;
mod limits;
mod requests;
