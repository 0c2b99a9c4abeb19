//! What the server needs of the node that it belongs to.

use std::pin::Pin;

use thiserror::Error;

use crate::types::{
    Applied, CheckReport, ConfigView, DecisionFilter, DecisionView, EndpointChange, EndpointView,
    HistoryEntry, NewEndpoint, PoolView, Readiness, Stats, Status, Upgraded,
};

/// A result that takes a while.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The node behind the API. Calls that return a [`Pending`] may wait; [`Node::check`] may take CPU time and is called on a
/// thread for that; all others answer at once.
pub trait Node: Send + Sync + 'static {
    /// The process as a whole.
    fn status(&self) -> Status;

    /// Whether it should get traffic.
    fn is_ready(&self) -> Readiness;

    /// All metrics, as Prometheus text.
    fn metrics(&self) -> String;

    /// Everything that was counted, and every endpoint as it is now.
    fn stats(&self) -> Stats;

    /// The configuration in use.
    fn config(&self) -> ConfigView;

    /// Checks a configuration (YAML or JSON, may be any bytes) against the one in use, and changes nothing.
    fn check(&self, source: &[u8]) -> CheckReport;

    /// Checks a configuration and takes it into use, all of it or nothing. With `if_generation`, only if the one in use has that number
    /// when the change is made.
    ///
    /// # Errors
    /// Why the configuration in use stays.
    fn apply(&self, source: Vec<u8>, if_generation: Option<u64>) -> Pending<'_, Result<Applied, ApplyError>>;

    /// Configurations that can be taken up again, the latest first.
    ///
    /// # Errors
    /// If the history cannot be read.
    fn history(&self) -> Result<Vec<HistoryEntry>, NodeError>;

    /// Takes an earlier configuration into use again.
    ///
    /// # Errors
    /// Why the configuration in use stays.
    fn rollback(&self, generation: u64) -> Pending<'_, Result<Applied, ApplyError>>;

    /// Has a new process of the program take over, and waits until it serves: this one then ends when its connections have.
    ///
    /// # Errors
    /// Why there is none. This one goes on as before.
    fn upgrade(&self) -> Pending<'_, Result<Upgraded, NodeError>>;

    /// What became of requests that are still remembered, the latest first.
    ///
    /// # Errors
    /// If none are remembered at all.
    fn decisions(&self, filter: DecisionFilter) -> Pending<'_, Result<Vec<DecisionView>, NodeError>>;

    /// All pools, in the order of the configuration.
    fn pools(&self) -> Vec<PoolView>;

    /// One pool.
    fn pool(&self, name: &str) -> Option<PoolView>;

    /// Adds an endpoint to a pool. Like the two changes below, this holds until the configuration changes the pool's own
    /// list of endpoints.
    ///
    /// # Errors
    /// If there is no such pool, the endpoint is there already, or its address or weight is not valid.
    fn add_endpoint(&self, pool: &str, endpoint: NewEndpoint) -> Result<EndpointView, NodeError>;

    /// Takes an endpoint out of a pool; requests it is working on are finished.
    ///
    /// # Errors
    /// If there is no such pool or endpoint.
    fn remove_endpoint(&self, pool: &str, address: &str) -> Result<(), NodeError>;

    /// Changes an endpoint's weight or state.
    ///
    /// # Errors
    /// If there is no such pool or endpoint, or the weight is not valid.
    fn change_endpoint(
        &self,
        pool: &str,
        address: &str,
        change: EndpointChange,
    ) -> Result<EndpointView, NodeError>;
}

/// Why a configuration was not taken into use.
#[derive(Clone, Debug, Error)]
pub enum ApplyError {
    /// It is not valid.
    #[error("the configuration is not valid")]
    Rejected(CheckReport),
    /// Somebody else was faster.
    #[error("the configuration in use is generation {current}")]
    Outdated {
        /// The number of the configuration in use.
        current: u64,
    },
    /// It takes more rights than whoever offers it has.
    #[error("{what}")]
    Forbidden {
        /// What it takes.
        what: String,
        /// How it can be done.
        how: String,
    },
    /// It is valid, but could not be put to work.
    #[error(transparent)]
    Failed(#[from] NodeError),
}

/// Why the node does not do what it was asked to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NodeError {
    /// There is no such thing.
    #[error("{what}")]
    NotFound {
        /// What is not there.
        what: String,
        /// The way out.
        how: String,
    },
    /// It does not go with what is there.
    #[error("{what}")]
    Conflict {
        /// What it does not go with.
        what: String,
        /// The way out.
        how: String,
    },
    /// A value is not one that is possible.
    #[error("{what}")]
    Invalid {
        /// What is wrong.
        what: String,
        /// The member it is in.
        place: String,
        /// The way out.
        how: String,
    },
    /// The machine does not let it: a port in use, a disk full.
    #[error("{what}")]
    Failed {
        /// What went wrong.
        what: String,
        /// The way out.
        how: String,
    },
}
