//! As much of HTTP/1.1 as the demo's own clients and backends need.

use std::io::{self, ErrorKind};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// A longer head ends the connection.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Read at once.
const READ_BYTES: usize = 4 * 1024;
/// What ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// What ends a chunked body without trailers.
const CHUNKS_END: &[u8] = b"0\r\n\r\n";

/// A connection with what has been read of the next message.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    read: Vec<u8>,
}

/// The first line and the field lines of a message.
#[derive(Debug)]
pub(super) struct Head(String);

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// The next message's head; `None` if the peer closed before it.
    pub(super) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(length) = find(&self.read, HEAD_END) {
                let bytes: Vec<u8> = self.read.drain(..length + HEAD_END.len()).collect();
                return Ok(Some(Head(String::from_utf8_lossy(&bytes).into_owned())));
            }
            if self.read.len() > MAX_HEAD_BYTES {
                return Err(ErrorKind::InvalidData.into());
            }
            match self.more().await? {
                0 if self.read.is_empty() => return Ok(None),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    /// Reads the body that belongs to `head`, and forgets it.
    pub(super) async fn skip_body(&mut self, head: &Head) -> io::Result<()> {
        if head.field("transfer-encoding").is_some() {
            while !self.read.ends_with(CHUNKS_END) {
                self.read.drain(..self.read.len().saturating_sub(CHUNKS_END.len()));
                self.need_more().await?;
            }
            self.read.clear();
            return Ok(());
        }
        let mut left = head.field("content-length").and_then(|value| value.parse().ok()).unwrap_or(0_usize);
        loop {
            let here = left.min(self.read.len());
            self.read.drain(..here);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.need_more().await?;
        }
    }

    async fn need_more(&mut self) -> io::Result<()> {
        if self.more().await? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.read.reserve(READ_BYTES);
        self.stream.read_buf(&mut self.read).await
    }
}

impl Head {
    /// A word of the first line.
    pub(super) fn word(&self, index: usize) -> &str {
        self.0.lines().next().and_then(|line| line.split(' ').nth(index)).unwrap_or_default()
    }

    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether the sender closes after this message.
    pub(super) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_fields_are_found() {
        let head = Head("HTTP/1.1 200 OK\r\nX-Backend: swift\r\nconnection: Close\r\n\r\n".to_owned());
        assert_eq!(head.word(1), "200");
        assert_eq!(head.field("x-backend"), Some("swift"));
        assert!(head.closes());
        assert_eq!(head.field("content-length"), None);
    }
}
