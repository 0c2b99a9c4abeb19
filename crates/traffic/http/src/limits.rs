//! Limits that nobody needs to configure. Those of heads are in [`crate::HeadLimits`].

/// Field slots on the stack; a head with more of them, where its limit allows it, is tokenised once more with slots
/// from the heap. More than real clients send.
pub(crate) const STACK_FIELDS: usize = 128;

/// Room made behind a head for what edits append to it: forwarding fields, `Via`, ids. More than that, and the store grows
/// once.
pub(crate) const SPARE_BYTES: usize = 512;

/// Longest extension of one chunk. Signatures of signed uploads have about 100 bytes.
pub(crate) const MAX_CHUNK_EXTENSION_BYTES: u64 = 1024;

/// Extension bytes that a body may have in all, beyond one for each byte of data: what stops a peer that sends
/// one-byte chunks with long extensions to keep Aya busy with nothing.
pub(crate) const FREE_CHUNK_EXTENSION_BYTES: u64 = 8 * 1024;

/// Hexadecimal digits of a chunk size: as many as 64 bits have.
pub(crate) const MAX_CHUNK_SIZE_DIGITS: u8 = 16;

/// Longest trailer section.
pub(crate) const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Most fields in a trailer section: checksums, signatures and a status, not more.
pub(crate) const MAX_TRAILER_FIELDS: usize = 64;

/// Most unknown fields that `Connection` can name; what it names beyond that is passed on. Bounds the work that a
/// hostile list makes.
pub(crate) const MAX_NOMINATED_FIELDS: usize = 16;

// One long extension is always possible.
const _: () = assert!(MAX_CHUNK_EXTENSION_BYTES <= FREE_CHUNK_EXTENSION_BYTES);
// The shortest field line has four bytes: `a:` and CRLF.
const _: () = assert!(MAX_TRAILER_FIELDS * 4 < MAX_TRAILER_BYTES);
