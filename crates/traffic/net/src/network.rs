//! Where connections come from: the system's network, or one that a simulation makes up.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::stream::{Stream, TcpSocket};

/// What drives the sockets of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// epoll, through tokio: [`TcpNetwork`].
    Epoll,
    /// io_uring: [`crate::RingNetwork`].
    IoUring,
}

impl Driver {
    /// As operators write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::IoUring => "io-uring",
        }
    }
}

/// A connection that is being made. Dropped, it is given up.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>>>>;

/// Makes connections and accepts them. Asked once per connection, never per request.
pub trait Network {
    /// Connects. The caller limits the time.
    fn connect(&self, address: SocketAddr) -> Connecting;

    /// Accepts on a socket that listens on this address.
    ///
    /// # Errors
    /// If the socket cannot be watched.
    fn listen(&self, address: SocketAddr, socket: TcpListener) -> io::Result<Box<dyn Incoming>>;
}

/// Connections that come in on one socket.
pub trait Incoming {
    /// The next one, and who has opened it.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Stream>, SocketAddr)>>;
}

/// The system's network, driven by the tokio runtime of the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpNetwork;

impl Network for TcpNetwork {
    fn connect(&self, address: SocketAddr) -> Connecting {
        Box::pin(async move {
            let socket = match address {
                SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
                SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
            }?;
            socket.set_nodelay(true)?;
            let stream = socket.connect(address).await?;
            Ok(Box::new(TcpSocket::new(stream)) as Box<dyn Stream>)
        })
    }

    fn listen(&self, _address: SocketAddr, socket: TcpListener) -> io::Result<Box<dyn Incoming>> {
        Ok(Box::new(TcpIncoming(tokio::net::TcpListener::from_std(socket)?)))
    }
}

struct TcpIncoming(tokio::net::TcpListener);

impl Incoming for TcpIncoming {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Stream>, SocketAddr)>> {
        let (stream, peer) = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok((Box::new(TcpSocket::new(stream)), peer)))
    }
}
