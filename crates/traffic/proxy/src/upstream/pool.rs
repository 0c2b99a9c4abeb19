//! One worker's view of a pool: its own balancer over the endpoints that may take traffic now.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use base_kit::{Moment, Rng};
use base_model::model::Pool;
use base_signal::Reason;
use traffic_balance::{Balancer, EndpointId, EndpointState, Feedback, KeySource, PoolState, RequestFacts};

use crate::upstream::{LocalSessions, PoolMeters, Reach, Turn};

/// One worker's view of a pool.
pub(crate) struct LocalPool {
    pub(crate) settings: Arc<Pool>,
    pub(crate) state: Arc<PoolState>,
    pub(crate) meters: PoolMeters,
    /// What the balancer's key is made from, if it wants one.
    pub(crate) key: Option<KeySource>,
    /// If it is sticky.
    pub(crate) sessions: Option<RefCell<LocalSessions>>,
    choice: RefCell<Choice>,
}

struct Choice {
    /// The pool's epoch that `reaches` and the balancer were made from.
    epoch: Option<u64>,
    /// In the order of the balancer's members.
    reaches: Vec<Rc<Reach>>,
    balancer: Box<dyn Balancer>,
}

/// What a pick needs from outside.
pub(crate) struct PickContext<'a> {
    pub(crate) facts: RequestFacts,
    /// The endpoint that the request's session is bound to.
    pub(crate) session: Option<EndpointId>,
    pub(crate) now: Moment,
    pub(crate) rng: &'a mut dyn Rng,
    /// Finds or makes the worker's reach to an endpoint.
    pub(crate) reach: &'a dyn Fn(&Arc<EndpointState>) -> Rc<Reach>,
}

impl LocalPool {
    pub(crate) fn new(
        settings: Arc<Pool>,
        state: Arc<PoolState>,
        balancer: Box<dyn Balancer>,
        meters: PoolMeters,
        sessions: Option<LocalSessions>,
    ) -> Self {
        let key = balancer.needs().key;
        let choice = Choice { epoch: None, reaches: Vec::new(), balancer };
        let sessions = sessions.map(RefCell::new);
        Self { settings, state, meters, key, sessions, choice: RefCell::new(choice) }
    }

    /// The next candidate that is not in `tried` and has room; `tried` gets all that were looked at. That of the session comes first.
    pub(crate) fn next(
        &self,
        tried: &mut Vec<EndpointId>,
        mut context: PickContext<'_>,
    ) -> Result<Turn, Reason> {
        let mut choice = self.choice.borrow_mut();
        self.refresh(&mut choice, &context);
        let mut full = false;
        let mut bound = self.session_reach(tried, &context);
        while let Some(reach) = bound.take().or_else(|| choice.candidate(tried, &mut context)) {
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

    /// The way to the endpoint that the session is bound to, if that may still serve it and was not tried.
    fn session_reach(&self, tried: &[EndpointId], context: &PickContext<'_>) -> Option<Rc<Reach>> {
        let endpoint = context.session.filter(|endpoint| !tried.contains(endpoint))?;
        self.sessions.as_ref()?.borrow().reach(endpoint)
    }

    /// Takes in changes of membership, weight, health and administration since the last pick.
    fn refresh(&self, choice: &mut Choice, context: &PickContext<'_>) {
        let epoch = self.state.epoch();
        if choice.epoch == Some(epoch) {
            return;
        }
        let members = self.state.eligible(context.now);
        choice.balancer.update(&members);
        choice.reaches = members.iter().map(|member| (context.reach)(&member.state)).collect();
        choice.epoch = Some(epoch);
    }

    /// Tells the balancer what became of a request.
    pub(crate) fn feedback(&self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        self.choice.borrow_mut().balancer.feedback(endpoint, event, now);
    }
}

impl Choice {
    /// The balancer's next candidate that is not in `tried`.
    fn candidate(&mut self, tried: &[EndpointId], context: &mut PickContext<'_>) -> Option<Rc<Reach>> {
        let index = self.balancer.pick(&context.facts, tried, context.now, context.rng)?;
        self.reaches.get(index).map(Rc::clone)
    }
}
