//! Who watches the endpoints of all pools.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base_kit::{Clock, MonotonicClock, Rng, SeededRng};
use base_model::model::{Host, Pool};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use traffic_balance::{CauseKind, EndpointId, EndpointState, Health, PoolState, Registry};

use crate::board::{Board, Pending, SlotId};
use crate::line::{Line, Places};
use crate::plan::{CheckPlan, Plans};
use crate::probe::MOST_PLACES;
use crate::report::{CheckSink, CheckSinks, TransitionSink, publish};
use crate::resolve::{LOOK_UP_EVERY, NameService, SystemNames};
use crate::rounds::Rounds;
use crate::rounds::turns::Turns;
use crate::watch::{CheckTask, Complaint, LookUpTask};

/// Probes under way at once if nothing is said: an eighth of the files that systems let a process have at least.
const DEFAULT_PROBES_AT_ONCE: usize = 128;

/// Look-ups under way at once: each occupies a thread of the runtime while the system's resolver waits.
pub const MAX_LOOK_UPS_AT_ONCE: usize = 16;

/// Connections that checks keep if nothing is said: an eighth of the files that systems let a process have at least.
const DEFAULT_KEPT_CONNECTIONS: usize = 128;

/// What a monitor needs to know besides the pools.
pub struct MonitorOptions {
    /// The first checks are spread over this time: not all at once, and yet before the first traffic.
    pub first_spread: Duration,
    /// How often endpoints added through the API and ejections that are over are looked for.
    pub look_every: Duration,
    /// How often names are looked up.
    pub look_up_every: Duration,
    /// Whom names are asked of.
    pub names: Arc<dyn NameService>,
    /// The time that ejections are measured with.
    pub clock: Arc<dyn Clock + Send + Sync>,
    /// For jitter.
    pub seed: u64,
    /// Who is told of every check that was made.
    pub on_check: CheckSinks,
    /// Probes under way at once, over all pools; one that runs a program counts for several. Endpoints that do not answer
    /// hold a place for as long as their check's timeout.
    pub probes_at_once: usize,
    /// Connections that checks keep between questions, over all pools.
    pub kept_connections: usize,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        Self {
            first_spread: Duration::from_millis(100),
            look_every: Duration::from_millis(100),
            look_up_every: LOOK_UP_EVERY,
            names: Arc::new(SystemNames),
            clock: Arc::new(MonotonicClock),
            seed: SeededRng::from_system().next_u64(),
            on_check: Arc::new(|_| Arc::new(|_| {})),
            probes_at_once: DEFAULT_PROBES_AT_ONCE,
            kept_connections: DEFAULT_KEPT_CONNECTIONS,
        }
    }
}

/// Runs the active checks and name look-ups of all pools on a runtime of its own choosing, never on a worker.
pub struct HealthMonitor {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Handle,
    sink: TransitionSink,
    options: MonitorOptions,
    probes: Arc<Semaphore>,
    look_ups: Arc<Semaphore>,
    kept_connections: Arc<Places>,
    turns: Arc<Turns>,
    /// `None` where the system has no means for them.
    rounds: Option<Arc<Rounds>>,
    complaint: Arc<Complaint>,
    /// Checks and names without a first result.
    pending: Arc<watch::Sender<usize>>,
    watched: Mutex<Watched>,
}

struct Watched {
    pools: HashMap<Arc<str>, WatchedPool>,
    tasks: JoinSet<()>,
    rng: SeededRng,
    stopped: bool,
}

struct WatchedPool {
    state: Arc<PoolState>,
    plans: Vec<Arc<CheckPlan>>,
    on_check: CheckSink,
    /// The epoch of `endpoints`.
    epoch: u64,
    endpoints: HashMap<EndpointId, WatchedEndpoint>,
}

struct WatchedEndpoint {
    board: Arc<Board>,
    checks: Vec<RunningCheck>,
    look_up: Option<AbortHandle>,
}

struct RunningCheck {
    slot: SlotId,
    plan: Arc<CheckPlan>,
    task: AbortHandle,
}

impl HealthMonitor {
    /// A monitor without pools, whose tasks run on `runtime`. Changes of state are logged and handed to `sink`.
    pub fn new(runtime: Handle, sink: TransitionSink, options: MonitorOptions) -> Self {
        let mut rng = SeededRng::new(options.seed);
        let turns = Arc::new(Turns::new());
        let rounds = Rounds::new(Arc::clone(&turns), rng.next_u64()).ok().map(Arc::new);
        let watched = Watched { pools: HashMap::new(), tasks: JoinSet::new(), rng, stopped: false };
        let shared = Arc::new(Shared {
            runtime,
            sink,
            probes: Arc::new(Semaphore::new(
                options.probes_at_once.clamp(MOST_PLACES as usize, Semaphore::MAX_PERMITS),
            )),
            look_ups: Arc::new(Semaphore::new(MAX_LOOK_UPS_AT_ONCE)),
            kept_connections: Arc::new(Places::new(options.kept_connections)),
            turns,
            rounds,
            complaint: Arc::new(Complaint::new(Arc::clone(&options.clock))),
            pending: Arc::new(watch::Sender::new(0)),
            watched: Mutex::new(watched),
            options,
        });
        let looking = keep_looking(Arc::downgrade(&shared), shared.options.look_every);
        let turns = Arc::clone(&shared.turns);
        let mut watched = shared.lock();
        watched.tasks.spawn_on(looking, &shared.runtime);
        watched.tasks.spawn_on(async move { turns.run().await }, &shared.runtime);
        if let Some(rounds) = shared.rounds.clone() {
            watched.tasks.spawn_on(async move { rounds.run().await }, &shared.runtime);
        }
        drop(watched);
        Self { shared }
    }

