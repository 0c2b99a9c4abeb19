//! What the admin API shows and changes.

mod decisions;
mod stats;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base_kit::{Clock, MonotonicClock, WallClock};
use base_model::model::{Endpoint, Pool};
use base_model::{BadEndpoint, Diagnostics, Loaded, check_zone, diff, parse_endpoint};
use base_signal::families;
use control_api::{
    AdminState, AgentView, Applied, ApplyError, CheckReport, ConfigView, DecisionFilter, DecisionView,
    EndpointChange, EndpointView, Health, HistoryEntry, LastFailure, ListenerView, NewEndpoint, NodeError,
    Origin, Pending, PoolView, Readiness, Stats, Status, StickyView, Upgraded,
};
use traffic_balance::{EndpointState, PoolChangeError, PoolState, Resources};

use crate::apply::{ApplyOutcome, RejectReason};
use crate::control::lock;
use crate::listening::handover::HandoverError;
use crate::node::Node;
use crate::transitions::Cause;

impl control_api::Node for Node {
    fn status(&self) -> Status {
        let current = lock(&self.0.current);
        let addresses = lock(&self.0.addresses);
        let bound = |name: &str| addresses.iter().find(|(listener, _)| listener == name);
        let listeners = current.snapshot.model.listeners.iter().map(|listener| ListenerView {
            name: listener.name.to_string(),
            protocol: listener.protocol.word().to_owned(),
            addresses: bound(&listener.name)
                .map(|(_, bound)| bound.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: current.snapshot.generation,
            fingerprint: current.snapshot.fingerprint.to_string(),
            started_ms: millis(self.0.started),
            uptime_seconds: WallClock.since_epoch().saturating_sub(self.0.started).as_secs(),
            workers: u32::try_from(self.0.workers.count()).unwrap_or(u32::MAX),
            io: self.0.workers.driver().word().to_owned(),
            listeners: listeners.collect(),
            draining: self.0.draining.load(Ordering::Relaxed),
        }
    }

    fn is_ready(&self) -> Readiness {
        let draining = self.0.draining.load(Ordering::Relaxed);
        let reasons =
            if draining { vec!["draining: the process is about to end".to_owned()] } else { Vec::new() };
        Readiness { ready: reasons.is_empty(), reasons }
    }

    fn metrics(&self) -> String {
        self.0.metrics.render()
    }

    fn stats(&self) -> Stats {
        self.collect_stats()
    }

    fn config(&self) -> ConfigView {
        let current = lock(&self.0.current);
        ConfigView {
            generation: current.snapshot.generation,
            fingerprint: current.snapshot.fingerprint.to_string(),
            applied_ms: millis(current.applied),
            origin: current.origin,
            source: current.snapshot.source.to_string(),
        }
    }

    fn check(&self, source: &[u8]) -> CheckReport {
        match self.load(source, &self.0.file) {
            Ok(loaded) => self.report(&loaded),
            Err(diagnostics) => refused(&diagnostics),
        }
    }

    fn apply(&self, source: Vec<u8>, if_generation: Option<u64>) -> Pending<'_, Result<Applied, ApplyError>> {
        Box::pin(async move { self.apply_from_api(&source, Origin::Api, if_generation).await })
    }

    fn history(&self) -> Result<Vec<HistoryEntry>, NodeError> {
        Ok(lock(&self.0.history).entries())
    }

    fn rollback(&self, generation: u64) -> Pending<'_, Result<Applied, ApplyError>> {
        Box::pin(async move {
            let source = lock(&self.0.history).source(generation).ok_or_else(|| NodeError::NotFound {
                what: format!("there is no configuration with the number {generation}"),
                how: "GET /api/v1/config/history lists those there are".to_owned(),
            })?;
            let source = source.map_err(|error| NodeError::Failed {
                what: format!("configuration {generation} cannot be read: {error}"),
                how: "mend the permissions of the history folder".to_owned(),
            })?;
            self.apply_from_api(source.as_bytes(), Origin::Rollback, None).await
        })
    }

