//! Listening sockets that one process hands to the next, so that nobody who connects meanwhile is turned away.
//!
//! Both hold the same sockets for a while: what waits in their queues is accepted by whichever comes first. They travel over a socket that the successor
//! finds as its standard input; it answers on it once it serves.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_type};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use traffic_net::{BoundSocket, Transport};

/// Says to the successor that it is one.
const VARIABLE: &str = "AYA_TAKES_OVER";

/// Sockets in one message; the kernel takes 253 at most.
const SOCKETS_PER_MESSAGE: usize = 64;
/// The longest message: a name, an address, a number.
const LONGEST_MESSAGE: usize = 4 << 10;
/// What the successor says once it serves.
const SERVING: &[u8] = b"serving";

/// How long the successor may take until it serves. It waits for the first health checks, and reads whatever its configuration names.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sockets that belong together.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) place: Place,
    pub(crate) sockets: Vec<BoundSocket>,
}

/// Where sockets listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Name of the listener; `None` for the admin port.
    pub(crate) listener: Option<String>,
    /// As configured; the port may be 0.
    pub(crate) address: SocketAddr,
}

/// One message.
#[derive(Serialize, Deserialize)]
enum Message {
    /// Sockets of this place come along.
    Sockets(Place),
    /// That was all.
    End,
}

/// Why no successor has taken over. The process that was to be replaced goes on.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// Its program does not start.
    #[error("the successor cannot be started: {0}")]
    Start(io::Error),
    /// It has not taken its sockets.
    #[error("the successor was not given its sockets: {0}")]
    Send(io::Error),
    /// It has ended; its own log says why.
    #[error("the successor ended before it served ({0}); what it wrote says why")]
    Ended(ExitStatus),
    /// There is one, or nobody has said what it is started with.
    #[error("this process has a successor already, or is part of another program")]
    Done,
    /// It takes too long, and was ended.
    #[error("the successor did not serve within {} s, and was ended", PATIENCE.as_secs())]
    TimedOut,
}

/// Starts the successor with this command, hands it the sockets and waits until it serves. Gives its process id.
///
/// # Errors
/// Why there is none. Nothing of it runs on then.
pub(crate) async fn hand_over(mut command: Command, parcels: &[Parcel]) -> Result<u32, HandoverError> {
    let (own, theirs) = channel().map_err(HandoverError::Start)?;
    command.stdin(theirs).env(VARIABLE, "1");
    let mut child = command.spawn().map_err(HandoverError::Start)?;
    // Its end of the channel goes with the command: when it has ended, nobody else holds it.
    drop(command);
    let said = match send(own.as_fd(), parcels) {
        Ok(()) => tokio::task::spawn_blocking(move || hear(&own)).await.unwrap_or(Said::Nothing),
        // It may have ended already; then that is what is worth telling.
        Err(error) if child.try_wait().ok().flatten().is_none() => {
            end(&mut child);
            return Err(HandoverError::Send(error));
        }
        Err(_) => Said::Nothing,
    };
    match said {
        Said::Serving => Ok(child.id()),
        Said::Nothing => Err(HandoverError::Ended(end(&mut child).unwrap_or_default())),
        Said::NothingYet => {
            end(&mut child);
            Err(HandoverError::TimedOut)
        }
    }
}

/// Both ends of what is spoken over.
fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn send(channel: BorrowedFd<'_>, parcels: &[Parcel]) -> io::Result<()> {
    for Parcel { place, sockets } in parcels {
        for some in sockets.chunks(SOCKETS_PER_MESSAGE) {
            let descriptors: Vec<_> = some.iter().map(AsFd::as_fd).collect();
            send_message(channel, &Message::Sockets(place.clone()), &descriptors)?;
        }
    }
    send_message(channel, &Message::End, &[])
}

fn send_message(channel: BorrowedFd<'_>, message: &Message, along: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_PER_MESSAGE))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !along.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(along)) {
        return Err(io::Error::other("too many sockets for one message"));
    }
    sendmsg(channel, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What the successor says.
enum Said {
    Serving,
    /// Nothing: it has ended.
    Nothing,
    /// Nothing yet.
    NothingYet,
}

/// Waits for what the successor says. Blocks.
fn hear(channel: &OwnedFd) -> Said {
    // Without it, it would be waited for without end; so it is not waited for at all.
    if set_socket_timeout(channel, Timeout::Recv, Some(PATIENCE)).is_err() {
        return Said::NothingYet;
    }
    let mut said = [0; SERVING.len()];
    match rustix::net::recv(channel, &mut said, RecvFlags::empty()) {
        Ok((count, _)) if said.get(..count) == Some(SERVING) => Said::Serving,
        Err(Errno::AGAIN) => Said::NothingYet,
        _ => Said::Nothing,
    }
}

/// Ends what is left of it.
fn end(child: &mut Child) -> Option<ExitStatus> {
    // One that has ended keeps its own status.
    let _ = child.kill();
    child.wait().ok()
}

/// What a predecessor has handed to this process.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    parcels: Vec<Parcel>,
    is_awaited: bool,
}

impl Inheritance {
    /// Takes it, if there is one: to be called once, before anything is listened on.
    ///
    /// # Errors
    /// If there should be one and is not.
    pub(crate) fn take() -> io::Result<Self> {
        if env::var_os(VARIABLE).as_deref() != Some(OsStr::new("1")) {
            return Ok(Self::default());
        }
        let stdin = io::stdin();
        let parcels = receive(stdin.as_fd()).map_err(|error| {
            let what = format!(
                "{VARIABLE} says that a predecessor hands over its sockets on standard input: {error}"
            );
            io::Error::new(error.kind(), what)
        })?;
        Ok(Self { parcels, is_awaited: true })
    }

