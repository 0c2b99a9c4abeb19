//! The simulated clock: that of the runtime, which stands still while anybody has something to do.

use tokio::time::Instant;

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "with a paused clock this is the simulated time itself")]
pub(crate) fn present() -> Instant {
    Instant::now()
}
