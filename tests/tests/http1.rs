//! HTTP/1.1 on the wire, in both roles.

mod fields;
mod interim;
mod messages;
mod smuggling;
