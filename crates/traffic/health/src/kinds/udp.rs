//! `udp`: the endpoint answers a datagram.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use base_kit::{KindInfo, Status};
use base_model::model::{ActiveCheck, CheckKind, ProxyVersion};
use tokio::net::UdpSocket;
use traffic_net::Introduction;

use crate::probe::{Passed, Probe, ProbeFailure, ProbeFuture, ProbeKind, Target, UnfitCheck};

/// The kind.
pub(super) struct UdpKind;

/// The longest datagram there is.
const MAX_REPLY_BYTES: usize = 64 << 10;

impl ProbeKind for UdpKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "udp",
            summary: "The endpoint answers a datagram, with what the answer has to hold if that is said.",
            status: Status::Stable,
        }
    }

    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>> {
        let CheckKind::Udp { send, expect } = &check.kind else { return None };
        Some(Ok(Box::new(UdpProbe { send: Arc::clone(send), expect: expect.clone() })))
    }
}

struct UdpProbe {
    send: Arc<[u8]>,
    expect: Option<Arc<[u8]>>,
}

impl UdpProbe {
    async fn ask(&self, target: &Target) -> Result<Passed, ProbeFailure> {
        let failed = |error| ProbeFailure::of_connect(&error);
        let own: SocketAddr = match target.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(own).await.map_err(failed)?;
        // Only what comes from there arrives, and it is told when nobody listens there.
        socket.connect(target.address).await.map_err(failed)?;
        let mut datagram = match target.proxy_protocol {
            Some(ProxyVersion::V2) => Introduction::encode(ProxyVersion::V2, None, None),
            Some(ProxyVersion::V1) | None => Vec::new(),
        };
        datagram.extend_from_slice(&self.send);
        socket.send(&datagram).await.map_err(failed)?;
        let mut reply = vec![0; MAX_REPLY_BYTES];
        let length = socket.recv(&mut reply).await.map_err(failed)?;
        reply.truncate(length);
        match &self.expect {
            Some(wanted) if !holds(&reply, wanted) => Err(ProbeFailure::UnexpectedReply(length)),
            _ => Ok(Passed::Replied(length)),
        }
    }
}

impl Probe for UdpProbe {
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(self.ask(target))
    }
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || bytes.windows(wanted.len()).any(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_may_stand_anywhere() {
        for wanted in [&b""[..], b"a", b"c\xff", b"abc\xff"] {
            assert!(holds(b"abc\xff", wanted), "{wanted:?}");
        }
        for stranger in [&b"ac"[..], b"abc\xff\xff", b"d"] {
            assert!(!holds(b"abc\xff", stranger), "{stranger:?}");
        }
        assert!(!holds(b"", b"a"));
    }
}
