//! What certificates say of themselves.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::{FromDer, X509Certificate};

/// All certificates in PEM; none if there is no text.
pub(crate) fn in_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect()
}

/// Reads one.
pub(crate) fn parse<'d>(der: &'d CertificateDer<'_>) -> Result<X509Certificate<'d>, String> {
    X509Certificate::from_der(der).map(|(_, parsed)| parsed).map_err(|error| error.to_string())
}

/// The names that an extension gives besides the subject, if it is about that.
pub(crate) fn alternative_names<'a>(extension: &'a X509Extension<'a>) -> &'a [GeneralName<'a>] {
    match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => &names.general_names,
        _ => &[],
    }
}

/// An address as certificates write it.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// From when on and until when a certificate is good, since the epoch.
pub(crate) fn dates(parsed: &X509Certificate<'_>) -> (Duration, Duration) {
    let since_epoch =
        |time: x509_parser::time::ASN1Time| Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0));
    let validity = parsed.validity();
    (since_epoch(validity.not_before), since_epoch(validity.not_after))
}
