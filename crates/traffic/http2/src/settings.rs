//! What one side of a connection grants the other.

use base_model::model::Http2;

/// What a client that speaks HTTP/2 sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of it.
pub(crate) const PREFACE_BYTES: u32 = 24;
const _: () = assert!(PREFACE.len() == PREFACE_BYTES as usize);

/// Largest frame payload that is taken: the smallest that may be asked for, so that one stream does not hold up others (RFC 9113 §4.2).
pub(crate) const MAX_FRAME_BYTES: u32 = 16 << 10;

/// Bytes of an exchange that are kept because the connection has not taken them yet.
pub(crate) const MAX_SEND_BUFFER_BYTES: usize = 64 << 10;

/// Memory for frames of little data, for each byte of the window of a connection to an endpoint: all of it may come in frames of some 30 bytes, as
/// events and messages do, and lie unread because one taker of many is slow. Clients have a quarter of that.
const ENDPOINTS_FRAMING: usize = 8;
const CLIENTS_FRAMING: usize = 2;

/// Streams that were given up and are remembered for a second, for what the peer had already sent on them.
pub(crate) const MAX_REMEMBERED_STREAMS: usize = 4096;

/// What is granted to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Exchanges open at once.
    pub(crate) max_streams: u32,
    /// Bytes of one body that may be under way before some were taken.
    pub(crate) stream_window: u32,
    /// The same for all bodies of a connection together.
    pub(crate) connection_window: u32,
    /// Decoded bytes of a head, with 32 for each field (RFC 9113 §6.5.2).
    pub(crate) max_head_bytes: u32,
}

impl Settings {
    /// What is configured, and how long heads may be.
    pub fn new(granted: Http2, max_head_bytes: usize) -> Self {
        let Http2 { max_streams, stream_window, connection_window } = granted;
        let max_head_bytes = u32::try_from(max_head_bytes).unwrap_or(u32::MAX);
        Self { max_streams, stream_window, connection_window, max_head_bytes }
    }

    /// Memory that a client's frames of little data may take beside their data.
    pub(crate) fn clients_framing(&self) -> usize {
        self.framing(CLIENTS_FRAMING)
    }

    /// The same for an endpoint's.
    pub(crate) fn endpoints_framing(&self) -> usize {
        self.framing(ENDPOINTS_FRAMING)
    }

    fn framing(&self, times: usize) -> usize {
        usize::try_from(self.connection_window).unwrap_or(usize::MAX).saturating_mul(times)
    }
}
