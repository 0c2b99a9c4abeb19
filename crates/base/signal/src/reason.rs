//! Why a request failed: one list, from which status, log word and metric label come.

use std::fmt;

/// Who has to act for the failure to go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Whoever sent the request.
    Client,
    /// The endpoint, or the way to it.
    Upstream,
    /// Aya, or its configuration.
    Aya,
}

impl Blame {
    /// The word in logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Aya => "aya",
        }
    }
}

/// Makes the enum and its tables from one list, so that they cannot disagree.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal, $status:literal, $blame:ident;)+) => {
        /// Why a request failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// All reasons, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in `x-aya-reason`, in logs and as metric label.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The status that the client is answered, if it can still be answered.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// Whose fault it is.
            pub const fn blame(self) -> Blame {
                match self { $(Self::$variant => Blame::$blame,)+ }
            }

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

reasons! {
    /// The request is not valid HTTP, or framed so that two servers could read it differently.
    BadRequest = "bad-request", 400, Client;
    /// The client did not finish its request head in time.
    RequestHeadTimeout = "request-head-timeout", 408, Client;
    /// The client stopped sending its request body.
    RequestBodyTimeout = "request-body-timeout", 408, Client;
    /// The request target is longer than the limit.
    TargetTooLong = "target-too-long", 414, Client;
    /// The expectation is not `100-continue`.
    ExpectationFailed = "expectation-failed", 417, Client;
    /// The request head is larger than the limit, or has too many fields.
    HeadTooLarge = "head-too-large", 431, Client;
    /// The client went away before its answer was complete.
    ClientClosed = "client-closed", 499, Client;
    /// The client stopped reading its answer.
    ClientSendTimeout = "client-send-timeout", 499, Client;
    /// Nothing was said on the connection for too long, by either side.
    IdleTimeout = "idle-timeout", 408, Client;
    /// The connection has lasted for as long as one may here.
    LifetimeOver = "lifetime-over", 408, Client;
    /// The client speaks HTTP where TLS is asked for.
    TlsRequired = "tls-required", 400, Client;
    /// The connection was made to another host, and its certificate is not for the one of this request.
    Misdirected = "misdirected", 421, Client;
    /// The client has shown no certificate, or not one that is let in here.
    CertificateRequired = "certificate-required", 403, Client;
    /// The page that makes the request is of a site that may not, or may not in this way.
    CrossOrigin = "cross-origin", 403, Client;
    /// The HTTP version is not spoken here.
    VersionNotSupported = "version-not-supported", 505, Client;
    /// The method is not one that a gateway may forward.
    MethodNotSupported = "method-not-supported", 501, Client;
    /// The transfer coding is not `chunked`.
    TransferCodingNotSupported = "transfer-coding-not-supported", 501, Client;

    /// No route takes this request.
    NoRoute = "no-route", 404, Aya;
    /// A limit of Aya's own is reached.
    Overloaded = "overloaded", 503, Aya;
    /// Aya is shutting down.
    ShuttingDown = "shutting-down", 503, Aya;
    /// A fault in Aya itself.
    Internal = "internal", 500, Aya;

    /// The pool has no endpoint that may take traffic.
    NoEndpoint = "no-endpoint", 503, Upstream;
    /// Every endpoint that may take traffic is at its connection limit.
    ConnectionLimit = "connection-limit", 503, Upstream;
    /// Every endpoint stayed at its connection limit for as long as a request may wait.
    QueueTimeout = "queue-timeout", 503, Upstream;
    /// The endpoint refused the connection or could not be reached.
    ConnectFailed = "connect-failed", 502, Upstream;
    /// The connection to the endpoint was not made in time.
    ConnectTimeout = "connect-timeout", 504, Upstream;
    /// The TLS handshake with the endpoint failed, or its certificate is not accepted.
    UpstreamTls = "upstream-tls", 502, Upstream;
    /// The endpoint closed the connection before it answered.
    UpstreamClosed = "upstream-closed", 502, Upstream;
    /// The endpoint's answer is not valid HTTP.
    BadResponse = "bad-response", 502, Upstream;
    /// The endpoint's response head is larger than the limit.
    ResponseHeadTooLarge = "response-head-too-large", 502, Upstream;
    /// The endpoint did not begin its answer in time.
    FirstByteTimeout = "first-byte-timeout", 504, Upstream;
    /// The endpoint stopped in the middle of its answer.
    ResponseTimeout = "response-timeout", 504, Upstream;
    /// The endpoint broke off its answer.
    ResponseBroken = "response-broken", 502, Upstream;
    /// The endpoint stopped reading the request body.
    UpstreamSendTimeout = "upstream-send-timeout", 504, Upstream;
    /// The time for the whole request ran out.
    RequestTimeout = "request-timeout", 504, Upstream;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_word_and_an_error_status() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert!((400..600).contains(&reason.status()), "{reason}");
            assert!(reason.meaning().trim().ends_with('.'), "{reason}");
        }
    }
}
