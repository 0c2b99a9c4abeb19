//! Sockets for datagrams: one per worker where they come in, one per session towards its endpoint.
//!
//! Many datagrams are taken with one system call where many wait, and the kernel hands those of one sender over as one piece (GRO); such a piece is
//! sent on as one, too (GSO). Fragments are the kernel's affair, as they are for any socket that nobody has told otherwise.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv6DontFrag;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::sockopt::{set_ip_mtu_discover, set_ipv6_mtu_discover};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The largest piece: what the length of a datagram has room for.
const LARGEST_PIECE: usize = 64 << 10;
/// So many datagrams of a session must have come from its endpoint until they are taken many at once.
const WORTH_BULK: u32 = 32;

/// Datagrams of one sender, one after the other, all as long as the first but for the last.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// All of them.
    pub bytes: &'a [u8],
    /// How long each is.
    pub stride: usize,
    /// Who sent them.
    pub from: SocketAddr,
    /// The address of this machine that they were sent to.
    pub to: Option<IpAddr>,
    mark: Option<EcnCodepoint>,
}

impl Piece<'_> {
    /// One after the other. A datagram may be empty.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let empty = self.bytes.is_empty().then_some(self.bytes);
        self.bytes.chunks(self.stride.max(1)).chain(empty)
    }

    /// One of them, or a part of it, by itself.
    pub const fn with<'b>(&self, bytes: &'b [u8]) -> Piece<'b> {
        Piece { bytes, stride: bytes.len(), from: self.from, to: self.to, mark: self.mark }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.stride.max(1)).max(1)
    }
}

/// Memory for what is taken at once: 2 MiB, of which the system gives what is written to. One is enough for all sockets of a thread.
pub struct Catch {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    pieces: usize,
}

impl Catch {
    /// Room for one system call's.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; LARGEST_PIECE * BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
            pieces: 0,
        }
    }

    /// What was taken last.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let taken = self.meta.iter().zip(self.bytes.chunks(LARGEST_PIECE)).take(self.pieces);
        taken.map(|(meta, bytes)| Piece {
            bytes: bytes.get(..meta.len).unwrap_or_default(),
            stride: meta.stride,
            from: meta.addr,
            to: meta.dst_ip,
            mark: meta.ecn,
        })
    }

    /// Takes as much as one system call gives.
    fn take_many(&mut self, socket: &UdpSocket, state: &UdpSocketState) -> io::Result<()> {
        let mut rooms = self.bytes.chunks_mut(LARGEST_PIECE).map(IoSliceMut::new);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| rooms.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        let taken = state.recv(UdpSockRef::from(socket), &mut slices, &mut self.meta);
        self.pieces = *taken.as_ref().unwrap_or(&0);
        taken.map(drop)
    }

    /// Takes one datagram of a socket that is connected to this address.
    fn take_one(&mut self, socket: &UdpSocket, from: SocketAddr) -> io::Result<()> {
        let room = self.bytes.get_mut(..LARGEST_PIECE).unwrap_or_default();
        let (taken, _) = rustix::net::recv(socket, room, RecvFlags::empty())?;
        if let Some(meta) = self.meta.first_mut() {
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (from, taken, taken);
        }
        self.pieces = 1;
        Ok(())
    }
}

impl Default for Catch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Catch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catch").field("pieces", &self.pieces).finish_non_exhaustive()
    }
}

/// A socket that datagrams of all sorts of senders come in by, driven by the tokio runtime of the calling thread.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl DatagramSocket {
    /// One that is bound.
    ///
    /// # Errors
    /// If the system does not let it be watched.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket)?;
        let state = prepare(&socket)?;
        Ok(Self { socket, state })
    }

    /// Takes what has come, as much as one system call gives, once something has.
    ///
    /// # Errors
    /// If the system is short of something.
    pub async fn receive(&self, catch: &RefCell<Catch>) -> io::Result<()> {
        let take = || catch.borrow_mut().take_many(&self.socket, &self.state);
        self.socket.async_io(Interest::READABLE, take).await
    }

    /// Sends a piece on to somebody, from this address of this machine if it is given.
    ///
    /// # Errors
    /// What became of the first datagram that the system has not taken; those behind it are lost, too. [`io::ErrorKind::WouldBlock`]: it has no room.
    pub fn send(&self, piece: &Piece<'_>, to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        send_piece(&self.socket, &self.state, piece, to, from)
    }
}

