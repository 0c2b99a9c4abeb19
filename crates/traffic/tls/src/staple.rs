//! What an authority says of a certificate (OCSP, RFC 6960), to be shown beside it (RFC 6066 §8): so clients need not ask, and the authority does not learn
//! who comes.

use std::time::Duration;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base_kit::WallClock;
use der::oid::AssociatedOid;
use der::{Decode, Encode, Header, Reader, SliceReader, Tag};
use rustls::pki_types::{AlgorithmIdentifier, CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use thiserror::Error;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_ocsp::{BasicOcspResponse, CertId, CertStatus, OcspResponse, OcspResponseStatus};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_PKIX_ACCESS_DESCRIPTOR_OCSP, OID_PKIX_AUTHORITY_INFO_ACCESS};

use crate::policy;
use crate::x509::{in_pem, parse};

/// What an authority says of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    /// As it is shown.
    pub(crate) der: Vec<u8>,
    /// Until when it holds, since the epoch.
    pub ends: Duration,
}

/// Why it cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StapleError {
    /// It is something else.
    #[error("it is no OCSP response: {0}")]
    NotOcsp(String),
    /// The authority did not answer the question.
    #[error("the authority has refused to answer: {0}")]
    Refused(String),
    /// The chain lacks the certificate of the issuer, without which nothing can be asked or checked.
    #[error("the certificate of the issuer is not behind the certificate")]
    NoIssuer,
    /// It is about another certificate.
    #[error("it is about another certificate")]
    OtherCertificate,
    /// The certificate was revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// The authority does not know the certificate.
    #[error("the authority does not know the certificate")]
    Unknown,
    /// It does not say until when it holds.
    #[error("it does not say until when it holds")]
    NoEnd,
    /// It does not hold now.
    #[error("it does not hold now: it has run out, or begins later")]
    NotNow,
    /// Somebody else has signed it.
    #[error("it is not signed by the issuer, or by whom that has charged with it")]
    Signature,
}

impl StapleError {
    /// Whether it was good, or will be.
    pub const fn is_of_time(&self) -> bool {
        matches!(self, Self::NotNow)
    }

    /// How to mend it.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::NotOcsp(_) | Self::Refused(_) | Self::NoEnd | Self::Signature | Self::OtherCertificate => {
                "have it made anew: `openssl ocsp -issuer CA -cert CERT -url URL -respout FILE`, or let Aya ask: `ocsp: fetch`"
            }
            Self::NoIssuer => "put the certificate of the issuer behind it",
            Self::Revoked | Self::Unknown => "have a new certificate issued",
            Self::NotNow => "have it made anew before it ends, or let Aya ask: `ocsp: fetch`",
        }
    }
}

/// Whom to ask about a certificate, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspQuestion {
    /// Where the certificate says that the authority answers.
    pub url: String,
    /// What is sent there, as `application/ocsp-request`.
    pub request: Vec<u8>,
}

/// Answers have some 2 KiB, and each full handshake carries one.
const MAX_BYTES: usize = 16 << 10;

/// Clocks differ by so much.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// What whoever answers in the issuer's place is allowed to do (RFC 6960 §4.2.2.2): id-kp-OCSPSigning, 1.3.6.1.5.5.7.3.9.
const OCSP_SIGNING: KeyUsage = KeyUsage::required(&[0x2b, 6, 1, 5, 5, 7, 3, 9]);

impl Staple {
    /// Reads an answer about the first certificate of the chain, and checks that the issuer vouches for it and that it holds now.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub fn read(der: &[u8], chain: &[CertificateDer<'_>], now: Duration) -> Result<Self, StapleError> {
        let [certificate, issuer, ..] = chain else { return Err(StapleError::NoIssuer) };
        if der.len() > MAX_BYTES {
            return Err(StapleError::NotOcsp(format!("it has more than {MAX_BYTES} bytes")));
        }
        let response = OcspResponse::from_der(der).map_err(not_ocsp)?;
        if response.response_status != OcspResponseStatus::Successful {
            return Err(StapleError::Refused(format!("{:?}", response.response_status)));
        }
        let bytes = response.response_bytes.ok_or_else(|| StapleError::NotOcsp("it is empty".to_owned()))?;
        if bytes.response_type != BasicOcspResponse::OID {
            return Err(StapleError::NotOcsp("it is of another type".to_owned()));
        }
        let basic = BasicOcspResponse::from_der(bytes.response.as_bytes()).map_err(not_ocsp)?;
        let said = what_was_signed(bytes.response.as_bytes()).map_err(not_ocsp)?;
        let about = About::of(certificate, issuer).ok_or(StapleError::NoIssuer)?;
        let answers = &basic.tbs_response_data.responses;
        let answer = answers.iter().find(|answer| about.is(&answer.cert_id));
        let answer = answer.ok_or(StapleError::OtherCertificate)?;
        match answer.cert_status {
            CertStatus::Good(_) => {}
            CertStatus::Revoked(_) => return Err(StapleError::Revoked),
            CertStatus::Unknown(_) => return Err(StapleError::Unknown),
        }
        if !is_signed(said, &basic, issuer, now) {
            return Err(StapleError::Signature);
        }
        let begins = answer.this_update.0.to_unix_duration();
        let ends = answer.next_update.as_ref().ok_or(StapleError::NoEnd)?.0.to_unix_duration();
        if begins > now + CLOCK_SKEW || ends <= now {
            return Err(StapleError::NotNow);
        }
        Ok(Self { der: der.to_vec(), ends })
    }
}

