//! From one configuration to the next while traffic flows.
//!
//! Everything that can fail comes first and is undone if it does. Endpoints that are new are checked before they are needed, and
//! those that go stay until nobody is sent to them any more.

mod privilege;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base_kit::WallClock;
use base_model::diagnostic::Severity;
use base_model::model::Pool;
use base_model::{Change, Diagnostics, Loaded, Model, Snapshot, diff};
use base_signal::{AccessLog, families};
use control_api::HistoryEntry;
use traffic_net::{BoundSocket, Transport};
use traffic_proxy::Plan;

use crate::control::lock;
use crate::files;
use crate::listening::Prepared;
use crate::listening::handover::Inheritance;
use crate::node::{AdminPort, Current, FIRST_CHECKS, Node, Origin, bind_admin, start_access_log};

/// How long reading a configuration may take, the files that it names included: ten times what 100,000 routes need on a machine that
/// has other things to do.
const LOAD_LIMIT: Duration = Duration::from_secs(30);
/// Changes that the log lists; whoever wants to see more compares the configurations.
const LISTED_CHANGES: usize = 10;

/// A configuration that was taken up.
#[derive(Debug)]
pub struct ApplyOutcome {
    /// Its number.
    pub generation: u64,
    /// False if it says the same as the one before.
    pub changed: bool,
    /// What it changed.
    pub changes: Vec<Change>,
    /// What it is now.
    pub loaded: Arc<Loaded>,
}

/// Why a configuration was not taken up. The one in use stays.
#[derive(Debug)]
pub enum RejectReason {
    /// It is not valid.
    Invalid(Diagnostics),
    /// The one in use has another number than expected: this one.
    Outdated(u64),
    /// It takes more rights than whoever offers it has.
    Forbidden(String),
    /// It is valid, but could not be put to work.
    Failed(String),
}

