//! A configuration as the workers use it: routes compiled, kinds built, pools bound to their living state.

mod view;

use std::fmt;
use std::sync::Arc;

use base_model::Model;
use base_model::model::{Action, KindSettings, Pool, Route};
use thiserror::Error;
use traffic_balance::{PoolState, Registry, Selector};
use traffic_filter::{Filter, Handler};
use traffic_http::FieldName;
use traffic_route::{CompileError, Passages, Router, Split};
use traffic_tls::{Certificate, ClientTls, ServerTls, Sessions, TlsError};

pub(crate) use view::{DatagramMeters, ListenerView, View, head_limits};

/// A compiled configuration. Immutable; every worker holds the newest.
pub struct Plan {
    /// Its number; grows with every change.
    pub generation: u64,
    /// What it was compiled from.
    pub model: Arc<Model>,
    pub(crate) router: Router,
    pub(crate) routes: Vec<RoutePlan>,
    pub(crate) pools: Vec<PoolPlan>,
    /// For each listener, what is passed on by what it asks for in TLS.
    pub(crate) passages: Vec<Arc<Passages>>,
    /// For each listener, if clients come over TLS; empty until [`Plan::secure`].
    pub(crate) tls: Vec<Option<Arc<ServerTls>>>,
}

/// A route, ready to be followed.
pub(crate) struct RoutePlan {
    pub(crate) route: Route,
    pub(crate) filters: Vec<Box<dyn Filter>>,
    /// Fields that trailers of requests and of answers must not bring, because filters decide about them.
    pub(crate) decided_in_requests: Arc<[FieldName]>,
    pub(crate) decided_in_responses: Arc<[FieldName]>,
    pub(crate) action: ActionPlan,
}

/// Who answers.
pub(crate) enum ActionPlan {
    Proxy(Split),
    Handler(Box<dyn Handler>),
}

/// A pool and its state, which outlives the plan.
pub(crate) struct PoolPlan {
    pub(crate) settings: Arc<Pool>,
    pub(crate) state: Arc<PoolState>,
    /// If its endpoints are reached over TLS; not there until [`Plan::secure`].
    pub(crate) tls: Option<Arc<ClientTls>>,
}

/// A checked configuration that still cannot be used.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The routes cannot be compiled.
    #[error(transparent)]
    Routes(#[from] CompileError),
    /// A kind does not accept its settings.
    #[error("{place}: {problem}")]
    Kind {
        /// Route or pool.
        place: String,
        /// What the kind says.
        problem: String,
    },
    /// The TLS of a listener or a pool cannot be set up.
    #[error("{place}: {problem}")]
    Tls {
        /// Listener or pool.
        place: String,
        /// What is wrong.
        problem: TlsError,
    },
    /// A pool without state: the registry was not told of it.
    #[error("pool `{0}` has no state")]
    UnknownPool(String),
}

impl Plan {
    /// Compiles a model against the pools' living state.
    ///
    /// # Errors
    /// If a kind refuses its settings, or a pool is not in the registry.
    pub fn compile(generation: u64, model: Arc<Model>, registry: &Registry) -> Result<Self, PlanError> {
        let router = Router::compile(&model.routes)?;
        let routes = model.routes.iter().map(RoutePlan::build).collect::<Result<_, _>>()?;
        let pools =
            model.pools.iter().map(|pool| PoolPlan::build(pool, registry)).collect::<Result<_, _>>()?;
        let listeners = model.listeners.iter();
        let passages = listeners.map(|listener| Arc::new(Passages::compile(&listener.pass_through)));
        let passages = passages.collect();
        Ok(Self { generation, router, routes, pools, passages, tls: Vec::new(), model })
    }

    /// Sets up TLS for the listeners and pools that ask for it. Without this they serve nobody.
    ///
    /// # Errors
    /// If a certificate, or what belongs to it, cannot be used.
    pub fn secure(mut self, sessions: &Sessions) -> Result<Self, PlanError> {
        let listeners = self.model.listeners.iter();
        let secure =
            listeners.map(|listener| {
                let build = |settings| sessions.listener(&listener.name, settings);
                listener.tls.as_ref().map(build).transpose().map_err(|problem| PlanError::Tls {
                    place: format!("listener `{}`", listener.name),
                    problem,
                })
            });
        self.tls = secure.collect::<Result<_, _>>()?;
        for PoolPlan { settings, tls, .. } in &mut self.pools {
            let build = |of| sessions.pool(&settings.name, of);
            let fail = |problem| PlanError::Tls { place: format!("pool `{}`", settings.name), problem };
            *tls = settings.tls.as_ref().map(build).transpose().map_err(fail)?;
        }
        Ok(self)
    }

