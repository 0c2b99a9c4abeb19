//! Small plays in the simulated world: every time-out comes when its time has come, to the tick of the runtime's clock and not before;
//! and what simulation has found stays mended.

use std::rc::Rc;
use std::time::Duration;

use base_model::Model;
use base_signal::{Reason, Registry as Metrics};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use traffic_proxy::{Command, DecisionQuery};

use crate::dice::Dice;
use crate::ledger::EndpointFault;
use crate::net::{Net, Weather};
use crate::run::Stage;
use crate::scenario::Scenario;
use crate::settings;
use crate::wire::{Pace, Wire};
use crate::world::World;

/// The runtime's clock ticks in milliseconds.
const TICK: Duration = Duration::from_millis(2);
/// Longer than any time-out here.
const LONG: Duration = Duration::from_secs(20);
/// More than a pipe of [`NARROW`] holds.
const MUCH: usize = 100_000;
const NARROW: Weather = Weather { room: 1_000, ..Weather::CALM };

const GET: &str = "GET /a/x HTTP/1.1\r\nhost: a\r\n\r\n";

/// A world with one listener, one client and a pool of one endpoint, whose times can be told apart.
struct Play {
    world: Rc<World>,
    stage: Stage,
}

impl Play {
    fn begin(weather: Weather, script: Option<EndpointFault>, change: impl FnOnce(&mut Model)) -> Self {
        let net = Net::new(Dice::of(0, "network"), weather);
        let scenario: Scenario =
            "0/no-client-faults/no-endpoint-faults/no-operator".parse().expect("a scenario");
        let world = World::new(scenario, net.clone(), false);
        world.script.set(script);
        spawn_local(net.deliver());
        let mut model = settings::first(&world.scenario, &mut Dice::of(0, "settings"));
        let ms = Duration::from_millis;
        let times = &mut model.listeners[0].timeouts;
        (times.request_head, times.body_progress, times.send_progress) = (ms(1_000), ms(1_100), ms(1_200));
        (times.half_close, times.idle) = (ms(300), ms(1_500));
        let pool = &mut model.pools[0];
        pool.endpoints.truncate(1);
        pool.endpoints[0].tier = 0;
        (pool.timeouts.connect, pool.timeouts.first_byte) = (ms(400), ms(700));
        (pool.timeouts.response_progress, pool.timeouts.send_progress) = (ms(800), ms(900));
        (pool.sticky, pool.replay_bytes, pool.passive.consecutive_failures) = (None, 0, 0);
        (pool.connections.max, pool.connections.queue, pool.connections.queue_timeout) = (1_000, 0, ms(600));
        (model.routes[0].request_timeout, model.routes[0].attempts) = (None, 1);
        model.listeners[0].max_connections = Some(100);
        change(&mut model);
        let stage = Stage::begin(&world, model, &Metrics::new());
        Self { world, stage }
    }

    async fn connect(&self) -> Wire {
        // The engine listens once its task has run.
        sleep(Duration::from_millis(1)).await;
        Wire::new(self.world.dial(0).await.expect("somebody listens"), Dice::of(0, "wire"), Pace::default())
    }

    /// How long it takes from now until the connection ends, or the next bytes come.
    async fn until_something_comes(&self, wire: &Wire) -> Duration {
        let begun = self.world.elapsed();
        timeout(LONG, wire.fill()).await.expect("something comes").ok();
        self.world.elapsed() - begun
    }

    /// The reason of the only request.
    fn reason(&self) -> Option<&'static str> {
        let records = self.stage.engine.recall(&DecisionQuery { limit: 9, ..DecisionQuery::default() });
        records.last().and_then(|record| record.reason).map(Reason::word)
    }
}

fn play(case: impl AsyncFnOnce()) {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(case());
}

fn assert_comes(seen: Duration, time_ms: u64) {
    let time = Duration::from_millis(time_ms);
    assert!(seen >= time && seen <= time + TICK, "{seen:?} instead of {time:?}");
}