    fn upgrade(&self) -> Pending<'_, Result<Upgraded, NodeError>> {
        Box::pin(async move {
            let what = |error: &HandoverError| error.to_string();
            let Ok(result) = self.hand_over().await else {
                let what = "a fault in Aya kept it from being done".to_owned();
                return Err(NodeError::Failed { what, how: "see the log".to_owned() });
            };
            result.map(|pid| Upgraded { pid }).map_err(|error| match error {
                HandoverError::Done => NodeError::Conflict {
                    what: what(&error),
                    how: "GET /api/v1/status says who answers here now".to_owned(),
                },
                _ => NodeError::Failed {
                    what: what(&error),
                    how: "this process goes on as before; `aya check` with the new program says whether it takes the configuration".to_owned(),
                },
            })
        })
    }

    fn decisions(&self, filter: DecisionFilter) -> Pending<'_, Result<Vec<DecisionView>, NodeError>> {
        Box::pin(self.recall(filter))
    }

    fn pools(&self) -> Vec<PoolView> {
        self.pool_views()
    }

    fn pool(&self, name: &str) -> Option<PoolView> {
        let model = Arc::clone(&lock(&self.0.current).snapshot.model);
        let index = model.pool_index(name)?;
        let pool = model.pools.get(index)?;
        self.pool_view(pool)
    }

    fn add_endpoint(&self, pool: &str, endpoint: NewEndpoint) -> Result<EndpointView, NodeError> {
        let state = self.pool_state(pool)?;
        let invalid = |bad: BadEndpoint, place: &str| NodeError::Invalid {
            what: bad.problem,
            place: place.to_owned(),
            how: bad.help,
        };
        let is_over_tls = self.is_over_tls(pool);
        let address =
            parse_endpoint(&endpoint.address, is_over_tls).map_err(|bad| invalid(bad, "address"))?;
        endpoint.zone.as_deref().map_or(Ok(()), check_zone).map_err(|bad| invalid(bad, "zone"))?;
        let zone = endpoint.zone.as_deref().map(Into::into);
        let address = Endpoint { weight: endpoint.weight, tier: endpoint.tier, zone, ..address };
        let added = state.add_endpoint(&address).map_err(|error| refusal(&error))?;
        self.0.health.refresh();
        tracing::info!(target: "aya::admin", pool, endpoint = added.name(), weight = endpoint.weight, "endpoint added");
        Ok(self.endpoint_view(&added))
    }

    fn remove_endpoint(&self, pool: &str, address: &str) -> Result<(), NodeError> {
        let removed = self.pool_state(pool)?.remove_endpoint(address).map_err(|error| refusal(&error))?;
        self.0.health.refresh();
        self.0.metrics.retire(&[("pool", pool), ("endpoint", removed.name())]);
        tracing::info!(target: "aya::admin", pool, endpoint = removed.name(), "endpoint removed");
        Ok(())
    }

    fn change_endpoint(
        &self,
        pool: &str,
        address: &str,
        change: EndpointChange,
    ) -> Result<EndpointView, NodeError> {
        let state = self.pool_state(pool)?;
        if let Some(weight) = change.weight {
            state.set_weight(address, weight).map_err(|error| refusal(&error))?;
            tracing::info!(target: "aya::admin", pool, endpoint = address, weight, "weight changed");
        }
        if let Some(admin) = change.state {
            let changed = state.set_admin_state(address, admin_state(admin), "set through the admin API");
            if let Some(transition) = changed.map_err(|error| refusal(&error))? {
                (self.0.transitions)(&transition);
            }
        }
        let endpoint = state.endpoint(address).ok_or_else(|| no_endpoint(pool, address))?;
        Ok(self.endpoint_view(&endpoint))
    }
}

impl Node {
    /// All pools as they are now, in the order of the configuration.
    pub fn pool_views(&self) -> Vec<PoolView> {
        let model = Arc::clone(&lock(&self.0.current).snapshot.model);
        model.pools.iter().filter_map(|pool| self.pool_view(pool)).collect()
    }

    async fn apply_from_api(
        &self,
        source: &[u8],
        origin: Origin,
        if_generation: Option<u64>,
    ) -> Result<Applied, ApplyError> {
        match self.apply_source(source, &self.0.file, origin, if_generation).await {
            Ok(ApplyOutcome { generation, changed, changes, loaded }) => Ok(Applied {
                generation,
                fingerprint: lock(&self.0.current).snapshot.fingerprint.to_string(),
                changed,
                diagnostics: diagnostics(&loaded.warnings),
                changes: changes.iter().map(change_view).collect(),
            }),
            Err(RejectReason::Invalid(found)) => Err(ApplyError::Rejected(refused(&found))),
            Err(RejectReason::Outdated(current)) => Err(ApplyError::Outdated { current }),
            Err(RejectReason::Forbidden(what)) => Err(ApplyError::Forbidden {
                what,
                how:
                    "set `admin.token` in the file, or put this into the file and have it read again (SIGHUP)"
                        .to_owned(),
            }),
            Err(RejectReason::Failed(what)) => Err(ApplyError::Failed(NodeError::Failed {
                what,
                how: "the configuration in use stays; mend the cause and offer it again".to_owned(),
            })),
        }
    }