    /// The certificates of which authorities are to be asked what they say.
    pub fn certificates_to_ask_about(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        let listeners = self.model.listeners.iter().zip(&self.tls);
        listeners.filter_map(|(listener, tls)| Some((listener.tls.as_ref()?, tls.as_ref()?))).flat_map(
            |(settings, tls)| {
                let certificates = settings.certificates.iter().zip(tls.certificates());
                certificates
                    .filter(|(one, _)| settings.fetches_ocsp && one.ocsp.is_none())
                    .map(|(_, certificate)| certificate)
            },
        )
    }

    /// The certificates that clients and endpoints are shown, with their places in the configuration.
    pub fn certificates(&self) -> impl Iterator<Item = (String, &Arc<Certificate>)> {
        let listeners = self.model.listeners.iter().zip(&self.tls).flat_map(|(listener, tls)| {
            let certificates = tls.iter().flat_map(|tls| tls.certificates());
            certificates.map(move |certificate| (format!("listeners.{}", listener.name), certificate))
        });
        let pools = self.pools.iter().filter_map(|pool| {
            Some((format!("pools.{}", pool.settings.name), pool.tls.as_ref()?.certificate()?))
        });
        listeners.chain(pools)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl RoutePlan {
    fn build(route: &Route) -> Result<Self, PlanError> {
        let fail = |problem: String| PlanError::Kind { place: format!("route `{}`", route.name), problem };
        let filters: Vec<Box<dyn Filter>> = route
            .filters
            .iter()
            .map(|filter| build_filter(&filter.kind).map_err(&fail))
            .collect::<Result<_, _>>()?;
        let decided_in_requests = filters.iter().flat_map(|filter| filter.decides_in_requests()).collect();
        let decided_in_responses = filters.iter().flat_map(|filter| filter.decides_in_responses()).collect();
        let action = match &route.action {
            Action::Proxy(shares) => {
                let split = Split::compile(shares).ok_or_else(|| fail("no share has a weight".to_owned()))?;
                ActionPlan::Proxy(split)
            }
            Action::Handler(kind) => ActionPlan::Handler(build_handler(kind).map_err(&fail)?),
        };
        Ok(Self { route: route.clone(), filters, decided_in_requests, decided_in_responses, action })
    }
}

impl PoolPlan {
    fn build(pool: &Pool, registry: &Registry) -> Result<Self, PlanError> {
        // Each worker builds its own; this one shows that it can be built.
        build_selector(pool)?;
        let state = registry.pool(&pool.name).ok_or_else(|| PlanError::UnknownPool(pool.name.to_string()))?;
        Ok(Self { settings: Arc::new(pool.clone()), state, tls: None })
    }
}

fn build_filter(kind: &KindSettings) -> Result<Box<dyn Filter>, String> {
    let found = traffic_filter::kinds::FILTERS.iter().find(|known| known.info().name == &*kind.name);
    let found = found.ok_or_else(|| format!("there is no filter `{}`", kind.name))?;
    found.build(&kind.settings).map_err(|error| error.to_string())
}

fn build_handler(kind: &KindSettings) -> Result<Box<dyn Handler>, String> {
    let found = traffic_filter::kinds::HANDLERS.iter().find(|known| known.info().name == &*kind.name);
    let found = found.ok_or_else(|| format!("there is no handler `{}`", kind.name))?;
    found.build(&kind.settings).map_err(|error| error.to_string())
}

/// What chooses the pool's endpoints.
pub(crate) fn build_selector(pool: &Pool) -> Result<Selector, PlanError> {
    let kind = &pool.balance;
    let found = traffic_balance::kinds::ALL.iter().find(|known| known.info().name == &*kind.name);
    let built = match found {
        Some(found) => Selector::new(*found, kind.settings.clone()).map_err(|error| error.to_string()),
        None => Err(format!("there is no balancer `{}`", kind.name)),
    };
    built.map_err(|problem| PlanError::Kind { place: format!("pool `{}`", pool.name), problem })
}
