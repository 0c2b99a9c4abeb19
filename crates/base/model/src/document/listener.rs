//! How traffic comes in.

use base_kit::{ByteSize, TimeSpan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{OneOrMany, OneOrSome, OrOff, Switched, one_or_many, switched};
use super::pass_through::PassThrough;
use super::tls::ListenerTls;

/// A set of addresses with one protocol and one way of treating clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Listener {
    /// Address and port, or a list of them: `10.0.0.1:80`, `"[::1]:80"`; `:80` is all addresses of the machine.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrSome<BindAddress>")]
    pub bind: Vec<String>,
    /// What is spoken there.
    #[serde(default)]
    pub protocol: Protocol,
    /// With `protocol: tcp` and `udp`, the pool that connections or datagrams are passed on to. With `http`, routes say where requests go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Connections that are passed on as they are, by what the client asks for in its TLS handshake; all others go on as they would without this. The most
    /// specific one wins: exact name, then the longest `*.`, then any name; with `alpn` before without; order breaks ties.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<PassThrough>")]
    pub pass_through: Vec<PassThrough>,
    /// Over TLS, with these certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// HTTP/2 beside HTTP/1.1: agreed upon in the TLS handshake (ALPN); without TLS, for clients that begin with it.
    #[serde(default = "Http2::switched_on", deserialize_with = "switched")]
    #[schemars(with = "Switched<Http2>")]
    pub http2: OrOff<Http2>,
    /// Networks whose connections begin with the PROXY protocol (version 1 or 2), which says who the client is: load balancers in front of Aya. Who
    /// connects from elsewhere is a client itself.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<Network>")]
    pub proxy_protocol: Vec<String>,
    /// Networks whose `Forwarded` and `X-Forwarded-*` fields are believed: proxies in front of Aya.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<Network>")]
    pub trusted_proxies: Vec<String>,
    /// What endpoints are told about the client.
    #[serde(default)]
    pub forwarded: Forwarded,
    /// The field that carries the request id to the endpoint and back to the client.
    #[serde(default = "RequestId::switched_on")]
    pub request_id: OrOff<RequestId>,
    /// Aya's name in the `Via` field.
    #[serde(default = "default_via")]
    #[schemars(with = "OrOff<Token>")]
    pub via: OrOff<String>,
    /// Connections open at once; more wait in the kernel's queue. With `protocol: udp`, sessions; datagrams that would begin more are dropped. As many as there may be open files for, at most 100000, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_connections: Option<u32>,
    /// How large a request head may be.
    #[serde(default)]
    pub limits: ListenerLimits,
    /// How long clients may take.
    #[serde(default)]
    pub timeouts: ListenerTimeouts,
}

// Tells the schema that a text is an address to listen on.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "bind-address"))]
pub(super) struct BindAddress(#[expect(dead_code, reason = "only its schema is used")] String);

// Tells the schema that a text is a network.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "network"))]
pub(super) struct Network(#[expect(dead_code, reason = "only its schema is used")] String);

// Tells the schema that a text is a token of HTTP (RFC 9110 §5.6.2).
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "token"))]
pub(super) struct Token(#[expect(dead_code, reason = "only its schema is used")] String);

fn default_via() -> OrOff<String> {
    OrOff::On("aya".to_owned())
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Protocol {
    /// HTTP/1.1 (and 1.0), and HTTP/2 unless it is switched off.
    #[default]
    Http,
    /// Whatever clients and endpoints agree upon: bytes are passed on both ways as they come.
    Tcp,
    /// Datagrams are passed on both ways as they come. Those of one client's address and port are a session; the pool's `udp` says when it is over.
    Udp,
}

/// What the other side of an HTTP/2 connection is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Http2 {
    /// Requests under way at once on a connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_streams: u32,
    /// Bytes of one body that may be under way before its taker has taken some.
    pub stream_window: ByteSize,
    /// The same for all bodies of a connection together.
    pub connection_window: ByteSize,
}

impl Http2 {
    fn switched_on() -> OrOff<Self> {
        OrOff::On(Self::default())
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            max_streams: 100,
            stream_window: ByteSize::from_kib(256),
            connection_window: ByteSize::from_kib(1024),
        }
    }
}

