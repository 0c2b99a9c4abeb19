//! One run, from the first connection to the last look at what is left.

mod surroundings;

use std::cell::RefCell;
use std::net::TcpListener;
use std::panic;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use base_model::Model;
use base_signal::Registry as Metrics;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, spawn_local};
use traffic_net::{BoundSocket, BufferPool};
use traffic_proxy::{Command, Engine, ListenSocket, Plan, Surroundings, WorkerSetup};

use crate::client;
use crate::clock::present;
use crate::dice::Dice;
use crate::ledger::{Tally, Violation};
use crate::net::{Counts, Net, Weather};
use crate::operator;
use crate::scenario::{Part, Scenario};
use crate::settings::{self, FRONT};
use crate::verdict;
use crate::world::World;
use surroundings::{EngineClock, EngineNetwork};

/// When everybody must be done, whatever the seed.
const LONGEST_RUN: Duration = Duration::from_secs(600);
/// How often what the engine holds is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(37);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What must not be and was seen, the first one first.
    pub violations: Vec<Violation>,
    /// What happened.
    pub tally: Tally,
    /// What happened in the network.
    pub counts: Counts,
    /// Everything in order, if it was asked for.
    pub trace: Vec<String>,
}

thread_local! {
    /// Panics of this thread's tasks: the runtime catches them.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what panics say, in place of printing it.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if tokio::task::try_id().is_some() {
                PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

/// Plays a scenario on a runtime of the caller's: a tokio `LocalRuntime` whose clock is paused.
///
/// # Panics
/// If the simulated world cannot be made.
pub async fn play(scenario: Scenario, traced: bool) -> Outcome {
    catch_panics();
    drop(PANICS.take());
    let seed = scenario.seed;
    let weather = weather(&scenario, &mut Dice::of(seed, "weather"));
    let net = Net::new(Dice::of(seed, "network"), weather);
    let world = World::new(scenario, net.clone(), traced);
    world.note(|| format!("scenario {}: {weather:?}", world.scenario));
    let delivery = spawn_local(net.deliver());
    let metrics = Metrics::new();
    let model = settings::first(&world.scenario, &mut Dice::of(seed, "settings"));
    let stage = Stage::begin(&world, model, &metrics);
    let patience = stage.model.operation.drain;
    let clients: Vec<_> = world
        .scenario
        .clients
        .iter()
        .map(|number| spawn_local(client::run(Rc::clone(&world), *number)))
        .collect();
    let operator = spawn_local(operator::run(Rc::clone(&world), stage.model.clone(), stage.commands.clone()));
    let watch = spawn_local(verdict::watch(Rc::clone(&world), Rc::clone(&stage.engine), LOOK_EVERY));
    let mut dice = Dice::of(seed, "end");
    let early = (world.scenario.has(Part::EarlyDrain) && dice.percent(50)).then(|| dice.millis(100, 4_000));
    wait(clients, early, &world).await;
    watch.abort();
    operator.abort();
    operator::end(&world, patience, &stage.commands, stage.running).await;
    // Whoever still has something to say to a connection that was cut.
    tokio::time::sleep(Duration::from_secs(1)).await;
    verdict::at_the_end(&world, &stage.engine);
    drop(stage.engine);
    verdict::when_all_is_gone(&world, &metrics, &stage.open);
    delivery.abort();
    finish(&world)
}

/// Waits for all clients, or as long as the run shall go on.
async fn wait(clients: Vec<JoinHandle<()>>, early: Option<Duration>, world: &Rc<World>) {
    let all = async {
        for client in clients {
            let _ = client.await;
        }
    };
    let over = tokio::time::timeout(early.unwrap_or(LONGEST_RUN), all).await;
    if early.is_none() && over.is_err() {
        world.violate("in-time", format!("clients are not done after {LONGEST_RUN:?}"));
    }
}

fn finish(world: &Rc<World>) -> Outcome {
    for panic in PANICS.take() {
        let invariant = if panic.contains("livelock") { "no-livelock" } else { "no-panic" };
        world.violate(invariant, panic);
    }
    let trace = world.take_trace();
    let mut ledger = world.ledger.borrow_mut();
    ledger.tally.simulated = world.elapsed();
    let (violations, tally) = (std::mem::take(&mut ledger.violations), std::mem::take(&mut ledger.tally));
    Outcome { violations, tally, counts: world.net.counts(), trace }
}

/// What a run plays on.
pub(crate) struct Stage {
    pub(crate) model: Model,
    pub(crate) engine: Rc<Engine>,
    pub(crate) running: JoinHandle<()>,
    pub(crate) commands: UnboundedSender<Command>,
    /// Connections that the listener counts as open.
    open: Arc<AtomicU32>,
}

impl Stage {
    pub(crate) fn begin(world: &Rc<World>, model: Model, metrics: &Metrics) -> Self {
        let seed = world.scenario.seed;
        world.note(|| format!("{model:#?}"));
        world.pools.reconcile(&model.pools);
        world.meet_endpoints();
        let plan =
            Plan::compile(1, Arc::new(model.clone()), &world.pools).expect("the configuration is sound");
        world.models.borrow_mut().push(model.clone());
        let (changed, beginning, start) = (Arc::clone(&world.changed), world.now(), present());
        let setup = WorkerSetup {
            plan: Arc::new(plan),
            shard: metrics.shard(),
            access: None,
            transitions: Arc::new(move |_| {
                changed.store((beginning + (present() - start)).as_nanos(), Ordering::Relaxed);
            }),
        };
        let surroundings = Surroundings {
            clock: Rc::new(EngineClock(Rc::clone(world))),
            rng: Dice::of(seed, "engine").generator(),
            network: Rc::new(EngineNetwork(Rc::clone(world))),
            buffers: BufferPool::new(),
        };
        let engine = Rc::new(Engine::new(setup, surroundings).expect("the configuration is sound"));
        let (commands, received) = unbounded_channel();
        let open = Arc::new(AtomicU32::new(0));
        // The simulated network does not look at the socket.
        let socket = BoundSocket::Tcp(TcpListener::bind("127.0.0.1:0").expect("a port"));
        let address = FRONT.parse().expect("an address");
        let listen = ListenSocket { listener: "front".into(), address, socket, open: Arc::clone(&open) };
        let _ = commands.send(Command::Listen(listen));
        let running = Rc::clone(&engine);
        let running = spawn_local(async move { running.run(received).await });
        Self { model, engine, running, commands, open }
    }
}

fn weather(scenario: &Scenario, dice: &mut Dice) -> Weather {
    let mut weather = Weather {
        delay_ms: dice.pick(&[0, 1, 5, 5, 50]),
        delayed: dice.pick(&[20, 60, 100]),
        piece: dice.weighted(&[(1, 3), (2, 50), (3, 1_500), (3, 64 << 10)]),
        room: dice.weighted(&[(1, 10), (2, 1_000), (3, 16 << 10), (3, 256 << 10)]),
        spurious: dice.pick(&[0, 1, 10]),
        resets_discard: dice.pick(&[0, 50, 100]),
    };
    if weather.room < 1_000 || weather.piece < 50 {
        // Long bodies would take hours.
        weather.delay_ms = weather.delay_ms.min(1);
    }
    if scenario.has(Part::Weather) { weather } else { Weather::CALM }
}
