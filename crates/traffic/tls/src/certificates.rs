//! All certificates of a listener, found by the name that a client asks for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::certificate::Certificate;

/// Certificates by name. A look-up costs the same however many there are.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    /// By the names they are for.
    exact: Names,
    /// By what stands behind `*.`.
    wildcard: Names,
    /// For those who ask for a name that is in none, or for no name.
    first: Candidates,
    refuses_unknown: bool,
}

type Names = HashMap<Box<str>, Candidates, foldhash::fast::RandomState>;

/// Certificates for the same name, those first that cost least: a client is shown the first that it can verify.
#[derive(Debug, Default)]
struct Candidates(Vec<Arc<Certificate>>);

/// What a client asked for and was shown. Kept from the look-up, since the library does not tell afterwards.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) name: Option<Box<str>>,
    pub(crate) certificate: Option<Arc<Certificate>>,
    /// No certificate has the name, and none is shown in its place.
    pub(crate) is_refused: bool,
}

thread_local! {
    /// Of the handshake message that this thread is working on.
    static SHOWN: RefCell<Option<Shown>> = const { RefCell::new(None) };
}

impl Certificates {
    /// All of these; the first one is for unknown names too, unless they are refused.
    pub(crate) fn new(certificates: &[Arc<Certificate>], refuses_unknown: bool) -> Self {
        let mut all = Self { refuses_unknown, ..Self::default() };
        for certificate in certificates {
            // An RSA and an ECDSA certificate of the same names are one for those who ask for no name, too.
            if all.first.0.first().is_none_or(|first| first.hosts == certificate.hosts) {
                all.first.add(certificate);
            }
            for host in &certificate.hosts {
                match host.strip_prefix("*.") {
                    Some(domain) => all.wildcard.entry(domain.into()).or_default().add(certificate),
                    None => all.exact.entry(host.clone()).or_default().add(certificate),
                }
            }
        }
        all
    }

    /// Those with this name, in lower case: exactly, then by a wildcard.
    fn named(&self, name: &str) -> [Option<&Candidates>; 2] {
        let wildcard = name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        [self.exact.get(name), wildcard]
    }

    /// What a client is shown that asks for this name and can verify these signatures.
    fn choose(&self, name: Option<Box<str>>, schemes: &[SignatureScheme]) -> Shown {
        let named = name.as_deref().map(|name| self.named(name)).unwrap_or_default();
        let is_unknown = named.iter().all(Option::is_none);
        let is_refused = is_unknown && self.refuses_unknown;
        let others = (is_unknown && !is_refused).then_some(&self.first);
        let certificate =
            named.into_iter().flatten().chain(others).find_map(|found| found.choose(schemes)).cloned();
        Shown { name, certificate, is_refused }
    }
}

impl Candidates {
    fn add(&mut self, certificate: &Arc<Certificate>) {
        let place = self.0.partition_point(|other| cost(other.algorithm()) <= cost(certificate.algorithm()));
        self.0.insert(place, Arc::clone(certificate));
    }

    fn choose(&self, schemes: &[SignatureScheme]) -> Option<&Arc<Certificate>> {
        self.0.iter().find(|certificate| certificate.can_sign(schemes))
    }
}

/// Which signature is made first, if the client can verify several: ECDSA costs a twentieth of RSA, and is known to nearly all;
/// Ed25519 to few.
const fn cost(algorithm: SignatureAlgorithm) -> u8 {
    match algorithm {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::ED25519 => 1,
        _ => 2,
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The library has checked that it is a host name, and has put it in lower case.
        let shown = self.choose(hello.server_name().map(Box::from), hello.signature_schemes());
        let key = shown.certificate.as_ref().map(|certificate| certificate.shown());
        SHOWN.set(Some(shown));
        key
    }
}

/// What was shown if this thread has just worked on the message that asks for it.
pub(crate) fn take_shown() -> Option<Shown> {
    SHOWN.take()
}
