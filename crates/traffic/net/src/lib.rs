//! Sockets and the bytes that go through them: buffers, streams, listeners.
//!
//! Always true here: **buffers belong to the worker**. A [`Buffer`] borrows storage from its worker's [`BufferPool`] when bytes
//! arrive and gives it back when they are used up, so that an idle connection holds none. Connections reach their sockets through
//! [`Stream`] only, and get them from a [`Network`], so that another driver or a simulation can take epoll's place.
//!
//! Not here: protocols, time-outs, configuration.

mod buffer;
mod datagram;
mod introduction;
mod listener;
mod network;
mod prefixed;
#[expect(unsafe_code, reason = "the kernel is handed memory")]
mod ring;
mod stream;

pub use buffer::{Buffer, BufferPool, BufferSize};
pub use datagram::{Catch, DatagramSocket, EndpointSocket, Piece};
pub use introduction::{Ends, Introduction, IntroductionError, LONGEST_INTRODUCTION};
pub use listener::{BindError, BoundSocket, Listeners, Transport, accept_backlog, bind, bind_beside};
pub use network::{Connecting, Driver, Incoming, Network, TcpNetwork};
pub use prefixed::Prefixed;
pub use ring::{BusyPolls, RingNetwork};
pub use stream::{Peek, Stream, TcpSocket, is_pending_now, send_all};
