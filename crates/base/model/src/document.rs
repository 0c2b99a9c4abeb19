//! The configuration as written, with every shorthand spelled out and every default filled in.
//!
//! These types are the vocabulary: the JSON Schema, the reference and the checks come from them. What may be written
//! short (`bind: ":80"`) has a private `…Form` type beside it that says so.

mod catalog;
mod forms;
mod listener;
mod operation;
mod pass_through;
mod pool;
mod route;
mod schema;
mod sticky;
mod tls;

pub use listener::{
    Forwarded, ForwardedMode, ForwardedStyle, Http2, Listener, ListenerLimits, ListenerTimeouts, Protocol,
    RequestId,
};
pub use operation::{
    Access, AccessFormat, Admin, Decisions, Driver, History, LogLevel, Logs, Node, SecretSource, Workers,
};
pub use pass_through::PassThrough;
pub use pool::{
    Check, Connections, Ejection, Endpoint, GrpcService, Peers, Pool, PoolHttp2, PoolLimits, PoolTimeouts,
    ProxyVersion, SpillOver, Status,
};
pub use route::{
    ClientCertificateMatch, ClientCertificateParts, Match, Retry, Route, RouteTimeouts, ValueMatch,
};
pub use sticky::{LearnFrom, Prefixes, SameSite, Sticky, StickyCookie, StickyLearn, StickySource};
pub(crate) use tls::SYSTEM;
pub use tls::{
    Certificate, CertificateFiles, CertificateFolder, ClientCertificate, ClientCertificateTold, KeySource,
    ListenerTls, Ocsp, OwnCertificate, PoolTls, Tickets, TlsClients, TlsPolicy, UnknownName,
};

pub use catalog::{
    CertificateCheck, CertificateUse, KindCatalog, KindEntry, OcspProblem, SettingsCheck, SettingsProblem,
    Validity,
};
pub use forms::{OrOff, Switch};
pub use schema::schema;
pub(crate) use schema::{resolve, schema_of};

use base_kit::TimeSpan;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A configuration of Aya.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(extend("required" = ["listeners"]))]
pub struct Document {
    /// This process among others.
    #[serde(skip_serializing_if = "Node::is_unknown")]
    pub node: Node,
    /// Worker threads. `auto` takes one for each core that may be used.
    pub workers: Workers,
    /// What drives the sockets of the workers.
    pub io: Driver,
    /// Whether a worker that often has more to do in a moment looks out for it, for up to 20 µs, before it sleeps: somewhat quicker answers, for
    /// processor time that would be left over. With io_uring only.
    pub busy_poll: bool,
    /// How long running requests may take to end when Aya stops, or when a listener goes.
    pub drain: TimeSpan,
    /// How traffic comes in: a name for each listener.
    #[schemars(extend("propertyNames" = {"format": "name"}, "minProperties" = 1))]
    pub listeners: IndexMap<String, Listener>,
    /// Which request goes where. The most specific route wins: host, then path, then the number of conditions;
    /// order breaks ties.
    pub routes: Vec<Route>,
    /// Where traffic goes: a name for each pool of endpoints.
    #[schemars(extend("propertyNames" = {"format": "name"}))]
    pub pools: IndexMap<String, Pool>,
    /// The admin port: API and metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
    /// What is written down about requests and about Aya itself.
    pub logs: Logs,
    /// Which requests are remembered for a while, for `aya explain --id`; or `off`. Only where there is an admin port to ask.
    pub decisions: OrOff<Decisions>,
    /// Keeps earlier configurations on disk, so that one can go back even after a restart. Without it the last 20 are kept in
    /// memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            node: Node::default(),
            workers: Workers::Auto,
            io: Driver::Auto,
            busy_poll: false,
            drain: TimeSpan::from_secs(30),
            listeners: IndexMap::new(),
            routes: Vec::new(),
            pools: IndexMap::new(),
            admin: None,
            logs: Logs::default(),
            decisions: OrOff::On(Decisions::default()),
            history: None,
        }
    }
}
