//! TLS for connections that come in: certificates by name, handshakes, sessions that are taken up again.
//!
//! What always holds: a listener's settings are complete and consistent before they are used, or refused with a reason; an idle connection holds
//! its keys and no buffer; who was let in at one listener is let in only there; a connection that ended without the peer's word is an error.
//!
//! Not here: what is spoken inside, time limits (the caller's), and reading files.

mod accept;
mod certificate;
mod certificates;
mod key_log;
mod policy;
mod server;
mod stream;
mod tickets;

pub use accept::{Accepted, HandshakeError, HandshakeFault, Session, accept};
pub use certificate::{Certificate, CertificateError};
pub use server::{AuthorityError, ServerTls, Sessions, TlsError, check_authorities};
pub use tickets::NoTicketKey;

/// Reads a certificate and its key as a listener would.
///
/// # Errors
/// Why they cannot be used, or not together.
pub fn check_certificate(name: &str, chain: &str, key: &str) -> Result<Certificate, CertificateError> {
    Certificate::read(name.into(), chain, key, &policy::provider())
}
