//! A certificate with its chain and its key, as it is shown to clients.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use base_model::CertificateUse;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureAlgorithm, SignatureScheme};
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::staple::Staple;
use crate::x509::{self, address, alternative_names, dates};

/// A certificate that belongs to its key.
pub struct Certificate {
    /// As it is known to people.
    pub name: Arc<str>,
    /// The names it is for, in lower case; `*.` in front stands for one label.
    pub hosts: Vec<Box<str>>,
    /// The addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// From when on it is good, since the epoch.
    pub begins: Duration,
    /// Until when it is good, since the epoch.
    pub ends: Duration,
    /// With what the authority says of it, if that is known.
    shown: ArcSwap<CertifiedKey>,
    /// Until when that holds, in seconds since the epoch; 0 if nothing is known.
    staple_ends: AtomicU64,
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// No certificate in the text.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The text is not PEM.
    #[error("it is not PEM: {0}")]
    NotPem(String),
    /// What lies in the PEM is no certificate.
    #[error("certificate {index} in it cannot be read: {problem}")]
    NotX509 {
        /// Which one, from 1.
        index: usize,
        /// What the reader says.
        problem: String,
    },
    /// The first certificate is that of an authority, so the chain stands the wrong way round.
    #[error("the first certificate in it is that of an authority (`{0}`)")]
    AuthorityFirst(String),
    /// A certificate of the chain is not the issuer of the one before.
    #[error("certificate {index} in it is not that of the issuer of the one before")]
    BrokenChain {
        /// Which one, from 1.
        index: usize,
    },
    /// It names no host.
    #[error("the certificate names no host: it has no subject alternative name")]
    NoHosts,
    /// No key in the text.
    #[error("there is no private key in it")]
    NoKey,
    /// The key is encrypted.
    #[error("the private key is encrypted")]
    EncryptedKey,
    /// The key cannot be used.
    #[error("the private key cannot be used: {0}")]
    BadKey(String),
    /// The key is that of another certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

impl CertificateError {
    /// Whether it is about the key.
    pub const fn is_about_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::EncryptedKey | Self::BadKey(_) | Self::Mismatch)
    }

    /// How to mend it.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::NoCertificate | Self::NotPem(_) => {
                "name a file with `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der -in FILE` turns DER into it"
            }
            Self::NotX509 { .. } => "have it issued again, or copy it again",
            Self::AuthorityFirst(_) | Self::BrokenChain { .. } => {
                "put the certificate of the server first, then its issuer, then the issuer's"
            }
            Self::NoHosts => {
                "have it issued with the names of the hosts: clients look nowhere else (RFC 9525)"
            }
            Self::NoKey => "name the file with the key in `key`, or put it behind the certificate",
            Self::EncryptedKey => "decrypt it: `openssl pkey -in FILE`; nobody is there to type its password",
            Self::BadKey(_) => {
                "use an RSA key of at least 2048 bits, an ECDSA key on P-256 or P-384, or Ed25519"
            }
            Self::Mismatch => "name the key that the certificate was asked for with",
        }
    }
}

