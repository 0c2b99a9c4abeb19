//! Which endpoints are fit for traffic: active checks, name look-ups, and the end of ejections.
//!
//! - [`HealthMonitor`]: watches the endpoints of all pools and sets their health; fed on each reload.
//! - [`CheckState`]: when results in a row change the verdict; pure.
//! - [`kinds`]: the probes there are, in one list.
//! - [`resolve`]: from a name to an address.
//! - [`publish`]: how a change of state is logged and handed on; also for changes that the request path finds.
//!
//! What always holds:
//! - An endpoint with several checks is up when all of them pass.
//! - The first result of an endpoint that was never checked decides at once; later ones as `rise` and `fall` say.
//! - What an agent says holds at once; one that is silent changes nothing.
//! - Probes run at once only up to [`MonitorOptions::probes_at_once`], each within its timeout, and never on a worker; they keep connections only up to
//!   [`MonitorOptions::kept_connections`], and only on those may more be asked at once (`rounds`).
//! - A reload leaves checks that did not change running, with what they counted.
//! - After [`HealthMonitor::stop`] no task is left.
//!
//! What is not here: counting failures of real requests (`traffic-balance`), choosing endpoints.

mod board;
mod check_state;
pub mod kinds;
mod line;
mod monitor;
mod plan;
mod probe;
mod reference;
mod report;
pub mod resolve;
mod rounds;
mod watch;

pub use check_state::CheckState;
pub use line::{Line, MAX_QUESTIONS_PER_CONNECTION};
pub use monitor::{HealthMonitor, MAX_LOOK_UPS_AT_ONCE, MonitorOptions};
pub use probe::{
    AgentWords, MOST_PLACES, Passed, Probe, ProbeFailure, ProbeFuture, ProbeKind, Target, UnfitCheck,
};
pub use reference::reference_markdown;
pub use report::{CheckResult, CheckSink, CheckSinks, TransitionSink, publish};
