//! What is known of a request when it is over, and the names of it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::reason::Reason;

/// One request. Borrows from the worker's buffers; values are as received and may be any bytes.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// When its first byte came, since 1970-01-01 UTC.
    pub time: Duration,
    /// Its id.
    pub request_id: &'a str,
    /// The client: the peer, or whom a trusted proxy named.
    pub client: IpAddr,
    /// Name of the listener.
    pub listener: &'a str,
    /// As received.
    pub method: &'a [u8],
    /// The authority asked for, port included; empty if there was none.
    pub host: &'a [u8],
    /// As received, without query.
    pub path: &'a [u8],
    /// As received, without the question mark.
    pub query: Option<&'a [u8]>,
    /// `HTTP/1.1` and the like.
    pub version: &'a str,
    /// What the client was sent; 0 if it was sent none.
    pub status: u16,
    /// Why it failed, if it did.
    pub reason: Option<Reason>,
    /// Name of the route.
    pub route: Option<&'a str>,
    /// Name of the pool.
    pub pool: Option<&'a str>,
    /// The endpoint that answered, or was tried last.
    pub endpoint: Option<&'a str>,
    /// How often it was sent to an endpoint.
    pub attempts: u32,
    /// Bytes received from the client, head included.
    pub bytes_in: u64,
    /// Bytes sent to the client, head included.
    pub bytes_out: u64,
    /// From its first byte to the last of its answer.
    pub duration: Duration,
    /// How long it waited for an endpoint with room; `None` if it did not have to.
    pub queued: Option<Duration>,
    /// What connecting to the endpoint took; `None` if a connection was reused or none was made.
    pub connect: Option<Duration>,
    /// From the request sent to the first byte of the endpoint's answer.
    pub first_byte: Option<Duration>,
    /// `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
    /// Trace id of `traceparent`: 32 hexadecimal digits.
    pub trace_id: Option<&'a [u8]>,
    /// What the TLS handshake has agreed upon; `None` without TLS.
    pub tls: Option<TlsRecord<'a>>,
}

/// What is known of a TLS connection.
#[derive(Clone, Copy, Debug)]
pub struct TlsRecord<'a> {
    /// `TLSv1.3` and the like.
    pub version: &'a str,
    /// The cipher suite, as it is registered.
    pub cipher: &'a str,
    /// The name that the client has asked for.
    pub name: Option<&'a str>,
    /// Whether it took a session up again.
    pub is_resumed: bool,
    /// Whose certificate the client has shown.
    pub client: Option<&'a str>,
    /// The SHA-256 of that.
    pub client_fingerprint: Option<&'a str>,
}

impl Default for AccessRecord<'_> {
    fn default() -> Self {
        Self {
            time: Duration::ZERO,
            request_id: "",
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            listener: "",
            method: b"",
            host: b"",
            path: b"",
            query: None,
            version: "",
            status: 0,
            reason: None,
            route: None,
            pool: None,
            endpoint: None,
            attempts: 0,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
            queued: None,
            connect: None,
            first_byte: None,
            user_agent: None,
            referer: None,
            trace_id: None,
            tls: None,
        }
    }
}

/// Makes the enum and its tables from one list, so that they cannot disagree.
macro_rules! fields {
    ($($variant:ident = $name:literal, $default:literal, $meaning:literal;)+) => {
        /// A field of an access-log line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AccessField { $(#[doc = $meaning] $variant,)+ }

        impl AccessField {
            /// All fields there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// As written in the configuration and in the log.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it tells.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// Whether it is written when no fields are chosen.
            pub const fn is_default(self) -> bool {
                match self { $(Self::$variant => $default,)+ }
            }
        }
    };
}

fields! {
    Time = "time", true, "When the first byte of the request came (RFC 3339, UTC, microseconds).";
    RequestId = "request_id", true, "The request's id.";
    Client = "client", true, "Address of the client: the peer, or whom a trusted proxy named.";
    Listener = "listener", true, "Name of the listener.";
    Method = "method", true, "Method, as received.";
    Host = "host", true, "Host asked for, port included.";
    Path = "path", true, "Path, as received, without query.";
    Query = "query", false, "Query, as received, without the question mark. May hold secrets.";
    Version = "version", true, "HTTP version.";
    Status = "status", true, "Status sent to the client; 0 if it was gone before.";
    Reason = "reason", true, "Why it failed, as in `x-aya-reason`.";
    Blame = "blame", true, "Who has to act for the failure to go away: client, upstream or aya.";
    Route = "route", true, "Name of the route.";
    Pool = "pool", true, "Name of the pool.";
    Endpoint = "endpoint", true, "The endpoint that answered, or was tried last.";
    Attempts = "attempts", true, "How often the request was sent to an endpoint.";
    BytesIn = "bytes_in", true, "Bytes received from the client, head included.";
    BytesOut = "bytes_out", true, "Bytes sent to the client, head included.";
    Duration = "duration_ms", true, "Milliseconds from the first byte of the request to the last of the answer.";
    Queued = "queued_ms", true, "Milliseconds that it waited because all endpoints were at their connection limit.";
    Connect = "connect_ms", true, "Milliseconds that connecting to the endpoint took.";
    FirstByte = "first_byte_ms", true, "Milliseconds from the request sent to the first byte of the endpoint's answer.";
    UserAgent = "user_agent", true, "`User-Agent` of the request.";
    Referer = "referer", false, "`Referer` of the request.";
    TraceId = "trace_id", true, "Trace id of `traceparent`.";
    TlsVersion = "tls_version", false, "Version of TLS.";
    TlsCipher = "tls_cipher", false, "Cipher suite of the TLS connection.";
    TlsName = "tls_name", false, "The name that the client has asked for in the TLS handshake.";
    TlsClient = "tls_client", false, "Whose certificate the client has shown (its subject, as RFC 4514 writes it).";
    TlsClientFingerprint = "tls_client_fingerprint", false, "SHA-256 of that certificate.";
    TlsHandshake = "tls_handshake", false, "`full`, or `resumed` where a TLS session was taken up again.";
}

impl AccessField {
    /// The field of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }
}