/// A socket towards one endpoint: only what comes from there arrives, and the system tells what is wrong there.
#[derive(Debug)]
pub struct EndpointSocket {
    socket: UdpSocket,
    address: SocketAddr,
    /// Datagrams that were taken one by one.
    taken: Cell<u32>,
    /// The means to take and send many at once, which cost some ten system calls: once it is worth that.
    bulk: OnceCell<UdpSocketState>,
}

impl EndpointSocket {
    /// One that is connected, from a port that the system chooses.
    ///
    /// # Errors
    /// If there is no way to the address, or the system is short of something.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.connect(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, address, taken: Cell::new(0), bulk: OnceCell::new() })
    }

    /// Takes what has come, once something has.
    ///
    /// # Errors
    /// What the system was told of the endpoint, for instance that nobody listens there.
    pub async fn receive(&self, catch: &RefCell<Catch>) -> io::Result<()> {
        loop {
            // What went wrong makes nothing readable.
            let ready = self.socket.ready(Interest::READABLE | Interest::ERROR).await?;
            if ready.is_error() {
                let told = self.socket.take_error()?;
                // From here on the runtime waits for the next one.
                let _ =
                    self.socket.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
                if let Some(error) = told {
                    return Err(error);
                }
            }
            match self.socket.try_io(Interest::READABLE, || self.take(&mut catch.borrow_mut())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken,
            }
        }
    }

    fn take(&self, catch: &mut Catch) -> io::Result<()> {
        if let Some(bulk) = self.bulk.get() {
            return catch.take_many(&self.socket, bulk);
        }
        catch.take_one(&self.socket, self.address)?;
        self.taken.set(self.taken.get() + 1);
        if self.taken.get() >= WORTH_BULK
            && let Ok(bulk) = prepare(&self.socket)
        {
            let _ = self.bulk.set(bulk);
        }
        Ok(())
    }

    /// Sends a piece.
    ///
    /// # Errors
    /// As for [`DatagramSocket::send`], or what the system was told of the endpoint.
    pub fn send(&self, piece: &Piece<'_>) -> io::Result<()> {
        match self.bulk.get() {
            Some(bulk) if piece.count() > 1 => send_piece(&self.socket, bulk, piece, self.address, None),
            _ => piece.datagrams().try_for_each(|datagram| self.send_one(datagram)),
        }
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// As for [`EndpointSocket::send`].
    pub fn send_one(&self, datagram: &[u8]) -> io::Result<()> {
        // Nobody waits for room, so the runtime need not know of it.
        Ok(rustix::net::send(&self.socket, datagram, SendFlags::empty()).map(drop)?)
    }
}

/// Sets a socket up for many datagrams at once.
fn prepare(socket: &UdpSocket) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    // That has forbidden fragments. What passes through has chosen its size, and is to arrive.
    match socket.local_addr()? {
        SocketAddr::V4(_) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?,
        SocketAddr::V6(_) => {
            set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
            setsockopt(socket, Ipv6DontFrag, &false)?;
        }
    }
    Ok(state)
}

fn send_piece(
    socket: &UdpSocket,
    state: &UdpSocketState,
    piece: &Piece<'_>,
    destination: SocketAddr,
    src_ip: Option<IpAddr>,
) -> io::Result<()> {
    let stride = piece.stride.max(1);
    let most = stride * state.max_gso_segments().max(1);
    let empty = piece.bytes.is_empty().then_some(piece.bytes);
    let mut parts = piece.bytes.chunks(most).chain(empty);
    parts.try_for_each(|contents| {
        let segment_size = (contents.len() > stride).then_some(stride);
        let transmit = Transmit { destination, ecn: piece.mark, contents, segment_size, src_ip };
        state.try_send(UdpSockRef::from(socket), &transmit)
    })
}
