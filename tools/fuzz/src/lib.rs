//! What reads bytes of others, fed with whatever a fuzzer thinks of.
//!
//! A target is a function that takes bytes and asserts what must hold of them, whatever they are. The fuzzer (`libfuzzer/`, a package of
//! its own, because it needs a nightly compiler) looks for bytes for which it does not. What it has found worth keeping is in `corpus/`, and
//! a test replays that with the stable compiler.
//!
//! `cargo run --package fuzz -- --seconds 60` fuzzes every target for a minute.

pub mod corpus;
pub mod targets;

/// Something that reads bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of its files in `libfuzzer/targets/`, `corpus/` and `dictionaries/`.
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub claim: &'static str,
    /// Panics if it does not hold for these bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "request",
        claim: "Whatever a client sends, the server role gives the same events however the bytes are split",
        run: targets::request::run,
    },
    Target {
        name: "response",
        claim: "Whatever an endpoint sends, the client role gives the same events however the bytes are split",
        run: targets::response::run,
    },
    Target {
        name: "chunked",
        claim: "What the chunked reader takes, the writer writes so that it is read as the same",
        run: targets::chunked::run,
    },
    Target {
        name: "pair",
        claim: "What is passed on of accepted messages is accepted by the next Aya as the same messages, and nothing more",
        run: targets::pair::run,
    },
    Target {
        name: "config",
        claim: "A configuration is read or refused; what `fmt` writes means the same, and so does what is spelled out in full",
        run: targets::config::run,
    },
    Target {
        name: "route",
        claim: "Routes are compiled or refused; the look-up and its explanation agree; a path has one normal form",
        run: targets::route::run,
    },
    Target {
        name: "cookie",
        claim: "No cookie names an endpoint but one that Aya has signed, and none of Aya's own reaches an endpoint",
        run: targets::cookie::run,
    },
    Target {
        name: "agent",
        claim: "Whatever an agent says, what is understood stays within its limits",
        run: targets::agent::run,
    },
    Target {
        name: "load_report",
        claim: "Whatever an endpoint reports of its load, what is understood stays within its limits",
        run: targets::load_report::run,
    },
    Target {
        name: "grpc_web",
        claim: "What gRPC-Web is turned into does not depend on how it is split, and what is turned into it is turned back the same",
        run: targets::grpc_web::run,
    },
    Target {
        name: "client_hello",
        claim: "The first message of a TLS handshake is read or refused the same however it comes; the library hears the same in it",
        run: targets::client_hello::run,
    },
    Target {
        name: "introduction",
        claim: "An introduction by the PROXY protocol is read or refused the same however it comes, and nobody is waited for without end",
        run: targets::introduction::run,
    },
    Target {
        name: "scenario",
        claim: "A scenario of the simulator is read or refused with a reason",
        run: targets::scenario::run,
    },
];