    fn report(&self, loaded: &Loaded) -> CheckReport {
        let current = Arc::clone(&lock(&self.0.current).loaded);
        CheckReport {
            valid: true,
            fingerprint: Some(base_model::model::Fingerprint::of(&loaded.source).to_string()),
            diagnostics: diagnostics(&loaded.warnings),
            changes: diff(&current, loaded).iter().map(change_view).collect(),
        }
    }

    /// A pool as it is now: what is shown goes by the clock, so what the clock has ended is told before, and is the last cause.
    fn pool_now(&self, name: &str) -> Option<Arc<PoolState>> {
        let pool = self.0.endpoints.pool(name)?;
        pool.tend(MonotonicClock.now()).iter().for_each(|transition| (self.0.transitions)(transition));
        Some(pool)
    }

    fn pool_state(&self, pool: &str) -> Result<Arc<PoolState>, NodeError> {
        self.pool_now(pool).ok_or_else(|| NodeError::NotFound {
            what: format!("there is no pool `{pool}`"),
            how: "GET /api/v1/pools lists those there are".to_owned(),
        })
    }

    fn is_over_tls(&self, pool: &str) -> bool {
        let model = &lock(&self.0.current).snapshot.model;
        model.pools.iter().any(|other| &*other.name == pool && other.tls.is_some())
    }

    fn pool_view(&self, pool: &Pool) -> Option<PoolView> {
        let state = self.pool_now(&pool.name)?;
        let endpoints = state.endpoints().iter().map(|endpoint| self.endpoint_view(endpoint)).collect();
        let sessions = state.sessions();
        let sticky = pool.sticky.as_ref().map(|sticky| StickyView {
            by: sticky.word().to_owned(),
            sessions: sessions.as_ref().map(|sessions| sessions.len()),
            capacity: sessions.as_ref().map(|sessions| sessions.capacity() as u64),
        });
        let (name, balance) = (pool.name.to_string(), pool.balance.name.to_string());
        let (waiting, panic) = (state.waiting().len(), state.is_in_panic());
        let (panic_cause, panic_since_ms) = told(self.0.causes.of_panic(&state));
        Some(PoolView { name, balance, sticky, waiting, panic, panic_cause, panic_since_ms, endpoints })
    }

    pub(crate) fn endpoint_view(&self, endpoint: &EndpointState) -> EndpointView {
        let now = MonotonicClock.now();
        let (pool, name) = (endpoint.pool(), endpoint.name());
        let attempts =
            |outcome| self.0.metrics.counter_total(&families::UPSTREAM_REQUESTS, &[pool, name, outcome]);
        let failures = attempts("failed");
        let answered: u64 = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(attempts).iter().sum();
        let wall = WallClock.since_epoch();
        let ejected_until_ms = endpoint
            .ejected_until()
            .filter(|until| *until > now)
            .map(|until| millis(wall + until.since(now)));
        let last_failure = endpoint.last_failure().map(|last| LastFailure {
            reason: last.cause.to_owned(),
            at_ms: millis(wall.saturating_sub(now.since(last.at))),
        });
        let (cause, cause_ms) = told(self.0.causes.of(endpoint));
        EndpointView {
            address: name.to_owned(),
            resolved: endpoint.address().map(|address| address.to_string()).filter(|address| address != name),
            weight: endpoint.weight(),
            share_percent: endpoint.share_percent(now),
            tier: endpoint.tier(),
            zone: endpoint.zone().as_deref().map(str::to_owned),
            health: match endpoint.health() {
                traffic_balance::Health::Unchecked => Health::Unchecked,
                traffic_balance::Health::Up => Health::Up,
                traffic_balance::Health::Down => Health::Down,
            },
            state: shown(endpoint.admin_state()),
            agent: endpoint
                .agent()
                .map(|wish| AgentView { weight_percent: wish.percent, state: shown(wish.state) }),
            condition: condition(endpoint, now).to_owned(),
            eligible: endpoint.is_eligible(now),
            cause,
            cause_ms,
            ejected_until_ms,
            in_flight: endpoint.in_flight(),
            requests: answered + failures,
            failures,
            last_failure,
        }
    }

