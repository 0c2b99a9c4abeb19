//! When so little of a pool is fit that the rest would break down under its traffic: then all endpoints get some, fit or not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base_kit::Moment;

use super::{Membership, PoolState};
use crate::endpoint::{EndpointState, Health};
use crate::transition::{CauseKind, Transition};

impl PoolState {
    /// Tells when too little, or again enough, of the pool is fit.
    pub(super) fn look_for_panic(&self, membership: &Membership, now: Moment) -> Option<Transition> {
        let (share, threshold) = (fit_share(&membership.endpoints, now), membership.preference.panic_below);
        let panics = share < threshold;
        if self.in_panic.swap(panics, Ordering::Relaxed) == panics {
            return None;
        }
        let (percent, limit) = (share * 100.0, threshold * 100.0);
        let (from, to, cause) = if panics {
            let all = "all endpoints get traffic";
            ("calm", "panic", format!("{percent:.0}% of the weight is fit, less than {limit:.0}%: {all}"))
        } else {
            ("panic", "calm", format!("{percent:.0}% of the weight is fit, at least {limit:.0}%"))
        };
        let (pool, kind) = (Arc::clone(&self.name), CauseKind::PanicThreshold);
        Some(Transition { pool, endpoint: Transition::WHOLE_POOL.into(), from, to, kind, cause })
    }
}

/// Whether an endpoint is looked at: nobody took it out on purpose, and something is known of it. What was never checked is not
/// unfit, and gets no traffic before its first check in a panic either.
pub(super) fn counts(endpoint: &EndpointState) -> bool {
    endpoint.is_wanted() && endpoint.health() != Health::Unchecked
}

/// The share of the weight that is fit, of the endpoints that count; 1 if there are none.
pub(super) fn fit_share(endpoints: &[Arc<EndpointState>], now: Moment) -> f64 {
    // In whole numbers: a sum of no floating ones is -0, and is shown so.
    let weight = |wanted: &dyn Fn(&EndpointState) -> bool| -> u64 {
        let weights = endpoints.iter().filter(|endpoint| wanted(endpoint)).map(|endpoint| endpoint.weight());
        weights.map(u64::from).sum()
    };
    let all = weight(&counts);
    if all == 0 { 1.0 } else { weight(&|endpoint| endpoint.is_eligible(now)) as f64 / all as f64 }
}
