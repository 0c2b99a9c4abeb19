//! Asking a worker what it remembers.

use std::time::Duration;

use base_kit::Clock;

use crate::decisions::{Decision, Decisions};

/// Which requests are asked about. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionQuery {
    /// With this id.
    pub request_id: Option<String>,
    /// Answered with 5xx, or not at all for a reason that is not the client's.
    pub failed: bool,
    /// Took longer.
    pub slower_than: Option<Duration>,
    /// Meant for this pool.
    pub pool: Option<String>,
    /// Taken by this route.
    pub route: Option<String>,
    /// Sent to this endpoint, whether it answered or not.
    pub endpoint: Option<String>,
    /// So many at most, the latest.
    pub limit: usize,
}

impl DecisionQuery {
    fn fits(&self, decision: &Decision) -> bool {
        let is = |wanted: &Option<String>, value: Option<&[u8]>| {
            wanted.as_ref().is_none_or(|wanted| value == Some(wanted.as_bytes()))
        };
        is(&self.request_id, Some(decision.request_id().as_bytes()))
            && is(&self.pool, decision.pool())
            && is(&self.route, decision.route())
            && (!self.failed || decision.has_failed())
            && self.slower_than.is_none_or(|span| decision.total > span)
            && (self.endpoint.is_none()
                || decision.attempts().any(|(name, _)| is(&self.endpoint, Some(name))))
    }
}

impl Decisions {
    /// Copies of those that are asked about, the latest first.
    pub(crate) fn find(&self, query: &DecisionQuery, clock: &dyn Clock) -> Vec<Decision> {
        let mut found: Vec<&Decision> = self.iter().filter(|decision| query.fits(decision)).collect();
        found.sort_by_key(|decision| std::cmp::Reverse(decision.started));
        found.truncate(query.limit);
        let (now, wall) = (clock.now(), clock.since_epoch());
        let dated = |decision: &Decision| {
            let mut copy = decision.clone();
            copy.time = wall.saturating_sub(now.since(decision.started));
            copy
        };
        found.into_iter().map(dated).collect()
    }
}
