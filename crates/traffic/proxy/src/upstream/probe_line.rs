//! The connection on which one endpoint is asked.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base_kit::Moment;
use base_model::model::Offered;
use traffic_balance::LoadReport;
use traffic_http::{BodyEvent, BodyReader, Framing, HeadLimits, HttpError, Method, ResponseHead};
use traffic_net::{Buffer, BufferPool, BufferSize, Stream, send_all};
use traffic_tls::ClientTls;

use crate::upstream::dial::Dial;
use crate::upstream::dial::are_same;

/// Head and body of an answer: a few lines. What is longer is no answer to a probe.
const ANSWER_SIZE: BufferSize = BufferSize::Small;
const MAX_ANSWER_BYTES: usize = ANSWER_SIZE.bytes();
const HEAD_LIMITS: HeadLimits =
    HeadLimits { max_head_bytes: MAX_ANSWER_BYTES, max_fields: 64, max_target_bytes: 0 };

const USER_AGENT: &str = concat!("aya-probe/", env!("CARGO_PKG_VERSION"));

/// The connection on which one endpoint is asked, while it is kept.
pub(crate) struct ProbeLine {
    kept: Option<Kept>,
    request: String,
    input: Buffer,
    head: ResponseHead,
    pub(super) used: Moment,
}

/// A connection, and where and how it leads.
struct Kept {
    address: SocketAddr,
    tls: Option<Arc<ClientTls>>,
    stream: Box<dyn Stream>,
}

impl ProbeLine {
    /// One without a connection.
    pub(crate) fn new(buffers: &BufferPool) -> Self {
        let input = Buffer::new(buffers.clone(), ANSWER_SIZE);
        let head = ResponseHead::default();
        Self { kept: None, request: String::new(), input, head, used: Moment::ZERO }
    }

    /// What the endpoint says of its load; `None` if it says nothing of it. The caller limits the time, and closes the line after a
    /// failure.
    pub(crate) async fn ask(
        &mut self,
        dial: &Dial<'_>,
        tls: Option<&Arc<ClientTls>>,
        (path, host): (&str, &str),
    ) -> io::Result<Option<LoadReport>> {
        self.request.clear();
        for part in ["GET ", path, " HTTP/1.1\r\nhost: ", host, "\r\nuser-agent: ", USER_AGENT, "\r\n\r\n"] {
            self.request.push_str(part);
        }
        let leads_there = |kept: &Kept| kept.address == dial.address && are_same(kept.tls.as_ref(), tls);
        if let Some(mut kept) = self.kept.take().filter(leads_there) {
            match self.ask_on(&mut *kept.stream).await {
                Ok(answer) => return Ok(self.settle(kept, answer)),
                // The endpoint may close a connection that was idle at any time.
                Err(_) if self.input.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        let mut kept =
            Kept { address: dial.address, tls: tls.cloned(), stream: dial.run(Offered::Http1).await?.stream };
        let answer = self.ask_on(&mut *kept.stream).await?;
        Ok(self.settle(kept, answer))
    }

    /// Keeps the connection if it can be used again.
    fn settle(&mut self, kept: Kept, answer: Answer) -> Option<LoadReport> {
        if answer.persists && self.input.is_empty() {
            self.kept = Some(kept);
        }
        self.empty();
        answer.report
    }

    /// Ends the connection.
    pub(crate) fn close(&mut self) {
        self.kept = None;
        self.empty();
    }

    fn empty(&mut self) {
        self.input.consume(self.input.len());
        self.input.release();
    }

    async fn ask_on(&mut self, stream: &mut dyn Stream) -> io::Result<Answer> {
        self.empty();
        send_all(stream, self.request.as_bytes()).await?;
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
    async fn read_head(&mut self, stream: &mut dyn Stream) -> io::Result<Framing> {
        loop {
            self.head.clear();
            match self.head.parse(self.input.filled(), &HEAD_LIMITS).map_err(not_understood)? {
                Some(consumed) => self.input.consume(consumed),
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
    async fn skip_body(&mut self, stream: &mut dyn Stream, framing: Framing) -> io::Result<()> {
        let mut reader = BodyReader::new(framing);
        let mut skipped = 0;
        loop {
            let (consumed, event) = reader.read(self.input.filled()).map_err(not_understood)?;
            let (ended, stalled) = (event == BodyEvent::End, event == BodyEvent::NeedMore);
            self.input.consume(consumed);
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

    async fn read(&mut self, stream: &mut dyn Stream) -> io::Result<()> {
        if self.input.len() == MAX_ANSWER_BYTES {
            return Err(io::Error::other("a long answer"));
        }
        match poll_fn(|cx| stream.poll_receive(cx, &mut self.input)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

struct Answer {
    report: Option<LoadReport>,
    persists: bool,
}

fn not_understood(error: HttpError) -> io::Error {
    io::Error::other(error.to_string())
}