    /// Says how many connections checks may keep between questions from now on, over all pools.
    pub fn keep_at_most(&self, connections: usize) {
        self.shared.kept_connections.set(connections);
    }

    /// Takes over a configuration, after the registry did. Checks that stay as they are keep running, with what they
    /// counted; others end or begin.
    pub fn apply(&self, pools: &[Pool], registry: &Arc<Registry>) {
        let mut watched = self.shared.lock();
        if watched.stopped {
            return;
        }
        let mut before = std::mem::take(&mut watched.pools);
        let mut plans = Plans::default();
        before.values().flat_map(|pool| &pool.plans).for_each(|plan| plans.add(plan));
        for pool in pools {
            let Some(state) = registry.pool(&pool.name) else { continue };
            let known = before.remove(&pool.name);
            let plans = pool.checks.iter().map(|check| plans.of(check)).collect();
            let mut now = WatchedPool::taken_over(known, state, plans, &self.shared.options.on_check);
            self.shared.watch_pool(&mut watched, &mut now);
            watched.pools.insert(Arc::clone(&pool.name), now);
        }
        for endpoint in before.into_values().flat_map(|pool| pool.endpoints.into_values()) {
            endpoint.end();
        }
    }

    /// Looks at once for endpoints that were added or removed through the API; otherwise it happens within
    /// [`MonitorOptions::look_every`].
    pub fn refresh(&self) {
        self.shared.look();
    }

    /// Waits until every check and every name has its first result, at most for `limit`; whether all have.
    pub async fn first_round(&self, limit: Duration) -> bool {
        let mut pending = self.shared.pending.subscribe();
        let all = pending.wait_for(|count| *count == 0);
        timeout(limit, all).await.is_ok()
    }

    /// Ends all tasks and waits until they are gone. Endpoints keep the health they have.
    pub async fn stop(&self) {
        let (mut tasks, pools) = {
            let mut watched = self.shared.lock();
            watched.stopped = true;
            (std::mem::take(&mut watched.tasks), std::mem::take(&mut watched.pools))
        };
        tasks.shutdown().await;
        drop(pools);
    }

    /// Asserts that the state is sound; for tests and simulations.
    pub fn check_invariants(&self) {
        let watched = self.shared.lock();
        let endpoints = || watched.pools.values().flat_map(|pool| pool.endpoints.values());
        let running: usize =
            endpoints().map(|endpoint| endpoint.checks.len() + usize::from(endpoint.look_up.is_some())).sum();
        assert!(
            watched.stopped || watched.tasks.len() > running + 1,
            "a task for each check and name, one to look, and one for the turns"
        );
        for pool in watched.pools.values() {
            let of_plan = |endpoint: &WatchedEndpoint| endpoint.checks.len() == pool.plans.len();
            assert!(
                pool.endpoints.values().all(of_plan),
                "every check of {} at every endpoint",
                pool.state.name()
            );
        }
    }
}

/// Looks again and again, until the monitor is gone.
async fn keep_looking(shared: Weak<Shared>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.look();
    }
}

impl Shared {
    /// Ends ejections that are over, and watches pools that changed.
    fn look(&self) {
        let now = self.options.clock.now();
        let mut watched = self.lock();
        let mut transitions = Vec::new();
        let faulty = reap(&mut watched.tasks);
        let mut pools = std::mem::take(&mut watched.pools);
        for pool in pools.values_mut() {
            transitions.extend(pool.state.tend(now));
            if faulty || pool.state.epoch() != pool.epoch {
                self.watch_pool(&mut watched, pool);
            }
        }
        watched.pools = pools;
        drop(watched);
        for transition in &transitions {
            publish(&self.sink, transition);
        }
    }

