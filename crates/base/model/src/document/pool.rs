//! Where traffic goes.

use std::borrow::Cow;

use base_kit::{ByteSize, Percent, TimeSpan};
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::forms::{OneOrMany, OneOrSome, OrOff, Switch, Switched, one_or_many, switched};
use super::sticky::Sticky;
use super::tls::{PoolTls, pool_tls};

/// Endpoints that serve the same thing, and how traffic is spread over them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pool {
    /// The servers: `10.0.0.1:8080`, `app.internal:8080` or `{address: …, weight: …}`. The port is 80 if not given, 443 with `tls`.
    pub endpoints: Vec<Endpoint>,
    /// How one of them is chosen: the name of a balancer, or `{kind: name}` with its settings.
    #[serde(default = "default_balance")]
    #[schemars(with = "BalancerSlot")]
    pub balance: Value,
    /// Keeps a session with its endpoint, whatever the balancer would choose: `{cookie: NAME}`, `source`, `{learn: {cookie: NAME}}` or
    /// `{learn: {header: NAME}}`; for datagrams `source` or `{learn: quic}`. Nothing does if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Active checks: `tcp`, `tls`, `{http: /path}`, `agent`, or a list of checks that must all pass. None if not given.
    #[serde(default, deserialize_with = "checks")]
    #[schemars(with = "HealthForm")]
    pub health: Vec<Check>,
    /// Takes an endpoint out for a while after failures in traffic, or when it does much worse than its peers.
    #[serde(default = "Ejection::switched_on")]
    pub ejection: OrOff<Ejection>,
    /// How long an endpoint that comes (back) takes to get all of its share; it begins with a tenth.
    #[serde(default = "OrOff::<TimeSpan>::off")]
    pub slow_start: OrOff<TimeSpan>,
    /// When traffic goes on to the next tier, or to other zones.
    #[serde(default)]
    pub spill_over: SpillOver,
    /// When less than this share of the endpoints' weight is fit, all of them get traffic, fit or not.
    #[serde(default)]
    pub panic: Percent,
    /// This node uses only so many of the endpoints that are fit, others use others; it needs `node.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub subset: Option<u32>,
    /// Limits of connections to each endpoint.
    #[serde(default)]
    pub connections: Connections,
    /// How long endpoints may take.
    #[serde(default)]
    pub timeouts: PoolTimeouts,
    /// Over TLS: `on`, or with these settings. Without it if not given.
    #[serde(default, deserialize_with = "pool_tls", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Switched<PoolTls>")]
    pub tls: Option<PoolTls>,
    /// HTTP/2, many requests over one connection: `on`, or with these settings. Over TLS where the endpoint agrees (ALPN), else always.
    #[serde(default = "OrOff::<PoolHttp2>::off", deserialize_with = "switched")]
    #[schemars(with = "Switched<PoolHttp2>")]
    pub http2: OrOff<PoolHttp2>,
    /// When sessions over UDP are over, for listeners with `protocol: udp`.
    #[serde(default, skip_serializing_if = "Udp::is_usual")]
    pub udp: Udp,
    /// Connections to endpoints begin with the PROXY protocol of this version, which says who the client is; so does each datagram (`v2` only). For listeners that
    /// pass connections or datagrams on; requests of many clients share a connection, and tell it in their fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyVersion>,
    /// The `Host` sent to endpoints; the client's if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "authority"))]
    pub host: Option<String>,
    /// Request bodies up to this size are kept until the answer begins, so that a request can be sent again.
    #[serde(default = "default_replay")]
    pub replay: ByteSize,
    /// How large a response head may be.
    #[serde(default)]
    pub limits: PoolLimits,
}

/// How endpoints are told who the client of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ProxyVersion {
    /// A line of text: addresses alone.
    V1,
    /// Bytes: addresses, and the name that the client asks for in TLS, if there is one.
    V2,
}

/// When sessions over UDP are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Udp {
    /// Without a datagram either way. With `replies`, an endpoint that owes one by then has failed.
    pub timeout: TimeSpan,
    /// Datagrams that answer each of the client's: 1 for DNS. A session that has had them all is over at once. With 0, each datagram is balanced by itself.
    /// Nobody knows if not given, and no endpoint is blamed for its silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000))]
    pub replies: Option<u32>,
}

