//! Sockets that never wait, for the backend and the load generator: both are one thread around one epoll.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

/// What came of reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now; epoll tells when.
    Wait,
    /// The peer is gone, politely or not.
    Gone,
}

/// Reads what is there.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Outcome {
    match rustix::net::recv(socket, buffer, RecvFlags::empty()) {
        Ok((0, _)) => Outcome::Gone,
        Ok((count, _)) => Outcome::Bytes(count),
        Err(Errno::AGAIN | Errno::INTR) => Outcome::Wait,
        Err(_) => Outcome::Gone,
    }
}

/// Writes what fits.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8]) -> Outcome {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(count) => Outcome::Bytes(count),
        Err(Errno::AGAIN | Errno::INTR | Errno::INPROGRESS | Errno::NOTCONN) => Outcome::Wait,
        Err(_) => Outcome::Gone,
    }
}

/// Begins to connect, from `source` if given: one loopback address has too few ports for a connection per
/// request.
pub(crate) fn connect(target: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source {
        rustix::net::bind(&socket, &SocketAddrV4::new(source, 0))?;
    }
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// A listening socket on loopback and its address.
pub(crate) fn listen() -> io::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&socket, i32::from(i16::MAX))?;
    let address = rustix::net::getsockname(&socket)?;
    Ok((socket, address.try_into()?))
}

/// The next client, if one waits.
pub(crate) fn accept(listener: &OwnedFd) -> Option<OwnedFd> {
    let socket = rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC).ok()?;
    sockopt::set_tcp_nodelay(&socket, true).ok()?;
    Some(socket)
}

/// Tells which sockets can go on. Edge-triggered: a socket is reported once, so its owner reads until a read
/// does not fill the buffer, or, if the peer has ended, until the end.
pub(crate) struct Poller {
    epoll: OwnedFd,
}

/// A socket that can go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The number it was given.
    pub(crate) token: usize,
    /// Whether the peer will send no more than it has.
    pub(crate) ended: bool,
}

/// Whether to wait until a socket can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Only what can go on already.
    No,
    /// However long it takes.
    ForEver,
}

/// Events taken from the kernel at once.
const EVENTS: usize = 512;

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Watches a socket both ways.
    pub(crate) fn add(&self, socket: impl AsFd, token: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), flags)?)
    }

    /// Another descriptor for it: readable while a socket can go on.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    /// Appends the sockets that can go on.
    pub(crate) fn wait(&self, wait: Wait, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = (wait == Wait::No).then_some(Timespec { tv_sec: 0, tv_nsec: 0 });
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        let events = match epoll::wait(&self.epoll, &mut room, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        ready.extend(events.iter().map(|event| {
            let flags = event.flags;
            Ready { token: event.data.u64() as usize, ended: flags.intersects(ends) }
        }));
        Ok(())
    }
}
