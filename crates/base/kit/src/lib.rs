//! What every other crate may use: units, time, randomness, excerpts and the description of a kind.
//!
//! Always true here: no I/O, no threads, no global state. Time and randomness are traits, so that whatever
//! takes them can be simulated and repeated from a seed. The one real clock lives here too, because it is
//! the only place that may read the system's.

mod clock;
mod excerpt;
mod kind;
mod rng;
mod units;

pub use clock::{Clock, ManualClock, Moment, MonotonicClock, WallClock};
pub use excerpt::excerpt;
pub use kind::{KindInfo, Status};
pub use rng::{Rng, SeededRng};
pub use units::{ByteSize, Percent, TimeSpan, UnitError};
