//! `icmp`: the endpoint's machine answers an echo request (RFC 792, RFC 4443 §4).
//!
//! Linux lets processes whose group is in `net.ipv4.ping_group_range` send echo requests on datagram sockets, for IPv4 and
//! IPv6: the kernel then numbers them and hands on only the replies. Where it does not, a raw socket does the same for those
//! who may have one (`CAP_NET_RAW`), and gets all sorts of messages.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, CheckKind};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with};
use tokio::net::UdpSocket;

use crate::probe::{Passed, Probe, ProbeFailure, ProbeFuture, ProbeKind, Target, UnfitCheck};

/// The kind.
pub(super) struct IcmpKind;

/// Larger than any reply to a request of ours, with the head of an IPv4 packet.
const MAX_REPLY_BYTES: usize = 256;

/// What a request and its reply begin with: type, code, checksum, identifier, sequence number.
const HEAD_BYTES: usize = 8;

impl ProbeKind for IcmpKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "icmp",
            summary: "The endpoint's machine answers an echo request, as `ping` sends it.",
            status: Status::Stable,
        }
    }

    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>> {
        matches!(check.kind, CheckKind::Icmp).then(|| Ok(Box::new(IcmpProbe) as Box<dyn Probe>))
    }
}

struct IcmpProbe;

impl IcmpProbe {
    async fn ask(target: &Target) -> Result<Passed, ProbeFailure> {
        let ip = target.address.ip();
        let echo = Echo::next(ip);
        let socket = EchoSocket::open(ip)?;
        let sent = socket.socket.send(&echo.request()).await;
        sent.map_err(|error| ProbeFailure::of_connect(&error))?;
        let mut buffer = [0; MAX_REPLY_BYTES];
        loop {
            let length = socket.socket.recv(&mut buffer).await;
            let length = length.map_err(|error| ProbeFailure::of_connect(&error))?;
            let packet = buffer.get(..length).unwrap_or_default();
            if echo.is_answered_by(socket.message(packet), socket.is_raw) {
                return Ok(Passed::Echoed);
            }
        }
    }
}

impl Probe for IcmpProbe {
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(Self::ask(target))
    }
}

/// A socket for echo requests to one address.
struct EchoSocket {
    /// As far as the runtime is concerned, it is no different from one of UDP.
    socket: UdpSocket,
    is_raw: bool,
    is_v6: bool,
}

impl EchoSocket {
    fn open(ip: IpAddr) -> Result<Self, ProbeFailure> {
        let denied = |errno| matches!(errno, Errno::ACCESS | Errno::PERM | Errno::PROTONOSUPPORT);
        match Self::open_as(ip, SocketType::DGRAM) {
            Err(errno) if denied(errno) => match Self::open_as(ip, SocketType::RAW) {
                Err(errno) if denied(errno) => Err(ProbeFailure::EchoDenied),
                other => other.map_err(|errno| ProbeFailure::of_connect(&errno.into())),
            },
            other => other.map_err(|errno| ProbeFailure::of_connect(&errno.into())),
        }
    }

    fn open_as(ip: IpAddr, kind: SocketType) -> Result<Self, Errno> {
        let (family, protocol) = match ip {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, kind, flags, Some(protocol))?;
        // Only what comes from there arrives.
        connect(&socket, &SocketAddr::new(ip, 0))?;
        let in_runtime = |socket| UdpSocket::from_std(std::net::UdpSocket::from(socket));
        let socket = in_runtime(socket)
            .map_err(|error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::NOBUFS))?;
        Ok(Self { socket, is_raw: kind == SocketType::RAW, is_v6: ip.is_ipv6() })
    }

    /// The message in a packet. A raw socket of IPv4 gives the head of the packet, too.
    fn message<'packet>(&self, packet: &'packet [u8]) -> &'packet [u8] {
        let head = if self.is_raw && !self.is_v6 { head_of_ipv4(packet) } else { 0 };
        packet.get(head..).unwrap_or_default()
    }
}

/// The length of an IPv4 packet's head, in bytes (RFC 791 §3.1).
fn head_of_ipv4(packet: &[u8]) -> usize {
    packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4)
}

