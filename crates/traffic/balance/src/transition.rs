//! What happened to a request at an endpoint, and what that did to the endpoint.

use std::fmt;
use std::sync::Arc;

/// How a request (or the attempt to connect for it) ended, as far as the endpoint is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered.
    Success,
    /// It could not be reached, whatever the request was. The word says how, for instance `connect-failed`.
    Unreachable(&'static str),
    /// It did not. The word says how, for instance `upstream-closed`.
    Failure(&'static str),
    /// Its answer began and came to no good end.
    Broken(&'static str),
}

/// What sort of thing changed an endpoint's state. A fixed list: it is the label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseKind {
    /// An active check over HTTP.
    HttpCheck,
    /// An active check by connecting.
    TcpCheck,
    /// An active check by a TLS handshake.
    TlsCheck,
    /// An active check by asking gRPC's health service.
    GrpcCheck,
    /// An agent beside it.
    AgentCheck,
    /// A program that checks it.
    ExecCheck,
    /// An echo request to its machine.
    IcmpCheck,
    /// A check with a datagram.
    UdpCheck,
    /// Looking up its name.
    NameLookup,
    /// Requests that failed in a row.
    ConsecutiveFailures,
    /// More failures than its peers have.
    MoreErrorsThanPeers,
    /// Later answers than those of its peers.
    SlowerThanPeers,
    /// It does like its peers again.
    LikeItsPeers,
    /// Too little, or again enough, of a pool is fit.
    PanicThreshold,
    /// The time of its ejection ran out.
    EjectionOver,
    /// The operator.
    Admin,
    /// Another configuration.
    Configuration,
}

impl CauseKind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::HttpCheck,
        Self::TcpCheck,
        Self::TlsCheck,
        Self::GrpcCheck,
        Self::AgentCheck,
        Self::ExecCheck,
        Self::IcmpCheck,
        Self::UdpCheck,
        Self::NameLookup,
        Self::ConsecutiveFailures,
        Self::MoreErrorsThanPeers,
        Self::SlowerThanPeers,
        Self::LikeItsPeers,
        Self::PanicThreshold,
        Self::EjectionOver,
        Self::Admin,
        Self::Configuration,
    ];

    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::HttpCheck => "http-check",
            Self::TcpCheck => "tcp-check",
            Self::TlsCheck => "tls-check",
            Self::GrpcCheck => "grpc-check",
            Self::AgentCheck => "agent-check",
            Self::ExecCheck => "exec-check",
            Self::IcmpCheck => "icmp-check",
            Self::UdpCheck => "udp-check",
            Self::NameLookup => "name-lookup",
            Self::ConsecutiveFailures => "consecutive-failures",
            Self::MoreErrorsThanPeers => "more-errors-than-peers",
            Self::SlowerThanPeers => "slower-than-peers",
            Self::LikeItsPeers => "like-its-peers",
            Self::PanicThreshold => "panic-threshold",
            Self::EjectionOver => "ejection-over",
            Self::Admin => "admin",
            Self::Configuration => "configuration",
        }
    }
}

/// A change of an endpoint's state, for a log line and a counter; or another cause of the same state, which is no change
/// to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The pool's name.
    pub pool: Arc<str>,
    /// The endpoint's name; [`Transition::WHOLE_POOL`] for all of the pool.
    pub endpoint: Arc<str>,
    /// The word of the state left.
    pub from: &'static str,
    /// The word of the state entered; that of the state left, when only the cause is another.
    pub to: &'static str,
    /// What sort of cause it has.
    pub kind: CauseKind,
    /// Why, in words for people; it may hold times and addresses, so it is no label.
    pub cause: String,
}

impl Transition {
    /// In place of an endpoint's name: it is the pool that has changed.
    pub const WHOLE_POOL: &str = "*";
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, endpoint, from, to, cause, kind: _ } = self;
        write!(f, "{pool}/{endpoint}: {from} → {to} ({cause})")
    }
}
