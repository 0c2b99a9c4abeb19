//! A worker's thread: its runtime and its standing tasks.

mod accept;
mod command;
mod datagrams;
mod handshake;
mod hello;
mod introduction;
mod opening;
mod probing;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base_kit::Moment;
use base_signal::families;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};

use traffic_net::{BoundSocket, Driver, RingNetwork, Transport};

use crate::decisions::{Decision, DecisionQuery};
use crate::plan::{Plan, PlanError};
use crate::worker::{Surroundings, Worker, WorkerSetup};

use accept::Acceptor;
use datagrams::DatagramDoor;
use probing::send_probes;

pub use crate::worker::Vitals;
pub use command::{Command, ListenSocket};

/// How often log lines are handed over and ejections looked at.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two rounds through idle connections, whose time-outs are many seconds.
const TICKS_PER_TIDY_UP: u32 = 10;
/// Longest sleep of the timer task; a deadline set meanwhile wakes it earlier.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Runs a worker on the calling thread until it was told to drain and has done so, or its commands end.
///
/// # Errors
/// If the runtime cannot be made.
pub fn run(setup: WorkerSetup, driver: Driver, commands: UnboundedReceiver<Command>) -> io::Result<()> {
    let mut builder = Builder::new_current_thread();
    if driver == Driver::IoUring {
        builder.on_thread_park(RingNetwork::before_wait);
    }
    let runtime = builder.enable_io().enable_time().build_local(LocalOptions::default())?;
    let ended = runtime.block_on(async move {
        let surroundings = Surroundings::system(driver);
        RingNetwork::set_busy_poll(setup.plan.model.operation.busy_poll);
        let engine = Engine::new(setup, surroundings).map_err(io::Error::other)?;
        engine.run(commands).await;
        Ok(())
    });
    RingNetwork::finish();
    ended
}

/// A worker on a runtime that the caller has made: a tokio `LocalRuntime` with time. [`run`] makes one that is the system's; with a
/// paused clock and [`Surroundings`] that are made up, a run repeats to the byte.
pub struct Engine(Rc<Worker>);

impl Engine {
    /// One that begins with this configuration.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn new(setup: WorkerSetup, surroundings: Surroundings) -> Result<Self, PlanError> {
        Ok(Self(Rc::new(Worker::new(setup, surroundings)?)))
    }

    /// Does what it is told until it was told to drain and has done so, or its commands end.
    pub async fn run(&self, commands: UnboundedReceiver<Command>) {
        let worker = &self.0;
        let standing = [
            spawn_local(drive_timers(Rc::clone(worker))),
            spawn_local(tick(Rc::clone(worker))),
            spawn_local(send_probes(Rc::clone(worker))),
        ];
        obey(worker, commands).await;
        worker.tick();
        standing.iter().for_each(JoinHandle::abort);
    }

    /// What is remembered of requests.
    pub fn recall(&self, query: &DecisionQuery) -> Vec<Decision> {
        self.0.recall(query)
    }

    /// What it holds now; for simulations.
    pub fn vitals(&self) -> Vitals {
        self.0.vitals()
    }
}

async fn obey(worker: &Rc<Worker>, mut commands: UnboundedReceiver<Command>) {
    let mut entrances: BTreeMap<(SocketAddr, Transport), Vec<Entrance>> = BTreeMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Adopt(plan, done) => {
                adopt(worker, plan);
                let _ = done.send(());
            }
            Command::Listen(socket) => {
                let (address, transport) = (socket.address, socket.socket.transport());
                match Entrance::open(worker, socket) {
                    Ok(entrance) => entrances.entry((address, transport)).or_default().push(entrance),
                    Err(error) => tracing::error!(target: "aya::worker", %address, %error, "cannot accept"),
                }
            }
            Command::Unlisten(address, transport, done) => {
                for entrance in entrances.remove(&(address, transport)).into_iter().flatten() {
                    entrance.close().await;
                }
                let _ = done.send(());
            }
            Command::AccessLog(writer) => *worker.access.borrow_mut() = writer,
            Command::Recall(query, answer) => recall(worker, &query, answer),
            Command::Drain => {
                for entrance in std::mem::take(&mut entrances).into_values().flatten() {
                    entrance.close().await;
                }
                drain(worker, &mut commands).await;
                return;
            }
            Command::Cut => worker.cut_all(),
        }
    }
}

/// The task that takes what comes in by one socket.
enum Entrance {
    Tcp(Acceptor),
    Udp(DatagramDoor),
}

impl Entrance {
    fn open(worker: &Rc<Worker>, socket: ListenSocket) -> io::Result<Self> {
        let ListenSocket { listener, address, socket, open } = socket;
        match socket {
            BoundSocket::Tcp(socket) => {
                Acceptor::start(worker, listener, (address, socket), open).map(Self::Tcp)
            }
            BoundSocket::Udp(socket) => {
                DatagramDoor::start(worker, listener, (address, socket), open).map(Self::Udp)
            }
        }
    }

    /// Takes no more.
    async fn close(self) {
        match self {
            Self::Tcp(acceptor) => acceptor.stop().await,
            Self::Udp(door) => door.stop(),
        }
    }
}

/// Lets requests finish until the control side has no more patience.
async fn drain(worker: &Rc<Worker>, commands: &mut UnboundedReceiver<Command>) {
    let mut draining = std::pin::pin!(worker.drain());
    loop {
        tokio::select! {
            biased;
            () = &mut draining => return,
            command = commands.recv() => match command {
                Some(Command::Cut) => worker.cut_all(),
                Some(Command::Recall(query, answer)) => recall(worker, &query, answer),
                Some(_) => {}
                None => return,
            }
        }
    }
}

fn recall(worker: &Worker, query: &DecisionQuery, answer: oneshot::Sender<Vec<Decision>>) {
    // Whoever asked may have stopped waiting.
    let _ = answer.send(worker.recall(query));
}

fn adopt(worker: &Rc<Worker>, plan: Arc<Plan>) {
    let patience = plan.model.operation.drain;
    RingNetwork::set_busy_poll(plan.model.operation.busy_poll);
    match worker.adopt(plan) {
        Ok(gone) if gone.is_empty() => {}
        Ok(gone) => {
            let worker = Rc::clone(worker);
            spawn_local(async move {
                tokio::time::sleep(patience).await;
                worker.cut(&gone);
            });
        }
        // The control side has built the same plan before, so this does not happen; the old one stays.
        Err(error) => tracing::error!(target: "aya::worker", %error, "configuration not adopted"),
    }
}

async fn drive_timers(worker: Rc<Worker>) {
    loop {
        let now = worker.now();
        let next: Moment = worker.timers.advance(now);
        let sleep = next.since(now).clamp(Duration::from_millis(1), LONGEST_SLEEP);
        RingNetwork::expect_timer(now + sleep);
        tokio::select! {
            biased;
            () = tokio::time::sleep(sleep) => {}
            () = worker.timers.earlier() => {}
        }
    }
}

async fn tick(worker: Rc<Worker>) {
    let [found, nothing] =
        ["found", "nothing"].map(|result| worker.shard.counter(&families::BUSY_POLLS, &[result]));
    loop {
        for _ in 0..TICKS_PER_TIDY_UP {
            tokio::time::sleep(TICK).await;
            worker.tick();
            let polls = RingNetwork::take_busy_polls();
            found.add(polls.found);
            nothing.add(polls.nothing);
        }
        worker.tidy_up();
    }
}