/// One request, and what tells its reply from all others.
#[derive(Clone, Copy, Debug)]
struct Echo {
    is_v6: bool,
    identifier: u16,
    sequence: u16,
    /// In the request and its reply: other processes may use the same numbers.
    token: [u8; 8],
}

impl Echo {
    /// A request that differs from all others of this process, until 2^32 are sent.
    fn next(ip: IpAddr) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let process = std::process::id().to_be_bytes();
        let [high, low, third, fourth] = number;
        let [.., process_high, process_low] = process;
        let [a, b, c, d] = process;
        Self {
            is_v6: ip.is_ipv6(),
            identifier: u16::from_be_bytes([process_high, process_low]),
            sequence: u16::from_be_bytes([third, fourth]),
            token: [a, b, c, d, high, low, third, fourth],
        }
    }

    const fn kinds(&self) -> (u8, u8) {
        if self.is_v6 { (128, 129) } else { (8, 0) }
    }

    /// The request as it is sent. For IPv6, whose checksum covers addresses, the kernel fills it in.
    fn request(&self) -> Vec<u8> {
        let (request, _) = self.kinds();
        let mut message = vec![request, 0, 0, 0];
        message.extend_from_slice(&self.identifier.to_be_bytes());
        message.extend_from_slice(&self.sequence.to_be_bytes());
        message.extend_from_slice(&self.token);
        if !self.is_v6 {
            let sum = checksum(&message).to_be_bytes();
            message.iter_mut().skip(2).zip(sum).for_each(|(place, byte)| *place = byte);
        }
        message
    }

    /// Whether a message is the reply. On a datagram socket the identifier is the kernel's own affair.
    fn is_answered_by(&self, message: &[u8], with_identifier: bool) -> bool {
        let Some((head, data)) = message.split_first_chunk::<HEAD_BYTES>() else { return false };
        let [kind, code, _, _, id_high, id_low, sequence_high, sequence_low] = *head;
        let (_, reply) = self.kinds();
        (kind, code) == (reply, 0)
            && u16::from_be_bytes([sequence_high, sequence_low]) == self.sequence
            && (!with_identifier || u16::from_be_bytes([id_high, id_low]) == self.identifier)
            && data == self.token
    }
}

/// The Internet checksum of a message of an even number of bytes (RFC 1071).
fn checksum(message: &[u8]) -> u16 {
    let words = message.chunks_exact(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = (!((folded & 0xffff) + (folded >> 16))).to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(ip: &str) -> Echo {
        Echo::next(ip.parse().unwrap())
    }

    fn reply_to(echo: &Echo) -> Vec<u8> {
        let mut reply = echo.request();
        reply[0] = echo.kinds().1;
        reply
    }

    #[test]
    fn requests_are_well_formed() {
        // A message with its checksum in it sums to nothing.
        assert_eq!(checksum(&echo("192.0.2.1").request()), 0);
        assert_eq!(checksum(&[0x45, 0, 0xff, 0xff, 0, 1]), !0x4501);
        assert_eq!(echo("192.0.2.1").request()[..2], [8, 0]);
        assert_eq!(echo("2001:db8::1").request()[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn only_the_reply_is_the_reply() {
        for ip in ["192.0.2.1", "2001:db8::1"] {
            let (mine, other) = (echo(ip), echo(ip));
            assert!(mine.is_answered_by(&reply_to(&mine), true));
            assert!(!mine.is_answered_by(&reply_to(&other), true), "another sequence number");
            assert!(
                !mine.is_answered_by(&mine.request(), true),
                "a request, as a raw socket to this machine sees it"
            );
            let mut reply = reply_to(&mine);
            reply[4] ^= 1;
            assert!(!mine.is_answered_by(&reply, true), "of another process");
            assert!(mine.is_answered_by(&reply, false), "the kernel's own number");
            let last = reply.len() - 1;
            reply[last] ^= 1;
            assert!(!mine.is_answered_by(&reply, false), "other data");
            assert!((0..last).all(|length| !mine.is_answered_by(&reply_to(&mine)[..length], false)));
        }
    }

    #[test]
    fn the_head_of_a_packet_is_as_long_as_it_says() {
        assert_eq!(head_of_ipv4(&[0x45, 0, 0]), 20);
        assert_eq!(head_of_ipv4(&[0x4f, 0, 0]), 60);
        assert_eq!(head_of_ipv4(&[]), 0);
    }
}
