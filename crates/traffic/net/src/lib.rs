//! Sockets and the bytes that go through them: buffers, streams, listeners.
//!
//! Always true here: **buffers belong to the worker**. A [`Buffer`] borrows storage from its worker's [`BufferPool`] when bytes
//! arrive and gives it back when they are used up, so that an idle connection holds none. Connections reach their sockets through
//! [`Stream`] only, so that another driver can take epoll's place.
//!
//! Not here: protocols, time-outs, configuration.

mod buffer;
mod listener;
mod stream;

pub use buffer::{Buffer, BufferPool, BufferSize};
pub use listener::{BindError, Listeners, accept_backlog, adopt, bind, bind_beside};
pub use stream::{Peek, Stream, TcpSocket};
