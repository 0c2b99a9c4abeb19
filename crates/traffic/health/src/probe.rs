//! The contract between the monitor and a probe: one question to one endpoint.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use base_kit::KindInfo;
use base_model::model::{ActiveCheck, Host, ProxyVersion};
use rustix::io::Errno;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use traffic_balance::{AdminState, Resources};
use traffic_http::ResponseHead;
use traffic_net::Introduction;

use crate::line::Line;

/// Whom a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect, with the port of the check.
    pub address: SocketAddr,
    /// Its host as configured, which its certificate has to be for.
    pub host: Host,
    /// Host as configured and the port of the check, for a `Host` field.
    pub authority: String,
    /// The pool's name.
    pub pool: String,
    /// The endpoint's name: host and port as configured.
    pub endpoint: String,
    /// How it is told that a connection is nobody's but Aya's, if it wants to be.
    pub proxy_protocol: Option<ProxyVersion>,
}

impl Target {
    /// A new connection to it, which has said what goes ahead of all else.
    pub(crate) async fn connect(&self) -> Result<TcpStream, ProbeFailure> {
        let connected = TcpStream::connect(self.address).await;
        let mut socket = connected.map_err(|error| ProbeFailure::of_connect(&error))?;
        if let Some(version) = self.proxy_protocol {
            let written = socket.write_all(&Introduction::encode(version, None, None)).await;
            written.map_err(|error| ProbeFailure::Broken(error.to_string()))?;
        }
        Ok(socket)
    }
}

/// What a probe saw that passed.
#[derive(Clone, Debug, PartialEq)]
pub enum Passed {
    /// The connection was accepted.
    Connected,
    /// The answer was as wanted; its status.
    Answered(u16),
    /// The echo came back.
    Echoed,
    /// A datagram was answered, by so many bytes.
    Replied(usize),
    /// The health service says that it serves.
    Serving,
    /// The program ended well; what it wrote first.
    Exited(String),
    /// An agent spoke. Whether that is well is in its words.
    Said(AgentWords),
}

/// What an agent said. What it did not mention stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentWords {
    /// Share of the endpoint's weight, in percent; at most [`traffic_balance::MAX_AGENT_PERCENT`].
    pub percent: Option<u32>,
    /// Whether the endpoint takes new requests.
    pub state: Option<AdminState>,
    /// Whether it is fit.
    pub up: Option<bool>,
    /// What its machine has in use.
    pub resources: Resources,
    /// The line, as far as it is shown.
    pub line: String,
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Answered(status) => write!(f, "status {status}"),
            Self::Echoed => f.write_str("echo reply"),
            Self::Replied(length) => write!(f, "reply of {length} bytes"),
            Self::Serving => f.write_str("serving"),
            Self::Exited(said) if said.is_empty() => f.write_str("exit status 0"),
            Self::Exited(said) => write!(f, "exit status 0, `{said}`"),
            Self::Said(words) => write!(f, "`{}`", words.line),
        }
    }
}

/// Why a probe failed, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// Nobody listens there.
    #[error("connect refused")]
    Refused,
    /// No connection for another reason.
    #[error("connect failed: {0}")]
    Unreachable(String),
    /// Not done in time.
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
    /// The TLS handshake failed.
    #[error("TLS handshake failed: {0}")]
    Tls(String),
    /// The connection ended before the answer did.
    #[error("connection closed {0}")]
    Closed(&'static str),
    /// The connection broke.
    #[error("connection broken: {0}")]
    Broken(String),
    /// The answer is not what the protocol allows.
    #[error("broken answer: {0}")]
    NotUnderstood(String),
    /// Another status than wanted.
    #[error("status {got}, wanted {wanted}")]
    Status {
        /// Of the answer.
        got: u16,
        /// The configured ones.
        wanted: String,
    },
    /// The health service says that it does not serve, or cannot be asked.
    #[error("not serving: {0}")]
    NotServing(String),
    /// The body does not hold what it must.
    #[error("body without {0}")]
    Body(String),
    /// A datagram was answered by another one than wanted.
    #[error("a reply of {0} bytes without what is expected")]
    UnexpectedReply(usize),
    /// This process may not send echo requests.
    #[error(
        "the system lets this process send no echo requests: take its group into `net.ipv4.ping_group_range` (sysctl), \
         or give it CAP_NET_RAW"
    )]
    EchoDenied,
    /// There is no such program, or it may not be run.
    #[error("{program} cannot be run: {problem}")]
    NotStarted {
        /// As configured.
        program: String,
        /// In the system's words.
        problem: String,
    },
    /// The program ended badly.
    #[error("{how}{}", quoted(said))]
    Exited {
        /// With which status, or by which signal.
        how: String,
        /// What it wrote first.
        said: String,
    },
    /// This machine could not ask: it says nothing about the endpoint, and is no result.
    #[error("this machine could not ask: {0}")]
    OwnFault(String),
    /// The check cannot be run at all.
    #[error("{0}")]
    Unfit(String),
}

