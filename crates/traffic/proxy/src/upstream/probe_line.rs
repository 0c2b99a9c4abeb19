//! The connection on which one endpoint is asked.

use std::io;
use std::net::SocketAddr;

use base_kit::Moment;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use traffic_balance::LoadReport;
use traffic_http::{BodyEvent, BodyReader, Framing, HeadLimits, HttpError, Method, ResponseHead};

/// Head and body of an answer: a few lines. What is longer is no answer to a probe.
const MAX_ANSWER_BYTES: usize = 16 << 10;
const HEAD_LIMITS: HeadLimits =
    HeadLimits { max_head_bytes: MAX_ANSWER_BYTES, max_fields: 64, max_target_bytes: 0 };
/// One read takes at most this much.
const READ_BYTES: usize = 4 << 10;

const USER_AGENT: &str = concat!("aya-probe/", env!("CARGO_PKG_VERSION"));

/// The connection on which one endpoint is asked, while it is kept.
#[derive(Default)]
pub(crate) struct ProbeLine {
    stream: Option<(SocketAddr, TcpStream)>,
    request: String,
    received: Vec<u8>,
    head: ResponseHead,
    pub(super) used: Moment,
}

impl ProbeLine {
    /// What the endpoint says of its load; `None` if it says nothing of it. The caller limits the time, and closes the line after a
    /// failure.
    pub(crate) async fn ask(
        &mut self,
        address: SocketAddr,
        path: &str,
        host: &str,
    ) -> io::Result<Option<LoadReport>> {
        self.request.clear();
        for part in ["GET ", path, " HTTP/1.1\r\nhost: ", host, "\r\nuser-agent: ", USER_AGENT, "\r\n\r\n"] {
            self.request.push_str(part);
        }
        if let Some((_, mut stream)) = self.stream.take().filter(|(known, _)| *known == address) {
            match self.ask_on(&mut stream).await {
                Ok(answer) => return Ok(self.settle(address, stream, answer)),
                // The endpoint may close a connection that was idle at any time.
                Err(_) if self.received.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let answer = self.ask_on(&mut stream).await?;
        Ok(self.settle(address, stream, answer))
    }

    /// Keeps the connection if it can be used again.
    fn settle(&mut self, address: SocketAddr, stream: TcpStream, answer: Answer) -> Option<LoadReport> {
        if answer.persists && self.received.is_empty() {
            self.stream = Some((address, stream));
        }
        answer.report
    }

    /// Ends the connection.
    pub(crate) fn close(&mut self) {
        self.stream = None;
    }

    async fn ask_on(&mut self, stream: &mut TcpStream) -> io::Result<Answer> {
        self.received.clear();
        stream.write_all(self.request.as_bytes()).await?;
        let framing = self.read_head(stream).await?;
        let report = self.head.fields().find(LoadReport::FIELD).and_then(LoadReport::parse);
        let is_good = (200..=299).contains(&self.head.status());
        let persists = self.head.persists() && framing != Framing::UntilClose;
        if persists {
            self.skip_body(stream, framing).await?;
        }
        Ok(Answer { report: report.filter(|_| is_good), persists })
    }

    /// Reads the head of the final answer.
    async fn read_head(&mut self, stream: &mut TcpStream) -> io::Result<Framing> {
        loop {
            self.head.clear();
            match self.head.parse(&self.received, &HEAD_LIMITS).map_err(not_understood)? {
                Some(consumed) => drop(self.received.drain(..consumed)),
                None => {
                    self.read(stream).await?;
                    continue;
                }
            }
            if !self.head.is_interim() {
                return self.head.framing(Method::Get).map_err(not_understood);
            }
        }
    }

    /// Reads the body, of which nothing is wanted: what stays behind would be taken for the next answer.
    async fn skip_body(&mut self, stream: &mut TcpStream, framing: Framing) -> io::Result<()> {
        let mut reader = BodyReader::new(framing);
        let mut skipped = 0;
        loop {
            let (consumed, event) = reader.read(&self.received).map_err(not_understood)?;
            let (ended, stalled) = (event == BodyEvent::End, event == BodyEvent::NeedMore);
            self.received.drain(..consumed);
            skipped += consumed;
            if ended {
                return Ok(());
            }
            if skipped > MAX_ANSWER_BYTES {
                return Err(io::Error::other("a long answer"));
            }
            if stalled {
                self.read(stream).await?;
            }
        }
    }

    async fn read(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut chunk = [0; READ_BYTES];
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.received.len() + count > MAX_ANSWER_BYTES {
            return Err(io::Error::other("a long answer"));
        }
        self.received.extend_from_slice(chunk.get(..count).unwrap_or_default());
        Ok(())
    }
}

struct Answer {
    report: Option<LoadReport>,
    persists: bool,
}

fn not_understood(error: HttpError) -> io::Error {
    io::Error::other(error.to_string())
}
