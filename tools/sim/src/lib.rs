//! Compares balancers on a scenario, before one of them goes live.
//!
//! Event by event, with a clock of its own and randomness from a seed: hours of traffic pass in seconds, and a run repeats
//! itself exactly. What chooses the server is the very code that runs in the proxy ([`traffic_balance`]), fed in the same way: the
//! balancer, what thins an endpoint's traffic, and what takes it out.
//!
//! What always holds: every request that came was answered, failed or is still under way; all policies of a scenario see
//! the same arrivals, work, antagonists and faults (in a closed loop, as far as clients ask at the same times).
//!
//! What is not here: the network and connections. A request costs its server time and nothing else.

mod engine;
mod instance;
mod law;
mod limits;
mod load;
mod plan;
mod record;
mod report;
mod scenario;
mod server;
mod simulation;

pub use engine::{Account, RunError};
pub use load::{LoadError, Overrides, load, load_bytes};
pub use record::{Figures, Latency, PhaseFigures, Point};
pub use report::{ChartLine, LineChart, Quantile, chart, json, table};
pub use simulation::{PolicyResult, Simulation};
