//! Why bytes are not a message.

use std::io;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer closed in the middle of something; what was read before is shown.
    #[error("the peer closed, after {0:?}")]
    Closed(String),
    /// Nothing came in time; what was read before is shown.
    #[error("nothing more came in time, after {0:?}")]
    TimedOut(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The peer sent what is not HTTP.
    #[error("not HTTP: {0}")]
    Malformed(String),
}
