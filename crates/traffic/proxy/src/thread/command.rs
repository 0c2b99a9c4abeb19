//! What the control side tells a worker.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use base_signal::AccessWriter;
use tokio::sync::oneshot;
use traffic_net::{BoundSocket, Transport};

use crate::decisions::{Decision, DecisionQuery};
use crate::plan::Plan;

/// A worker's own socket for an address.
#[derive(Debug)]
pub struct ListenSocket {
    /// The listener's name.
    pub listener: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Bound and listening, non-blocking.
    pub socket: BoundSocket,
    /// Connections or sessions open on the listener, over all workers.
    pub open: Arc<AtomicU32>,
}

/// What the control side tells a worker. Each is answered when it is done.
pub enum Command {
    /// Use this plan from the next request on.
    Adopt(Arc<Plan>, oneshot::Sender<()>),
    /// Accept connections, or take datagrams, here.
    Listen(ListenSocket),
    /// Accept what waits there, then no more.
    Unlisten(SocketAddr, Transport, oneshot::Sender<()>),
    /// Log requests there, or nowhere.
    AccessLog(Option<AccessWriter>),
    /// Say what is remembered of requests.
    Recall(Arc<DecisionQuery>, oneshot::Sender<Vec<Decision>>),
    /// Take no more connections, let those that are there finish, then end.
    Drain,
    /// After [`Command::Drain`]: its time is over, what is left is cut.
    Cut,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Adopt(..) => "Adopt",
            Self::Listen(_) => "Listen",
            Self::Unlisten(..) => "Unlisten",
            Self::AccessLog(_) => "AccessLog",
            Self::Recall(..) => "Recall",
            Self::Drain => "Drain",
            Self::Cut => "Cut",
        })
    }
}
