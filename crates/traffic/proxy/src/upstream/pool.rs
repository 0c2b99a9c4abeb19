//! One worker's view of a pool: its own balancer over the endpoints that may take traffic now.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use base_kit::{Moment, Rng};
use base_model::model::Pool;
use base_signal::Reason;
use traffic_balance::{
    EndpointId, EndpointState, FactsNeeded, Feedback, KeySource, PoolState, ProbeAnswer, ReportUse,
    RequestFacts, Selector,
};
use traffic_tls::ClientTls;

use crate::upstream::{LocalSessions, Picked, PoolMeters, Prober, Reach, Turn};

/// One worker's view of a pool.
pub(crate) struct LocalPool {
    pub(crate) settings: Arc<Pool>,
    /// If its endpoints are reached over TLS.
    pub(crate) tls: Option<Arc<ClientTls>>,
    pub(crate) state: Arc<PoolState>,
    pub(crate) meters: PoolMeters,
    /// What the balancer's key is made from, if it wants one.
    pub(crate) key: Option<KeySource>,
    /// If it is sticky.
    pub(crate) sessions: Option<RefCell<LocalSessions>>,
    /// What becomes of what answers tell of their endpoint's load.
    pub(crate) report: ReportUse,
    /// How endpoints are asked what they have to do, if the balancer wants it.
    pub(crate) prober: Option<Prober>,
    choice: RefCell<Choice>,
}

struct Choice {
    /// In the order of the selector's members.
    reaches: Vec<Rc<Reach>>,
    /// Those of them that take traffic now; the others are in reserve.
    in_use: u32,
    selector: Selector,
}

/// Finds or makes the worker's reach to an endpoint.
type ReachOf<'a> = &'a dyn Fn(&Arc<EndpointState>) -> Rc<Reach>;

/// What a pick needs from outside.
pub(crate) struct PickContext<'a> {
    pub(crate) facts: RequestFacts,
    /// The endpoint that the request's session is bound to.
    pub(crate) session: Option<EndpointId>,
    /// Whether another one may take it when that one is full.
    pub(crate) may_move: bool,
    pub(crate) now: Moment,
    pub(crate) rng: &'a mut dyn Rng,
    /// Finds or makes the worker's reach to an endpoint.
    pub(crate) reach: ReachOf<'a>,
}

impl LocalPool {
    pub(crate) fn new(
        (settings, state): (Arc<Pool>, Arc<PoolState>),
        tls: Option<Arc<ClientTls>>,
        selector: Selector,
        meters: PoolMeters,
        sessions: Option<LocalSessions>,
        prober: Option<Prober>,
    ) -> Self {
        let FactsNeeded { key, report, .. } = selector.needs().clone();
        let choice = Choice { reaches: Vec::new(), in_use: 0, selector };
        Self {
            settings,
            tls,
            state,
            meters,
            key,
            sessions: sessions.map(RefCell::new),
            report,
            prober,
            choice: RefCell::new(choice),
        }
    }

    /// The next candidate that is not in `tried` and has room; `tried` gets all that were looked at. That of the session comes
    /// first.
    pub(crate) fn next(
        &self,
        tried: &mut Vec<EndpointId>,
        mut context: PickContext<'_>,
    ) -> Result<Turn, Reason> {
        let mut choice = self.choice.borrow_mut();
        choice.refresh(&self.state, context.now, context.reach);
        let before = tried.len();
        let mut full = false;
        let mut bound = self.session_reach(tried, &context);
        let stays = bound.is_some() && !context.may_move;
        let among = choice.in_use;
        loop {
            let is_bound = bound.is_some();
            let Some(reach) = bound.take().or_else(|| choice.candidate(tried, &mut context)) else { break };
            tried.push(reach.state.id());
            match Turn::begin(&reach, self.settings.connections.max, Picked { is_bound, among }) {
                Some(turn) => {
                    choice.selector.feedback(&turn.state, Feedback::Started, context.now);
                    return Ok(turn);
                }
                None => full = true,
            }
            if stays {
                break;
            }
        }
        if full {
            // Nobody was asked: whoever waits may try them all again.
            tried.truncate(before);
            return Err(Reason::ConnectionLimit);
        }
        Err(Reason::NoEndpoint)
    }

    /// Endpoints with room for one more.
    pub(crate) fn rooms(&self, now: Moment) -> Vec<EndpointId> {
        let endpoints = self.state.endpoints();
        let may_serve = |state: &EndpointState| state.is_eligible(now) || self.serves_sessions(state.id());
        let has_room = |state: &EndpointState| state.has_room(self.settings.connections.max);
        endpoints.iter().filter(|state| has_room(state) && may_serve(state)).map(|state| state.id()).collect()
    }

    /// The way to the endpoint that the session is bound to, if that may still serve it and was not tried.
    fn session_reach(&self, tried: &[EndpointId], context: &PickContext<'_>) -> Option<Rc<Reach>> {
        let endpoint = context.session.filter(|endpoint| !tried.contains(endpoint))?;
        let mut sessions = self.sessions.as_ref()?.borrow_mut();
        // It may have waited since it was looked up.
        sessions.refresh(&self.state, context.now, context.reach);
        sessions.reach(endpoint)
    }

    /// Whether an endpoint may be asked now, by whatever request.
    pub(crate) fn takes_traffic(&self, endpoint: &EndpointState, now: Moment) -> bool {
        let id = endpoint.id();
        self.serves_sessions(id) || self.state.eligible(now).iter().any(|member| member.state.id() == id)
    }

    /// Whether an endpoint may serve the sessions that are bound to it.
    pub(crate) fn serves_sessions(&self, endpoint: EndpointId) -> bool {
        self.sessions.as_ref().is_some_and(|sessions| sessions.borrow().reach(endpoint).is_some())
    }

    /// The next endpoint that the balancer wants to be asked now, until there is none.
    pub(crate) fn next_probe(&self, now: Moment, rng: &mut dyn Rng, reach: ReachOf<'_>) -> Option<Rc<Reach>> {
        let mut choice = self.choice.borrow_mut();
        choice.refresh(&self.state, now, reach);
        let index = choice.selector.next_probe(now, rng)?;
        choice.reaches.get(index).map(Rc::clone)
    }

    /// Tells the balancer what an endpoint answered when it was asked.
    pub(crate) fn probed(&self, endpoint: &EndpointState, answer: ProbeAnswer, now: Moment) {
        self.choice.borrow_mut().selector.probed(endpoint, answer, now);
    }

    /// Tells the balancer what became of a request.
    pub(crate) fn feedback(&self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        self.choice.borrow_mut().selector.feedback(endpoint, event, now);
    }
}

impl Choice {
    /// Takes in changes of membership, weight, health and administration since the last pick.
    fn refresh(&mut self, pool: &PoolState, now: Moment, reach: ReachOf<'_>) {
        if self.selector.refresh(pool, now) {
            self.in_use = u32::try_from(self.selector.in_use()).unwrap_or(u32::MAX);
            self.reaches = self.selector.members().iter().map(|member| reach(&member.state)).collect();
        }
    }

    /// The selector's next candidate that is not in `tried`.
    fn candidate(&mut self, tried: &mut Vec<EndpointId>, context: &mut PickContext<'_>) -> Option<Rc<Reach>> {
        let index = self.selector.pick(&context.facts, tried, context.now, context.rng)?.index;
        self.reaches.get(index).map(Rc::clone)
    }
}
