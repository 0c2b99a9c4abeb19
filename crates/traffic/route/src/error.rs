//! Why routes are refused.

use crate::limits::{MAX_HOST_BYTES, MAX_PATH_SEGMENTS};

/// Why routes cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A regular expression is not valid, or larger than the limit.
    #[error("route {route}: the regular expression `{pattern}` cannot be used: {problem}")]
    Regex {
        /// The route's name.
        route: String,
        /// As written.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// A host name is empty or too long.
    #[error("route {route}: the host `{host}` is empty or longer than {MAX_HOST_BYTES} characters")]
    Host {
        /// The route's name.
        route: String,
        /// As written.
        host: String,
    },
    /// A path pattern has too many segments.
    #[error("route {route}: the path has more than {MAX_PATH_SEGMENTS} segments")]
    TooManySegments {
        /// The route's name.
        route: String,
    },
    /// More routes, paths or hosts than the tables can number.
    #[error("the routes take more room than the routing tables have")]
    TooLarge,
}
