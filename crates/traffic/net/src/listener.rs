//! Listening sockets: one per worker and address, so that the kernel spreads connections without a hand-off.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// What the kernel keeps of datagrams that have come and were not yet taken: those of a burst, while a worker is busy with something else.
const DATAGRAM_BUFFER: usize = 4 << 20;

/// An address that could not be listened on, and the way out.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}; {advice}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
    /// What to do about it.
    pub advice: &'static str,
}

impl BindError {
    /// No socket where there should be one.
    pub fn missing(address: SocketAddr) -> Self {
        Self::new(address, io::ErrorKind::NotFound.into())
    }

    /// Whether it failed because the machine has no IPv6.
    pub fn is_without_ipv6(&self) -> bool {
        let unsupported = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
        self.address.is_ipv6()
            && unsupported.iter().any(|errno| self.source.raw_os_error() == Some(errno.raw_os_error()))
    }

    fn new(address: SocketAddr, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => "stop what uses this port (`ss -lntup` names it) or choose another",
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it or choose a higher port"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; `ip address` lists those it has"
            }
            _ => "check the address and the system's limits",
        };
        Self { address, source, advice }
    }
}

/// The sockets of one address, one for each worker at least.
#[derive(Debug)]
pub struct Listeners {
    /// The address they are bound to; its port is never 0.
    pub address: SocketAddr,
    /// At least as many as there are workers.
    pub sockets: Vec<BoundSocket>,
}

/// A socket by which somebody comes in.
#[derive(Debug)]
pub enum BoundSocket {
    /// With connections.
    Tcp(TcpListener),
    /// With datagrams.
    Udp(UdpSocket),
}

impl BoundSocket {
    /// The same socket once more.
    ///
    /// # Errors
    /// If there are no more descriptors to be had.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Udp(socket) => socket.try_clone().map(Self::Udp),
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If it does not.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        }
    }

    /// The socket itself, if it is one of TCP.
    pub fn into_tcp(self) -> Option<TcpListener> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Udp(_) => None,
        }
    }

    /// What it is for.
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(_) => Transport::Tcp,
            Self::Udp(_) => Transport::Udp,
        }
    }
}

impl AsFd for BoundSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }
}

/// What comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// The longest queue of connections that wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
pub const fn accept_backlog() -> i32 {
    4096
}

/// Listens on an address with one socket per worker.
///
/// # Errors
/// If the system refuses, or somebody else listens there: sharing the port with another process would silently split
/// its traffic.
pub fn bind(address: SocketAddr, transport: Transport, workers: usize) -> Result<Listeners, BindError> {
    let fail = |error| BindError::new(address, error);
    // Sockets that share a port are let in beside those of any process of the same user. This one isn't shared, so it fails
    // if anybody listens there. It never listens itself, so no connection can end up in it.
    let probe = open(address, transport, false).map_err(fail)?;
    let address = probe.local_addr().ok().and_then(|bound| bound.as_socket()).unwrap_or(address);
    drop(probe);
    bind_beside(address, transport, workers)
}

/// Listens on an address that this process listens on already; see [`bind`].
///
/// # Errors
/// If the system refuses.
pub fn bind_beside(
    address: SocketAddr,
    transport: Transport,
    workers: usize,
) -> Result<Listeners, BindError> {
    let fail = |error| BindError::new(address, error);
    let sockets = (0..workers.max(1))
        .map(|_| {
            let socket = open(address, transport, true)?;
            Ok(match transport {
                Transport::Tcp => {
                    socket.listen(accept_backlog())?;
                    BoundSocket::Tcp(socket.into())
                }
                Transport::Udp => BoundSocket::Udp(socket.into()),
            })
        })
        .collect::<io::Result<_>>()
        .map_err(fail)?;
    Ok(Listeners { address, sockets })
}

fn open(address: SocketAddr, transport: Transport, shared: bool) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // `[::]:80` beside `0.0.0.0:80` shall not be an error, so each takes its own family only.
        socket.set_only_v6(true)?;
    }
    match transport {
        Transport::Tcp => {
            socket.set_reuse_address(true)?;
            // Accepted connections inherit it; small answers must not wait for an acknowledgement.
            socket.set_tcp_nodelay(true)?;
        }
        // As much of it as the system allows (`net.core.rmem_max`).
        Transport::Udp => socket.set_recv_buffer_size(DATAGRAM_BUFFER)?,
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Udp];

    #[test]
    fn every_worker_gets_a_socket_on_the_same_port() {
        for transport in BOTH {
            let listeners = bind((Ipv4Addr::LOCALHOST, 0).into(), transport, 3).unwrap();
            assert_ne!(listeners.address.port(), 0);
            assert_eq!(listeners.sockets.len(), 3);
            let is_there = |socket: &BoundSocket| {
                socket.local_addr().unwrap() == listeners.address && socket.transport() == transport
            };
            assert!(listeners.sockets.iter().all(is_there));
        }
    }

    #[test]
    fn a_port_that_others_use_is_refused_with_the_way_out() {
        for transport in BOTH {
            let first = bind((Ipv4Addr::LOCALHOST, 0).into(), transport, 1).unwrap();
            let error = bind(first.address, transport, 1).unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
            assert!(error.to_string().contains("choose another"), "{error}");
        }
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        for transport in BOTH {
            let error = bind("192.0.2.1:0".parse().unwrap(), transport, 1).unwrap_err();
            assert!(error.to_string().contains("no such address"), "{error}");
        }
    }
}
