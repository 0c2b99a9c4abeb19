//! A connection to an endpoint.

use std::io;
use std::net::SocketAddr;

use base_kit::Moment;
use base_signal::Gauge;
use traffic_net::{Buffer, BufferPool, BufferSize, Stream, TcpSocket};

/// An open connection to an endpoint, busy or idle. Boxed, because it is passed around with every request.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    /// What the endpoint has sent and was not yet used.
    pub(crate) input: Buffer,
    /// Whether a request has been answered on it before.
    pub(crate) reused: bool,
    /// Whether it has just answered HEAD. If the endpoint wrongly sends a body, it comes late, and must not be taken for the next
    /// request's answer.
    pub(crate) is_suspect: bool,
    /// When it became idle.
    pub(crate) idle_since: Moment,
    open: Gauge,
}

impl Connection {
    /// Connects. The caller limits the time.
    pub(crate) async fn open(
        address: SocketAddr,
        buffers: &BufferPool,
        open: &Gauge,
    ) -> io::Result<Box<Self>> {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        }?;
        socket.set_nodelay(true)?;
        let stream = socket.connect(address).await?;
        open.add(1);
        Ok(Box::new(Self {
            stream: Box::new(TcpSocket::new(stream)),
            input: Buffer::new(buffers.clone(), BufferSize::Large),
            reused: false,
            is_suspect: false,
            idle_since: Moment::ZERO,
            open: open.clone(),
        }))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.add(-1);
    }
}
