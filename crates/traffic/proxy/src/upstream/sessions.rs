//! One worker's sessions of a pool: whose they are, and the way to their endpoints.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use base_kit::Moment;
use base_model::model::Pool;
use base_signal::Shard;
use traffic_balance::{Bound, EndpointId, EndpointState, PoolState, Stickiness, Stored};

use crate::upstream::meters::StickyMeters;
use crate::upstream::reach::Reach;

/// One worker's sessions of a pool that is sticky.
pub(crate) struct LocalSessions {
    pub(crate) stickiness: Stickiness,
    /// The pool's epoch that the rest was made from.
    epoch: Option<u64>,
    /// Endpoints that may go on serving the sessions they have.
    reaches: HashMap<EndpointId, Rc<Reach>>,
    /// Those that may not.
    others: HashMap<EndpointId, Arc<EndpointState>>,
    meters: StickyMeters,
}

impl LocalSessions {
    /// `None` if the pool is not sticky.
    pub(crate) fn new(settings: &Pool, state: &PoolState, shard: &Shard) -> Option<Self> {
        let stickiness = Stickiness::new(settings.sticky.as_ref()?, state.sessions())?;
        let meters = StickyMeters::new(shard, &settings.name);
        Some(Self { stickiness, epoch: None, reaches: HashMap::new(), others: HashMap::new(), meters })
    }

    /// Takes in changes of the pool since the last look.
    pub(crate) fn refresh(
        &mut self,
        state: &PoolState,
        now: Moment,
        reach: &dyn Fn(&Arc<EndpointState>) -> Rc<Reach>,
    ) {
        let epoch = state.epoch();
        if self.epoch == Some(epoch) {
            return;
        }
        let all = state.endpoints();
        self.stickiness.update(&all);
        let serving = state.serving_sessions(now);
        self.reaches = serving.iter().map(|endpoint| (endpoint.id(), reach(endpoint))).collect();
        let is_other = |endpoint: &&Arc<EndpointState>| !self.reaches.contains_key(&endpoint.id());
        self.others =
            all.iter().filter(is_other).map(|endpoint| (endpoint.id(), Arc::clone(endpoint))).collect();
        self.epoch = Some(epoch);
    }

    /// The name of an endpoint, whether it may serve sessions or not.
    pub(crate) fn name(&self, endpoint: EndpointId) -> Option<&str> {
        let serving = self.reaches.get(&endpoint).map(|reach| &reach.state);
        serving.or_else(|| self.others.get(&endpoint)).map(|state| state.name())
    }

    /// The way to the endpoint of a session, if it may still serve it.
    pub(crate) fn reach(&self, endpoint: EndpointId) -> Option<Rc<Reach>> {
        self.reaches.get(&endpoint).map(Rc::clone)
    }

    /// Counts what became of a session.
    pub(crate) fn count(&self, bound: &Bound<'_>) {
        if let Some(outcome) = bound.outcome {
            self.meters.count(outcome);
        }
        if bound.stored == Some(Stored::Evicted) {
            self.meters.evicted.increment();
        }
    }
}