/// Reads an OCSP response as a listener would that has a certificate with this chain, in PEM.
///
/// # Errors
/// Why it cannot be shown.
pub fn check_staple(chain: &str, response: &[u8]) -> Result<(), StapleError> {
    let chain = in_pem(chain).map_err(|_| StapleError::NoIssuer)?;
    Staple::read(response, &chain, WallClock.since_epoch()).map(drop)
}

fn not_ocsp(error: der::Error) -> StapleError {
    StapleError::NotOcsp(error.to_string())
}

impl OcspQuestion {
    /// What to ask about the first certificate of the chain; `None` if it names nobody who answers over HTTP, or its issuer is not there.
    pub fn about(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let [certificate, issuer, ..] = chain else { return None };
        let url = parse(certificate).ok()?.extensions().iter().find_map(|extension| {
            if extension.oid != OID_PKIX_AUTHORITY_INFO_ACCESS {
                return None;
            }
            let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
                return None;
            };
            access.accessdescs.iter().find_map(|description| match &description.access_location {
                GeneralName::URI(url) if description.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP => {
                    url.starts_with("http://").then(|| (*url).to_owned())
                }
                _ => None,
            })
        })?;
        Some(Self { url, request: About::of(certificate, issuer)?.request() })
    }
}

/// A certificate as OCSP names it: by its issuer and its number.
struct About {
    issuer_name: Vec<u8>,
    issuer_key: Vec<u8>,
    serial: Vec<u8>,
}

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
const INTEGER: u8 = 0x02;
/// `AlgorithmIdentifier` of SHA-1: what every authority understands (RFC 5019 §2.1.1). Nothing rests on it: it only names.
const SHA1: [u8; 11] = [0x30, 9, 0x06, 5, 0x2b, 0x0e, 3, 2, 0x1a, 0x05, 0];

impl About {
    fn of(certificate: &CertificateDer<'_>, issuer: &CertificateDer<'_>) -> Option<Self> {
        let (certificate, issuer) = (parse(certificate).ok()?, parse(issuer).ok()?);
        Some(Self {
            issuer_name: issuer.subject().as_raw().to_vec(),
            issuer_key: issuer.public_key().subject_public_key.data.to_vec(),
            serial: certificate.raw_serial().to_vec(),
        })
    }

    fn is(&self, id: &CertId) -> bool {
        let sha1_oid = SHA1.get(4..9).unwrap_or_default();
        let algorithm: &Algorithm =
            if id.hash_algorithm.oid.as_bytes() == sha1_oid { &SHA1_FOR_LEGACY_USE_ONLY } else { &SHA256 };
        without_zeros(id.serial_number.as_bytes()) == without_zeros(&self.serial)
            && id.issuer_name_hash.as_bytes() == digest(algorithm, &self.issuer_name).as_ref()
            && id.issuer_key_hash.as_bytes() == digest(algorithm, &self.issuer_key).as_ref()
    }

    /// `OCSPRequest` (RFC 6960 §4.1.1) with this certificate alone, and nothing else in it, so that answers can be prepared.
    fn request(&self) -> Vec<u8> {
        let hashed = |bytes: &[u8]| tlv(OCTET_STRING, digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
        let id =
            [SHA1.to_vec(), hashed(&self.issuer_name), hashed(&self.issuer_key), tlv(INTEGER, &self.serial)];
        // The id, in a request, in a list of them, in what could be signed, in the whole.
        (0..4).fold(tlv(SEQUENCE, &id.concat()), |inner, _| tlv(SEQUENCE, &inner))
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    bytes.get(first..).unwrap_or_default()
}

/// An element of DER, of less than 256 bytes: a serial number has at most 20 (RFC 5280 §4.1.2.2).
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    let mut out = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    out.extend_from_slice(content);
    out
}

/// The bytes of `ResponseData` as they came: those that are shown, not what could be written in their place.
fn what_was_signed(basic: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(basic)?;
    Header::decode(&mut reader)?.tag.assert_eq(Tag::Sequence)?;
    reader.tlv_bytes()
}

/// Whether the issuer has signed what was said, or somebody whom it has charged with that.
fn is_signed(said: &[u8], basic: &BasicOcspResponse, issuer: &CertificateDer<'_>, now: Duration) -> bool {
    let (Ok(algorithm), Some(signature)) = (basic.signature_algorithm.to_der(), basic.signature.as_bytes())
    else {
        return false;
    };
    let algorithms = policy::provider().signature_verification_algorithms.all;
    let signs = |certificate: &CertificateDer<'_>| {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
        let fits =
            |known: &&&dyn SignatureVerificationAlgorithm| is_of(&known.signature_alg_id(), &algorithm);
        algorithms
            .iter()
            .filter(fits)
            .any(|known| certificate.verify_signature(*known, said, signature).is_ok())
    };
    if signs(issuer) {
        return true;
    }
    let Ok(anchor) = anchor_from_trusted_cert(issuer) else { return false };
    let anchors = [anchor];
    let is_charged = |certificate: &CertificateDer<'_>| {
        EndEntityCert::try_from(certificate).is_ok_and(|certificate| {
            let now = UnixTime::since_unix_epoch(now);
            certificate.verify_for_usage(algorithms, &anchors, &[], now, OCSP_SIGNING, None, None).is_ok()
        })
    };
    let shown = basic.certs.iter().flatten().filter_map(|certificate| certificate.to_der().ok());
    shown.map(CertificateDer::from).any(|certificate| is_charged(&certificate) && signs(&certificate))
}

/// Whether an `AlgorithmIdentifier` in DER is this one, whose content alone is given.
fn is_of(known: &AlgorithmIdentifier, algorithm: &[u8]) -> bool {
    algorithm.get(2..) == Some(known.as_ref())
}
