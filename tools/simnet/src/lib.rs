//! Deterministic simulation of the engine: the real connections, relay, retries, timers, upstream pool, queue, sessions and balancers
//! of `traffic-proxy` under a simulated network and a clock that stands still while anybody has something to do.
//!
//! What always holds: one thread, one seed; nothing of the real network, time or chance gets in, so that the same seed gives the
//! same trace. What a run must not show has a name in [`INVARIANTS`].
//!
//! What it does not do: active checks (they are played by the operator), several workers, speed. How it works is told in
//! `docs/design/simulation.md`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a simulation fails by panicking; what is here runs in tests only"
)]

mod client;
mod clock;
mod dice;
mod endpoint;
mod ledger;
mod net;
mod operator;
#[cfg(test)]
mod plays;
mod run;
mod scenario;
mod settings;
mod verdict;
mod wire;
mod world;

pub use ledger::{ClientFault, EndpointFault, Tally, Violation};
pub use net::Counts;
pub use run::{Outcome, play};
pub use scenario::{Part, Scenario};

/// What must hold in every run, by name.
pub const INVARIANTS: &[(&str, &str)] = &[
    (
        "answered-once",
        "a request that was sent whole by a client that stays gets one answer, whole or visibly broken off, or was never begun",
    ),
    (
        "recorded-once",
        "a request has one record, with the status that its client got and a reason if anything went wrong",
    ),
    ("belongs", "a request's body and its answer are its own, byte for byte"),
    ("never-doubled", "a request that may not be repeated is sent to one endpoint once"),
    (
        "whole-requests",
        "an endpoint gets requests one after the other, each whole, none before the answer to the last was read",
    ),
    (
        "retry-elsewhere",
        "what is tried again goes to another endpoint, or to the same one after a connection that was idle",
    ),
    (
        "needless-failure",
        "where nobody does anything wrong, every request succeeds; what may be tried again is, while an attempt is left",
    ),
    ("in-time", "a time-out comes when its time has come, not before; nothing waits for ever"),
    ("left-alone", "an endpoint that is ejected, sick or taken out gets no new requests"),
    ("session-kept", "a session stays with its endpoint as long as that may serve it"),
    (
        "returns-to-zero",
        "in the end nothing is in flight, nobody waits in line, every gauge of connections is at zero",
    ),
    (
        "storage",
        "buffers hold no more than their connections may borrow, and nothing when nothing is under way",
    ),
    ("drain-ends", "draining ends within its time, cutting at once"),
    ("no-livelock", "nobody turns in a circle while the clock stands"),
    ("no-panic", "nothing panics"),
];
