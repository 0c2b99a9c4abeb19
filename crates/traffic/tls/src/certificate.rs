//! A certificate with its chain and its key, as it is shown to clients.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureAlgorithm};
use thiserror::Error;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

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
    pub(crate) shown: Arc<CertifiedKey>,
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
    /// Reads a chain and its key, both in PEM.
    ///
    /// # Errors
    /// Why they cannot be used, or not together.
    pub fn read(
        name: Arc<str>,
        chain: &str,
        key: &str,
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
        Ok(Self { name, hosts, addresses, begins, ends, shown: Arc::new(shown) })
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
        self.shown.key.algorithm()
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
        if hosts.is_empty() && addresses.is_empty() {
            return Err(CertificateError::NoHosts);
        }
        let since_epoch = |time: x509_parser::time::ASN1Time| {
            Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
        };
        let validity = parsed.validity();
        Ok(Self {
            hosts,
            addresses,
            begins: since_epoch(validity.not_before),
            ends: since_epoch(validity.not_after),
        })
    }
}

fn alternative_names<'a>(extension: &'a x509_parser::extensions::X509Extension<'a>) -> &'a [GeneralName<'a>] {
    match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => &names.general_names,
        _ => &[],
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn parse<'d>(der: &'d CertificateDer<'_>, index: usize) -> Result<X509Certificate<'d>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok((_, parsed)) => Ok(parsed),
        Err(error) => Err(CertificateError::NotX509 { index, problem: error.to_string() }),
    }
}

/// All certificates in a text, each the issuer of the one before.
fn read_chain(text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| CertificateError::NotPem(error.to_string()))?;
    for (index, pair) in chain.windows(2).enumerate() {
        if let [certificate, issuer] = pair
            && parse(certificate, index + 1)?.issuer() != parse(issuer, index + 2)?.subject()
        {
            return Err(CertificateError::BrokenChain { index: index + 2 });
        }
    }
    Ok(chain)
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
