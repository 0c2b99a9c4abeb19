//! The worker threads, and how they are told something.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base_signal::{AccessWriter, Registry};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use traffic_net::{Driver, Listeners, Transport};
use traffic_proxy::{Command, Decision, DecisionQuery, ListenSocket, Plan, TransitionSink, WorkerSetup};

/// Names of threads are cut at 15 bytes by the system; this leaves room for the number.
const THREAD_NAME: &str = "aya-worker";
/// How often a drain looks whether the threads have ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long connections that are cut may take to be logged.
const CUT_PATIENCE: Duration = Duration::from_secs(1);

/// All workers.
#[derive(Debug)]
pub(crate) struct Workers {
    commands: Vec<UnboundedSender<Command>>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
    driver: Driver,
}

impl Workers {
    /// Starts the threads. Each gets an access writer of its own, if there is a log.
    pub(crate) fn start(
        count: usize,
        driver: Driver,
        plan: &Arc<Plan>,
        metrics: &Registry,
        transitions: &TransitionSink,
        access: impl Fn() -> Option<AccessWriter>,
    ) -> io::Result<Self> {
        let (mut commands, mut threads) = (Vec::new(), Vec::new());
        for index in 0..count.max(1) {
            let (sender, receiver) = unbounded_channel();
            let setup = WorkerSetup {
                plan: Arc::clone(plan),
                shard: metrics.shard(),
                access: access(),
                transitions: Arc::clone(transitions),
            };
            let body = move || {
                if let Err(error) = traffic_proxy::run(setup, driver, receiver) {
                    tracing::error!(target: "aya::worker", worker = index, %error, "worker ended");
                }
            };
            threads.push(thread::Builder::new().name(format!("{THREAD_NAME}-{index}")).spawn(body)?);
            commands.push(sender);
        }
        Ok(Self { commands, threads: threads.into(), driver })
    }

    /// What drives their sockets.
    pub(crate) const fn driver(&self) -> Driver {
        self.driver
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.commands.len()
    }

    /// Gives each worker its socket of an address, or several where there are more sockets than workers.
    pub(crate) fn listen(
        &self,
        listener: &Arc<str>,
        bound: Listeners,
        open: &Arc<std::sync::atomic::AtomicU32>,
    ) {
        for (worker, socket) in self.commands.iter().cycle().zip(bound.sockets) {
            let listen = ListenSocket {
                listener: Arc::clone(listener),
                address: bound.address,
                socket,
                open: Arc::clone(open),
            };
            let _ = worker.send(Command::Listen(listen));
        }
    }

    /// Has all workers stop accepting on an address. Returns when they have.
    pub(crate) async fn unlisten(&self, address: std::net::SocketAddr, transport: Transport) {
        self.tell_all(|done| Command::Unlisten(address, transport, done)).await;
    }

    /// Has all workers use a plan. Returns when they do.
    pub(crate) async fn adopt(&self, plan: &Arc<Plan>) {
        self.tell_all(|done| Command::Adopt(Arc::clone(plan), done)).await;
    }

    /// What the workers remember of requests. One that has ended remembers nothing.
    pub(crate) async fn recall(&self, query: &Arc<DecisionQuery>) -> Vec<Decision> {
        let ask = |worker: &UnboundedSender<Command>| {
            let (answer, found) = oneshot::channel();
            let _ = worker.send(Command::Recall(Arc::clone(query), answer));
            found
        };
        let asked: Vec<_> = self.commands.iter().map(ask).collect();
        let mut all = Vec::new();
        for found in asked {
            all.extend(found.await.unwrap_or_default());
        }
        all
    }

    /// Gives each worker a writer of another access log, or none.
    pub(crate) fn log_to(&self, writer: impl Fn() -> Option<AccessWriter>) {
        for worker in &self.commands {
            let _ = worker.send(Command::AccessLog(writer()));
        }
    }

    async fn tell_all(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        let mut answers = Vec::with_capacity(self.commands.len());
        for worker in &self.commands {
            let (done, answer) = oneshot::channel();
            let _ = worker.send(command(done));
            answers.push(answer);
        }
        for answer in answers {
            // A worker that has ended has nothing to say.
            let _ = answer.await;
        }
    }

    /// Has all workers finish what they do and end. True if they did within the time.
    pub(crate) async fn drain(&self, patience: Duration) -> bool {
        for worker in &self.commands {
            let _ = worker.send(Command::Drain);
        }
        self.end_within(patience).await || self.cut().await
    }

    /// Ends what is left, so that it is logged. Always false: not all could finish.
    async fn cut(&self) -> bool {
        for worker in &self.commands {
            let _ = worker.send(Command::Cut);
        }
        self.end_within(CUT_PATIENCE).await;
        false
    }

    async fn end_within(&self, patience: Duration) -> bool {
        let ended = async {
            while !self.have_ended() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(patience, ended).await.is_ok()
    }

    fn have_ended(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        threads.iter().all(JoinHandle::is_finished)
    }
}
