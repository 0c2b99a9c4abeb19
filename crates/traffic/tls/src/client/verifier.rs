//! Whose certificates are taken for an endpoint's.

use std::sync::Arc;

use base_model::model::Trust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError as Verdict, DigitallySignedStruct, Error, SignatureScheme};

use crate::error::TlsError;
use crate::policy;
use crate::trust::{self, AuthorityError, Servers};
use crate::x509::{dates, parse};

/// Looks at certificates as a pool's settings say; not at all, if they trust nobody.
pub(super) fn verifier(trust: Option<&Trust>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let algorithms = policy::provider().signature_verification_algorithms;
    let Some(trust) = trust else { return Ok(Arc::new(Verifier { taken: Taken::Any, algorithms })) };
    let Servers { roots, named } = trust::of_servers(trust.system, &trust.authorities)?;
    let chains = match roots {
        None => None,
        Some(roots) => {
            let builder = WebPkiServerVerifier::builder_with_provider(roots, policy::provider())
                .with_crls(trust::lists(&trust.revoked)?)
                .enforce_revocation_expiration();
            Some(builder.build().map_err(|error| AuthorityError::Revoked(error.to_string()))?)
        }
    };
    Ok(Arc::new(Verifier { taken: Taken::Trusted { chains, named }, algorithms }))
}

/// Which certificates are taken for an endpoint's. Whoever shows one has to have its key, in any case.
#[derive(Debug)]
struct Verifier {
    taken: Taken,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Taken {
    /// Any.
    Any,
    /// Those that an authority has signed, and those that are named themselves.
    Trusted { chains: Option<Arc<WebPkiServerVerifier>>, named: Vec<CertificateDer<'static>> },
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Taken::Trusted { chains, named } = &self.taken else {
            return Ok(ServerCertVerified::assertion());
        };
        let verdict = match chains {
            Some(chains) => chains.verify_server_cert(certificate, issuers, name, ocsp, now),
            None => Err(Error::InvalidCertificate(Verdict::UnknownIssuer)),
        };
        match verdict {
            // `openssl req -x509` makes the certificate of an authority, which is not to stand for a server, and others have signed themselves.
            // If it is the very one that the operator has named, it is taken, as with all who verify with OpenSSL.
            Err(Error::InvalidCertificate(Verdict::Other(_) | Verdict::UnknownIssuer))
                if named.contains(certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                is_good_at(certificate, now)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_good_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = parse(certificate).map_err(|_| Error::InvalidCertificate(Verdict::BadEncoding))?;
    let (begins, ends) = dates(&parsed);
    match now.as_secs() {
        now if now < begins.as_secs() => Err(Error::InvalidCertificate(Verdict::NotValidYet)),
        now if now > ends.as_secs() => Err(Error::InvalidCertificate(Verdict::Expired)),
        _ => Ok(()),
    }
}
