//! A connection that a check asks on, over TLS or not.

use std::io;
use std::pin::pin;
use std::task::{Context, Waker};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Room for what is read at once: for most health answers all of it.
const READ_BYTES: usize = 2 * 1024;

/// A connection to an endpoint.
#[derive(Debug)]
pub(crate) enum Connection {
    /// As the system makes it.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that the runtime does not watch.
pub(crate) type PlainSocket = std::net::TcpStream;

impl Connection {
    /// Whether it is as the system makes it.
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Takes it from the runtime, if it is as the system makes it. It is lost where the system has no means left for that.
    pub(crate) fn into_plain(self) -> Option<PlainSocket> {
        match self {
            Self::Plain(socket) => socket.into_std().ok(),
            Self::Tls(_) => None,
        }
    }

    /// Has the runtime watch it. It is lost where the system has no means left for that.
    pub(crate) fn plain(socket: PlainSocket) -> Option<Self> {
        TcpStream::from_std(socket).ok().map(Self::Plain)
    }

    /// Sends all of it.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Appends what has come, and says how much; 0 at the end.
    pub(crate) async fn read(&mut self, received: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => {
                // Room is made when there is something: the questions that are under way at once would each take their own, and none would be
                // warm.
                socket.readable().await?;
                received.reserve(READ_BYTES);
                // Unlike `try_read_buf`, it notes that what does not fill the room is all there is.
                socket.read_buf(received).await
            }
            Self::Tls(stream) => {
                received.reserve(READ_BYTES);
                stream.read_buf(received).await
            }
        }
    }

    /// Whether it is open, and the endpoint has said nothing unasked.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Plain(socket) => {
                matches!(socket.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Tls(stream) => {
                let mut byte = [0];
                // Within the task's budget: what the endpoint sends without saying anything would have no end. Where that looks like silence, the
                // question finds out.
                pin!(stream.read(&mut byte)).poll(&mut Context::from_waker(Waker::noop())).is_pending()
            }
        }
    }
}
