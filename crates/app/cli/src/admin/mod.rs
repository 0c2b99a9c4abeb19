//! Asking the admin port of a running Aya.

mod answer;
mod target;

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Error, anyhow};
use base_model::model::Secret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) use self::target::{TOKEN_VARIABLE, Target, token};
use crate::wire::Wire;

/// Where the admin port is if nothing is said: as in the guide's configurations.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:9900";
/// A longer answer is refused: some 50,000 endpoints.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A connection to an admin port, made anew when it breaks.
pub(crate) struct Client {
    pub(crate) target: Target,
    token: Option<Secret>,
    /// No answer in this time is none.
    patience: Duration,
    wire: Option<Wire>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// In this time.
    Late(Duration),
    /// The connection broke, or there was none.
    Broken(io::Error),
    /// It refuses.
    Refused(Refusal),
    /// What it says is not what an Aya says.
    NotUnderstood(serde_json::Error),
}

/// An answer other than 200.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: String,
    /// What is wrong, and how to mend it; empty if it does not say.
    pub(crate) detail: String,
    pub(crate) how: String,
    pub(crate) has_token: bool,
}

struct Answer {
    status: String,
    body: Vec<u8>,
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl NoAnswer {
    /// Why nothing is known, and what to do about it.
    pub(crate) fn explained(self, target: &Target) -> Error {
        let unreachable =
            format!("the admin port at {target} cannot be asked; see `admin.bind` in its configuration");
        match self {
            Self::Late(patience) => anyhow!("no answer in {patience:?}").context(unreachable),
            Self::Broken(error) => Error::new(error).context(unreachable),
            Self::NotUnderstood(error) => {
                Error::new(error).context("the answer is not understood: is it another version of Aya?")
            }
            Self::Refused(Refusal { status, detail, how, .. }) => {
                let detail = if detail.is_empty() { "it refuses" } else { &detail };
                let how = if how.is_empty() { how } else { format!("; {how}") };
                anyhow!("{detail} ({status}){how}")
            }
        }
    }
}

impl Client {
    /// For the admin port at this URL, with the token in this file if it wants one.
    pub(crate) fn at(admin: &str, token_file: Option<&Path>, patience: Duration) -> anyhow::Result<Self> {
        let target: Target = admin
            .parse()
            .map_err(|why| anyhow!("`{}` is not where an admin port can be: {why}", admin.escape_debug()))?;
        Ok(Self::new(target, token(token_file, None).map_err(Error::msg)?, patience))
    }

    pub(crate) fn new(target: Target, token: Option<Secret>, patience: Duration) -> Self {
        Self { target, token, patience, wire: None }
    }

    /// What is answered to `GET path`.
    pub(crate) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, NoAnswer> {
        self.request("GET", path).await
    }

    /// What is answered to `POST path`, with nothing in it.
    pub(crate) async fn post<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, NoAnswer> {
        // What is done twice may be wrong: it goes over a connection that cannot have been closed meanwhile.
        self.wire = None;
        self.request("POST", path).await
    }

    async fn request<T: DeserializeOwned>(&mut self, method: &str, path: &str) -> Result<T, NoAnswer> {
        let asked = timeout(self.patience, self.ask(method, path)).await;
        let answer = asked.unwrap_or(Err(NoAnswer::Late(self.patience)));
        if answer.is_err() {
            self.wire = None;
        }
        let Answer { status, body } = answer?;
        if status != "200" {
            return Err(NoAnswer::Refused(self.refusal(status, &body)));
        }
        answer::read(&body).map_err(NoAnswer::NotUnderstood)
    }

    /// On the connection that is there, if it still is: the server closes one that has been idle.
    async fn ask(&mut self, method: &str, path: &str) -> Result<Answer, NoAnswer> {
        if let Some(wire) = self.wire.take()
            && let Ok(answer) = self.ask_on(wire, method, path).await
        {
            return Ok(answer);
        }
        let Target { host, port } = &self.target;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        Ok(self.ask_on(Wire::new(stream), method, path).await?)
    }

    async fn ask_on(&mut self, mut wire: Wire, method: &str, path: &str) -> io::Result<Answer> {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\n", self.target);
        if method == "POST" {
            request.push_str("content-length: 0\r\n");
        }
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

    fn refusal(&self, status: String, body: &[u8]) -> Refusal {
        let problem: Value = answer::read(body).unwrap_or_default();
        let said = |name| problem.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Refusal { status, detail: said("detail"), how: said("how"), has_token: self.token.is_some() }
    }
}

/// A value as it may stand in a query.
pub(crate) fn escaped(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        assert_eq!(escaped("a-1+/b c=é"), "a-1%2B%2Fb%20c%3D%C3%A9");
    }
}
