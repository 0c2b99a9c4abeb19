//! What a kind says about itself.
//!
//! Whatever there can be many of (balancers, filters, probes …) lives in a folder `kinds/`, one file per kind, with one list
//! `ALL`. Each kind states once who it is; documentation, schema, help and checks are generated from that.

use std::fmt;

/// How far a kind can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its settings and behaviour keep their meaning.
    Stable,
    /// Ready for use; settings may still change, with a note.
    Beta,
    /// To be tried; may change or go.
    Trial,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stable",
            Self::Beta => "beta",
            Self::Trial => "trial",
        })
    }
}

/// The name card of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// As an operator writes it, for instance `round-robin`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// How far it can be trusted.
    pub status: Status,
}
