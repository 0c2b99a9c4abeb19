//! What would become of a request: the same steps as a real one takes, with nobody asked and nothing sent.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base_kit::{Moment, Rng, SeededRng};
use base_model::Model;
use base_model::model::{Action, Listener, Protocol};
use base_signal::Reason;
use traffic_balance::{
    CauseKind, EndpointId, EndpointState, Health, Level, Registry, RequestFacts, Selector,
};
use traffic_filter::{Flow, RequestContext};
use traffic_http::{ClientCertificate, Framing, RequestHead};
use traffic_route::{Considered, RequestView, Verdict};
use traffic_tls::ClientHello;

use crate::failure::Failure;
use crate::life::{
    Admitted, Arrival, MAX_FORWARDS, NOWHERE, SessionChoice, admit, balance_key, certificate_view,
    choose_session, identify, send_path, spend_forward,
};
use crate::plan::{ActionPlan, Plan, PlanError, RoutePlan, build_selector, head_limits};
use crate::relay::Lookup;

/// A request that nobody sends.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Index of the listener it would come in by.
    pub listener: usize,
    /// Who would open the connection.
    pub peer: IpAddr,
    /// The certificate that the client would show, and that would be found good.
    pub certificate: Option<&'a ClientCertificate>,
    /// What the client would ask for in TLS; `None`: it does not speak TLS.
    pub hello: Option<&'a ClientHello>,
    /// Its head, to the empty line.
    pub head: &'a [u8],
}

/// What would become of it.
#[derive(Debug)]
pub struct Explanation {
    /// Who the client is taken to be.
    pub client: IpAddr,
    /// Whether its whole connection would be passed on as it is, because of what it asks for in TLS.
    pub is_passed_through: bool,
    /// The path that is matched and sent, where it differs from the one that was asked for.
    pub normal_path: Option<Vec<u8>>,
    /// What became of each route, best first.
    pub routes: Vec<Considered>,
    /// How it would end.
    pub outcome: Outcome,
}

/// How a request would end.
#[derive(Debug)]
pub enum Outcome {
    /// Not served.
    Refused {
        /// Why.
        reason: Reason,
        /// What exactly.
        detail: Option<String>,
    },
    /// Answered without an endpoint.
    Answered {
        /// Kind of the filter or handler.
        by: Arc<str>,
        /// Of the answer.
        status: u16,
    },
    /// Sent to an endpoint of one of these pools.
    Forwarded(Vec<PoolChoice>),
}

/// A pool that may get the request.
#[derive(Debug)]
pub struct PoolChoice {
    /// Its index in the model.
    pub pool: usize,
    /// Its part of `of`.
    pub weight: u32,
    /// Sum of the parts.
    pub of: u32,
    /// Whether the request alone decides on the endpoint, while all of them are up.
    pub is_fixed: bool,
    /// Whether the balancer wants a key that the request does not have.
    pub lacks_key: bool,
    /// What keeps it with an endpoint, if the pool is sticky.
    pub session: Option<SessionChoice>,
    /// The path that the running process asks endpoints beside traffic, if it does.
    pub probe: Option<String>,
    /// Its tiers and zones, with their shares of the traffic.
    pub levels: Vec<Level>,
    /// The endpoints in the order in which they would be tried: one of many, unless it is fixed.
    pub order: Vec<EndpointChoice>,
}

/// An endpoint that may get the request.
#[derive(Debug)]
pub struct EndpointChoice {
    /// Its name.
    pub name: Arc<str>,
    /// The number of its level.
    pub level: u8,
    /// The share of such requests that would go there first, if all endpoints were idle; 0 to 1.
    pub first: f64,
}

/// Requests that are made up to see where such ones go first.
const TRIALS: u32 = 10_000;

/// Says what would become of a request if all endpoints were up.
///
/// # Errors
/// If the model cannot be compiled.
pub fn explain(model: &Arc<Model>, question: &Question<'_>) -> Result<Explanation, PlanError> {
    let registry = Registry::new();
    registry.reconcile(&model.pools);
    for endpoint in registry.pools().iter().flat_map(|pool| pool.endpoints().to_vec()) {
        // Names are not looked up: that they lead somewhere is all that matters here.
        endpoint.set_address(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.port()))));
        endpoint.set_health(Health::Up, CauseKind::Admin, "assumed");
    }
    let plan = Plan::compile(0, Arc::clone(model), &registry)?;
    let mut explanation = Explanation {
        client: question.peer,
        is_passed_through: false,
        normal_path: None,
        routes: Vec::new(),
        outcome: Outcome::Refused { reason: Reason::Internal, detail: None },
    };
    explanation.outcome = match follow(&plan, question, &mut explanation) {
        Ok(outcome) => outcome,
        Err(Failure { reason, detail }) => Outcome::Refused { reason, detail },
    };
    Ok(explanation)
}

