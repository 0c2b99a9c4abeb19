//! Heads: start line and fields of requests and responses.

mod authority;
mod framing;
mod method;
mod request;
mod response;
mod status;
mod target;
#[cfg(test)]
mod tests;
mod tokenize;

pub use framing::Framing;
pub(crate) use framing::{has_token, tokens};
pub use method::{Method, Version};
pub use request::RequestHead;
pub use response::ResponseHead;

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the first of the start line (a leading empty line counts) to the last of the empty line.
    pub max_head_bytes: usize,
    /// Field lines.
    pub max_fields: usize,
    /// Bytes of the request target.
    pub max_target_bytes: usize,
}

impl Default for HeadLimits {
    /// What most servers accept: 64 KiB, 100 fields, 16 KiB.
    fn default() -> Self {
        Self { max_head_bytes: 64 * 1024, max_fields: 100, max_target_bytes: 16 * 1024 }
    }
}