    /// Takes the sockets of a place, if there are any; else those at the same address.
    pub(crate) fn claim(&mut self, place: &Place, transport: Transport) -> Vec<BoundSocket> {
        let is_of = |parcel: &Parcel| parcel.sockets.iter().all(|socket| socket.transport() == transport);
        let exact = |parcel: &Parcel| parcel.place == *place && is_of(parcel);
        let renamed = |parcel: &Parcel| {
            place.address.port() != 0 && parcel.place.address == place.address && is_of(parcel)
        };
        let found = self.parcels.iter().position(exact).or_else(|| self.parcels.iter().position(renamed));
        found.map(|index| self.parcels.swap_remove(index).sockets).unwrap_or_default()
    }

    /// Tells the predecessor that this process serves, and that it may go. What was not claimed is closed.
    ///
    /// # Errors
    /// If the predecessor is gone: it was told to stop meanwhile, and that holds for whoever it has started.
    pub(crate) fn serve(self) -> io::Result<()> {
        if !self.is_awaited {
            return Ok(());
        }
        rustix::net::send(io::stdin(), SERVING, SendFlags::NOSIGNAL).map_err(|error| {
            let what = format!("the process that was to be succeeded has ended meanwhile: {error}");
            io::Error::new(error.kind(), what)
        })?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Ok(())
    }
}

fn receive(channel: BorrowedFd<'_>) -> io::Result<Vec<Parcel>> {
    let mut parcels: Vec<Parcel> = Vec::new();
    loop {
        let mut text = [0; LONGEST_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_PER_MESSAGE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(channel, &mut [IoSliceMut::new(&mut text)], &mut ancillary, flags)?;
        let text = text.get(..received.bytes).unwrap_or_default();
        if text.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Message::Sockets(place) = serde_json::from_slice(text)? else { return Ok(parcels) };
        let mut sockets = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                for descriptor in descriptors {
                    sockets.push(bound(descriptor)?);
                }
            }
        }
        match parcels.iter_mut().find(|parcel| parcel.place == place) {
            Some(parcel) => parcel.sockets.append(&mut sockets),
            None => parcels.push(Parcel { sockets, place }),
        }
    }
}

/// What sort of socket it is, it says itself.
fn bound(descriptor: OwnedFd) -> io::Result<BoundSocket> {
    Ok(match socket_type(&descriptor)? {
        SocketType::DGRAM => BoundSocket::Udp(descriptor.into()),
        _ => BoundSocket::Tcp(descriptor.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(listener: &str, address: &str) -> Place {
        Place { listener: Some(listener.to_owned()), address: address.parse().unwrap() }
    }

    fn listening(transport: Transport, count: usize) -> Vec<BoundSocket> {
        traffic_net::bind("127.0.0.1:0".parse().unwrap(), transport, count).unwrap().sockets
    }

    #[test]
    fn sockets_arrive_where_they_belong() {
        let (own, theirs) = channel().unwrap();
        let parcels = [
            Parcel {
                place: place("web", "127.0.0.1:0"),
                sockets: listening(Transport::Tcp, SOCKETS_PER_MESSAGE + 3),
            },
            Parcel { place: place("other", "127.0.0.1:80"), sockets: listening(Transport::Tcp, 1) },
            Parcel { place: place("dns", "127.0.0.1:53"), sockets: listening(Transport::Udp, 2) },
        ];
        send(own.as_fd(), &parcels).unwrap();
        let received = receive(theirs.as_fd()).unwrap();
        let addresses = |parcels: &[Parcel]| -> Vec<(Place, Vec<SocketAddr>)> {
            let of =
                |parcel: &Parcel| parcel.sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
            parcels.iter().map(|parcel| (parcel.place.clone(), of(parcel))).collect()
        };
        assert_eq!(addresses(&received), addresses(&parcels));
        let mut inheritance = Inheritance { parcels: received, is_awaited: true };
        let mut claim = |name, address, transport| inheritance.claim(&place(name, address), transport).len();
        assert_eq!(claim("new", "127.0.0.1:0", Transport::Tcp), 0, "any port is not that of another");
        assert_eq!(claim("web", "127.0.0.1:0", Transport::Udp), 0, "connections are no datagrams");
        assert_eq!(claim("web", "127.0.0.1:0", Transport::Tcp), SOCKETS_PER_MESSAGE + 3);
        assert_eq!(claim("web", "127.0.0.1:0", Transport::Tcp), 0, "taken");
        assert_eq!(claim("renamed", "127.0.0.1:53", Transport::Tcp), 0, "of UDP");
        assert_eq!(claim("renamed", "127.0.0.1:80", Transport::Tcp), 1);
        assert_eq!(claim("renamed", "127.0.0.1:53", Transport::Udp), 2);
    }

    #[test]
    fn a_predecessor_that_goes_is_noticed() {
        let (own, theirs) = channel().unwrap();
        send_message(own.as_fd(), &Message::Sockets(place("web", "127.0.0.1:0")), &[]).unwrap();
        drop(own);
        assert_eq!(receive(theirs.as_fd()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_successor_that_ends_has_not_taken_over() {
        let ended = hand_over(Command::new("false"), &[]).await;
        assert!(matches!(&ended, Err(HandoverError::Ended(status)) if status.code() == Some(1)), "{ended:?}");
        let missing = hand_over(Command::new("/nowhere/aya"), &[]).await;
        assert!(matches!(missing, Err(HandoverError::Start(_))), "{missing:?}");
    }
}