    /// Reports what is known elsewhere at each scrape.
    pub(crate) fn report_states(&self) {
        let endpoints = Arc::clone(&self.0.endpoints);
        self.0.metrics.collect(move |samples| {
            let now = MonotonicClock.now();
            for pool in endpoints.pools() {
                if let Some(sessions) = pool.sessions() {
                    let count = i64::try_from(sessions.len()).unwrap_or(i64::MAX);
                    samples.level(&families::STICKY_SESSIONS, &[pool.name()], count);
                }
                samples.level(&families::POOL_PANIC, &[pool.name()], i64::from(pool.is_in_panic()));
                samples.level(&families::UPSTREAM_QUEUE, &[pool.name()], i64::from(pool.waiting().len()));
                for endpoint in pool.endpoints().iter() {
                    let labels = [endpoint.pool(), endpoint.name()];
                    let share = i64::from(endpoint.share_percent(now));
                    samples.level(&families::ENDPOINT_SHARE, &labels, share);
                    samples.level(&families::ENDPOINT_IN_FLIGHT, &labels, i64::from(endpoint.in_flight()));
                    if let Some(wish) = endpoint.agent() {
                        samples.level(&families::ENDPOINT_AGENT_WEIGHT, &labels, i64::from(wish.percent));
                    }
                    for (resource, share) in in_use(endpoint, now) {
                        let labels = [endpoint.pool(), endpoint.name(), resource];
                        samples.level(
                            &families::ENDPOINT_UTILIZATION,
                            &labels,
                            (share * 100.0).round() as i64,
                        );
                    }
                    for (state, holds) in states(endpoint, now) {
                        let labels = [endpoint.pool(), endpoint.name(), state];
                        samples.level(&families::ENDPOINT_STATE, &labels, i64::from(holds));
                    }
                }
            }
        });
    }
}

/// What was told of an endpoint's machine.
fn in_use(endpoint: &EndpointState, now: base_kit::Moment) -> impl Iterator<Item = (&'static str, f64)> {
    let Resources { cpu, memory, io } = endpoint.learned().utilisation.last(now);
    let each = [("cpu", cpu), ("memory", memory), ("io", io)];
    each.into_iter().filter_map(|(resource, share)| Some((resource, share?)))
}

/// The states that an endpoint can be in, and whether it is.
fn states(endpoint: &EndpointState, now: base_kit::Moment) -> [(&'static str, bool); 7] {
    use traffic_balance::{AdminState, AgentWish, Health};
    let agent = endpoint.agent().map_or(AdminState::Ready, AgentWish::effective_state);
    let is_set = |state| endpoint.admin_state() == state || agent == state;
    [
        (Health::Unchecked.word(), endpoint.health() == Health::Unchecked),
        (Health::Up.word(), endpoint.health() == Health::Up),
        (Health::Down.word(), endpoint.health() == Health::Down),
        ("ejected", endpoint.is_ejected(now)),
        ("degraded", endpoint.is_degraded() && !endpoint.is_ejected(now)),
        (AdminState::Drain.word(), is_set(AdminState::Drain)),
        (AdminState::Maintenance.word(), is_set(AdminState::Maintenance)),
    ]
}

/// The one word for an endpoint's state: what would still keep it out if all that stands below were well.
fn condition(endpoint: &EndpointState, now: base_kit::Moment) -> &'static str {
    use traffic_balance::{AdminState, AgentWish, Health};
    let agent = endpoint.agent().map_or(AdminState::Ready, AgentWish::effective_state);
    match (endpoint.admin_state(), endpoint.health(), agent) {
        (AdminState::Ready, Health::Up, AdminState::Ready) if endpoint.is_ejected(now) => "ejected",
        (AdminState::Ready, Health::Up, AdminState::Ready) if endpoint.is_degraded() => "degraded",
        (AdminState::Ready, Health::Up, AdminState::Ready) => Health::Up.word(),
        (AdminState::Ready, Health::Up, agent) => agent.word(),
        (AdminState::Ready, health, _) => health.word(),
        (operator, ..) => operator.word(),
    }
}

const fn shown(state: traffic_balance::AdminState) -> AdminState {
    match state {
        traffic_balance::AdminState::Ready => AdminState::Ready,
        traffic_balance::AdminState::Drain => AdminState::Drain,
        traffic_balance::AdminState::Maintenance => AdminState::Maintenance,
    }
}

const fn admin_state(state: AdminState) -> traffic_balance::AdminState {
    match state {
        AdminState::Ready => traffic_balance::AdminState::Ready,
        AdminState::Drain => traffic_balance::AdminState::Drain,
        AdminState::Maintenance => traffic_balance::AdminState::Maintenance,
    }
}

