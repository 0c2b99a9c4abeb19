//! From the tree to a [`Model`](crate::Model): first the shape (against the schema), then the meaning. Both stages report all
//! they find; what the first one refuses, the second does not see.

mod checker;
mod extent;
mod files;
mod formats;
mod listeners;
mod meaning;
mod operation;
mod other;
mod parse;
mod pools;
mod routes;
mod shape;
mod synonyms;
mod union;
mod variables;

pub(crate) use checker::{Secrets, Surroundings};
pub(crate) use meaning::{Checked, check};
pub use other::{Findings, read_other, read_other_bytes};
pub(crate) use union::{branches, described};

use crate::model::Endpoint;

/// Reads an endpoint's address as the configuration of a pool does that is reached over TLS, or not; the weight is 1.
///
/// # Errors
/// What is wrong with it, and how to mend it.
pub fn parse_endpoint(text: &str, is_over_tls: bool) -> Result<Endpoint, BadEndpoint> {
    match parse::endpoint_address(text) {
        Ok((host, port)) => Ok(Endpoint::new(host, port.unwrap_or_else(|| pools::usual_port(is_over_tls)))),
        Err(fault) => Err(BadEndpoint { problem: fault.message, help: fault.help }),
    }
}

/// Whether a text can be the zone of an endpoint, as in the configuration.
///
/// # Errors
/// What is wrong with it, and how to mend it.
pub fn check_zone(text: &str) -> Result<(), BadEndpoint> {
    parse::name(text).map_err(|fault| BadEndpoint { problem: fault.message, help: fault.help })
}

/// A text that is not the address or the zone of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {help}")]
pub struct BadEndpoint {
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub help: String,
}
