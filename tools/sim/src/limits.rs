//! How large a simulation may be.

/// Endpoints that all instances know together: each is some hundred bytes, so these fit in the memory of a small machine.
pub(crate) const MAX_VIEWS: u64 = 250_000;

/// Requests that are under way at once. Where more pile up, the servers are overloaded for good and the figures say nothing
/// but how long that went on.
pub(crate) const MAX_RUNNING: usize = 1_000_000;

/// Lines of a file of service times.
pub(crate) const MAX_REPLAYED: usize = 10_000_000;

/// Bytes of such a line, its end included: a number with room around it.
pub(crate) const MAX_REPLAYED_LINE_BYTES: u64 = 64;

/// Points of a line of the chart: about one for every ten pixels.
pub(crate) const POINTS: u64 = 100;
