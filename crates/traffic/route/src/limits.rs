//! How large routes may be.

/// The longest host name that can be told apart (RFC 1035 allows 253 characters). Requests with longer ones are taken by
/// routes for any host only.
pub const MAX_HOST_BYTES: usize = 255;

/// Segments in one path pattern. A look-up recurses once a segment, so this bounds the stack it takes.
pub const MAX_PATH_SEGMENTS: usize = 256;

/// Compiled size of one regular expression, and of its lazily built automaton. Ordinary expressions take some KiB; one that
/// repeats large classes thousands of times would take memory without end. Twice what the check of a configuration allows:
/// here the expression is also tied to both ends of the path.
pub(crate) const MAX_REGEX_BYTES: usize = 2 << 20;

/// Brackets inside each other in one regular expression. The check of a configuration allows 250, as the library does by
/// itself; what ties the expression to both ends of the path adds a few.
pub(crate) const MAX_REGEX_NESTING: u32 = 260;
