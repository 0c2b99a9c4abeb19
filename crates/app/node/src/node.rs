//! The node: everything that runs, from the first configuration to the last request.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base_kit::WallClock;
use base_model::model::{self, AccessLog as AccessSettings, Admin, LogFormat, LogTarget};
use base_model::{Diagnostics, KindCatalog, Loaded, Snapshot};
use base_signal::{AccessFormat, AccessLayout, AccessLog, AccessLogError, AccessTarget, Shard, families};
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use traffic_health::{HealthMonitor, MonitorOptions};
use traffic_net::{BindError, BoundSocket, Driver, RingNetwork, Transport};
use traffic_proxy::{Plan, PlanError, TransitionSink};
use traffic_tls::Sessions;

use crate::check_thread::CheckThread;
use crate::control::{lock, tracked};
use crate::history::History;
use crate::keys::{self, CookieKey};
use crate::listening::Listening;
use crate::listening::handover::{HandoverError, Inheritance, Parcel, Place, hand_over};
use crate::workers::Workers;
use crate::{cores, files, transitions};

pub use control_api::Origin;

/// How long the first traffic waits at most for the first result of every health check and look-up.
pub(crate) const FIRST_CHECKS: Duration = Duration::from_secs(5);
/// How long lines of the access log may take to be written when the log goes.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// A running Aya. Clones are the same one.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) catalog: KindCatalog,
    pub(crate) overrides: Overrides,
    pub(crate) cookie_key: CookieKey,
    /// TLS sessions that clients may take up again, whatever is reloaded meanwhile.
    pub(crate) sessions: Sessions,
    pub(crate) certificates: Arc<keys::Shown>,
    pub(crate) staples: Arc<keys::Staples>,
    /// Name of the configuration file: relative paths start in its folder, also in what comes through the API.
    pub(crate) file: String,
    pub(crate) metrics: base_signal::Registry,
    pub(crate) shard: Shard,
    pub(crate) endpoints: Arc<traffic_balance::Registry>,
    pub(crate) health: HealthMonitor,
    /// Carries the tasks of `health`.
    _checks: CheckThread,
    pub(crate) workers: Workers,
    pub(crate) transitions: TransitionSink,
    pub(crate) causes: transitions::Causes,
    pub(crate) started: Duration,
    pub(crate) current: Mutex<Current>,
    pub(crate) listening: tokio::sync::Mutex<Listening>,
    /// Real addresses, as `listening` has them, for whoever asks while a change is being made.
    pub(crate) addresses: Mutex<Vec<(String, Vec<SocketAddr>)>>,
    pub(crate) history: Mutex<History>,
    pub(crate) access: Mutex<Option<AccessLog>>,
    pub(crate) admin: Mutex<Option<AdminPort>>,
    successor: OnceLock<SuccessorCommand>,
    succeeded: watch::Sender<bool>,
    pub(crate) draining: AtomicBool,
    pub(crate) stopped: watch::Sender<bool>,
}

/// Makes what a successor is started with.
type SuccessorCommand = Box<dyn Fn() -> Command + Send + Sync>;

/// The configuration in use.
pub(crate) struct Current {
    pub(crate) snapshot: Snapshot,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) applied: Duration,
    pub(crate) origin: Origin,
}

/// The admin server.
pub(crate) struct AdminPort {
    pub(crate) address: SocketAddr,
    /// As configured.
    configured: SocketAddr,
    /// Its socket once more, for a successor.
    socket: Option<std::net::TcpListener>,
    /// Dropped, the server stops.
    _stop: oneshot::Sender<()>,
}

/// What the command line says in place of the configuration, at the start and after each reload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// Worker threads.
    pub workers: Option<NonZeroUsize>,
    /// What drives their sockets.
    pub io: Option<model::Driver>,
}

impl Overrides {
    /// Puts them into a configuration that was just read, and all else that its document leaves to the process.
    pub(crate) fn complete(self, loaded: &mut Loaded, cookie_key: &CookieKey) {
        let model = &mut loaded.model;
        model.operation.workers = self.workers.or(model.operation.workers);
        model.operation.io = self.io.unwrap_or(model.operation.io);
        cookie_key.put_into(model);
        files::share_out(model);
    }
}

