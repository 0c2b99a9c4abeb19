//! What the tests play on: servers on loopback that answer as told, and a monitor with short times.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base_kit::{Clock, Moment};
use base_model::model::{ActiveCheck, BodyMatch, CheckKind, Endpoint, Host, PassiveCheck, Pool, StatusRange};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use traffic_balance::{EndpointState, PoolState, Registry, Transition};
use traffic_health::{CheckResult, CheckSink, CheckSinks, HealthMonitor, MonitorOptions};

/// Longer than anything here takes, unless it never ends.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, waiting).await.is_ok();
    assert!(in_time, "it never came to this: {what}");
}

/// Bounds a wait.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("it never came to this: {what}"))
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends nothing until the client leaves.
    Hang,
    /// Sends the second once it is released.
    Held(Vec<u8>),
}

/// A plain answer of this status.
pub(crate) fn status(status: u16) -> Answer {
    text(&format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 2\r\n\r\nok"))
}

/// These bytes.
pub(crate) fn text(bytes: &str) -> Answer {
    Answer::Bytes(bytes.as_bytes().to_vec())
}

#[derive(Default)]
struct Script {
    first: VecDeque<Answer>,
    then: Option<Answer>,
    requests: Vec<String>,
}

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    pub(crate) released: Arc<Notify>,
    /// Requests not answered yet, and the most of them at once.
    pub(crate) open: Arc<AtomicUsize>,
    pub(crate) most_open: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// A server that always answers this.
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut server = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::default(),
            released: Arc::default(),
            open: Arc::default(),
            most_open: Arc::default(),
            _tasks: JoinSet::new(),
        };
        server.answer(answer);
        let play = Play {
            script: Arc::clone(&server.script),
            released: Arc::clone(&server.released),
            open: Arc::clone(&server.open),
            most_open: Arc::clone(&server.most_open),
        };
        server._tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(play.clone().serve(stream));
            }
        });
        server
    }

    /// What is answered from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        self.script.lock().unwrap().then = Some(answer);
    }

    /// What is answered to the next requests, one each.
    pub(crate) fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().first.extend(answers);
    }

    /// How many requests came.
    pub(crate) fn count(&self) -> usize {
        self.script.lock().unwrap().requests.len()
    }

    /// The last request.
    pub(crate) fn last(&self) -> String {
        self.script.lock().unwrap().requests.last().cloned().unwrap()
    }

    /// A way to count requests from elsewhere.
    pub(crate) fn counter(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let script = Arc::clone(&self.script);
        move || script.lock().unwrap().requests.len()
    }
}

#[derive(Clone)]
struct Play {
    script: Arc<Mutex<Script>>,
    released: Arc<Notify>,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
}

impl Play {
    async fn serve(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut request).await {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_open.fetch_max(open, Ordering::SeqCst);
        let released = self.released.notified();
        let answer = self.next_answer(request);
        let bytes = match answer {
            Answer::Bytes(bytes) => bytes,
            Answer::Held(bytes) => {
                released.await;
                bytes
            }
            Answer::Hang => {
                let _ = stream.read_u8().await;
                Vec::new()
            }
        };
        self.open.fetch_sub(1, Ordering::SeqCst);
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
    }

    fn next_answer(&self, request: Vec<u8>) -> Answer {
        let mut script = self.script.lock().unwrap();
        script.requests.push(String::from_utf8(request).unwrap());
        script.first.pop_front().or_else(|| script.then.clone()).unwrap()
    }
}

/// An address that nobody listens at.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A target at this address.
pub(crate) fn target(address: SocketAddr) -> traffic_health::Target {
    traffic_health::Target {
        address,
        host: Host::Ip(address.ip()),
        authority: "endpoint:80".to_owned(),
        pool: "p".to_owned(),
        endpoint: "endpoint:80".to_owned(),
        proxy_protocol: None,
    }
}

/// An endpoint by address.
pub(crate) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::new(Host::Ip(address.ip()), address.port())
}

/// An endpoint by name.
pub(crate) fn named(name: &str, port: u16) -> Endpoint {
    Endpoint::new(Host::Name(name.into()), port)
}

