//! A server on a port of its own, and a client that sends just what a test writes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base_model::model::Secret;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fake::Fake;
use crate::server::{ServeError, serve};

/// Long enough that only a fault makes a test wait so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) node: Arc<Fake>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(Fake::new(), None)
    }

    pub(super) fn with_token(token: &str) -> Self {
        Self::with(Fake::new(), Some(Secret::new(token)))
    }

    #[expect(clippy::disallowed_methods, reason = "the test ends with the runtime, and so does the server")]
    pub(super) fn with(node: Fake, token: Option<Secret>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let node = Arc::new(node);
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or(()) };
        let running = tokio::spawn(serve(listener, node.clone(), token, shutdown));
        Self { address, node, stop, running }
    }

    /// Stops it and waits for its end.
    pub(super) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.running).await.expect("stops in time").unwrap().unwrap();
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.node.calls.lock().unwrap().clone()
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// From another address of this machine: 127.0.0.`host`.
    pub(super) async fn connect_from(&self, host: u8) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, host], 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    /// A request with a `Host` that names the server, on a connection of its own.
    pub(super) async fn send(&self, method: &str, path: &str, fields: &[&str], body: &[u8]) -> Answer {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !fields.iter().any(|field| field.starts_with("Host:")) {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        for field in fields {
            head.push_str(&format!("{field}\r\n"));
        }
        head.push_str("\r\n");
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    /// Any bytes; the answer is what comes until the connection ends.
    pub(super) async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        let mut answer = Vec::new();
        let exchange = async {
            // A server that has seen enough may close before it has read all.
            let _ = stream.write_all(bytes).await;
            let _ = stream.read_to_end(&mut answer).await;
        };
        timeout(PATIENCE, exchange).await.expect("the server answers and closes");
        Answer(String::from_utf8(answer).unwrap())
    }
}

/// An answer as it came, head and body.
#[derive(Debug)]
pub(super) struct Answer(pub(super) String);

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.0
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status in {self:?}"))
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let (head, _) = self.0.split_once("\r\n\r\n")?;
        let pairs = head.lines().filter_map(|line| line.split_once(": "));
        pairs.into_iter().find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(super) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it is a problem of this status and code, says what is wrong, and gives it back.
    pub(super) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status(), status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        assert!(self.body().ends_with("}\n"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.ends_with('.'), "one style for all: {problem}");
        problem
    }
}