impl RejectReason {
    /// How many errors it names.
    fn errors(&self) -> usize {
        let Self::Invalid(found) = self else { return 1 };
        found.items().iter().filter(|item| item.severity == Severity::Error).count()
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(diagnostics) => diagnostics.fmt(f),
            Self::Outdated(current) => write!(f, "the configuration in use is generation {current}"),
            Self::Forbidden(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

/// What was made ready for the next configuration. Dropped, it is undone.
struct Ready {
    sockets: Prepared,
    /// `None`: the log stays as it is.
    access: Option<Option<AccessLog>>,
    admin: Option<(base_model::model::Admin, std::net::TcpListener)>,
}

impl Node {
    /// Reads a configuration as it would be applied.
    pub(crate) fn load(&self, source: &[u8], name: &str) -> Result<Loaded, Diagnostics> {
        let mut loaded =
            base_model::load_bytes(source, name, &|variable| std::env::var(variable).ok(), &self.0.catalog)?;
        self.0.overrides.complete(&mut loaded, &self.0.cookie_key);
        Ok(loaded)
    }

    /// Takes a configuration up, all of it or nothing.
    ///
    /// # Errors
    /// Why the one in use stays.
    pub async fn apply_source(
        &self,
        source: &[u8],
        name: &str,
        origin: Origin,
        if_generation: Option<u64>,
    ) -> Result<ApplyOutcome, RejectReason> {
        let result = self.try_apply(source, name, origin, if_generation).await;
        log_outcome(origin, &result);
        let word = match &result {
            Ok(outcome) if outcome.changed => "applied",
            Ok(_) => "unchanged",
            Err(_) => "rejected",
        };
        self.count_reload(word);
        result
    }

    /// Counts a configuration that could not even be read.
    pub(crate) fn count_rejected(&self) {
        self.count_reload("rejected");
    }

    fn count_reload(&self, word: &str) {
        self.0.shard.counter(&families::CONFIG_RELOADS, &[word]).increment();
    }

    async fn try_apply(
        &self,
        source: &[u8],
        name: &str,
        origin: Origin,
        if_generation: Option<u64>,
    ) -> Result<ApplyOutcome, RejectReason> {
        // Before anything is held: what it names may be slow to read.
        let loaded = self.load_in_time(source, name).await?;
        // One change at a time.
        let mut listening = self.0.listening.lock().await;
        let (before, generation) = {
            let current = lock(&self.0.current);
            (Arc::clone(&current.loaded), current.snapshot.generation)
        };
        if if_generation.is_some_and(|expected| expected != generation) {
            return Err(RejectReason::Outdated(generation));
        }
        if origin == Origin::Api
            && let Some(why) = privilege::refusal(&before.model, &loaded.model)
        {
            return Err(RejectReason::Forbidden(why));
        }
        let changes = diff(&before, &loaded);
        if before.model == loaded.model {
            return Ok(ApplyOutcome { generation, changed: false, changes, loaded });
        }
        let ready =
            self.make_ready(&before.model, &loaded.model, &listening).map_err(RejectReason::Failed)?;
        let generation = generation.max(lock(&self.0.history).latest()) + 1;
        let model = Arc::new(loaded.model.clone());
        self.put_in_use(&before.model, &model, generation).await?;
        listening.commit(ready.sockets, &self.0.workers).await;
        self.change_logs_and_admin(&loaded.model, ready.access, ready.admin);
        let snapshot = Snapshot::new(generation, model, Arc::clone(&loaded.source));
        *lock(&self.0.current) =
            Current { snapshot, loaded: Arc::clone(&loaded), applied: WallClock.since_epoch(), origin };
        drop(listening);
        self.note_applied(origin);
        Ok(ApplyOutcome { generation, changed: true, changes, loaded })
    }

    /// Reads a configuration, on a thread that may be kept waiting; nothing else waits for it longer than it may take.
    async fn load_in_time(&self, source: &[u8], name: &str) -> Result<Arc<Loaded>, RejectReason> {
        let (node, bytes, name) = (self.clone(), source.to_vec(), name.to_owned());
        let loading = tokio::task::spawn_blocking(move || node.load(&bytes, &name));
        match tokio::time::timeout(LOAD_LIMIT, loading).await {
            Ok(Ok(loaded)) => Ok(Arc::new(loaded.map_err(RejectReason::Invalid)?)),
            Ok(Err(error)) => {
                Err(RejectReason::Failed(format!("a fault in Aya kept it from being read: {error}")))
            }
            Err(_elapsed) => Err(RejectReason::Failed(format!(
                "it was not read within {} s; a file that it names, for instance that of a token, does not answer",
                LOAD_LIMIT.as_secs()
            ))),
        }
    }

    /// Gets from the system what the next configuration needs.
    fn make_ready(
        &self,
        before: &Model,
        next: &Model,
        listening: &crate::listening::Listening,
    ) -> Result<Ready, String> {
        // What a predecessor left was given out at the start.
        let mut nothing = Inheritance::default();
        let sockets = listening.prepare(next, self.0.workers.count(), &mut nothing);
        let sockets = sockets.map_err(|error| error.to_string())?;
        let (old, new) = (&before.operation, &next.operation);
        let access = if old.access_log == new.access_log {
            None
        } else {
            let started =
                new.access_log.as_ref().map(|log| start_access_log(log, &self.0.metrics)).transpose();
            Some(started.map_err(|error| error.to_string())?)
        };
        let moved = old.admin.as_ref().map(|admin| admin.bind) != new.admin.as_ref().map(|admin| admin.bind);
        let admin = match &new.admin {
            Some(admin) if moved => {
                Some(bind_admin(admin.clone(), &mut nothing).map_err(|error| error.to_string())?)
            }
            Some(admin) if old.admin.as_ref() != Some(admin) => self.reuse_admin_socket(admin)?,
            _ => None,
        };
        if files::connections(before) != files::connections(next) {
            files::warn_if_too_few(next);
        }
        if old.io != new.io {
            tracing::warn!(target: "aya::config", "what drives sockets (`io`) changes with the next start");
        }
        if old.workers != new.workers {
            tracing::warn!(target: "aya::config", "the number of workers changes with the next start");
        }
        Ok(Ready { sockets, access, admin })
    }

    /// The admin port with another token: the same address, a new server.
    fn reuse_admin_socket(
        &self,
        settings: &base_model::model::Admin,
    ) -> Result<Option<(base_model::model::Admin, std::net::TcpListener)>, String> {
        let Some(address) = lock(&self.0.admin).as_ref().map(|admin| admin.address) else { return Ok(None) };
        let mut bound =
            traffic_net::bind_beside(address, Transport::Tcp, 1).map_err(|error| error.to_string())?;
        let socket = bound.sockets.pop().and_then(BoundSocket::into_tcp);
        Ok(socket.map(|socket| (settings.clone(), socket)))
    }

    /// Has the workers use the next configuration.
    async fn put_in_use(
        &self,
        before: &Model,
        next: &Arc<Model>,
        generation: u64,
    ) -> Result<(), RejectReason> {
        // For a moment a pool has its old endpoints and its new ones, so that it always has some that are known to work.
        let both = with_old_endpoints(before, &next.pools);
        self.0.endpoints.reconcile(&both);
        self.0.health.apply(&both, &self.0.endpoints);
        self.0.health.first_round(FIRST_CHECKS).await;
        let plan = Plan::compile(generation, Arc::clone(next), &self.0.endpoints);
        match plan.and_then(|plan| plan.secure(&self.0.sessions)) {
            Ok(plan) => {
                let plan = Arc::new(plan);
                // What is shown beside certificates is there when they are.
                self.note_certificates(&plan);
                self.0.workers.adopt(&plan).await;
            }
            Err(error) => {
                self.0.endpoints.reconcile(&before.pools);
                self.0.health.apply(&before.pools, &self.0.endpoints);
                return Err(RejectReason::Failed(error.to_string()));
            }
        }
        self.0.endpoints.reconcile(&next.pools);
        self.0.health.keep_at_most(files::kept_by_checks(next));
        self.0.health.apply(&next.pools, &self.0.endpoints);
        self.forget_what_is_gone(before, next);
        Ok(())
    }

    /// Drops numbers and notes about endpoints that are no more.
    fn forget_what_is_gone(&self, before: &Model, next: &Model) {
        let endpoints = &self.0.endpoints;
        let is_there =
            |pool: &str, name: &str| endpoints.pool(pool).is_some_and(|pool| pool.endpoint(name).is_some());
        let routes: HashSet<_> = next.routes.iter().map(|route| &route.name).collect();
        for route in before.routes.iter().filter(|route| !routes.contains(&route.name)) {
            self.0.metrics.retire(&[("route", &route.name)]);
        }
        for pool in &before.pools {
            if next.pool_index(&pool.name).is_none() {
                self.0.metrics.retire(&[("pool", &pool.name)]);
            }
            for endpoint in &pool.endpoints {
                let name = endpoint.to_string();
                if !is_there(&pool.name, &name) {
                    self.0.metrics.retire(&[("pool", &pool.name), ("endpoint", &name)]);
                }
            }
        }
        self.0.causes.retain(is_there);
    }

    fn change_logs_and_admin(
        &self,
        next: &Model,
        access: Option<Option<AccessLog>>,
        admin: Option<(base_model::model::Admin, std::net::TcpListener)>,
    ) {
        if let Some(access) = access {
            self.0.workers.log_to(|| access.as_ref().map(AccessLog::writer));
            // The former log ends when its last writer is dropped.
            *lock(&self.0.access) = access;
        }
        if next.operation.admin.is_none() {
            drop::<Option<AdminPort>>(lock(&self.0.admin).take());
        }
        if let Some((settings, socket)) = admin {
            self.serve_admin(settings, socket);
        }
    }

    /// Tells when the certificates of a plan run out.
    pub(crate) fn note_certificates(&self, plan: &Plan) {
        self.0.certificates.note(plan, &self.0.shard, &self.0.metrics);
        self.0.staples.note(plan);
    }

    /// Writes down what is in use now: for whoever asks, and for whoever wants it back.
    pub(crate) fn note_applied(&self, origin: Origin) {
        let (entry, source, model) = {
            let current = lock(&self.0.current);
            let entry = HistoryEntry {
                generation: current.snapshot.generation,
                fingerprint: current.snapshot.fingerprint.to_string(),
                applied_ms: u64::try_from(current.applied.as_millis()).unwrap_or(u64::MAX),
                origin,
            };
            (entry, Arc::clone(&current.snapshot.source), Arc::clone(&current.snapshot.model))
        };
        self.0.shard.gauge(&families::CONFIG_GENERATION, &[]).set(entry.generation.cast_signed());
        for listener in &model.listeners {
            let limit = self.0.shard.gauge(&families::CONNECTIONS_LIMIT, &[&listener.name]);
            limit.set(listener.max_connections.unwrap_or_default().into());
        }
        if let Err(error) = lock(&self.0.history).add(entry, &source) {
            tracing::error!(target: "aya::history", %error, "the configuration in use was not kept");
        }
        if let Ok(listening) = self.0.listening.try_lock() {
            *lock(&self.0.addresses) = model
                .listeners
                .iter()
                .map(|listener| (listener.name.to_string(), listening.addresses(listener)))
                .collect();
        }
    }
}

/// Says what came of an offered configuration, whoever offered it.
fn log_outcome(origin: Origin, result: &Result<ApplyOutcome, RejectReason>) {
    let origin = match origin {
        Origin::File => "file",
        Origin::Api => "api",
        Origin::Rollback => "rollback",
    };
    match result {
        Ok(ApplyOutcome { generation, changed: true, changes, .. }) => {
            tracing::info!(target: "aya::config", generation, origin, changes = changes.len(), "configuration applied");
            for change in changes.iter().take(LISTED_CHANGES) {
                tracing::debug!(target: "aya::config", generation, path = %change.path, "changed");
            }
        }
        Ok(ApplyOutcome { generation, .. }) => {
            tracing::info!(target: "aya::config", generation, origin, "configuration unchanged");
        }
        // The file's editor has only the log to learn it from; others are answered.
        Err(reason) if origin == "file" => {
            tracing::error!(target: "aya::config", origin, errors = reason.errors(), "configuration rejected, the one in use stays\n{reason}");
        }
        Err(reason @ RejectReason::Invalid(_)) => {
            let errors = reason.errors();
            tracing::warn!(target: "aya::config", origin, errors, "configuration rejected, the one in use stays");
        }
        Err(reason) => {
            tracing::warn!(target: "aya::config", origin, %reason, "configuration rejected, the one in use stays");
        }
    }
}

/// The pools with the endpoints that they have now behind those that they will have.
fn with_old_endpoints(before: &Model, next: &[Pool]) -> Vec<Pool> {
    let mut pools = next.to_vec();
    for pool in &mut pools {
        let Some(old) = before.pools.iter().find(|old| old.name == pool.name) else { continue };
        if same_endpoints(old, pool) {
            continue;
        }
        for endpoint in &old.endpoints {
            let stays =
                pool.endpoints.iter().any(|new| new.host == endpoint.host && new.port == endpoint.port);
            if !stays {
                pool.endpoints.push(endpoint.clone());
            }
        }
    }
    pools
}

fn same_endpoints(old: &Pool, new: &Pool) -> bool {
    old.endpoints == new.endpoints
}
