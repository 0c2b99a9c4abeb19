//! The checked configuration: every shorthand spelled out, every reference resolved, every limit valid.
//!
//! A [`Model`] can only be had by checking a document, so the planes below need not check again.

mod host;
mod listener;
mod operation;
mod pool;
mod route;
mod snapshot;
mod sticky;
mod tls;

pub use host::{Host, HostPattern};
pub use listener::{
    Forwarded, ForwardedMode, ForwardedStyle, Http2, Listener, ListenerTimeouts, PassThrough, Protocol,
    RequestId,
};
pub use operation::{
    AccessLog, Admin, Decisions, Driver, History, LogFormat, LogLevel, LogTarget, Operation, Secret,
};
pub use pool::{
    ActiveCheck, BodyMatch, CheckKind, Connections, Endpoint, KindSettings, PassiveCheck, PeerCheck, Pool,
    PoolTimeouts, Preference, ProxyVersion, StatusRange, Subset, Udp,
};
pub use route::{
    Action, CertificateMatch, CertificateTest, FieldMatch, FilterUse, Match, PathPattern, Route, Share,
    ValuePattern,
};
pub use snapshot::{Fingerprint, Snapshot};
pub use sticky::{SameSite, SessionLimits, SessionName, Sticky, StickyCookie, StickyLearn, StickySource};
pub use tls::{
    Certificate, ClientCertificateTold, ListenerTls, Offered, PoolTls, TlsClients, TlsPolicy, Trust,
};

/// The whole configuration, ready to be compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// How traffic comes in, in the order of the document. Names are unique, and so are addresses.
    pub listeners: Vec<Listener>,
    /// In the order of the document; the router decides by how specific they are, order breaks ties.
    pub routes: Vec<Route>,
    /// Where traffic goes. Names are unique.
    pub pools: Vec<Pool>,
    /// Running it: workers, admin port, logs, drain.
    pub operation: Operation,
}

impl Model {
    /// The index in [`Model::pools`] of the pool of this name.
    pub fn pool_index(&self, name: &str) -> Option<usize> {
        self.pools.iter().position(|pool| &*pool.name == name)
    }
}
