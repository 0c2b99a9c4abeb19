//! HTTP/2 on both sides: connections that carry many exchanges at once, each of which looks like a connection of its own.
//!
//! - [`ServerConnection`]: a client's connection; gives an [`Arrival`] for each request.
//! - [`ClientConnection`], [`Asker`]: a connection to an endpoint, and the right to ask on it.
//! - [`Exchange`]: one request and its answer. What is received and sent as bytes is the body ([`traffic_net::Stream`]); heads and trailers go
//!   beside it, as the lines that HTTP/1.1 would write. So one codec (`traffic-http`) decides what a head may hold, whatever it came by.
//!
//! Always true here: bodies flow only as fast as their taker takes them (flow control is handed through); what is kept per exchange and per
//! connection is bounded by [`Settings`]; an exchange that is dropped before its end is reset.
//!
//! Frames, HPACK and the states of streams are those of `h2`.
//!
//! Not here: deadlines, routing, the choice of connections.

mod body;
mod client;
mod exchange;
mod heads;
mod server;
mod settings;
mod transport;
mod watch;

pub use client::{Asker, ClientConnection, Greeting, connect};
pub use exchange::Exchange;
pub use heads::NotSayable;
pub use server::{Arrival, Ended, ServerConnection};
pub use settings::{PREFACE, Settings};
pub use watch::Abuse;