fn follow(plan: &Plan, question: &Question<'_>, explanation: &mut Explanation) -> Result<Outcome, Failure> {
    let listener = plan.model.listeners.get(question.listener).ok_or(Failure::from(Reason::Internal))?;
    let passages = plan.passages.get(question.listener);
    let passage = passages.zip(question.hello);
    let passage = passage.and_then(|(all, hello)| all.find(hello.name.as_deref(), &hello.protocols));
    explanation.is_passed_through = passage.is_some();
    if passage.is_some() || listener.protocol != Protocol::Http {
        let pool = passage.or(listener.protocol.pool());
        let pool = pool.ok_or_else(|| Failure::with(Reason::NoRoute, NOWHERE))?;
        // Nobody looks at what would be asked.
        let nothing = RequestHead::new();
        return choice(plan, pool, (1, 1), &nothing, question.peer)
            .map(|choice| Outcome::Forwarded(vec![choice]));
    }
    let mut request = receive(listener, question)?;
    let Admitted { framing, awaits_continue, upgrades } = admit(&request, Framing::Empty)?;
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let (peer, certificate) = (question.peer, question.certificate);
    let arrival = Arrival { listener, scheme, peer, certificate, framing, awaits_continue, upgrades };
    let identity = identify(&mut request, &arrival, &mut SeededRng::new(0));
    explanation.client = identity.client;
    if let Some(answer) = spend_forward(&mut request) {
        return Ok(Outcome::Answered { by: MAX_FORWARDS.into(), status: answer.head.status() });
    }
    let (host, query) = (request.host().to_vec(), request.query().map(<[u8]>::to_vec));
    let origin = request.fields().find("origin").map(<[u8]>::to_vec);
    let path = find_routes(plan, question, &host, &mut request, explanation)?;
    let winner = explanation.routes.iter().find(|considered| considered.verdict == Verdict::Matched);
    let route = winner.and_then(|considered| plan.routes.get(considered.route));
    let route = route.ok_or(Failure::from(Reason::NoRoute))?;
    let context = RequestContext {
        client: explanation.client,
        certificate,
        scheme,
        host: &host,
        path: &path,
        query: query.as_deref(),
        route: &route.route.name,
        origin: origin.as_deref(),
        request_id: identity.request_id.as_str(),
    };
    for (filter, used) in route.filters.iter().zip(&route.route.filters) {
        match filter.request_head(&context, &mut request) {
            Flow::Continue | Flow::Recode(_) => {}
            Flow::Answer(answer) => {
                return Ok(Outcome::Answered {
                    by: Arc::clone(&used.kind.name),
                    status: answer.head.status(),
                });
            }
            Flow::Refuse(reason, detail) => return Err(Failure::with(reason, detail)),
        }
    }
    match (&route.action, &route.route.action) {
        (ActionPlan::Handler(handler), Action::Handler(kind)) => {
            let status = handler.answer(&context, &request).head.status();
            Ok(Outcome::Answered { by: Arc::clone(&kind.name), status })
        }
        _ => choices(plan, route, &request, explanation.client).map(Outcome::Forwarded),
    }
}

/// Reads the head as the listener would.
fn receive(listener: &Listener, question: &Question<'_>) -> Result<RequestHead, Failure> {
    let mut request = RequestHead::new();
    let parsed = request.parse(question.head, &head_limits(listener));
    match parsed.map_err(|error| Failure::bad_request(&error))? {
        Some(_) => Ok(request),
        None => Err(Failure::with(Reason::BadRequest, "the head is not complete")),
    }
}