    /// Brings what runs in line with the pool's endpoints and checks.
    fn watch_pool(&self, watched: &mut Watched, pool: &mut WatchedPool) {
        // Read before the endpoints: a change in between is then seen next time.
        pool.epoch = pool.state.epoch();
        let mut before = std::mem::take(&mut pool.endpoints);
        for endpoint in pool.state.endpoints().iter() {
            let known = before.remove(&endpoint.id());
            let named = matches!(endpoint.host(), Host::Name(_));
            if pool.plans.is_empty() && !named {
                known.into_iter().for_each(|known| self.leave_unchecked(known));
                continue;
            }
            let mut now = known.unwrap_or_else(|| self.begin(watched, endpoint));
            self.watch_endpoint(watched, &mut now, &pool.plans, &pool.on_check);
            pool.endpoints.insert(endpoint.id(), now);
        }
        before.into_values().for_each(WatchedEndpoint::end);
    }

    /// The endpoint stays and its checks go. A last report may have come after the registry called it up.
    fn leave_unchecked(&self, known: WatchedEndpoint) {
        let endpoint = Arc::clone(known.board.endpoint());
        known.end();
        let (kind, cause) = (CauseKind::Configuration, "it is no longer checked");
        let told = [endpoint.set_health(Health::Up, kind, cause), endpoint.set_agent(None, kind, cause)];
        for transition in told.iter().flatten() {
            publish(&self.sink, transition);
        }
    }

    fn begin(&self, watched: &mut Watched, endpoint: &Arc<EndpointState>) -> WatchedEndpoint {
        let board = Arc::new(Board::new(endpoint, &self.sink, &self.pending));
        let look_up = matches!(endpoint.host(), Host::Name(_)).then(|| {
            let task = LookUpTask {
                board: Arc::clone(&board),
                names: Arc::clone(&self.options.names),
                limiter: Arc::clone(&self.look_ups),
                every: self.options.look_up_every,
                rng: SeededRng::new(watched.rng.next_u64()),
            };
            self.spawn(watched, task.run())
        });
        WatchedEndpoint { board, checks: Vec::new(), look_up }
    }

    /// Starts checks that are new, keeps those that are the same, ends the others.
    fn watch_endpoint(
        &self,
        watched: &mut Watched,
        endpoint: &mut WatchedEndpoint,
        plans: &[Arc<CheckPlan>],
        on_check: &CheckSink,
    ) {
        let mut before = std::mem::take(&mut endpoint.checks);
        for plan in plans {
            let is_same =
                |running: &RunningCheck| Arc::ptr_eq(&running.plan, plan) && !running.task.is_finished();
            let same = before.iter().position(is_same);
            let running = match same {
                Some(index) => before.swap_remove(index),
                None => self.start(watched, &endpoint.board, plan, on_check),
            };
            endpoint.checks.push(running);
        }
        for running in before {
            running.task.abort();
            endpoint.board.remove_slot(running.slot);
        }
    }

    fn start(
        &self,
        watched: &mut Watched,
        board: &Arc<Board>,
        plan: &Arc<CheckPlan>,
        on_check: &CheckSink,
    ) -> RunningCheck {
        let slot = board.add_slot(&plan.check.kind, Pending::new(&self.pending));
        let mut rng = SeededRng::new(watched.rng.next_u64());
        let task = CheckTask {
            complaint: Arc::clone(&self.complaint),
            board: Arc::clone(board),
            slot,
            plan: Arc::clone(plan),
            on_check: Arc::clone(on_check),
            is_steady: false,
            own_questions: 0,
            limiter: Arc::clone(&self.probes),
            turns: Arc::clone(&self.turns),
            rounds: self.rounds.clone(),
            line: Line::new(&self.kept_connections, plan.check.interval, &mut rng),
            delay: self.options.first_spread.mul_f64(rng.unit()),
            rng,
        };
        RunningCheck { slot, plan: Arc::clone(plan), task: self.spawn(watched, task.run()) }
    }

    fn spawn(&self, watched: &mut Watched, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        watched.tasks.spawn_on(task, &self.runtime)
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchedPool {
    /// The pool as now configured, with what runs already.
    fn taken_over(
        known: Option<Self>,
        state: Arc<PoolState>,
        plans: Vec<Arc<CheckPlan>>,
        on_check: &CheckSinks,
    ) -> Self {
        let (on_check, endpoints) = match known {
            Some(known) => (known.on_check, known.endpoints),
            None => (on_check(state.name()), HashMap::new()),
        };
        Self { epoch: 0, state, plans, on_check, endpoints }
    }
}

impl WatchedEndpoint {
    fn end(self) {
        for task in self.checks.iter().map(|running| &running.task).chain(&self.look_up) {
            task.abort();
        }
        self.board.close();
    }
}

/// Forgets tasks that have ended; whether one ended in a panic, a fault of ours, and is to be started again.
fn reap(tasks: &mut JoinSet<()>) -> bool {
    let mut faulty = false;
    while let Some(ended) = tasks.try_join_next() {
        if let Some(error) = ended.err().filter(tokio::task::JoinError::is_panic) {
            tracing::error!(target: "aya::health", %error, "a check ended in a fault and starts again");
            faulty = true;
        }
    }
    faulty
}