impl ProbeFailure {
    /// What a failed attempt to connect is called.
    pub fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            _ if is_own_fault(error) => Self::OwnFault(error.to_string()),
            _ => Self::Unreachable(error.to_string()),
        }
    }

    /// What a failed attempt to run a program is called.
    pub fn of_start(program: &str, error: &io::Error) -> Self {
        if is_own_fault(error) {
            return Self::OwnFault(error.to_string());
        }
        Self::NotStarted { program: program.to_owned(), problem: error.to_string() }
    }
}

/// Something that was written, behind what is said about it.
fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", `{said}`") }
}

/// Whether an attempt failed for lack of something on this machine: descriptors, memory, ports, processes.
fn is_own_fault(error: &io::Error) -> bool {
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL, Errno::AGAIN];
    Errno::from_io_error(error).is_some_and(|errno| own.contains(&errno))
}

/// The places that one probe takes at most.
pub const MOST_PLACES: u32 = 8;

/// A probe under way. Dropping it ends it.
pub type ProbeFuture<'probe> = Pin<Box<dyn Future<Output = Result<Passed, ProbeFailure>> + Send + 'probe>>;

/// Asks endpoints one question, again and again; made once per configured check.
pub trait Probe: Send + Sync {
    /// Asks once. The caller bounds the time.
    fn run<'probe>(&'probe self, target: &'probe Target) -> ProbeFuture<'probe>;

    /// As [`Probe::run`], on the connection that was kept from the last time, if this kind keeps one.
    fn run_on<'probe>(&'probe self, target: &'probe Target, line: &'probe mut Line) -> ProbeFuture<'probe> {
        let _ = line;
        self.run(target)
    }

    /// What is asked on a connection that is kept, if it is one message, and the answer another.
    fn question(&self, target: &Target) -> Option<String> {
        let _ = target;
        None
    }

    /// Whether these bytes are plainly all of a good answer to [`Probe::question`], after which another question may follow. If not, it is not known yet
    /// what they are. `head` is room to work with.
    fn is_well(&self, answer: &[u8], head: &mut ResponseHead) -> bool {
        let _ = (answer, head);
        false
    }

    /// How many of the places for probes under way one takes; at most [`MOST_PLACES`].
    fn places(&self) -> u32 {
        1
    }

    /// Whether a failure speaks against the endpoint. If not, it changes nothing.
    fn failure_counts(&self) -> bool {
        true
    }
}

/// A way of asking that an operator can choose.
pub trait ProbeKind: Sync {
    /// Its name card.
    fn info(&self) -> KindInfo;

    /// The probe for a check, or `None` if the check is of another kind.
    ///
    /// # Errors
    /// When the check is of this kind but cannot be run; checking a configuration refuses such a check.
    fn build(&self, check: &ActiveCheck) -> Option<Result<Box<dyn Probe>, UnfitCheck>>;
}

/// A check that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the check cannot be run: {0}")]
pub struct UnfitCheck(pub String);

/// Fails always: stands in for a check that cannot be run, so that it shows as a failure instead of passing unseen.
pub(crate) struct Unfit(pub(crate) UnfitCheck);

impl Probe for Unfit {
    fn run<'probe>(&'probe self, _target: &'probe Target) -> ProbeFuture<'probe> {
        Box::pin(async { Err(ProbeFailure::Unfit(self.0.to_string())) })
    }
}

/// The most characters of what somebody else wrote that go into a cause: enough for a sentence.
const MAX_EXCERPT: usize = 120;

/// The first line of what somebody else wrote, fit for logs: short, and without control characters.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.trim_start().lines().next().unwrap_or_default().trim_end();
    base_kit::excerpt(line, MAX_EXCERPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_plain() {
        assert_eq!(excerpt(b"\n  first\x1b[31m line \r\nsecond"), "first\u{fffd}[31m line");
        assert_eq!(excerpt("ä".repeat(500).as_bytes()), format!("{}…", "ä".repeat(120)));
        assert_eq!(excerpt(b"\xff"), "\u{fffd}");
        assert_eq!(excerpt(b""), "");
    }

    #[test]
    fn what_this_machine_lacks_is_not_held_against_an_endpoint() {
        let said = |errno: Errno| ProbeFailure::of_connect(&io::Error::from(errno));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL] {
            assert!(matches!(said(errno), ProbeFailure::OwnFault(_)), "{errno}");
        }
        assert_eq!(said(Errno::CONNREFUSED), ProbeFailure::Refused);
        for errno in [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::TIMEDOUT, Errno::CONNRESET] {
            assert!(matches!(said(errno), ProbeFailure::Unreachable(_)), "{errno}");
        }
    }
}
