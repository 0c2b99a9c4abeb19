//! A connection, read and written in bytes; every read and write has a deadline.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::fault::WireError;
use crate::message::{Fields, Request, Response, latin1, malformed};
use crate::time::{PATIENCE, Stopwatch};

/// No line that a play expects is longer.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// What a backend keeps of the bytes it got on one connection.
const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// Holds a few segments of loopback: with less, every one of them waits for a timer.
const SMALL_BUFFER_BYTES: usize = 256 * 1024;

/// One end of a TCP connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    pending: Vec<u8>,
    record: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// When the connection is not made in time.
    pub fn connect(address: SocketAddr) -> Result<Self, WireError> {
        Ok(Self::new(TcpStream::connect_timeout(&address, PATIENCE)?, None)?)
    }

    pub(crate) fn new(stream: TcpStream, record: Option<Arc<Mutex<Vec<u8>>>>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, pending: Vec::new(), record })
    }

    /// The address of this end.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Makes the kernel's receive buffer small, so that back-pressure sets in early.
    pub fn shrink_receive_buffer(&self) {
        drop(socket2::SockRef::from(&self.stream).set_recv_buffer_size(SMALL_BUFFER_BYTES));
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// When the peer does not take them in time, or is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), WireError> {
        Ok(self.stream.write_all(bytes.as_ref())?)
    }

    /// Reads one response that answers a request with this method; interim ones (1xx) come as responses of their own.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn response(&mut self, method: &str) -> Result<Response, WireError> {
        let mut response = self.response_head()?;
        self.response_body(&mut response, method)?;
        Ok(response)
    }

    /// Reads the body that belongs to a head, of the answer to a request with this method.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn response_body(&mut self, response: &mut Response, method: &str) -> Result<(), WireError> {
        if matches!(response.status, 100..=199 | 204 | 304) || method == "HEAD" {
            return Ok(());
        }
        if response.fields.lists("transfer-encoding", "chunked") {
            if response.fields.get("content-length").is_some() {
                return Err(malformed("both framings", &latin1(&response.raw_head)));
            }
            (response.body, response.trailers) = self.chunked()?;
        } else if let Some(length) = response.fields.content_length()? {
            response.body = self.exactly(length)?;
        } else {
            response.body = self.rest()?;
        }
        Ok(())
    }

    /// Reads the head of a response and nothing more.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn response_head(&mut self) -> Result<Response, WireError> {
        Response::parse(&self.head()?)
    }

    /// Reads one request with its body; `None` when the peer closed before it began.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn request(&mut self) -> Result<Option<Request>, WireError> {
        let Some(mut request) = self.request_head()? else { return Ok(None) };
        self.request_body(&mut request)?;
        Ok(Some(request))
    }

    /// Reads the head of a request and nothing more; `None` when the peer closed before it began.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn request_head(&mut self) -> Result<Option<Request>, WireError> {
        if self.pending.is_empty() && !self.fill()? {
            return Ok(None);
        }
        Request::parse(&self.head()?).map(Some)
    }

    /// Reads the body that belongs to a head.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn request_body(&mut self, request: &mut Request) -> Result<(), WireError> {
        let length = request.fields.content_length()?;
        if request.fields.lists("transfer-encoding", "chunked") {
            if length.is_some() {
                return Err(malformed("both framings", &latin1(&request.raw_head)));
            }
            (request.body, request.trailers) = self.chunked()?;
        } else {
            request.body = self.exactly(length.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Reads exactly this many bytes.
    ///
    /// # Errors
    /// When they do not come.
    pub fn exactly(&mut self, count: usize) -> Result<Vec<u8>, WireError> {
        while self.pending.len() < count {
            if !self.fill()? {
                return Err(self.closed());
            }
        }
        Ok(self.pending.drain(..count).collect())
    }

    /// Reads and forgets bytes until the peer closes; gives their number.
    ///
    /// # Errors
    /// When the connection breaks or stalls.
    pub fn drain(&mut self) -> Result<u64, WireError> {
        let mut total = 0;
        loop {
            total += self.pending.len() as u64;
            self.pending.clear();
            if !self.fill()? {
                return Ok(total);
            }
        }
    }

    /// Reads one chunk of a chunked body; empty for the last one, whose trailer section is not read.
    ///
    /// # Errors
    /// When it does not come whole and valid.
    pub fn chunk(&mut self) -> Result<Vec<u8>, WireError> {
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(digits, 16).map_err(|_| malformed("a bad chunk size", &line))?;
        if size == 0 {
            return Ok(Vec::new());
        }
        let data = self.exactly(size)?;
        match self.line()?.as_str() {
            "" => Ok(data),
            other => Err(malformed("no line end after a chunk", other)),
        }
    }

    /// Reads all that comes until the peer closes.
    ///
    /// # Errors
    /// When the connection breaks or stalls.
    pub fn rest(&mut self) -> Result<Vec<u8>, WireError> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.pending))
    }

    /// Whether the peer is gone: it closed or reset, and nothing is left to read. Waits for it.
    ///
    /// # Errors
    /// When bytes come instead, or nothing happens.
    pub fn closed_by_peer(&mut self) -> Result<(), WireError> {
        if !self.pending.is_empty() {
            return Err(malformed("bytes before the close", &latin1(&self.pending)));
        }
        match self.fill() {
            Ok(false) => Ok(()),
            Ok(true) => Err(malformed("bytes before the close", &latin1(&self.pending))),
            Err(WireError::Io(error)) if is_reset(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether nothing comes, and nobody closes, for this long.
    pub fn is_silent_for(&mut self, span: Duration) -> bool {
        let quiet = || -> io::Result<bool> {
            self.stream.set_read_timeout(Some(span))?;
            let quiet = match self.stream.peek(&mut [0]) {
                Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
                Ok(_) => false,
            };
            self.stream.set_read_timeout(Some(PATIENCE))?;
            Ok(quiet)
        };
        self.pending.is_empty() && quiet().unwrap_or(false)
    }

    /// Tells the peer that no more bytes come, and stays for its answer.
    pub fn half_close(&mut self) {
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// Closes in the ordinary way.
    pub fn close(self) {}

    /// Breaks the connection with a TCP reset.
    pub fn reset(self) {
        drop(socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }

    pub(crate) fn split(&self) -> Self {
        let stream = self.stream.try_clone().expect("a socket can be cloned");
        Self { stream, pending: Vec::new(), record: None }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn head(&mut self) -> Result<Vec<u8>, WireError> {
        let mut scanned = 0;
        loop {
            if let Some(end) = find(&self.pending[scanned..], b"\r\n\r\n") {
                return Ok(self.pending.drain(..scanned + end + 4).collect());
            }
            scanned = self.pending.len().saturating_sub(3);
            self.more(MAX_LINE_BYTES)?;
        }
    }

    fn line(&mut self) -> Result<String, WireError> {
        loop {
            if let Some(end) = find(&self.pending, b"\r\n") {
                let line = latin1(&self.pending[..end]);
                self.pending.drain(..end + 2);
                return Ok(line);
            }
            self.more(MAX_LINE_BYTES)?;
        }
    }

    fn chunked(&mut self) -> Result<(Vec<u8>, Fields), WireError> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((body, Fields::parse(lines.iter().map(String::as_str))?));
            }
            lines.push(line);
        }
    }

    fn more(&mut self, limit: usize) -> Result<(), WireError> {
        if self.pending.len() > limit {
            return Err(malformed("no end of line", &latin1(&self.pending[..100])));
        }
        if self.fill()? { Ok(()) } else { Err(self.closed()) }
    }

    /// Reads what is there; `false` at the end of input.
    fn fill(&mut self) -> Result<bool, WireError> {
        let mut chunk = [0; 64 * 1024];
        let watch = Stopwatch::start();
        loop {
            match self.stream.read(&mut chunk) {
                Ok(count) => {
                    self.keep_record(&chunk[..count]);
                    self.pending.extend_from_slice(&chunk[..count]);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted && watch.elapsed() < PATIENCE => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(WireError::TimedOut(shown(&self.pending)));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn keep_record(&self, bytes: &[u8]) {
        if let Some(record) = &self.record {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_RECORD_BYTES.saturating_sub(record.len());
            record.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn closed(&self) -> WireError {
        WireError::Closed(shown(&self.pending))
    }
}

pub(crate) fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn shown(bytes: &[u8]) -> String {
    latin1(&bytes[..bytes.len().min(400)])
}