/// Asks each route. Gives the path that was matched, which the request then has.
fn find_routes(
    plan: &Plan,
    question: &Question<'_>,
    host: &[u8],
    request: &mut RequestHead,
    explanation: &mut Explanation,
) -> Result<Vec<u8>, Failure> {
    let normal = traffic_route::normalise(request.path());
    let path = normal.map_err(|error| Failure::with(Reason::BadRequest, error))?.into_owned();
    let view = RequestView {
        listener: question.listener,
        host,
        method: request.method_bytes(),
        path: &path,
        query: request.query(),
        client: explanation.client,
        certificate: question.certificate.map(certificate_view),
        fields: &Lookup(request.fields()),
    };
    explanation.routes = plan.router.explain(&view);
    if path != request.path() {
        explanation.normal_path = Some(path.clone());
        send_path(request, &path);
    }
    Ok(path)
}

fn choices(
    plan: &Plan,
    route: &RoutePlan,
    request: &RequestHead,
    client: IpAddr,
) -> Result<Vec<PoolChoice>, Failure> {
    let Action::Proxy(shares) = &route.route.action else { return Err(Reason::Internal.into()) };
    let of = shares.iter().map(|share| share.weight).sum();
    let taken = shares.iter().filter(|share| share.weight > 0);
    taken.map(|share| choice(plan, share.pool, (share.weight, of), request, client)).collect()
}

fn choice(
    plan: &Plan,
    pool: usize,
    (weight, of): (u32, u32),
    request: &RequestHead,
    client: IpAddr,
) -> Result<PoolChoice, Failure> {
    let internal = || Failure::from(Reason::Internal);
    let pool_plan = plan.pools.get(pool).ok_or_else(internal)?;
    let mut selector = build_selector(&pool_plan.settings).map_err(|_| internal())?;
    selector.refresh(&pool_plan.state, Moment::ZERO);
    let needs = selector.needs().clone();
    let host = pool_plan.settings.host.as_deref().map(str::as_bytes);
    let mut sent = Cow::Borrowed(request);
    if let Some(host) = host {
        sent.to_mut().set_host(host);
    }
    let session = choose_session(pool_plan, &mut sent, client);
    let key = needs.key.as_ref().and_then(|source| balance_key(source, &sent));
    let facts = RequestFacts { client, key };
    let mut rng = SeededRng::new(0);
    let bound = session.as_ref().and_then(|session| session.endpoint.as_ref());
    let mut tried: Vec<_> = bound.iter().map(|endpoint| endpoint.id()).collect();
    let mut order: Vec<_> = bound.iter().map(|bound| EndpointChoice::new(bound)).collect();
    while let Some(pick) = selector.pick(&facts, &mut tried, Moment::ZERO, &mut rng) {
        let Some(member) = selector.members().get(pick.index) else { break };
        tried.push(member.id);
        order.push(EndpointChoice::new(&member.state));
    }
    let levels = pool_plan.state.levels(Moment::ZERO);
    let lacks_key = needs.key.is_some() && key.is_none();
    let is_fixed = needs.client || key.is_some();
    if !is_fixed && let Some(open) = order.get_mut(usize::from(bound.is_some())..) {
        // Which level is drawn is chance; they are shown as they are preferred.
        open.sort_by_key(|candidate| candidate.level);
    }
    if bound.is_none() {
        count_firsts(&mut selector, &facts, &mut order, &mut rng);
    }
    let probe = selector.probing().map(|probing| probing.path);
    Ok(PoolChoice { pool, weight, of, is_fixed, lacks_key, session, probe, levels, order })
}

impl EndpointChoice {
    fn new(endpoint: &EndpointState) -> Self {
        Self { name: endpoint.name().into(), level: endpoint.level(), first: 0.0 }
    }
}

/// Finds out how often each endpoint would be the first choice.
fn count_firsts(
    selector: &mut Selector,
    facts: &RequestFacts,
    order: &mut [EndpointChoice],
    rng: &mut dyn Rng,
) {
    let mut firsts: HashMap<String, u32> = HashMap::new();
    let mut tried: Vec<EndpointId> = Vec::new();
    for _ in 0..TRIALS {
        let Some(pick) = selector.pick(facts, &mut tried, Moment::ZERO, rng) else { break };
        if let Some(member) = selector.members().get(pick.index) {
            match firsts.get_mut(member.state.name()) {
                Some(count) => *count += 1,
                None => drop(firsts.insert(member.state.name().to_owned(), 1)),
            }
        }
    }
    for choice in order {
        let count = firsts.get(&*choice.name).copied().unwrap_or_default();
        choice.first = f64::from(count) / f64::from(TRIALS);
    }
}