fn no_endpoint(pool: &str, address: &str) -> NodeError {
    NodeError::NotFound {
        what: format!("pool `{pool}` has no endpoint `{address}`"),
        how: format!("GET /api/v1/pools/{pool} lists those there are"),
    }
}

fn refusal(error: &PoolChangeError) -> NodeError {
    let what = error.to_string();
    match error {
        PoolChangeError::Unknown { pool, endpoint } => no_endpoint(pool, endpoint),
        PoolChangeError::Exists { .. } => {
            NodeError::Conflict { what, how: "PATCH it to change its weight or state".to_owned() }
        }
        PoolChangeError::Full(_) => NodeError::Conflict { what, how: "remove one first".to_owned() },
        PoolChangeError::TierTooLarge(_) => NodeError::Invalid {
            what,
            place: "tier".to_owned(),
            how: "tiers go from 0, which takes traffic first, to 15".to_owned(),
        },
        PoolChangeError::WeightTooLarge(_) => NodeError::Invalid {
            what,
            place: "weight".to_owned(),
            how: "weights go from 0 to 65535; only their relation matters".to_owned(),
        },
    }
}

fn refused(found: &Diagnostics) -> CheckReport {
    CheckReport { valid: false, diagnostics: diagnostics(found), ..CheckReport::default() }
}

fn diagnostics(found: &Diagnostics) -> Vec<control_api::Diagnostic> {
    found
        .items()
        .iter()
        .map(|item| control_api::Diagnostic {
            severity: match item.severity {
                base_model::diagnostic::Severity::Error => control_api::Severity::Error,
                base_model::diagnostic::Severity::Warning => control_api::Severity::Warning,
            },
            message: item.message.clone(),
            path: None,
            line: item.span.map(|span| span.start.line),
            column: item.span.map(|span| span.start.column),
            excerpt: None,
            suggestion: item.help.clone(),
        })
        .collect()
}

fn change_view(change: &base_model::Change) -> control_api::Change {
    control_api::Change {
        path: change.path.clone(),
        kind: match (&change.before, &change.after) {
            (None, _) => control_api::ChangeKind::Added,
            (_, None) => control_api::ChangeKind::Removed,
            _ => control_api::ChangeKind::Changed,
        },
        before: change.before.as_ref().map(ToString::to_string),
        after: change.after.as_ref().map(ToString::to_string),
    }
}

/// What it was, and when, in milliseconds since 1970-01-01 UTC.
fn told(cause: Option<Cause>) -> (Option<String>, Option<u64>) {
    cause.map(|cause| (cause.what, millis(cause.at))).unzip()
}

pub(crate) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use base_kit::Moment;
    use base_model::model::PassiveCheck;
    use traffic_balance::{AdminState, AgentWish, CauseKind, Health, Outcome};

    use super::*;

    #[test]
    fn the_word_for_an_endpoint_is_that_of_what_keeps_it_out() {
        let source = "listeners: {web: {bind: 127.0.0.1:0}}\nroutes: [{pool: p}]\n\
                      pools: {p: {endpoints: ['127.0.0.1:1', '127.0.0.1:2'], health: tcp}}\n";
        let loaded = base_model::load(source, "test.yaml", &|_| None, &crate::catalog());
        let model = loaded.unwrap_or_else(|found| panic!("{found}")).model;
        let registry = traffic_balance::Registry::new();
        registry.reconcile(&model.pools);
        let pool = registry.pool("p").unwrap();
        let endpoint = Arc::clone(&pool.endpoints()[0]);
        let is = |word| assert_eq!(condition(&endpoint, Moment::from_nanos(1)), word);

        is("unchecked");
        for endpoint in pool.endpoints().iter() {
            endpoint.set_health(Health::Up, CauseKind::TcpCheck, "");
        }
        is("up");
        let policy = PassiveCheck {
            consecutive_failures: 1,
            eject_for: std::time::Duration::from_secs(1),
            ..PassiveCheck::default()
        };
        endpoint.record(Outcome::Failure("connect-failed"), &policy, Moment::ZERO);
        is("ejected");
        let drained = AgentWish { percent: 100, state: AdminState::Drain };
        endpoint.set_agent(Some(drained), CauseKind::AgentCheck, "");
        is("drain");
        endpoint.set_health(Health::Down, CauseKind::TcpCheck, "");
        is("down");
        endpoint.set_admin_state(AdminState::Maintenance, "");
        is("maintenance");
    }
}