/// A check that is repeated at once, with a timeout that does not matter.
pub(crate) fn check(kind: CheckKind) -> ActiveCheck {
    let interval = Duration::from_millis(2);
    ActiveCheck {
        kind,
        interval,
        timeout: DEADLINE,
        rise: 1,
        fall: 1,
        jitter: 0.1,
        port: None,
        tls: None,
        proxy_protocol: None,
    }
}

/// `GET /healthz`, any 2xx.
pub(crate) fn http() -> CheckKind {
    http_with("GET", None)
}

/// With this method and wanted body.
pub(crate) fn http_with(method: &str, body: Option<BodyMatch>) -> CheckKind {
    CheckKind::Http {
        method: method.into(),
        path: "/healthz".into(),
        host: None,
        headers: Vec::new(),
        statuses: vec![StatusRange { first: 200, last: 299 }],
        body,
    }
}

/// A pool named `p`.
pub(crate) fn pool(endpoints: Vec<Endpoint>, checks: Vec<ActiveCheck>) -> Pool {
    let passive = PassiveCheck {
        consecutive_failures: 1,
        eject_for: Duration::from_secs(1),
        ..PassiveCheck::default()
    };
    Pool { checks, passive, ..Pool::new("p", endpoints) }
}

/// A clock that other threads may move.
#[derive(Default)]
pub(crate) struct SharedClock(pub(crate) AtomicU64);

impl Clock for SharedClock {
    fn now(&self) -> Moment {
        Moment::from_nanos(self.0.load(Ordering::SeqCst))
    }

    fn since_epoch(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

/// Options with short times.
pub(crate) fn options() -> MonitorOptions {
    MonitorOptions {
        first_spread: Duration::from_millis(1),
        look_every: Duration::from_millis(2),
        look_up_every: Duration::from_millis(2),
        seed: 1,
        ..MonitorOptions::default()
    }
}

/// Tells one and the same of the checks of every pool.
pub(crate) fn every_pool(sink: impl Fn(CheckResult) + Send + Sync + 'static) -> CheckSinks {
    let sink: CheckSink = Arc::new(sink);
    Arc::new(move |_| Arc::clone(&sink))
}

/// A monitor, its registry, and what it told.
pub(crate) struct Stage {
    pub(crate) monitor: HealthMonitor,
    pub(crate) registry: Arc<Registry>,
    told: Arc<Mutex<Vec<(Transition, usize)>>>,
}

impl Stage {
    pub(crate) fn new(pool: &Pool) -> Self {
        Self::with(pool, options(), || 0)
    }

    /// Notes a number with each transition.
    pub(crate) fn with(
        pool: &Pool,
        options: MonitorOptions,
        note: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Self {
        let told: Arc<Mutex<Vec<(Transition, usize)>>> = Arc::default();
        let noted = Arc::clone(&told);
        let sink =
            Arc::new(move |transition: &Transition| noted.lock().unwrap().push((transition.clone(), note())));
        let monitor = HealthMonitor::new(tokio::runtime::Handle::current(), sink, options);
        let stage = Self { monitor, registry: Arc::new(Registry::new()), told };
        stage.reload(pool);
        stage
    }

    pub(crate) fn reload(&self, pool: &Pool) {
        self.registry.reconcile(std::slice::from_ref(pool));
        self.monitor.apply(std::slice::from_ref(pool), &self.registry);
        self.monitor.check_invariants();
    }

    pub(crate) fn pool(&self) -> Arc<PoolState> {
        self.registry.pool("p").unwrap()
    }

    pub(crate) fn endpoint(&self, index: usize) -> Arc<EndpointState> {
        Arc::clone(&self.pool().endpoints()[index])
    }

    /// Each transition as `from>to: cause`.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter().map(|(Transition { from, to, cause, .. }, _)| format!("{from}>{to}: {cause}")).collect()
    }

    /// The numbers noted with the transitions.
    pub(crate) fn notes(&self) -> Vec<usize> {
        self.told.lock().unwrap().iter().map(|(_, note)| *note).collect()
    }

    pub(crate) async fn until_told(&self, count: usize) -> Vec<String> {
        until("so many transitions", || self.told.lock().unwrap().len() >= count).await;
        self.told()
    }
}
