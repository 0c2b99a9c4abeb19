//! Who signs the other side's certificates, and what was revoked of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base_kit::WallClock;
use base_model::CertificateUse;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use thiserror::Error;
use x509_parser::x509::X509Version;

use crate::policy;
use crate::x509::{in_pem, parse};

/// Why those who sign certificates, or their revocation lists, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// No certificate, or none that can sign.
    #[error("the authorities cannot be used: {0}")]
    Authorities(String),
    /// The system trusts nobody.
    #[error("no certificates that the system trusts: {0}")]
    System(String),
    /// A revocation list cannot be read.
    #[error("the revocation lists cannot be used: {0}")]
    Revoked(String),
}

impl AuthorityError {
    /// Whether it is about the revocation lists.
    pub const fn is_about_lists(&self) -> bool {
        matches!(self, Self::Revoked(_))
    }

    /// How to mend it.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Authorities(_) => {
                "name a file with the certificates that sign those of the other side, in PEM"
            }
            Self::System(_) => {
                "install them (`apt install ca-certificates`), or name a file in `authorities`"
            }
            Self::Revoked(_) => {
                "name a file with revocation lists in PEM; `openssl crl -inform der -in FILE` turns DER into it"
            }
        }
    }
}

/// Whether those who sign the certificates of clients or of servers, perhaps beside those that the system trusts, and their revocation lists can be
/// used.
///
/// # Errors
/// Why not.
pub fn check_authorities(
    of: CertificateUse,
    system: bool,
    authorities: &str,
    revoked: &str,
) -> Result<(), AuthorityError> {
    let roots = match of {
        CertificateUse::Client => Some(of_clients(authorities)?),
        CertificateUse::Server => of_servers(system, authorities)?.roots,
    };
    let Some(roots) = roots else { return Ok(()) };
    // Those of clients are looked at in the same way.
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, policy::provider());
    let verifier = verifier.with_crls(lists(revoked)?).build();
    verifier.map(drop).map_err(|error| AuthorityError::Revoked(error.to_string()))
}

/// Who signs the certificates of clients: authorities in PEM, and nothing else.
pub(crate) fn of_clients(authorities: &str) -> Result<Arc<RootCertStore>, AuthorityError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities)? {
        if !is_authority(&certificate) {
            let what = "one of them is no authority, and signs for nobody (`CA:TRUE` is missing)".to_owned();
            return Err(AuthorityError::Authorities(what));
        }
        roots.add(certificate).map_err(unfit)?;
    }
    if roots.is_empty() {
        return Err(none());
    }
    Ok(Arc::new(roots))
}

/// Whose certificates are taken for a server's.
pub(crate) struct Servers {
    /// Authorities; `None` if there are none.
    pub(crate) roots: Option<Arc<RootCertStore>>,
    /// All that are named themselves.
    pub(crate) named: Vec<CertificateDer<'static>>,
}

/// Those that the system trusts if so wanted, and certificates in PEM: of authorities, or of servers themselves. The key of a server must not sign for
/// others, so only authorities become roots.
pub(crate) fn of_servers(system: bool, authorities: &str) -> Result<Servers, AuthorityError> {
    let named = certificates(authorities)?;
    let system = if system { Some(of_system()?) } else { None };
    let own: Vec<_> = named.iter().filter(|certificate| is_authority(certificate)).collect();
    if own.is_empty() {
        if system.is_none() && named.is_empty() {
            return Err(none());
        }
        return Ok(Servers { roots: system, named });
    }
    let mut roots = system.map_or_else(RootCertStore::empty, |system| RootCertStore::clone(&system));
    for certificate in own {
        roots.add(certificate.clone()).map_err(unfit)?;
    }
    Ok(Servers { roots: Some(Arc::new(roots)), named })
}

/// Whether it may sign others. Those of before version 3 cannot tell; all of them that are left are authorities.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_ok_and(|parsed| parsed.version() != X509Version::V3 || parsed.is_ca())
}

fn unfit(error: rustls::Error) -> AuthorityError {
    AuthorityError::Authorities(error.to_string())
}

fn none() -> AuthorityError {
    AuthorityError::Authorities("there is no certificate in them".to_owned())
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    in_pem(text).map_err(|error| AuthorityError::Authorities(error.to_string()))
}

/// Revocation lists in PEM; none if there is no text.
pub(crate) fn lists(revoked: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, AuthorityError> {
    let lists = CertificateRevocationListDer::pem_slice_iter(revoked.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| AuthorityError::Revoked(error.to_string()))?;
    if lists.is_empty() && !revoked.is_empty() {
        return Err(AuthorityError::Revoked("there is none in them".to_owned()));
    }
    Ok(lists)
}

/// A configuration may ask for them for each of a thousand pools; reading them takes milliseconds.
const KEPT_FOR: Duration = Duration::from_secs(10);

static OF_SYSTEM: Mutex<Option<(Duration, Arc<RootCertStore>)>> = Mutex::new(None);

/// Those that the system trusts, as its files say now or did a moment ago.
fn of_system() -> Result<Arc<RootCertStore>, AuthorityError> {
    let mut kept = OF_SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    let now = WallClock.since_epoch();
    if let Some((read, roots)) = &*kept
        && now.abs_diff(*read) < KEPT_FOR
    {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let problem = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(AuthorityError::System(problem));
    }
    let roots = Arc::new(roots);
    *kept = Some((now, Arc::clone(&roots)));
    Ok(roots)
}
