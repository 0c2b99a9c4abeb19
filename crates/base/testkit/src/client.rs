//! A client that says what it gets, and fails the play when it gets something else.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::fault::WireError;
use crate::message::Response;
use crate::wire::{Wire, is_reset};

/// A connection to Aya (or to a peer of it).
#[derive(Debug)]
pub struct Client(Wire);

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    pub fn connect(address: SocketAddr) -> Self {
        Self(Wire::connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}")))
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the peer does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let result = self.0.send(bytes);
        assert!(result.is_ok(), "the peer did not take the bytes: {result:?}");
    }

    /// Sends bytes as far as the peer takes them: it may answer and close before it has read all.
    pub fn offer(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.send(bytes).is_ok()
    }

    /// Reads the next response, interim ones included.
    ///
    /// # Panics
    /// When none comes whole and valid.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads the next response to a request with this method.
    ///
    /// # Panics
    /// When none comes whole and valid.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        match self.0.response(method) {
            Ok(response) => response,
            Err(error) => panic!("no response: {error}"),
        }
    }

    /// Reads the next response, if one comes.
    ///
    /// # Errors
    /// When none comes whole and valid.
    pub fn try_response(&mut self) -> Result<Response, WireError> {
        self.0.response("GET")
    }

    /// Reads the head of the next response.
    ///
    /// # Panics
    /// When none comes whole and valid.
    #[track_caller]
    pub fn head(&mut self) -> Response {
        match self.0.response_head() {
            Ok(response) => response,
            Err(error) => panic!("no response head: {error}"),
        }
    }

    /// `GET` on a path with host `play.test`, and its response.
    ///
    /// # Panics
    /// When none comes whole and valid.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: play.test\r\n\r\n"));
        self.response()
    }

    /// `GET` with further field lines (each with its line end), and its response.
    ///
    /// # Panics
    /// When none comes whole and valid.
    #[track_caller]
    pub fn get_with(&mut self, path: &str, lines: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: play.test\r\n{lines}\r\n"));
        self.response()
    }

    /// `POST` of a body with `Content-Length`, and its response.
    ///
    /// # Panics
    /// When none comes whole and valid.
    #[track_caller]
    pub fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Response {
        let body = body.as_ref();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: play.test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        self.send(body);
        self.response()
    }

    /// The peer closes (or resets) without sending anything more.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let result = self.0.closed_by_peer();
        assert!(result.is_ok(), "expected a close: {result:?}");
    }

    /// The peer breaks off in the middle of a message: the rest does not come, and the connection ends.
    ///
    /// # Panics
    /// When the message comes whole, or nothing happens.
    #[track_caller]
    pub fn expect_broken_body(&mut self, head: &Response) {
        let chunked = head.fields.lists("transfer-encoding", "chunked");
        let outcome = loop {
            let step = if chunked { self.0.chunk() } else { self.0.exactly(1) };
            match step {
                Ok(data) if data.is_empty() => panic!("the body came whole"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        match outcome {
            WireError::Closed(_) => {}
            WireError::Io(error) if is_reset(&error) => {}
            other => panic!("expected the connection to end: {other}"),
        }
    }

    /// The peer stays silent and open for this long.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn expect_silence(&mut self, span: Duration) {
        assert!(self.0.is_silent_for(span), "expected silence for {span:?}");
    }

    /// A second hand on the same connection, for writing while this one reads.
    pub fn split(&self) -> Self {
        Self(self.0.split())
    }

    /// Ends the connection for every hand on it.
    pub fn give_up(&self) {
        drop(self.0.stream().shutdown(std::net::Shutdown::Both));
    }

    /// Breaks the connection with a TCP reset.
    pub fn reset(self) {
        self.0.reset();
    }
}

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.0
    }
}
