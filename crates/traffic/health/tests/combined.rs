//! Checks of several kinds at one endpoint: all must pass, and whichever fails is the cause.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base_model::model::{ActiveCheck, CheckKind};
use stage::{Server, Stage, check, endpoint, http, pool, status, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use traffic_balance::Health;

/// An endpoint with a check of each kind, and a switch for each of them.
struct Patient {
    stage: Stage,
    server: Server,
    agent: Arc<Mutex<&'static str>>,
    agent_asked: Arc<AtomicUsize>,
    file: PathBuf,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Organ {
    Http,
    Agent,
    Program,
}

const ORGANS: [Organ; 3] = [Organ::Http, Organ::Agent, Organ::Program];

impl Organ {
    const fn cause(self) -> &'static str {
        match self {
            Self::Http => "http check: status 500, wanted 200-299",
            Self::Agent => "agent check: `down`",
            Self::Program => "exec check: exit status 1",
        }
    }
}

impl Patient {
    async fn well(name: &str) -> Self {
        let server = Server::start(status(200)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let agent = Arc::new(Mutex::new("up\n"));
        let agent_asked = Arc::new(AtomicUsize::new(0));
        let (said, asked) = (Arc::clone(&agent), Arc::clone(&agent_asked));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let line = *said.lock().unwrap();
                let _ = stream.write_all(line.as_bytes()).await;
            }
        });
        let file = std::env::temp_dir().join(format!("aya-combined-{name}-{}", std::process::id()));
        let words = ["-c", "echo >> $0.asked; test ! -e $0", file.to_str().unwrap()];
        let arguments = words.map(Into::into).to_vec();
        let checks = vec![
            check(CheckKind::Tcp),
            check(http()),
            ActiveCheck { port: Some(port), ..check(CheckKind::Agent { send: None }) },
            check(CheckKind::Exec { program: "sh".into(), arguments }),
        ];
        let stage = Stage::new(&pool(vec![endpoint(server.address)], checks));
        let patient = Self { stage, server, agent, agent_asked, file, _tasks: tasks };
        until("up", || patient.health() == Health::Up).await;
        patient
    }

    fn health(&self) -> Health {
        self.stage.endpoint(0).health()
    }

    fn set(&self, organ: Organ, well: bool) {
        match organ {
            Organ::Http => self.server.answer(status(if well { 200 } else { 500 })),
            Organ::Agent => *self.agent.lock().unwrap() = if well { "up\n" } else { "down\n" },
            Organ::Program if well => fs::remove_file(&self.file).unwrap(),
            Organ::Program => fs::write(&self.file, "").unwrap(),
        }
    }

    /// How often a check has begun.
    fn asked(&self, organ: Organ) -> usize {
        match organ {
            Organ::Http => self.server.count(),
            Organ::Agent => self.agent_asked.load(Ordering::SeqCst),
            Organ::Program => fs::read(self.file.with_extension("asked")).unwrap_or_default().len(),
        }
    }

    /// As [`Patient::set`]; waits until it is known. Checks of one kind follow each other, so once the second one from now has
    /// begun, one that began from now on was taken in.
    async fn set_and_wait(&self, organ: Organ, well: bool) {
        self.set(organ, well);
        let before = self.asked(organ);
        until("it is known", || self.asked(organ) >= before + 2).await;
    }

    async fn until_told(&self, line: &str) {
        let told = || self.stage.told().last().cloned().unwrap_or_default();
        let is_told = || told() == line;
        until(&format!("{line}; instead {:?}", self.stage.told()), is_told).await;
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        let _ = (fs::remove_file(&self.file), fs::remove_file(self.file.with_extension("asked")));
    }
}

#[tokio::test]
async fn each_of_them_takes_it_out_and_is_the_cause() {
    let patient = Patient::well("each").await;
    for organ in ORGANS {
        patient.set(organ, false);
        patient.until_told(&format!("up>down: {}", organ.cause())).await;
        assert_eq!(patient.health(), Health::Down);
        patient.set(organ, true);
        until("up again", || patient.health() == Health::Up).await;
    }
}

#[tokio::test]
async fn while_one_of_them_fails_it_stays_out_and_that_one_is_the_cause() {
    for (first, second) in ORGANS.into_iter().flat_map(|first| ORGANS.map(|second| (first, second))) {
        if first == second {
            continue;
        }
        let patient = Patient::well("two").await;
        patient.set(first, false);
        patient.until_told(&format!("up>down: {}", first.cause())).await;
        patient.set_and_wait(second, false).await;
        patient.set(first, true);
        patient.until_told(&format!("down>down: {}", second.cause())).await;
        assert_eq!(patient.health(), Health::Down);
        patient.set(second, true);
        until("up again", || patient.health() == Health::Up).await;
        let ups = patient.stage.told().iter().filter(|line| line.contains(">up")).count();
        assert_eq!(ups, 2, "never up in between: {:?}", patient.stage.told());
    }
}
