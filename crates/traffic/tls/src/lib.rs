//! TLS: certificates by name, handshakes with clients and with endpoints, sessions that are taken up again.
//!
//! What always holds: settings are complete and consistent before they are used, or refused with a reason; an idle connection holds its keys
//! and no buffer; who was let in at one listener is let in only there; a connection that ended without the peer's word is an error.
//!
//! Not here: what is spoken inside, time limits (the caller's), and reading files, but for those in which the system says whom it trusts.

mod accept;
mod certificate;
mod certificates;
mod client;
mod error;
mod identity;
mod key_log;
mod policy;
mod server;
mod staple;
mod stream;
mod tickets;
mod trust;
mod x509;

pub use accept::{
    Accepted, ClientHello, HandshakeError, HandshakeFault, HelloError, LONGEST_HELLO, Session, accept,
};
pub use certificate::{Certificate, CertificateError};
pub use client::{ClientTls, ConnectError, ConnectFault, Connected, EndpointTls, connect, connect_socket};
pub use error::TlsError;
pub use identity::read_client_certificate;
pub use server::{ServerTls, Sessions};
pub use staple::{OcspQuestion, Staple, StapleError, check_staple};
pub use tickets::NoTicketKey;
pub use trust::{AuthorityError, check_authorities};

use base_model::CertificateUse;

/// Reads a certificate and its key as whoever uses them would.
///
/// # Errors
/// Why they cannot be used, or not together.
pub fn check_certificate(
    name: &str,
    chain_and_key: (&str, &str),
    shown_by: CertificateUse,
) -> Result<Certificate, CertificateError> {
    Certificate::read(name.into(), chain_and_key, shown_by, &policy::provider())
}