impl Udp {
    // Shape of `skip_serializing_if`.
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Udp {
    fn default() -> Self {
        Self { timeout: TimeSpan::from_secs(60), replies: None }
    }
}

/// How HTTP/2 is spoken to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PoolHttp2 {
    /// Requests under way at once on a connection, where the endpoint takes as many; more go on another connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_streams: u32,
    /// Bytes of one answer that may be under way before its client has taken some.
    pub stream_window: ByteSize,
}

impl Default for PoolHttp2 {
    fn default() -> Self {
        Self { max_streams: 100, stream_window: ByteSize::from_kib(64) }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            balance: default_balance(),
            sticky: None,
            health: Vec::new(),
            ejection: Ejection::switched_on(),
            slow_start: OrOff::Off,
            spill_over: SpillOver::default(),
            panic: Percent::NONE,
            subset: None,
            connections: Connections::default(),
            timeouts: PoolTimeouts::default(),
            tls: None,
            http2: OrOff::Off,
            udp: Udp::default(),
            proxy_protocol: None,
            host: None,
            replay: default_replay(),
            limits: PoolLimits::default(),
        }
    }
}

fn default_balance() -> Value {
    Value::from("round-robin")
}

/// Most forms and API calls fit.
const fn default_replay() -> ByteSize {
    ByteSize::from_kib(64)
}

// Stands in the schema where the balancers of the catalog go.
#[derive(JsonSchema)]
#[schemars(rename = "Balancer")]
struct BalancerSlot {}

/// One server: `10.0.0.1:8080` is short for `{address: "10.0.0.1:8080"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", from = "EndpointForm")]
pub struct Endpoint {
    /// Host and port.
    pub address: String,
    /// Share of traffic relative to the others.
    pub weight: u32,
    /// 0 takes traffic first; the next ones are its backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<u8>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum EndpointForm {
    Address(#[schemars(extend("format" = "endpoint-address"))] String),
    Full(EndpointFull),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
struct EndpointFull {
    /// Host and port.
    #[schemars(extend("format" = "endpoint-address"))]
    address: String,
    /// Share of traffic relative to the others; 0 takes no new traffic.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 65_535))]
    weight: u32,
    /// 0, as if not given, takes traffic first; 1 is its backup, 2 that of both.
    #[serde(default)]
    #[schemars(range(min = 0, max = 15))]
    tier: Option<u8>,
    /// Where it is, in the words of `node.zone`.
    #[serde(default)]
    #[schemars(extend("format" = "name"))]
    zone: Option<String>,
}

const fn default_weight() -> u32 {
    1
}

impl From<EndpointForm> for Endpoint {
    fn from(form: EndpointForm) -> Self {
        match form {
            EndpointForm::Address(address) => {
                Self { address, weight: default_weight(), tier: None, zone: None }
            }
            EndpointForm::Full(EndpointFull { address, weight, tier, zone }) => {
                Self { address, weight, tier, zone }
            }
        }
    }
}

/// A check that asks the endpoint: one of `tcp: true`, `tls: on`, `http: /path`, `grpc: true`, `agent: true`,
/// `exec: [program, …]`, `icmp: true` and `udp: TEXT`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Check {
    /// A connection is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("const" = true))]
    pub tcp: Option<bool>,
    /// By itself: a handshake comes to its end, with a certificate that the pool's `tls` accepts. With `http` and
    /// `grpc`: whether it is asked over TLS; as the pool's requests if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Switch>,
    /// The path that is asked with HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "origin-path"))]
    pub http: Option<String>,
    /// The health service of gRPC (`grpc.health.v1.Health`) says that the endpoint serves: as a whole (`true`), or the service of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcService>,
    /// An agent beside the endpoint says in one line how it is, and which share of its weight it can take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("const" = true))]
    pub agent: Option<bool>,
    /// A line that is sent first (with `agent`); nothing if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "line"))]
    pub send: Option<String>,
    /// A program and its arguments, run without a shell; passes with exit status 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("items" = {"type": "string", "format": "argument"}))]
    pub exec: Option<Vec<String>>,
    /// The endpoint's machine answers an echo request, as `ping` sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("const" = true))]
    pub icmp: Option<bool>,
    /// A datagram of these bytes is answered: a text, or `hex:` and digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "bytes"))]
    pub udp: Option<String>,
    /// What the answer holds (with `udp`): a text, or `hex:` and digits. Whatever it holds if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "bytes"))]
    pub expect: Option<String>,
    /// The method (with `http`); `GET` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "method"))]
    pub method: Option<String>,
    /// The `Host` sent (with `http` and `grpc`); the endpoint's own if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "authority"))]
    pub host: Option<String>,
    /// Further header fields sent (with `http`).
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(extend("propertyNames" = {"format": "header-name"}, "additionalProperties" = {"type": "string", "format": "header-value"}))]
    pub headers: IndexMap<String, String>,
    /// Statuses that are well (with `http`): `200`, `200-299` or a list; `200-299` if not given.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<Status>")]
    pub status: Vec<Status>,
    /// What the first 64KiB of the body must hold (with `http`): a text, or `~ regex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "value-pattern"))]
    pub body: Option<String>,
    /// From the end of one check to the start of the next.
    pub interval: TimeSpan,
    /// For one check, all of it.
    pub timeout: TimeSpan,
    /// Successes in a row that bring a sick endpoint back; what an `agent` says holds at once.
    #[schemars(range(min = 1, max = 1_000))]
    pub rise: u32,
    /// Failures in a row that take a healthy one out; what an `agent` says holds at once.
    #[schemars(range(min = 1, max = 1_000))]
    pub fall: u32,
    /// Share of the interval by which it is varied at random, so that checks do not come all at once.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
    /// Asked on this port instead of the endpoint's; a program is told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<u16>,
}

