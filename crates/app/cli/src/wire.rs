//! As much of HTTP/1.1 as `aya top` and `aya explain` need, and the demo's own clients and backends.

use std::io::{self, ErrorKind};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// A longer head ends the connection.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Read at once.
const READ_BYTES: usize = 4 * 1024;
/// What ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// What ends a line.
const LINE_END: &[u8] = b"\r\n";
/// What ends a chunked body without trailers.
const CHUNKS_END: &[u8] = b"0\r\n\r\n";

/// A connection with what has been read of the next message.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// The first line and the field lines of a message.
#[derive(Debug)]
pub(crate) struct Head(String);

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// The next message's head; `None` if the peer closed before it.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
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
    pub(crate) async fn skip_body(&mut self, head: &Head) -> io::Result<()> {
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

    /// Reads the body of an answer with this head.
    ///
    /// # Errors
    /// If the connection breaks, the framing is not valid, or the body is longer than `max_bytes`.
    pub(crate) async fn body(&mut self, head: &Head, max_bytes: usize) -> io::Result<Vec<u8>> {
        if head.field("transfer-encoding").is_some() {
            return self.chunks(max_bytes).await;
        }
        let Some(length) = head.field("content-length") else {
            while self.read.len() <= max_bytes && self.more().await? > 0 {}
            check_length(self.read.len(), max_bytes)?;
            return Ok(std::mem::take(&mut self.read));
        };
        let length = length.parse().map_err(|_| ErrorKind::InvalidData)?;
        check_length(length, max_bytes)?;
        self.take(length).await
    }

    async fn chunks(&mut self, max_bytes: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| ErrorKind::InvalidData)?;
            check_length(body.len().saturating_add(size), max_bytes)?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size).await?);
            if !self.line().await?.is_empty() {
                return Err(ErrorKind::InvalidData.into());
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(length) = find(&self.read, LINE_END) {
                let mut line = self.take(length + LINE_END.len()).await?;
                line.truncate(length);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            check_length(self.read.len(), MAX_HEAD_BYTES)?;
            self.need_more().await?;
        }
    }

    async fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < count {
            self.need_more().await?;
        }
        Ok(self.read.drain(..count).collect())
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
    pub(crate) fn word(&self, index: usize) -> &str {
        self.0.lines().next().and_then(|line| line.split(' ').nth(index)).unwrap_or_default()
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether the sender closes after this message.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

fn check_length(length: usize, max: usize) -> io::Result<()> {
    if length <= max { Ok(()) } else { Err(io::Error::new(ErrorKind::InvalidData, "too long an answer")) }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn body_of(answer: &'static str, max_bytes: usize) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut wire = Wire::new(TcpStream::connect(listener.local_addr()?).await?);
        let (mut peer, _) = listener.accept().await?;
        peer.write_all(answer.as_bytes()).await?;
        drop(peer);
        let head = wire.head().await?.ok_or(ErrorKind::UnexpectedEof)?;
        wire.body(&head, max_bytes).await
    }

    #[tokio::test]
    async fn bodies_are_read_whichever_way_they_are_framed() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, and what comes after",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nx: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
        ] {
            assert_eq!(body_of(answer, 5).await.unwrap(), b"hello", "{answer}");
            assert_eq!(body_of(answer, 4).await.unwrap_err().kind(), ErrorKind::InvalidData, "{answer}");
        }
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
        ] {
            assert!(body_of(answer, 100).await.is_err(), "{answer}");
        }
    }

    #[test]
    fn words_and_fields_are_found() {
        let head = Head("HTTP/1.1 200 OK\r\nX-Backend: swift\r\nconnection: Close\r\n\r\n".to_owned());
        assert_eq!(head.word(1), "200");
        assert_eq!(head.field("x-backend"), Some("swift"));
        assert!(head.closes());
        assert_eq!(head.field("content-length"), None);
    }
}
