//! Why TLS cannot be set up.

use std::sync::Arc;

use base_model::CertificateUse;
use base_model::model;
use rustls::crypto::CryptoProvider;
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::tickets::NoTicketKey;
use crate::trust::AuthorityError;

/// Why the TLS of a listener or a pool cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A certificate cannot be used.
    #[error("{name}: {problem}")]
    Certificate {
        /// Which one.
        name: Arc<str>,
        /// Why.
        problem: CertificateError,
    },
    /// Those who sign the other side's certificates cannot be used.
    #[error(transparent)]
    Authorities(#[from] AuthorityError),
    /// No certificate can be for a host of this name.
    #[error("`{0}` is no name that a certificate can be for")]
    Name(String),
    /// No keys for tickets.
    #[error(transparent)]
    Tickets(#[from] NoTicketKey),
    /// The file for the secrets of connections cannot be written.
    #[error("cannot write the key log {path}: {source}")]
    KeyLog {
        /// Its path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The library refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Refused(#[from] rustls::Error),
}

impl TlsError {
    /// A certificate of the configuration, or what is wrong with it.
    pub(crate) fn or_certificate(
        one: &model::Certificate,
        shown_by: CertificateUse,
        provider: &CryptoProvider,
    ) -> Result<Arc<Certificate>, Self> {
        let read =
            Certificate::read(Arc::clone(&one.name), (&one.chain, one.key.expose()), shown_by, provider);
        read.map(Arc::new).map_err(|problem| Self::Certificate { name: Arc::clone(&one.name), problem })
    }
}