/// What the health service of gRPC is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum GrpcService {
    /// `true`: the endpoint as a whole.
    Whole(bool),
    /// The service of this name, as `shop.Orders`.
    Named(#[schemars(extend("format" = "line"))] String),
}

impl Default for Check {
    fn default() -> Self {
        Self {
            tcp: None,
            tls: None,
            http: None,
            grpc: None,
            agent: None,
            send: None,
            exec: None,
            icmp: None,
            udp: None,
            expect: None,
            method: None,
            host: None,
            headers: IndexMap::new(),
            status: Vec::new(),
            body: None,
            interval: TimeSpan::from_secs(2),
            timeout: TimeSpan::from_secs(1),
            rise: 2,
            fall: 3,
            jitter: 0.1,
            port: None,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum CheckForm {
    Word(CheckWord),
    Full(Box<Check>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum CheckWord {
    /// A connection is accepted.
    Tcp,
    /// A handshake comes to its end.
    Tls,
    /// An agent says how the endpoint is.
    Agent,
    /// The machine answers an echo request.
    Icmp,
}

type HealthForm = OneOrMany<CheckForm>;

/// Spells checks out.
fn checks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Check>, D::Error> {
    let forms: Vec<CheckForm> = HealthForm::deserialize(deserializer)?.into();
    let full = |form| match form {
        CheckForm::Word(CheckWord::Tcp) => Check { tcp: Some(true), ..Check::default() },
        CheckForm::Word(CheckWord::Tls) => Check { tls: Some(Switch::On), ..Check::default() },
        CheckForm::Word(CheckWord::Agent) => Check { agent: Some(true), ..Check::default() },
        CheckForm::Word(CheckWord::Icmp) => Check { icmp: Some(true), ..Check::default() },
        CheckForm::Full(check) => *check,
    };
    Ok(forms.into_iter().map(full).collect())
}

/// A status, or a range of them: `304`, `200-299`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Status {
    /// One.
    Code(u16),
    /// From one to another.
    Range(String),
}

impl JsonSchema for Status {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "format": "status-range" },
        ] })
    }
}

