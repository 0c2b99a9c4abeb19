//! One worker's view of a pool: its own balancer over the endpoints that may take traffic now.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use base_kit::{Moment, Rng};
use base_model::model::Pool;
use base_signal::Reason;
use traffic_balance::{
    Balancer, EndpointId, EndpointState, FactsNeeded, Feedback, KeySource, PoolState, ProbeAnswer, ReportUse,
    RequestFacts,
};

use crate::upstream::{PoolMeters, Prober, Reach, Turn};

/// One worker's view of a pool.
pub(crate) struct LocalPool {
    pub(crate) settings: Arc<Pool>,
    pub(crate) state: Arc<PoolState>,
    pub(crate) meters: PoolMeters,
    /// What the balancer's key is made from, if it wants one.
    pub(crate) key: Option<KeySource>,
    /// What becomes of what answers tell of their endpoint's load.
    pub(crate) report: ReportUse,
    /// How endpoints are asked what they have to do, if the balancer wants it.
    pub(crate) prober: Option<Prober>,
    choice: RefCell<Choice>,
}

struct Choice {
    /// The pool's epoch that `reaches` and the balancer were made from.
    epoch: Option<u64>,
    /// In the order of the balancer's members.
    reaches: Vec<Rc<Reach>>,
    balancer: Box<dyn Balancer>,
}

/// Finds or makes the worker's reach to an endpoint.
type ReachOf<'a> = &'a dyn Fn(&Arc<EndpointState>) -> Rc<Reach>;

/// What a pick needs from outside.
pub(crate) struct PickContext<'a> {
    pub(crate) facts: RequestFacts,
    pub(crate) now: Moment,
    pub(crate) rng: &'a mut dyn Rng,
    /// Finds or makes the worker's reach to an endpoint.
    pub(crate) reach: ReachOf<'a>,
}

impl LocalPool {
    pub(crate) fn new(
        settings: Arc<Pool>,
        state: Arc<PoolState>,
        balancer: Box<dyn Balancer>,
        meters: PoolMeters,
        prober: Option<Prober>,
    ) -> Self {
        let FactsNeeded { key, report, .. } = balancer.needs();
        let choice = Choice { epoch: None, reaches: Vec::new(), balancer };
        Self { settings, state, meters, key, report, prober, choice: RefCell::new(choice) }
    }

    /// The next candidate that is not in `tried` and has room; `tried` gets all that were looked at.
    pub(crate) fn next(&self, tried: &mut Vec<EndpointId>, context: PickContext<'_>) -> Result<Turn, Reason> {
        let mut choice = self.choice.borrow_mut();
        self.refresh(&mut choice, context.now, context.reach);
        let mut full = false;
        while let Some(index) = choice.balancer.pick(&context.facts, tried, context.now, context.rng) {
            let Some(reach) = choice.reaches.get(index).map(Rc::clone) else { break };
            tried.push(reach.state.id());
            match Turn::begin(&reach, self.settings.connections.max) {
                Some(turn) => {
                    choice.balancer.feedback(&turn.state, Feedback::Started, context.now);
                    return Ok(turn);
                }
                None => full = true,
            }
        }
        Err(if full { Reason::ConnectionLimit } else { Reason::NoEndpoint })
    }

    /// The next endpoint that the balancer wants to be asked now, until there is none.
    pub(crate) fn next_probe(&self, now: Moment, rng: &mut dyn Rng, reach: ReachOf<'_>) -> Option<Rc<Reach>> {
        let mut choice = self.choice.borrow_mut();
        self.refresh(&mut choice, now, reach);
        let index = choice.balancer.next_probe(now, rng)?;
        choice.reaches.get(index).map(Rc::clone)
    }

    /// Tells the balancer what an endpoint answered when it was asked.
    pub(crate) fn probed(&self, endpoint: &EndpointState, answer: ProbeAnswer, now: Moment) {
        self.choice.borrow_mut().balancer.probed(endpoint, answer, now);
    }

    /// Takes in changes of membership, weight, health and administration since the last pick.
    fn refresh(&self, choice: &mut Choice, now: Moment, reach: ReachOf<'_>) {
        let epoch = self.state.epoch();
        if choice.epoch == Some(epoch) {
            return;
        }
        let members = self.state.eligible(now);
        choice.balancer.update(&members);
        choice.reaches = members.iter().map(|member| reach(&member.state)).collect();
        choice.epoch = Some(epoch);
    }

    /// Tells the balancer what became of a request.
    pub(crate) fn feedback(&self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        self.choice.borrow_mut().balancer.feedback(endpoint, event, now);
    }
}
