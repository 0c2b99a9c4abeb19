//! From what went wrong to the one [`Reason`] that status, log and metric come from.

use std::io;

use base_signal::{Blame, Reason};
use traffic_http::HttpError;

use crate::upstream::DialError;

/// The field that says why Aya could not serve a request.
pub(crate) const REASON_FIELD: &str = "x-aya-reason";

/// A request that could not be served.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// What exactly, for the log and, where it is the client's to mend, for the client.
    pub(crate) detail: Option<String>,
}

/// Whose doing it was that an attempt went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client went, was too slow or broke the protocol.
    Client,
    /// The endpoint did.
    Endpoint,
    /// The endpoint closed the connection without answering a byte, as it may with one that was idle.
    EndpointSilent,
    /// The endpoint did the same while the client still owed it a part of the request: it may have waited long enough.
    EndpointWaiting,
    /// The endpoint closed a connection that was idle, and takes no more traffic.
    EndpointGone,
    /// Nobody's, or nobody can tell: time that both had to share ran out, Aya is draining or short of something.
    Neither,
}

impl Fault {
    /// As in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Endpoint | Self::EndpointSilent => "endpoint",
            Self::EndpointWaiting | Self::EndpointGone | Self::Neither => "neither",
        }
    }

    /// Whether the endpoint is to be held to account.
    pub(crate) const fn is_the_endpoints(self) -> bool {
        matches!(self, Self::Endpoint | Self::EndpointSilent)
    }

    /// Whether another endpoint may do better.
    pub(crate) const fn may_be_mended_elsewhere(self) -> bool {
        self.is_the_endpoints() || matches!(self, Self::EndpointWaiting | Self::EndpointGone)
    }

    /// Whether the connection was closed without a byte of an answer.
    pub(crate) const fn is_silent_close(self) -> bool {
        matches!(self, Self::EndpointSilent | Self::EndpointWaiting)
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None }
    }
}

impl Failure {
    /// With what exactly was wrong.
    pub(crate) fn with(reason: Reason, detail: impl ToString) -> Self {
        Self { reason, detail: Some(detail.to_string()) }
    }

    /// What the client is told in words: nothing internal, and what it can mend.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} {}", self.reason.status(), self.reason.meaning().trim());
        if let Some(detail) = self.detail.as_ref().filter(|_| self.reason.blame() == Blame::Client) {
            text.push('\n');
            text.push_str(detail);
        }
        text
    }

    /// A request that does not follow the protocol.
    pub(crate) fn bad_request(error: &HttpError) -> Self {
        let reason = match error {
            HttpError::HeadTooLarge | HttpError::TooManyFields => Reason::HeadTooLarge,
            HttpError::TargetTooLong => Reason::TargetTooLong,
            HttpError::VersionNotSupported => Reason::VersionNotSupported,
            HttpError::TransferCodingNotSupported => Reason::TransferCodingNotSupported,
            HttpError::ExpectationFailed => Reason::ExpectationFailed,
            _ => Reason::BadRequest,
        };
        Self::with(reason, error)
    }

    /// A response that does not follow the protocol.
    pub(crate) fn bad_response(error: &HttpError) -> Self {
        let reason = match error {
            HttpError::HeadTooLarge | HttpError::TooManyFields => Reason::ResponseHeadTooLarge,
            _ => Reason::BadResponse,
        };
        Self::with(reason, error)
    }

    /// Something that the client did not take.
    pub(crate) fn unsent(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Reason::ClientSendTimeout.into(),
            _ => Self::with(Reason::ClientClosed, error),
        }
    }

    /// An endpoint that could not be connected to, or a machine that is out of what a connection takes.
    pub(crate) fn dial(error: &DialError) -> Self {
        match error {
            DialError::Connect(error) if is_own_shortage(error) => Self::with(Reason::Overloaded, error),
            DialError::Connect(error) => Self::with(Reason::ConnectFailed, error),
            DialError::Tls(what) => Self::with(Reason::UpstreamTls, what),
        }
    }

    /// Whether the endpoint was not asked anything, since there was no connection to ask it on.
    pub(crate) const fn is_of_connecting(&self) -> bool {
        matches!(self.reason, Reason::ConnectFailed | Reason::UpstreamTls)
    }
}

/// Whether this machine is short of descriptors, memory or ports: that says nothing about the endpoint.
fn is_own_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    shortages.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
