//! What one side of a connection grants the other.

/// What a client that speaks HTTP/2 sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of it.
pub(crate) const PREFACE_BYTES: u32 = 24;
const _: () = assert!(PREFACE.len() == PREFACE_BYTES as usize);

/// Largest frame payload that is taken: the smallest that may be asked for, so that one stream does not hold up others (RFC 9113 §4.2).
pub(crate) const MAX_FRAME_BYTES: u32 = 16 << 10;

/// Bytes of an exchange that are kept because the connection has not taken them yet.
pub(crate) const MAX_SEND_BUFFER_BYTES: usize = 64 << 10;

/// What is granted to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Exchanges open at once.
    pub max_streams: u32,
    /// Bytes of one body that may be under way before some were taken.
    pub stream_window: u32,
    /// The same for all bodies of a connection together.
    pub connection_window: u32,
    /// Decoded bytes of a head, with 32 for each field (RFC 9113 §6.5.2).
    pub max_head_bytes: u32,
}