/// Sends this, and gives how long it takes until something comes, and the reason that is recorded.
fn after(
    script: Option<EndpointFault>,
    sent: &str,
    change: impl FnOnce(&mut Model),
) -> (Duration, Option<&'static str>) {
    let mut seen = (Duration::ZERO, None);
    play(async || {
        let play = Play::begin(Weather::CALM, script, change);
        let wire = play.connect().await;
        wire.send(sent.as_bytes()).await.expect("it is taken");
        seen.0 = play.until_something_comes(&wire).await;
        // A connection that breaks off has its record a moment later.
        sleep(TICK).await;
        seen.1 = play.reason();
    });
    seen
}

#[test]
fn a_head_that_does_not_come() {
    let (seen, reason) = after(None, "GET /a/x HT", |_| {});
    assert_comes(seen, 1_000);
    assert_eq!(reason, Some("request-head-timeout"));
    let (seen, reason) = after(None, "", |_| {});
    // From when the connection was made, which was one tick before.
    assert!(
        seen + TICK >= Duration::from_millis(1_000) && seen <= Duration::from_millis(1_000) + TICK,
        "{seen:?}"
    );
    assert_eq!(reason, None, "who has asked nothing is owed nothing");
}

#[test]
fn a_body_that_does_not_come() {
    let (seen, reason) = after(None, "POST /a/x HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc", |_| {});
    assert_comes(seen, 1_100);
    assert_eq!(reason, Some("request-body-timeout"));
}

#[test]
fn an_endpoint_that_does_not_connect() {
    let (seen, reason) = after(Some(EndpointFault::NeverConnects), GET, |_| {});
    assert_comes(seen, 400);
    assert_eq!(reason, Some("connect-timeout"));
}

#[test]
fn an_answer_that_does_not_come() {
    let (seen, reason) = after(Some(EndpointFault::Hangs), GET, |_| {});
    assert_comes(seen, 700);
    assert_eq!(reason, Some("first-byte-timeout"));
}

#[test]
fn a_request_that_takes_too_long() {
    let limited = |model: &mut Model| model.routes[0].request_timeout = Some(Duration::from_millis(350));
    let (seen, reason) = after(Some(EndpointFault::Hangs), GET, limited);
    assert_comes(seen, 350);
    assert_eq!(reason, Some("request-timeout"));
}

#[test]
fn the_next_request_does_not_come() {
    play(async || {
        let play = Play::begin(Weather::CALM, Some(EndpointFault::Errs), |_| {});
        let wire = play.connect().await;
        wire.send(GET.as_bytes()).await.expect("it is taken");
        play.until_something_comes(&wire).await;
        assert_comes(play.until_something_comes(&wire).await, 1_500);
    });
}

#[test]
fn a_client_that_sends_no_more_gets_its_answer_for_a_while() {
    play(async || {
        let play = Play::begin(Weather::CALM, Some(EndpointFault::Hangs), |_| {});
        let wire = play.connect().await;
        wire.send(GET.as_bytes()).await.expect("it is taken");
        sleep(Duration::from_millis(100)).await;
        wire.finish();
        assert_comes(play.until_something_comes(&wire).await, 300);
        sleep(TICK).await;
        assert_eq!(play.reason(), Some("client-closed"));
    });
}

#[test]
fn a_place_that_does_not_become_free() {
    play(async || {
        let narrow = |model: &mut Model| {
            let connections = &mut model.pools[0].connections;
            (connections.max, connections.queue) = (1, 10);
            model.pools[0].timeouts.first_byte = LONG;
        };
        let play = Play::begin(Weather::CALM, Some(EndpointFault::Hangs), narrow);
        let (first, second) = (play.connect().await, play.connect().await);
        first.send(GET.as_bytes()).await.expect("it is taken");
        sleep(TICK).await;
        second.send(GET.as_bytes()).await.expect("it is taken");
        assert_comes(play.until_something_comes(&second).await, 600);
        sleep(TICK).await;
        assert_eq!(play.reason(), Some("queue-timeout"));
    });
}

