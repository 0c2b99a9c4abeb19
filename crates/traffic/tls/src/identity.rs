//! Who a client is, by the certificate that it has shown.

use std::fmt::Write as _;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base_model::model::ClientCertificateTold;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use traffic_http::ClientCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::x509::{address, alternative_names, dates, in_pem, parse};

/// The longest field about a client's issuers: a chain has three at most, some 2 KiB each. What a client sends beyond was verified by nobody.
const MAX_CHAIN_BYTES: usize = 16 << 10;

/// Who has shown this certificate, its issuers behind it, and what endpoints are told of it.
pub(crate) fn identity(
    chain: &[CertificateDer<'_>],
    told: ClientCertificateTold,
) -> Result<ClientCertificate, String> {
    let (certificate, issuers) = chain.split_first().ok_or("there is no certificate in it")?;
    let parsed = parse(certificate)?;
    let names = parsed.extensions().iter().flat_map(alternative_names).filter_map(text_of);
    let (_, ends) = dates(&parsed);
    let is_told = told != ClientCertificateTold::Nothing;
    let client_cert = if is_told { byte_sequence(certificate) } else { String::new() };
    let is_short = issuers.iter().map(|issuer| issuer.len()).sum::<usize>() <= MAX_CHAIN_BYTES;
    let issuers = issuers.iter().filter(|_| told == ClientCertificateTold::Chain && is_short);
    let issuers: Vec<String> = issuers.map(|issuer| byte_sequence(issuer)).collect();
    Ok(ClientCertificate {
        subject: distinguished_name(parsed.subject()).into(),
        issuer: distinguished_name(parsed.issuer()).into(),
        serial: hex(parsed.raw_serial()).into(),
        names: names.map(Into::into).collect(),
        fingerprint: hex(digest(&SHA256, certificate).as_ref()).into(),
        ends,
        client_cert: client_cert.into_bytes().into(),
        client_cert_chain: issuers.join(", ").into_bytes().into(),
    })
}

/// What a certificate in PEM says of a client that shows it, its issuers behind it.
///
/// # Errors
/// Why it cannot be read.
pub fn read_client_certificate(text: &str) -> Result<ClientCertificate, String> {
    let chain = in_pem(text).map_err(|error| error.to_string())?;
    identity(&chain, ClientCertificateTold::Chain)
}

/// As structured fields write bytes (RFC 8941 §3.3.5).
fn byte_sequence(bytes: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As OpenSSL writes it: the kind in front, since an authority may be trusted with one and not with another.
fn text_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(host) => Some(format!("DNS:{}", host.to_ascii_lowercase())),
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        GeneralName::RFC822Name(mail) => Some(format!("email:{mail}")),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address: IpAddr| format!("IP:{address}")),
        _ => None,
    }
}

/// The last part first, as RFC 4514 §2.1 has it.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut out = String::new();
    for part in parts.into_iter().rev() {
        for (index, attribute) in part.iter().enumerate() {
            if !out.is_empty() {
                out.push(if index == 0 { ',' } else { '+' });
            }
            write_attribute(&mut out, attribute);
        }
    }
    out
}

fn write_attribute(out: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let kind = attribute.attr_type();
    match oid2abbrev(kind, oid_registry()) {
        Ok(short) => out.push_str(short),
        // Writing to a string cannot fail.
        Err(_) => drop(write!(out, "{kind}")),
    }
    out.push('=');
    match attribute.as_str() {
        Ok(text) => write_escaped(out, text),
        Err(_) => {
            out.push('#');
            out.push_str(&hex(attribute.as_slice()));
        }
    }
}

/// RFC 4514 §2.4. Control characters are written as their bytes, too: the text goes into fields and logs.
fn write_escaped(out: &mut String, text: &str) {
    let last = text.chars().count().saturating_sub(1);
    for (index, letter) in text.chars().enumerate() {
        let is_special = matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (letter == '#' && index == 0)
            || (letter == ' ' && (index == 0 || index == last));
        if letter.is_control() {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "\\{byte:02X}");
            }
        } else {
            if is_special {
                out.push('\\');
            }
            out.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_names_is_escaped() {
        let escaped = |text: &str| {
            let mut out = String::new();
            write_escaped(&mut out, text);
            out
        };
        assert_eq!(escaped("Example, Inc. \"x\" <a+b>;\\"), "Example\\, Inc. \\\"x\\\" \\<a\\+b\\>\\;\\\\");
        assert_eq!(escaped("#1 "), "\\#1\\ ");
        assert_eq!(escaped(" a#b"), "\\ a#b");
        assert_eq!(escaped("a\r\nb\u{85}"), "a\\0D\\0Ab\\C2\\85");
        assert_eq!(escaped("Käthe"), "Käthe");
        assert_eq!(escaped(""), "");
    }
}
