//! Agents on loopback: what they say, what it does to their endpoint, and what becomes of it when they are gone.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base_kit::Moment;
use base_model::model::{ActiveCheck, CheckKind};
use stage::{DEADLINE, Server, Stage, check, endpoint, nobody, options, pool, soon, status, until};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use traffic_balance::{AdminState, AgentWish, Health};
use traffic_health::{CheckResult, MonitorOptions, Probe, kinds};

/// An agent that says the same until it is told otherwise.
struct Agent {
    address: SocketAddr,
    line: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Agent {
    /// One that speaks at once, and closes.
    async fn saying(line: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, asked) = (Arc::new(Mutex::new(line.to_owned())), Arc::new(AtomicUsize::new(0)));
        let (said, count) = (Arc::clone(&line), Arc::clone(&asked));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let line = said.lock().unwrap().clone();
                let _ = stream.write_all(line.as_bytes()).await;
            }
        });
        Self { address, line, asked, tasks }
    }

    fn say(&self, line: &str) {
        line.clone_into(&mut self.line.lock().unwrap());
    }

    fn check(&self) -> ActiveCheck {
        ActiveCheck { port: Some(self.address.port()), ..check(agent()) }
    }
}

fn agent() -> CheckKind {
    CheckKind::Agent { send: None }
}

fn probe(kind: CheckKind) -> Box<dyn Probe> {
    let check = check(kind);
    kinds::ALL.iter().find_map(|kind| kind.build(&check)).unwrap().unwrap()
}

async fn heard(line: &str) -> String {
    let agent = Agent::saying(line).await;
    let target = stage::target(agent.address);
    match soon("a word", probe(self::agent()).run(&target)).await {
        Ok(passed) => format!("passed: {passed}"),
        Err(failure) => format!("failed: {failure}"),
    }
}

#[tokio::test]
async fn a_line_ends_with_its_end_or_with_the_connection() {
    assert_eq!(heard("up 75%\n").await, "passed: `up 75%`");
    assert_eq!(heard("up 75%").await, "passed: `up 75%`");
    assert_eq!(heard("up 75%\r\ndown\r\n").await, "passed: `up 75%`");
    let longest = format!("up #{}\n", "x".repeat(251));
    assert!(heard(&longest).await.starts_with("passed: `up #xxx"));
}

#[tokio::test]
async fn what_is_no_agent_is_not_understood() {
    assert_eq!(heard("").await, "failed: connection closed before the answer");
    assert_eq!(heard("\n").await, "failed: broken answer: no word of an agent in ``");
    assert_eq!(heard("SSH-2.0-x\r\n").await, "failed: broken answer: no word of an agent in `SSH-2.0-x`");
    let endless = heard(&"up ".repeat(10_000)).await;
    assert_eq!(endless, "failed: broken answer: a line of more than 256 bytes");
}

#[tokio::test]
async fn a_line_is_sent_first_if_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = stage::target(listener.local_addr().unwrap());
    let probe = probe(CheckKind::Agent { send: Some("api".into()) });
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut line = String::new();
        BufReader::new(&mut stream).read_line(&mut line).await.unwrap();
        stream.write_all(format!("75% #asked as {line}").as_bytes()).await.unwrap();
    };
    let (passed, ()) = soon("an answer", async { tokio::join!(probe.run(&target), answering) }).await;
    assert_eq!(passed.unwrap().to_string(), "`75% #asked as api`");
}

#[tokio::test]
async fn words_steer_health_state_and_weight_at_once() {
    let agent = Agent::saying("up ready 100%\n").await;
    let mut rare = agent.check();
    (rare.rise, rare.fall) = (9, 9);
    let stage = Stage::new(&pool(vec![endpoint(agent.address)], vec![rare]));
    assert_eq!(stage.until_told(1).await, ["unchecked>up: agent check: `up ready 100%`"]);
    agent.say("25%\n");
    until("another share", || stage.endpoint(0).agent().is_some_and(|wish| wish.percent == 25)).await;
    assert_eq!(stage.told().len(), 1, "another share is no change of state");
    let mut told = 1;
    for (line, expected) in [
        ("down #oops\n", "up>down: agent check: `down #oops`"),
        ("up\n", "down>up: agent check: `up`"),
        ("drain\n", "ready>drain: agent check: `drain`"),
        ("maint\n", "drain>maintenance: agent check: `maint`"),
        ("ready 0%\n", "maintenance>drain: agent check: `ready 0%`"),
        ("50%\n", "drain>ready: agent check: `50%`"),
    ] {
        agent.say(line);
        told += 1;
        assert_eq!(stage.until_told(told).await.last().unwrap(), expected);
        let takes_traffic = matches!(line, "up\n" | "50%\n");
        assert_eq!(stage.pool().eligible(Moment::ZERO).len(), usize::from(takes_traffic), "{line}");
    }
    assert_eq!(stage.endpoint(0).agent(), Some(AgentWish { percent: 50, state: AdminState::Ready }));
    assert_eq!(stage.endpoint(0).admin_state(), AdminState::Ready);
}