#[test]
fn an_endpoint_that_does_not_take_the_request() {
    play(async || {
        let play = Play::begin(NARROW, Some(EndpointFault::StopsReading), |_| {});
        let wire = play.connect().await;
        let head = format!("POST /a/x HTTP/1.1\r\nhost: a\r\ncontent-length: {MUCH}\r\n\r\n");
        wire.send(head.as_bytes()).await.expect("it is taken");
        let all = vec![b'x'; MUCH];
        let (_, seen) = tokio::join!(timeout(LONG, wire.send(&all)), play.until_something_comes(&wire));
        assert_comes(seen, 900);
        sleep(TICK).await;
        assert_eq!(play.reason(), Some("upstream-send-timeout"));
    });
}

#[test]
fn a_client_that_does_not_take_its_answer() {
    play(async || {
        let answer = serde_json::json!({"status": 200, "body": "x".repeat(MUCH)});
        let handler = base_model::model::KindSettings { name: "respond".into(), settings: answer };
        let play = Play::begin(NARROW, None, |model| {
            model.routes[0].action = base_model::model::Action::Handler(handler);
        });
        let wire = play.connect().await;
        wire.send(GET.as_bytes()).await.expect("it is taken");
        // Who takes some of it now and then gets all the time that it needs.
        for _ in 0..5 {
            sleep(Duration::from_millis(1_000)).await;
            wire.fill().await.expect("a part of the answer");
            assert_eq!(play.reason(), None);
        }
        sleep(Duration::from_millis(1_200) + TICK).await;
        assert_eq!(play.reason(), Some("client-send-timeout"));
    });
}

#[test]
fn a_drain_waits_for_who_may_still_ask() {
    play(async || {
        let play = Play::begin(Weather::CALM, None, |_| {});
        let wire = play.connect().await;
        sleep(Duration::from_millis(10)).await;
        let _ = play.stage.commands.send(Command::Drain);
        assert_comes(play.until_something_comes(&wire).await, 500);
        timeout(TICK, play.stage.running).await.expect("and then it is over").expect("in peace");
    });
}

#[test]
fn who_waits_for_a_place_when_draining_begins_is_served() {
    play(async || {
        let one = |model: &mut Model| model.listeners[0].max_connections = Some(1);
        let play = Play::begin(Weather::CALM, Some(EndpointFault::Errs), one);
        let (_first, second) = (play.connect().await, play.connect().await);
        second.send(GET.as_bytes()).await.expect("it is taken");
        sleep(Duration::from_millis(100)).await;
        let _ = play.stage.commands.send(Command::Drain);
        let answer = timeout(LONG, second.response()).await.expect("an answer").expect("a whole one");
        assert_eq!(answer.status, 500, "what the endpoint says");
    });
}

#[test]
fn an_answer_survives_the_end_of_a_connection_with_requests_unread() {
    for pause in 0..20 {
        play(async || {
            let weather = Weather { delay_ms: 5, delayed: 100, resets_discard: 100, ..Weather::CALM };
            let play = Play::begin(weather, Some(EndpointFault::Errs), |_| {});
            let wire = play.connect().await;
            sleep(Duration::from_millis(10)).await;
            let _ = play.stage.commands.send(Command::Drain);
            wire.send(GET.as_bytes()).await.expect("it is taken");
            sleep(Duration::from_millis(pause)).await;
            // It cannot know yet that the first one is the last one, too.
            let _ = wire.send(GET.as_bytes()).await;
            let answer =
                timeout(LONG, wire.response()).await.expect("an answer").expect("and no reset before it");
            assert_eq!((answer.status, answer.keeps_alive()), (500, false));
        });
    }
}
