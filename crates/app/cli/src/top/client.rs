//! Asking an Aya for its counts.

use std::io;
use std::time::Duration;

use base_model::model::Secret;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::reading::Reading;
use super::target::{TOKEN_VARIABLE, Target};
use crate::answer;
use crate::wire::Wire;

/// What is asked for.
const PATH: &str = "/api/v1/stats";
/// No answer in this time is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// A longer answer is refused: some 50,000 endpoints.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A connection to an admin port, made anew when it breaks.
pub(super) struct Client {
    target: Target,
    token: Option<Secret>,
    wire: Option<Wire>,
}

/// Why there are no figures.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(super) struct NoAnswer(pub(super) String);

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        let text = error.to_string();
        // The number says nothing that the words do not.
        Self(text.split(" (os error").next().unwrap_or_default().to_lowercase())
    }
}

struct Answer {
    status: String,
    body: Vec<u8>,
}

impl Client {
    pub(super) fn new(target: Target, token: Option<Secret>) -> Self {
        Self { target, token, wire: None }
    }

    /// The counts at this moment.
    pub(super) async fn fetch(&mut self) -> Result<Reading, NoAnswer> {
        let asked = timeout(PATIENCE, self.ask()).await;
        let answer = asked.unwrap_or_else(|_| Err(NoAnswer(format!("no answer in {PATIENCE:?}"))));
        if answer.is_err() {
            self.wire = None;
        }
        let Answer { status, body } = answer?;
        if status != "200" {
            return Err(self.refusal(&status, &body));
        }
        let no_stats =
            |why: String| NoAnswer(format!("what it says at {PATH} is no answer of an Aya: {why}"));
        let reading: Reading = answer::read(&body).map_err(|error| no_stats(error.to_string()))?;
        // Any JSON would do: what is missing is left out.
        if reading.clock_us == 0 { Err(no_stats("it has no time".to_owned())) } else { Ok(reading) }
    }

    /// On the connection that is there, if it still is: the server closes one that has been idle.
    async fn ask(&mut self) -> Result<Answer, NoAnswer> {
        if let Some(wire) = self.wire.take()
            && let Ok(answer) = self.ask_on(wire).await
        {
            return Ok(answer);
        }
        let Target { host, port } = &self.target;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        Ok(self.ask_on(Wire::new(stream)).await?)
    }

    async fn ask_on(&mut self, mut wire: Wire) -> io::Result<Answer> {
        let mut request =
            format!("GET {PATH} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\n", self.target);
        if let Some(token) = &self.token {
            request.push_str(&format!("authorization: Bearer {}\r\n", token.expose()));
        }
        request.push_str("\r\n");
        wire.stream.write_all(request.as_bytes()).await?;
        let head = wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let body = wire.body(&head, MAX_ANSWER_BYTES).await?;
        if !head.closes() && head.field("content-length").is_some() {
            self.wire = Some(wire);
        }
        Ok(Answer { status: answer::plain(head.word(1)), body })
    }

    /// What an answer other than 200 means here.
    fn refusal(&self, status: &str, body: &[u8]) -> NoAnswer {
        let problem: serde_json::Value = answer::read(body).unwrap_or_default();
        let said = problem.get("detail").and_then(serde_json::Value::as_str).unwrap_or_default();
        NoAnswer(match (status, &self.token) {
            ("401", None) => format!("it wants a token: give --token-file FILE, or set {TOKEN_VARIABLE}"),
            ("401", Some(_)) => "it does not take this token".to_owned(),
            ("404", _) => format!("it has no {PATH}: not the admin port of an Aya, or of an older one"),
            _ if said.is_empty() => format!("it answers with status {status}"),
            _ => format!("it answers with status {status}: {said}"),
        })
    }
}
