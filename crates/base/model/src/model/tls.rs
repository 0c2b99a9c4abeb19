//! TLS: what a listener shows to its clients and asks of them, and the same for the endpoints of a pool.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Host, Secret};

/// TLS on a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// What clients are shown; at least one. The first is for those that ask for a name that is in none.
    pub certificates: Vec<Certificate>,
    /// Versions and cipher suites.
    pub policy: TlsPolicy,
    /// What clients may choose to speak (ALPN).
    pub offered: Offered,
    /// Whether authorities are asked what they say of certificates that have no [`Certificate::ocsp`].
    pub fetches_ocsp: bool,
    /// Whether clients that ask for a name that no certificate has are refused.
    pub refuses_unknown_names: bool,
    /// What clients have to show; `None`: nothing.
    pub clients: Option<TlsClients>,
    /// Secrets that encrypt tickets: the first encrypts, all decrypt. None in the list: the process draws its own. `None`: no tickets.
    pub ticket_keys: Option<Vec<Secret>>,
    /// Where the secrets of connections are written down.
    pub key_log: Option<PathBuf>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Path of the certificate, as it is known to people.
    pub name: Arc<str>,
    /// The certificate in PEM, its issuers behind it.
    pub chain: Arc<str>,
    /// The private key in PEM.
    pub key: Secret,
    /// What the authority says of it: an OCSP response in DER.
    pub ocsp: Option<Arc<[u8]>>,
}

/// Versions and cipher suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPolicy {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.3 and 1.2.
    Intermediate,
}

/// What clients have to show.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsClients {
    /// Whether clients without a certificate are refused.
    pub is_required: bool,
    /// Certificates in PEM; at least one of them has signed each client's, perhaps through others.
    pub authorities: Arc<str>,
    /// Revocation lists in PEM; empty if none are looked at.
    pub revoked: Arc<str>,
    /// What endpoints are told of it.
    pub told: ClientCertificateTold,
}

/// What endpoints are told of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificateTold {
    /// Nothing.
    Nothing,
    /// The certificate.
    Certificate,
    /// Its issuers as well.
    Chain,
}

/// TLS to the endpoints of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolTls {
    /// Asked for, and what certificates have to be for; the endpoint's own host if `None`.
    pub name: Option<Host>,
    /// Whose certificates are good; `None`: nobody looks.
    pub trust: Option<Trust>,
    /// What endpoints are shown that ask for it.
    pub certificate: Option<Certificate>,
    /// Versions and cipher suites.
    pub policy: TlsPolicy,
}

/// Whose certificates are good.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    /// Whether those that the system trusts have signed some.
    pub system: bool,
    /// Certificates in PEM of others that have; may be empty.
    pub authorities: Arc<str>,
    /// Revocation lists in PEM; empty if none are looked at.
    pub revoked: Arc<str>,
}

/// What is offered to be spoken over TLS (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// Nothing is said about it.
    Nothing,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 before HTTP/1.1.
    Http2,
}
