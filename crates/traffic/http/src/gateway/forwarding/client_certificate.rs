//! Who a client is by the certificate that it has shown, and what endpoints are told of that (RFC 9440).

use std::fmt;
use std::time::Duration;

use base_model::model::ClientCertificateTold;

use crate::fields::{Fields, KnownField};

/// A certificate that a client has shown and that was found good.
pub struct ClientCertificate {
    /// Whose it is, as RFC 4514 writes it: `CN=alice,O=Example`.
    pub subject: Box<str>,
    /// Who has signed it, written alike.
    pub issuer: Box<str>,
    /// Its number among those of its issuer, in hexadecimal digits.
    pub serial: Box<str>,
    /// What else it is for (subject alternative names), with its kind: `DNS:shop.example.com` in lower case, `URI:spiffe://…`, `email:…`, `IP:…`.
    pub names: Vec<Box<str>>,
    /// SHA-256 of the whole certificate, in hexadecimal digits, in lower case.
    pub fingerprint: Box<str>,
    /// Until when it is good, since the epoch.
    pub ends: Duration,
    /// The value of `Client-Cert` (RFC 9440 §2.2); empty if endpoints are not told.
    pub client_cert: Box<[u8]>,
    /// That of `Client-Cert-Chain` (RFC 9440 §2.3); empty without issuers, or if endpoints are not told.
    pub client_cert_chain: Box<[u8]>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The fields that tell of it.
const FIELDS: u64 = KnownField::ClientCert.bit() | KnownField::ClientCertChain.bit();

/// Writes the fields of RFC 9440. What the client has written there itself goes, unless it is a trusted proxy whose word stands where this
/// listener tells nothing; so does what is only taken for one of them, by servers that read `_` as `-`.
pub fn apply(
    fields: &mut Fields,
    told: ClientCertificateTold,
    certificate: Option<&ClientCertificate>,
    is_trusted: bool,
) {
    if is_trusted && told == ClientCertificateTold::Nothing {
        fields.remove_alike_to_any(FIELDS, b"");
        return;
    }
    fields.remove_set(FIELDS);
    let Some(certificate) = certificate else { return };
    if told != ClientCertificateTold::Nothing && !certificate.client_cert.is_empty() {
        fields.append_known(KnownField::ClientCert, &certificate.client_cert);
    }
    if told == ClientCertificateTold::Chain && !certificate.client_cert_chain.is_empty() {
        fields.append_known(KnownField::ClientCertChain, &certificate.client_cert_chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadLimits, RequestHead};

    fn told(lines: &str, told: ClientCertificateTold, shown: bool, is_trusted: bool) -> String {
        let certificate = ClientCertificate {
            subject: "CN=a".into(),
            issuer: "CN=b".into(),
            serial: "01".into(),
            names: Vec::new(),
            fingerprint: "00".into(),
            ends: Duration::MAX,
            client_cert: b":Yw==:".as_slice().into(),
            client_cert_chain: b":aQ==:".as_slice().into(),
        };
        let mut head = RequestHead::new();
        head.parse(format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n").as_bytes(), &HeadLimits::default())
            .unwrap();
        apply(head.fields_mut(), told, shown.then_some(&certificate), is_trusted);
        let mut out = Vec::new();
        head.encode(&mut out);
        let text = String::from_utf8(out).unwrap();
        text.lines().skip(2).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn endpoints_are_told_what_was_shown_and_nothing_else() {
        use ClientCertificateTold::{Certificate, Chain, Nothing};
        let forged = "Client-Cert: :Zg==:\r\nclient_cert: :Zg==:\r\nCLIENT-CERT_chain: :Zg==:\r\nx_y: 1\r\n";
        assert_eq!(told(forged, Nothing, false, false), "x_y: 1");
        assert_eq!(told(forged, Nothing, true, false), "x_y: 1");
        assert_eq!(told(forged, Certificate, false, true), "x_y: 1");
        assert_eq!(told(forged, Certificate, true, false), "x_y: 1|client-cert: :Yw==:");
        assert_eq!(told(forged, Chain, true, true), "x_y: 1|client-cert: :Yw==:|client-cert-chain: :aQ==:");
        assert_eq!(
            told(forged, Nothing, false, true),
            "Client-Cert: :Zg==:|x_y: 1",
            "a trusted proxy is believed"
        );
    }
}
