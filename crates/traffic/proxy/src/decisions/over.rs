//! How a request ended.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base_kit::Moment;
use base_signal::Reason;
use traffic_http::request_id::RequestId;

use crate::decisions::Candidate;

/// How a request ended, as far as that decides whether it is remembered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    pub(crate) started: Moment,
    /// From its first byte to the last of its answer.
    pub(crate) total: Duration,
    /// Sent to the client; 0 if none was.
    pub(crate) status: u16,
    /// Why it failed, if it did.
    pub(crate) reason: Option<Reason>,
}

impl End {
    /// Whether it failed, and not for something that the client alone can mend.
    pub(super) fn is_failure(&self) -> bool {
        has_failed(self.status, self.reason)
    }
}

/// Whether a request failed that was answered so, and not for something that the client alone can mend.
pub(super) fn has_failed(status: u16, reason: Option<Reason>) -> bool {
    status >= 500 || reason.is_some_and(|reason| reason.status() >= 500)
}

/// What is remembered of it beyond that and what was noted under way.
pub(crate) struct Over<'a> {
    pub(crate) names: Names<'a>,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) client: IpAddr,
    pub(crate) detail: Option<String>,
    pub(crate) queued: Option<Duration>,
    pub(crate) in_panic: bool,
    pub(crate) candidates: Option<Arc<[Candidate]>>,
}

/// How things are called that a request met, and what it asked for.
pub(crate) struct Names<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) listener: &'a str,
    pub(crate) route: Option<&'a str>,
    /// The pool and its balancer.
    pub(crate) pool: Option<(&'a str, &'a str)>,
}

/// A request as tests need it.
#[cfg(test)]
pub(super) const fn example(path: &str) -> Over<'_> {
    let names = Names {
        method: b"GET",
        host: b"a.test",
        path: path.as_bytes(),
        listener: "web",
        route: Some("r"),
        pool: Some(("p", "round-robin")),
    };
    Over {
        names,
        request_id: None,
        client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        detail: None,
        queued: None,
        in_panic: false,
        candidates: None,
    }
}