/// Why Aya does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is not valid.
    #[error("the configuration is not valid")]
    Config(Diagnostics),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The configuration cannot be put to work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The access log cannot be written.
    #[error(transparent)]
    AccessLog(#[from] AccessLogError),
    /// The folder of earlier configurations cannot be used.
    #[error(
        "cannot use the history folder {folder}: {source}; mend its permissions or change `history.folder`"
    )]
    History {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The driver of sockets that was asked for is not to be had.
    #[error(
        "`io: io-uring`: the kernel does not allow it: {0}; it takes Linux 6.1 and no seccomp rule against it; `io: auto` does without"
    )]
    Driver(io::Error),
    /// A predecessor was to hand over its sockets.
    #[error("{0}")]
    Inheritance(io::Error),
    /// No threads to be had.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
    /// No randomness for a secret.
    #[error("the system gives no random numbers: {0}")]
    Randomness(io::Error),
}

/// What was started.
#[derive(Clone, Debug)]
pub struct Started {
    /// Listener name and address, with the real port.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The admin port.
    pub admin: Option<SocketAddr>,
}

impl Node {
    /// Starts everything. The calling runtime carries the control side; each worker has a thread and a runtime of its own.
    /// Returns when traffic is accepted, which waits for the first health checks.
    ///
    /// # Errors
    /// If anything is missing that the configuration asks for. Nothing goes on running then.
    pub async fn start(
        loaded: Loaded,
        catalog: KindCatalog,
        overrides: Overrides,
    ) -> Result<Self, StartError> {
        let mut loaded = loaded;
        let cookie_key = CookieKey::draw().map_err(StartError::Randomness)?;
        overrides.complete(&mut loaded, &cookie_key);
        let model = Arc::new(loaded.model.clone());
        let metrics = base_signal::Registry::new();
        let causes = transitions::Causes::default();
        let counting = transitions::counting(&metrics, &causes);
        let sink = transitions::reporting(&counting);
        let history = open_history(&model)?;
        let count = model.operation.workers.unwrap_or_else(cores::usable_cores).get();
        let driver = choose_driver(model.operation.io)?;
        let mut inheritance = Inheritance::take().map_err(StartError::Inheritance)?;
        let mut listening = Listening::default();
        let prepared = listening.prepare(&model, count, &mut inheritance)?;
        let admin =
            model.operation.admin.clone().map(|admin| bind_admin(admin, &mut inheritance)).transpose()?;
        let access =
            model.operation.access_log.as_ref().map(|log| start_access_log(log, &metrics)).transpose()?;

        let endpoints = Arc::new(traffic_balance::Registry::new());
        endpoints.reconcile(&model.pools);
        let checks = CheckThread::start().map_err(StartError::Worker)?;
        let options = check_options(&model, &metrics);
        let health = HealthMonitor::new(checks.handle().clone(), counting, options);
        health.apply(&model.pools, &endpoints);
        let generation = history.latest() + 1;
        let sessions = Sessions::new().map_err(|error| StartError::Randomness(io::Error::other(error)))?;
        let plan = Plan::compile(generation, Arc::clone(&model), &endpoints)?;
        let plan = Arc::new(plan.secure(&sessions)?);
        health.first_round(FIRST_CHECKS).await;
        let writer = || access.as_ref().map(AccessLog::writer);
        let workers =
            Workers::start(count, driver, &plan, &metrics, &sink, writer).map_err(StartError::Worker)?;
        listening.commit(prepared, &workers).await;

        let node = Self::assemble(
            loaded,
            &model,
            catalog,
            generation,
            Parts {
                overrides,
                cookie_key,
                sessions,
                metrics,
                transitions: sink,
                causes,
                endpoints,
                health,
                checks,
                workers,
                listening,
                history,
                access,
            },
        );
        node.note_certificates(&plan);
        node.note_applied(Origin::File);
        files::warn_if_too_few(&model);
        if let Some((settings, socket)) = admin {
            node.serve_admin(settings, socket);
        }
        inheritance.serve().map_err(StartError::Inheritance)?;
        Ok(node)
    }

