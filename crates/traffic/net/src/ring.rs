//! The system's network, driven by io_uring: many operations are handed to the kernel with one system call, and data arrives in buffers
//! that all sockets of a thread share: one that is idle holds none.
//!
//! A worker's thread has one ring. What its sockets ask for is queued, and handed over behind all who have something to do, by a task of the
//! ring's own; what has come is then in the sockets' queues.
//!
//! - *Receiving*: one operation per socket that goes on until it is cancelled (multishot). The kernel picks a buffer from the ring of buffers
//!   when data is there; the buffer then belongs to the socket, and another one from the worker's pool takes its place. Where a lot comes, it
//!   is read directly into storage that is still in the cache, and the ring only tells when.
//! - *Sending*: small pieces are copied and queued, to be sent with everybody else's; large ones are sent at once, without a copy, and so are
//!   small ones while the thread has time to rest between turns.
//! - *Resting*: a thread with nothing to do sleeps in its ring, where what the runtime waits for is watched as well; the runtime itself waits where
//!   a timer is near, or nothing has come for some time. Before, it may look out for more for some microseconds, as long as that finds something
//!   often enough.
//! - A socket that is dropped lives on here until the kernel is done with it: what it had queued is still tried once.
//! - Accepting goes through epoll: it happens once per connection, and a listener that is at its limit must not accept ahead.

mod buffers;
mod core;
mod lookout;
mod network;
mod pieces;
mod socket;

pub use lookout::BusyPolls;
pub use network::RingNetwork;
