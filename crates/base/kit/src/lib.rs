//! What every other crate may use: units, time, randomness, excerpts, the description of a kind, and hints to the processor.
//!
//! Always true here: no I/O, no threads, no global state. Time and randomness are traits, so that whatever
//! takes them can be simulated and repeated from a seed. The one real clock lives here too, because it is
//! the only place that may read the system's.

mod clock;
mod excerpt;
mod kind;
#[expect(unsafe_code, reason = "an instruction that is no function of the language")]
mod prefetch;
mod rng;
mod units;

pub use clock::{Clock, ManualClock, Moment, MonotonicClock, WallClock};
pub use excerpt::excerpt;
pub use kind::{KindInfo, Status};
pub use prefetch::{prefetch, prefetch_task};
pub use rng::{Rng, SeededRng};
pub use units::{ByteSize, Percent, TimeSpan, UnitError};