    fn assemble(
        loaded: Loaded,
        model: &Arc<base_model::Model>,
        catalog: KindCatalog,
        generation: u64,
        parts: Parts,
    ) -> Self {
        let snapshot = Snapshot::new(generation, Arc::clone(model), Arc::clone(&loaded.source));
        let started = WallClock.since_epoch();
        let loaded_file = loaded.warnings.file().to_owned();
        let current = Current { snapshot, loaded: Arc::new(loaded), applied: started, origin: Origin::File };
        let inner = Arc::new(Inner {
            catalog,
            overrides: parts.overrides,
            cookie_key: parts.cookie_key,
            sessions: parts.sessions,
            certificates: Arc::default(),
            staples: Arc::default(),
            file: loaded_file,
            shard: parts.metrics.shared_shard(),
            metrics: parts.metrics,
            endpoints: parts.endpoints,
            health: parts.health,
            _checks: parts.checks,
            workers: parts.workers,
            transitions: parts.transitions,
            causes: parts.causes,
            started,
            current: current.into(),
            listening: parts.listening.into(),
            addresses: Mutex::default(),
            history: parts.history.into(),
            access: parts.access.into(),
            admin: Mutex::default(),
            successor: OnceLock::new(),
            succeeded: watch::Sender::new(false),
            draining: AtomicBool::new(false),
            stopped: watch::Sender::new(false),
        });
        let node = Self(inner);
        node.report_states();
        let (certificates, staples) = (&node.0.certificates, &node.0.staples);
        keys::watch(Arc::clone(certificates), node.0.stopped.subscribe());
        let stopped = node.0.stopped.subscribe();
        keys::keep_fresh(Arc::clone(staples), Arc::clone(certificates), &node.0.metrics, stopped);
        node
    }

    /// The addresses that are listened on.
    pub fn started(&self) -> Started {
        let addresses = lock(&self.0.addresses);
        let listeners = addresses
            .iter()
            .flat_map(|(name, bound)| bound.iter().map(|address| (name.clone(), *address)))
            .collect();
        Started { listeners, admin: lock(&self.0.admin).as_ref().map(|admin| admin.address) }
    }

    /// The files and folders that the configuration in use was read from besides its own.
    pub(crate) fn files(&self) -> Arc<[PathBuf]> {
        Arc::clone(&lock(&self.0.current).loaded.files)
    }

    /// The number of the configuration in use.
    pub fn generation(&self) -> u64 {
        lock(&self.0.current).snapshot.generation
    }

    /// Opens the access log's file anew: it was renamed.
    pub fn reopen_logs(&self) {
        if let Some(access) = &*lock(&self.0.access) {
            access.reopen();
        }
    }

    /// Says what a successor is started with.
    pub fn succeed_with(&self, command: impl Fn() -> Command + Send + Sync + 'static) {
        // Said once, by whoever started this one.
        let _ = self.0.successor.set(Box::new(command));
    }

    /// Starts a successor and hands it all sockets that are listened on, whether anybody waits for that or not. Says its process id once it serves: both
    /// do then, until this one is shut down. If there is none, this one goes on as before. No configuration is taken up meanwhile.
    pub fn hand_over(&self) -> oneshot::Receiver<Result<u32, HandoverError>> {
        let (told, waiting) = oneshot::channel();
        let node = self.clone();
        tracked(async move {
            let _ = told.send(node.find_successor().await);
        });
        waiting
    }

    async fn find_successor(&self) -> Result<u32, HandoverError> {
        let listening = self.0.listening.lock().await;
        let command = self.0.successor.get().filter(|_| !*self.0.succeeded.borrow());
        let command = command.ok_or(HandoverError::Done)?();
        tracing::info!(target: "aya::node", "starting a successor");
        let result = match self.parcels(&listening) {
            Ok(parcels) => hand_over(command, &parcels).await,
            Err(error) => Err(HandoverError::Send(error)),
        };
        let word = if result.is_ok() { "handed-over" } else { "failed" };
        self.0.shard.counter(&families::UPGRADES, &[word]).increment();
        match &result {
            Ok(pid) => {
                tracing::info!(target: "aya::node", pid, "handed over; this process ends when its connections have");
                // Whoever asks the admin port from now on asks the successor.
                lock(&self.0.admin).take();
                self.0.succeeded.send_replace(true);
            }
            Err(error) => {
                tracing::error!(target: "aya::node", %error, "not handed over, this process goes on");
            }
        }
        result
    }

    /// Waits until a successor has taken over.
    pub async fn succeeded(&self) {
        // It is there for as long as this is.
        let _ = self.0.succeeded.subscribe().wait_for(|succeeded| *succeeded).await;
    }

    fn parcels(&self, listening: &Listening) -> io::Result<Vec<Parcel>> {
        let mut parcels = listening.parcels()?;
        if let Some(AdminPort { configured, socket: Some(socket), .. }) = &*lock(&self.0.admin) {
            let place = Place { listener: None, address: *configured };
            parcels.push(Parcel { place, sockets: vec![BoundSocket::Tcp(socket.try_clone()?)] });
        }
        Ok(parcels)
    }

