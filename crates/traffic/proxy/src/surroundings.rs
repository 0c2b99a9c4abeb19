//! What a worker needs of the world: time, randomness and a network.

use std::rc::Rc;

use base_kit::{Clock, MonotonicClock, SeededRng};
use traffic_net::{Network, TcpNetwork};

/// What a worker needs of the world. With what a simulation makes up, it does the same again from the same seed.
pub struct Surroundings {
    /// What the time is. The runtime's timers must follow it.
    pub clock: Rc<dyn Clock>,
    /// Its randomness.
    pub rng: SeededRng,
    /// Where connections come from.
    pub network: Rc<dyn Network>,
}

impl Surroundings {
    /// Those of the system.
    pub fn system() -> Self {
        Self { clock: Rc::new(MonotonicClock), rng: SeededRng::from_system(), network: Rc::new(TcpNetwork) }
    }
}