/// Takes an endpoint out for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ejection {
    /// Failures in a row that do it: connection refused, no answer, broken answer.
    #[schemars(with = "FailuresForm")]
    pub consecutive_failures: OrOff<u32>,
    /// For how long the first time; each time it is soon needed again, for twice as long.
    #[serde(rename = "for")]
    pub span: TimeSpan,
    /// At most for so long.
    pub max_for: TimeSpan,
    /// At most this share of the endpoints, and at least one, is out or gets less at a time. Those that cannot be reached go whatever it says.
    pub max_share: Percent,
    /// Compares endpoints of a pool with each other.
    pub peers: OrOff<Peers>,
}

/// Compares each endpoint with the others of its pool: one that fails more often or answers much later gets less and less
/// traffic, and is taken out when that does not help.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Peers {
    /// How often.
    pub interval: TimeSpan,
    /// Requests that are needed for a judgement.
    #[schemars(range(min = 5, max = 1_000_000))]
    pub requests: u32,
    /// More failed requests (status 5xx, or no answer) than the others, by this share of all.
    pub errors: OrOff<Percent>,
    /// So many times as slow as the others are when they are slowest, in the last minute or two (median of the others).
    #[schemars(with = "SlowerForm")]
    pub slower: OrOff<f64>,
    /// And slower by at least this.
    pub slower_by: TimeSpan,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum FailuresForm {
    Off(#[schemars(extend("const" = "off"))] String),
    InARow(#[schemars(range(min = 1, max = 1_000_000))] u32),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum SlowerForm {
    Off(#[schemars(extend("const" = "off"))] String),
    Times(#[schemars(range(min = 1.5, max = 1_000.0))] f64),
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            interval: TimeSpan::from_secs(1),
            requests: 20,
            errors: OrOff::On(Percent::new(10)),
            slower: OrOff::On(3.0),
            slower_by: TimeSpan::from_millis(10),
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: OrOff::On(5),
            span: TimeSpan::from_secs(10),
            max_for: TimeSpan::from_secs(300),
            max_share: Percent::new(50),
            peers: OrOff::On(Peers::default()),
        }
    }
}

impl Ejection {
    fn switched_on() -> OrOff<Self> {
        OrOff::On(Self::default())
    }
}

/// When traffic goes on to the next tier, or to other zones: when less than this share of the weight that ought to serve it
/// is fit, what is missing of it goes on, in proportion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SpillOver {
    /// From a tier to the next; `0%` waits until nothing of it is left.
    pub tiers: Percent,
    /// From the zone of this node (`node.zone`) to others. What ought to serve it is a zone's equal part of the tier's weight.
    pub zones: Percent,
}

impl Default for SpillOver {
    fn default() -> Self {
        Self { tiers: Percent::NONE, zones: Percent::new(70) }
    }
}

/// Limits of connections to each endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Connections {
    /// In use at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
    /// Kept idle by each worker.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_idle: u32,
    /// How long one is kept idle.
    pub idle: TimeSpan,
    /// Requests of the pool that wait for a connection when all of them are in use, over all workers.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub queue: u32,
    /// How long one waits.
    pub queue_timeout: TimeSpan,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 1_024,
            max_idle: 1_024,
            idle: TimeSpan::from_secs(60),
            queue: 1_024,
            queue_timeout: TimeSpan::from_secs(1),
        }
    }
}

/// How long endpoints may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PoolTimeouts {
    /// To connect.
    pub connect: TimeSpan,
    /// From the last byte of the request sent to the first of the answer.
    pub first_byte: TimeSpan,
    /// Without a byte of the answer's body.
    pub response_progress: TimeSpan,
    /// Without taking a byte of the request.
    pub send_progress: TimeSpan,
}

impl Default for PoolTimeouts {
    fn default() -> Self {
        Self {
            connect: TimeSpan::from_secs(2),
            first_byte: TimeSpan::from_secs(60),
            response_progress: TimeSpan::from_secs(60),
            send_progress: TimeSpan::from_secs(30),
        }
    }
}

/// How large a response head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PoolLimits {
    /// The whole head; at most 256KiB.
    pub head: ByteSize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { head: ByteSize::from_kib(64) }
    }
}