/// What endpoints are told about the client: `append` is short for `{mode: append}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", from = "ForwardedForm")]
pub struct Forwarded {
    /// What happens to the fields that are there.
    pub mode: ForwardedMode,
    /// Which fields are written.
    pub style: ForwardedStyle,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum ForwardedForm {
    Mode(ForwardedMode),
    Full(ForwardedFull),
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(inline)]
struct ForwardedFull {
    /// What happens to the fields that are there.
    mode: ForwardedMode,
    /// Which fields are written.
    style: ForwardedStyle,
}

impl From<ForwardedForm> for Forwarded {
    fn from(form: ForwardedForm) -> Self {
        match form {
            ForwardedForm::Mode(mode) => Self { mode, style: ForwardedStyle::default() },
            ForwardedForm::Full(full) => Self { mode: full.mode, style: full.style },
        }
    }
}

/// What happens to forwarding fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ForwardedMode {
    /// Fields from trusted proxies are kept and the peer is added; from others, replaced.
    #[default]
    Append,
    /// What the client sent is dropped, the peer alone is named.
    Replace,
    /// What the client sent is dropped, and nothing is told.
    Drop,
}

/// Which forwarding fields are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ForwardedStyle {
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Both.
    Both,
}

/// The request id: `x-request-id` is short for `{header: x-request-id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", from = "RequestIdForm")]
pub struct RequestId {
    /// Name of the field.
    pub header: String,
    /// Whether an id that a trusted proxy sent is kept.
    pub trust: bool,
}

impl RequestId {
    fn switched_on() -> OrOff<Self> {
        OrOff::On(RequestIdForm::Full(RequestIdFull::default()).into())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum RequestIdForm {
    Header(#[schemars(extend("format" = "header-name"))] String),
    Full(RequestIdFull),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(inline)]
struct RequestIdFull {
    /// Name of the field.
    #[schemars(extend("format" = "header-name"))]
    header: String,
    /// Whether an id that a trusted proxy sent is kept.
    trust: bool,
}

impl Default for RequestIdFull {
    fn default() -> Self {
        Self { header: "x-request-id".to_owned(), trust: true }
    }
}

impl From<RequestIdForm> for RequestId {
    fn from(form: RequestIdForm) -> Self {
        let full = match form {
            RequestIdForm::Header(header) => RequestIdFull { header, ..RequestIdFull::default() },
            RequestIdForm::Full(full) => full,
        };
        Self { header: full.header, trust: full.trust }
    }
}

/// How large a request head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ListenerLimits {
    /// The whole head; at most 256KiB.
    pub head: ByteSize,
    /// Number of header fields.
    #[schemars(range(min = 1, max = 10_000))]
    pub fields: u32,
    /// The request target (path and query).
    pub target: ByteSize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self { head: ByteSize::from_kib(64), fields: 100, target: ByteSize::from_kib(16) }
    }
}

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ListenerTimeouts {
    /// From accepting a connection to the end of its TLS handshake; with `pass-through`, to the end of its first message.
    pub tls_handshake: TimeSpan,
    /// From the first byte of a request head (or from accepting the connection) to its last.
    pub request_head: TimeSpan,
    /// Without a byte of the request body.
    pub body_progress: TimeSpan,
    /// Without the client taking a byte of its answer.
    pub send_progress: TimeSpan,
    /// How long an answer may still take when the client has stopped sending (a closed connection looks the same); then
    /// the request is given up.
    pub half_close: TimeSpan,
    /// Between two requests of a connection, and without a byte either way after an upgrade or with `protocol: tcp`: 75s if not given, with `tcp` 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<TimeSpan>,
    /// How long a connection that is passed on may last, however busy it is; for as long as its two sides like if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<TimeSpan>,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self {
            tls_handshake: TimeSpan::from_secs(10),
            request_head: TimeSpan::from_secs(10),
            body_progress: TimeSpan::from_secs(30),
            send_progress: TimeSpan::from_secs(30),
            half_close: TimeSpan::from_secs(1),
            idle: None,
            lifetime: None,
        }
    }
}
