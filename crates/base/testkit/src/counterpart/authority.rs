//! An authority that signs certificates for plays.

use base_kit::WallClock;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, RevokedCertParams, RsaKeySize, SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// Signs certificates with a key that nobody else has.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// In PEM.
    pub cert: String,
    /// In PEM.
    pub key: String,
    /// Which of its authority's it is.
    pub serial: u64,
}

/// What a certificate is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its subject's common name.
    pub subject: &'a str,
    /// The hosts it is for; none for a client's.
    pub hosts: &'a [&'a str],
    /// Whether its key is RSA, and not ECDSA.
    pub is_rsa: bool,
    /// Days until it ends; less than zero if it has ended.
    pub days: i64,
    /// Where its authority says over OCSP what it thinks of it.
    pub ocsp: Option<&'a str>,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self { subject: "play", hosts: &[], is_rsa: false, days: 90, ocsp: None }
    }
}

impl Authority {
    /// A new one, of this name.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("it can sign its own certificate"))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its key, in PEM: for others that sign in its place.
    pub fn key(&self) -> String {
        self.0.key().serialize_pem()
    }

    /// A certificate for these hosts.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn issue(&self, hosts: &[&str]) -> Issued {
        self.issue_as(Wanted { hosts, subject: hosts[0], ..Wanted::default() })
    }

    /// A certificate like this. One without hosts is for a client.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn issue_as(&self, wanted: Wanted<'_>) -> Issued {
        let mut params = params(wanted.subject, wanted.hosts);
        let serial = u64::from(fresh());
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = now() - Duration::days(100);
        params.not_after = now() + Duration::days(wanted.days);
        let usage = if wanted.hosts.is_empty() {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        };
        params.extended_key_usages = vec![usage];
        params.custom_extensions.extend(wanted.ocsp.map(authority_information));
        let key = if wanted.is_rsa {
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
        } else {
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        };
        let key = key.expect("a key can be made");
        let cert = params.signed_by(&key, &self.0).expect("it can be signed");
        Issued { cert: cert.pem(), key: key.serialize_pem(), serial }
    }

    /// A list of revoked certificates that is good for so many days, in PEM.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn revoke(&self, revoked: &[&Issued], days: i64) -> String {
        let one = |issued: &&Issued| RevokedCertParams {
            serial_number: SerialNumber::from(issued.serial),
            revocation_time: now() - Duration::days(1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now() - Duration::days(30),
            next_update: now() + Duration::days(days),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(one).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).and_then(|list| list.pem()).expect("a list can be signed")
    }
}

/// Where to ask over OCSP (RFC 5280 §4.2.2.1): a list of one access description, `id-ad-ocsp` and a URI.
fn authority_information(url: &str) -> CustomExtension {
    const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
    const OCSP: [u8; 10] = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    let element = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 0x80);
        [&[tag, length.expect("a short URL")], content].concat()
    };
    let description = element(0x30, &[&OCSP[..], &element(0x86, url.as_bytes())].concat());
    CustomExtension::from_oid_content(AUTHORITY_INFO_ACCESS, element(0x30, &description))
}

fn params(subject: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).expect("they are names of hosts");
    params.distinguished_name.push(DnType::CommonName, subject);
    params
}

fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + WallClock.since_epoch()
}

/// A number that no other certificate of this process has.
fn fresh() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static LAST: AtomicU32 = AtomicU32::new(1000);
    LAST.fetch_add(1, Ordering::Relaxed)
}
