//! What a worker needs of the world: time, randomness and a network.

use std::rc::Rc;

use base_kit::{Clock, MonotonicClock, SeededRng};
use traffic_net::{BufferPool, Driver, Network, RingNetwork, TcpNetwork};

/// What a worker needs of the world. With what a simulation makes up, it does the same again from the same seed.
pub struct Surroundings {
    /// What the time is. The runtime's timers must follow it.
    pub clock: Rc<dyn Clock>,
    /// Its randomness.
    pub rng: SeededRng,
    /// Where connections come from.
    pub network: Rc<dyn Network>,
    /// What connections keep bytes in.
    pub buffers: BufferPool,
}

impl Surroundings {
    /// Those of the system, on a thread with a tokio runtime.
    pub fn system(driver: Driver) -> Self {
        let buffers = BufferPool::new();
        let network = match driver {
            Driver::Epoll => Rc::new(TcpNetwork),
            Driver::IoUring => ring(&buffers),
        };
        Self { clock: Rc::new(MonotonicClock), rng: SeededRng::from_system(), network, buffers }
    }
}

/// The kernel was asked before whether it has one; now it may be short of something.
fn ring(buffers: &BufferPool) -> Rc<dyn Network> {
    match RingNetwork::start(buffers) {
        Ok(ring) => Rc::new(ring),
        Err(error) => {
            tracing::warn!(target: "aya::worker", %error, "no io_uring for this worker: it goes on with epoll");
            Rc::new(TcpNetwork)
        }
    }
}