impl Certificate {
    /// Reads a chain and its key, both in PEM. Those of a client may name no host.
    ///
    /// # Errors
    /// Why they cannot be used, or not together.
    pub(crate) fn read(
        name: Arc<str>,
        (chain, key): (&str, &str),
        shown_by: CertificateUse,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let chain = read_chain(chain)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let facts = Facts::read(first)?;
        let key = provider
            .key_provider
            .load_private_key(read_key(key)?)
            .map_err(|error| CertificateError::BadKey(error.to_string()))?;
        let shown = CertifiedKey::new(chain, key);
        match shown.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(CertificateError::Mismatch),
            Err(error) => return Err(CertificateError::BadKey(error.to_string())),
        }
        let Facts { hosts, addresses, begins, ends } = facts;
        if shown_by == CertificateUse::Server && hosts.is_empty() && addresses.is_empty() {
            return Err(CertificateError::NoHosts);
        }
        let (shown, staple_ends) = (ArcSwap::from_pointee(shown), AtomicU64::new(0));
        Ok(Self { name, hosts, addresses, begins, ends, shown, staple_ends })
    }

    /// Whether it is for this host, given in lower case.
    pub fn covers(&self, host: &str) -> bool {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.hosts.iter().any(|name| match name.strip_prefix("*.") {
            Some(domain) => parent == Some(domain),
            None => **name == *host,
        })
    }

    /// The sort of its key.
    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        self.shown.load().key.algorithm()
    }

    /// What others are shown.
    pub(crate) fn shown(&self) -> Arc<CertifiedKey> {
        self.shown.load_full()
    }

    /// Whether its signature is one of these.
    pub(crate) fn can_sign(&self, schemes: &[SignatureScheme]) -> bool {
        self.shown.load().key.choose_scheme(schemes).is_some()
    }

    /// SHA-256 of it.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        let shown = self.shown.load();
        fingerprint.copy_from_slice(
            digest(&SHA256, shown.cert.first().map_or(&[], |certificate| certificate)).as_ref(),
        );
        fingerprint
    }

    /// Itself and its issuers.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.shown.load().cert.clone()
    }

    /// Until when what is shown beside it holds, since the epoch; `None` if nothing is.
    pub fn staple_ends(&self) -> Option<Duration> {
        match self.staple_ends.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        }
    }

    /// Shows the same beside it as this one, which is the same certificate.
    pub fn take_staple_of(&self, other: &Self) {
        self.show(other.shown.load().ocsp.as_deref(), other.staple_ends.load(Ordering::Relaxed));
    }

    /// Shows this beside it from now on, or nothing.
    pub fn set_staple(&self, staple: Option<&Staple>) {
        let ends = staple.map_or(0, |staple| staple.ends.as_secs());
        self.show(staple.map(|staple| &*staple.der), ends);
    }

    fn show(&self, ocsp: Option<&[u8]>, ends: u64) {
        self.shown.rcu(|shown| CertifiedKey { ocsp: ocsp.map(<[u8]>::to_vec), ..CertifiedKey::clone(shown) });
        self.staple_ends.store(ends, Ordering::Relaxed);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// What a certificate says of itself.
struct Facts {
    hosts: Vec<Box<str>>,
    addresses: Vec<IpAddr>,
    begins: Duration,
    ends: Duration,
}

impl Facts {
    fn read(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let parsed = parse(der, 1)?;
        if parsed.is_ca() && parsed.subject() != parsed.issuer() {
            return Err(CertificateError::AuthorityFirst(parsed.subject().to_string()));
        }
        let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
        for name in parsed.extensions().iter().flat_map(alternative_names) {
            match name {
                GeneralName::DNSName(host) => hosts.push(host.to_ascii_lowercase().into_boxed_str()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let (begins, ends) = dates(&parsed);
        Ok(Self { hosts, addresses, begins, ends })
    }
}

/// All certificates in a text, each the issuer of the one before.
fn read_chain(text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = x509::in_pem(text).map_err(|error| CertificateError::NotPem(error.to_string()))?;
    for (index, pair) in chain.windows(2).enumerate() {
        if let [certificate, issuer] = pair
            && parse(certificate, index + 1)?.issuer() != parse(issuer, index + 2)?.subject()
        {
            return Err(CertificateError::BrokenChain { index: index + 2 });
        }
    }
    Ok(chain)
}

fn parse<'d>(der: &'d CertificateDer<'_>, index: usize) -> Result<X509Certificate<'d>, CertificateError> {
    x509::parse(der).map_err(|problem| CertificateError::NotX509 { index, problem })
}

/// How PEM says that a key is encrypted: PKCS #8, and what OpenSSL wrote before.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];

fn read_key(text: &str) -> Result<PrivateKeyDer<'static>, CertificateError> {
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Ok(key),
        Err(_) if ENCRYPTED.iter().any(|mark| text.contains(mark)) => Err(CertificateError::EncryptedKey),
        Err(pem::Error::NoItemsFound) => Err(CertificateError::NoKey),
        Err(error) => Err(CertificateError::BadKey(error.to_string())),
    }
}