    /// Takes no more connections, lets running requests finish within the configured time, then ends the workers. True
    /// if all could finish.
    pub async fn shutdown(&self) -> bool {
        self.0.draining.store(true, Ordering::Relaxed);
        let patience = lock(&self.0.current).snapshot.model.operation.drain;
        // While a successor starts, or a configuration is taken up, they are not to be had: then they are closed with the process.
        if let Ok(mut listening) = self.0.listening.try_lock() {
            listening.let_go();
        }
        let drained = self.0.workers.drain(patience).await;
        self.0.stopped.send_replace(true);
        let access = lock(&self.0.access).take();
        if let Some(access) = access {
            let closing = tokio::task::spawn_blocking(move || access.close(LOG_PATIENCE));
            let _ = closing.await;
        }
        lock(&self.0.admin).take();
        drained
    }

    /// Serves the admin port until it is replaced or the node stops.
    pub(crate) fn serve_admin(&self, settings: Admin, socket: std::net::TcpListener) {
        let (stop, stopping) = oneshot::channel::<()>();
        let address = socket.local_addr().unwrap_or(settings.bind);
        let (configured, again) = (settings.bind, socket.try_clone().ok());
        let token = settings.token.clone();
        let node: Arc<dyn control_api::Node> = Arc::new(self.clone());
        tracked(async move {
            let stopped = async move { drop(stopping.await) };
            if let Err(error) = control_api::serve(socket, node, token, stopped).await {
                tracing::error!(target: "aya::admin", %error, "admin port not served");
            }
        });
        *lock(&self.0.admin) = Some(AdminPort { address, configured, socket: again, _stop: stop });
    }
}

struct Parts {
    overrides: Overrides,
    cookie_key: CookieKey,
    sessions: Sessions,
    metrics: base_signal::Registry,
    endpoints: Arc<traffic_balance::Registry>,
    health: HealthMonitor,
    checks: CheckThread,
    workers: Workers,
    transitions: TransitionSink,
    causes: transitions::Causes,
    listening: Listening,
    history: History,
    access: Option<AccessLog>,
}

fn check_options(model: &base_model::Model, metrics: &base_signal::Registry) -> MonitorOptions {
    let on_check = transitions::counting_checks(metrics);
    let (kept_connections, probes_at_once) = (files::kept_by_checks(model), files::checks_at_once());
    MonitorOptions { on_check, probes_at_once, kept_connections, ..MonitorOptions::default() }
}

fn choose_driver(wanted: model::Driver) -> Result<Driver, StartError> {
    match (wanted, RingNetwork::probe()) {
        (model::Driver::Epoll, _) => Ok(Driver::Epoll),
        (_, Ok(())) => Ok(Driver::IoUring),
        (model::Driver::IoUring, Err(error)) => Err(StartError::Driver(error)),
        (model::Driver::Auto, Err(error)) => {
            tracing::info!(target: "aya::node", %error, "no io_uring to be had, so that epoll drives the sockets");
            Ok(Driver::Epoll)
        }
    }
}

fn open_history(model: &base_model::Model) -> Result<History, StartError> {
    let settings = model.operation.history.as_ref();
    History::open(settings).map_err(|source| StartError::History {
        folder: settings.map(|settings| settings.folder.clone()).unwrap_or_default(),
        source,
    })
}

/// Binds the admin port, or takes it from what was inherited; it is shared with nobody else.
pub(crate) fn bind_admin(
    settings: Admin,
    inheritance: &mut Inheritance,
) -> Result<(Admin, std::net::TcpListener), BindError> {
    let place = Place { listener: None, address: settings.bind };
    if let Some(socket) = inheritance.claim(&place, Transport::Tcp).pop().and_then(BoundSocket::into_tcp) {
        return Ok((settings, socket));
    }
    let mut bound = traffic_net::bind(settings.bind, Transport::Tcp, 1)?;
    let socket = bound
        .sockets
        .pop()
        .and_then(BoundSocket::into_tcp)
        .ok_or_else(|| BindError::missing(settings.bind))?;
    Ok((settings, socket))
}

/// Starts the access log that the configuration asks for.
pub(crate) fn start_access_log(
    settings: &AccessSettings,
    metrics: &base_signal::Registry,
) -> Result<AccessLog, AccessLogError> {
    let format = match settings.format {
        LogFormat::Json => AccessFormat::Json,
        LogFormat::Text => AccessFormat::Text,
    };
    let target = match &settings.target {
        LogTarget::Stdout => AccessTarget::Stdout,
        LogTarget::Stderr => AccessTarget::Stderr,
        LogTarget::File(path) => AccessTarget::File(path.clone()),
    };
    // The names were checked with the document.
    let layout =
        AccessLayout::new(format, &settings.fields).unwrap_or_else(|_| AccessLayout::standard(format));
    AccessLog::start(&target, layout, metrics)
}