#[tokio::test]
async fn a_silent_agent_changes_nothing_and_is_counted() {
    let silent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&silent);
    let options = MonitorOptions {
        on_check: stage::every_pool(move |result| {
            counted.fetch_add(usize::from(result == CheckResult::Silent), Ordering::SeqCst);
        }),
        ..options()
    };
    let mut agent = Agent::saying("drain 40%\n").await;
    let unreachable = endpoint(nobody().await);
    let endpoints = vec![endpoint(agent.address), unreachable];
    let stage = Stage::with(&pool(endpoints, vec![check(self::agent())]), options, || 0);
    assert!(soon("all were asked", stage.monitor.first_round(DEADLINE)).await);
    assert_eq!(stage.endpoint(1).health(), Health::Up, "nothing speaks against it");
    assert_eq!(stage.endpoint(1).agent(), None);
    assert_eq!(stage.endpoint(0).health(), Health::Up);

    soon("its end", agent.tasks.shutdown()).await;
    let before = silent.load(Ordering::SeqCst);
    until("it is missed", || silent.load(Ordering::SeqCst) > before + 10).await;
    assert_eq!(stage.endpoint(0).agent(), Some(AgentWish { percent: 40, state: AdminState::Drain }));
    assert_eq!(stage.endpoint(0).health(), Health::Up);
}

#[tokio::test]
async fn an_agent_and_another_check_must_both_agree() {
    let agent = Agent::saying("up\n").await;
    let server = Server::start(status(500)).await;
    let checks = vec![agent.check(), check(stage::http())];
    let stage = Stage::new(&pool(vec![endpoint(server.address)], checks));
    until("down", || stage.endpoint(0).health() == Health::Down).await;
    server.answer(status(200));
    until("up", || stage.endpoint(0).health() == Health::Up).await;
    agent.say("stopped\n");
    until("down", || stage.endpoint(0).health() == Health::Down).await;
    assert!(stage.told().last().unwrap().ends_with("agent check: `stopped`"));
}

#[tokio::test]
async fn the_careful_one_of_two_agents_holds() {
    let (first, second) = (Agent::saying("drain 80%\n").await, Agent::saying("ready 30%\n").await);
    let server = Server::start(status(200)).await;
    let stage = Stage::new(&pool(vec![endpoint(server.address)], vec![first.check(), second.check()]));
    let wish =
        |percent, state| move |stage: &Stage| stage.endpoint(0).agent() == Some(AgentWish { percent, state });
    until("both spoke", || wish(30, AdminState::Drain)(&stage)).await;
    first.say("ready");
    until("the first is ready", || wish(30, AdminState::Ready)(&stage)).await;
    second.say("90%");
    until("the first asks for less", || wish(80, AdminState::Ready)(&stage)).await;
}

#[tokio::test]
async fn what_an_agent_asked_for_outlives_another_setting_and_goes_with_the_check() {
    let agent = Agent::saying("drain\n").await;
    let configured = pool(vec![endpoint(agent.address)], vec![agent.check()]);
    let stage = Stage::new(&configured);
    until("drained", || stage.endpoint(0).agent().is_some()).await;
    // The new check has not asked yet, and must not let traffic in meanwhile.
    let mut slower = configured.clone();
    slower.checks[0].interval = Duration::from_secs(3_600);
    agent.say("#nothing\n");
    stage.reload(&slower);
    assert_eq!(stage.endpoint(0).agent().map(AgentWish::effective_state), Some(AdminState::Drain));
    assert!(!stage.endpoint(0).is_eligible(Moment::ZERO));

    stage.reload(&pool(configured.endpoints.clone(), vec![]));
    assert_eq!(stage.endpoint(0).agent(), None);
    assert!(stage.endpoint(0).is_eligible(Moment::ZERO));
    assert_eq!(stage.told().last().unwrap(), "drain>ready: it is no longer checked");

    // And it goes as well when other checks stay.
    let server_check = check(CheckKind::Tcp);
    agent.say("maint\n");
    stage.reload(&pool(configured.endpoints.clone(), vec![server_check.clone(), agent.check()]));
    until("out", || stage.endpoint(0).agent().is_some()).await;
    stage.reload(&pool(configured.endpoints, vec![server_check]));
    assert_eq!(stage.endpoint(0).agent(), None);
    assert_eq!(stage.told().last().unwrap(), "maintenance>ready: a check was taken away");
}
