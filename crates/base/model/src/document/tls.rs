//! TLS: what a listener shows to its clients and asks of them, and the same for the endpoints of a pool.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::forms::{OneOrMany, OneOrSome, OrOff, Switch, one_or_many, switched};
use super::operation::SecretSource;

/// TLS on a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ListenerTls {
    /// What clients are shown. Which one is chosen by the name that they ask for; among those with the name, by what they can verify. The
    /// first one is for those that ask for a name that is in none, or for no name.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrSome<Certificate>")]
    pub certificates: Vec<Certificate>,
    /// Versions and cipher suites.
    #[serde(default)]
    pub policy: TlsPolicy,
    /// Whether authorities are asked what they say of certificates (OCSP), where a certificate says whom to ask and its file has none; what they
    /// say is shown to clients.
    #[serde(default)]
    pub ocsp: Ocsp,
    /// What happens to clients that ask for a name that no certificate has.
    #[serde(default)]
    pub unknown_name: UnknownName,
    /// What clients have to show; nothing if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<TlsClients>,
    /// How clients that were here before come back without a full handshake.
    #[serde(default = "Tickets::switched_on")]
    pub tickets: OrOff<Tickets>,
    /// Path of a file to which the secrets of all connections are appended, for tools that decrypt recorded traffic (the format of
    /// `SSLKEYLOGFILE`). Whoever reads it reads everything: for looking for a fault, never for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_log: Option<String>,
}

/// A certificate and its key: `site.pem` is short for `{cert: site.pem}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, from = "CertificateForm")]
pub enum Certificate {
    /// One, in files.
    Files(CertificateFiles),
    /// All that lie in a folder.
    Folder(CertificateFolder),
}

/// A certificate in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub struct CertificateFiles {
    /// Path of the certificate in PEM, its issuers behind it. Relative paths start at the folder of the configuration.
    pub cert: String,
    /// Its private key in PEM: a path, `{file: PATH}` or `{env: NAME}`; behind the certificate in its file if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeySource>,
    /// Path of what the authority says of it (an OCSP response in DER), which is shown beside it while it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<String>,
}

/// Certificates in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub struct CertificateFolder {
    /// Path of a folder. Each `NAME.pem` or `NAME.crt` in it is a certificate; its key is in `NAME.key`, or behind it, an OCSP response in `NAME.ocsp`.
    pub folder: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum CertificateForm {
    Path(String),
    Files(CertificateFiles),
    Folder(CertificateFolder),
}

impl From<CertificateForm> for Certificate {
    fn from(form: CertificateForm) -> Self {
        match form {
            CertificateForm::Path(cert) => Self::Files(CertificateFiles { cert, key: None, ocsp: None }),
            CertificateForm::Folder(folder) => Self::Folder(folder),
            CertificateForm::Files(files) => Self::Files(files),
        }
    }
}

/// Where a private key is: `site.key` is short for `{file: site.key}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "KeyForm")]
pub struct KeySource(pub SecretSource);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum KeyForm {
    Path(String),
    Source(SecretSource),
}

impl From<KeyForm> for KeySource {
    fn from(form: KeyForm) -> Self {
        match form {
            KeyForm::Path(path) => Self(SecretSource::File(path)),
            KeyForm::Source(source) => Self(source),
        }
    }
}

/// Versions and cipher suites, as Mozilla's "Server Side TLS" names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum TlsPolicy {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.3, and 1.2 with forward secrecy and authenticated encryption.
    #[default]
    Intermediate,
}

/// Whether authorities are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Ocsp {
    /// They are not.
    #[default]
    Off,
    /// Over HTTP, again and again before what they said ends.
    Fetch,
}

/// What happens to clients that ask for a name that no certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum UnknownName {
    /// They are shown the first certificate, and decide for themselves.
    #[default]
    First,
    /// The handshake ends.
    Refuse,
}

/// What clients have to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsClients {
    /// Whether clients without a certificate are let in.
    #[serde(default)]
    pub certificate: ClientCertificate,
    /// Paths of files with certificates in PEM: a client's certificate has to be signed by one of them.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrSome<String>")]
    pub authorities: Vec<String>,
    /// Paths of files with revocation lists in PEM. If there are any, each authority must have one that has not run out: a certificate of
    /// whose authority nothing is known is refused.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<String>")]
    pub revoked: Vec<String>,
    /// What endpoints are told of a client's certificate, in the fields of RFC 9440. What clients write there themselves never reaches them.
    #[serde(default)]
    pub forward: ClientCertificateTold,
}

/// What endpoints are told of a client's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ClientCertificateTold {
    /// Nothing.
    #[default]
    Off,
    /// The certificate: `Client-Cert`.
    Certificate,
    /// Its issuers as well: `Client-Cert-Chain`.
    Chain,
}

/// Whether clients without a certificate are let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ClientCertificate {
    /// Without one the handshake ends.
    #[default]
    Required,
    /// They are; but one that is shown has to be good.
    Optional,
}

/// Tickets that clients come back with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Tickets {
    /// Secrets that encrypt them: the first encrypts, all decrypt, so that nodes with the same ones know each other's clients. Without them
    /// each process draws its own, and changes them by itself.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<SecretSource>", extend("title" = "secret"))]
    pub keys: Vec<SecretSource>,
}

impl Tickets {
    fn switched_on() -> OrOff<Self> {
        OrOff::On(Self::default())
    }
}

/// TLS to the endpoints of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PoolTls {
    /// The name that is asked for (SNI), and that an endpoint's certificate has to be for; the endpoint's own host if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "server-name"))]
    pub name: Option<String>,
    /// Whether an endpoint's certificate has to be good. If not, whoever is on the way can read and change everything.
    pub verify: Switch,
    /// Who signs endpoints' certificates: paths of files with certificates in PEM, and `system` for those that the system trusts.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrSome<String>")]
    pub authorities: Vec<String>,
    /// Paths of files with revocation lists in PEM. If there are any, each authority must have one that has not run out: a certificate of
    /// whose authority nothing is known is refused.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<String>")]
    pub revoked: Vec<String>,
    /// What endpoints are shown that ask who comes: `aya.pem` is short for `{cert: aya.pem}`. Nothing if not given.
    #[serde(deserialize_with = "certificate", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OwnCertificateForm>")]
    pub certificate: Option<OwnCertificate>,
    /// Versions and cipher suites.
    pub policy: TlsPolicy,
}

/// A certificate that Aya shows to endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub struct OwnCertificate {
    /// Path of the certificate in PEM, its issuers behind it. Relative paths start at the folder of the configuration.
    pub cert: String,
    /// Its private key in PEM: a path, `{file: PATH}` or `{env: NAME}`; behind the certificate in its file if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeySource>,
}

impl Default for PoolTls {
    fn default() -> Self {
        Self {
            name: None,
            verify: Switch::On,
            authorities: vec![SYSTEM.to_owned()],
            revoked: Vec::new(),
            certificate: None,
            policy: TlsPolicy::default(),
        }
    }
}

/// Stands among authorities for those that the system trusts.
pub(crate) const SYSTEM: &str = "system";

/// Spells TLS to endpoints out.
pub(super) fn pool_tls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PoolTls>, D::Error> {
    Ok(match switched(deserializer)? {
        OrOff::On(tls) => Some(tls),
        OrOff::Off => None,
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum OwnCertificateForm {
    Path(String),
    Files(OwnCertificate),
}

/// Spells a certificate out.
fn certificate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OwnCertificate>, D::Error> {
    let form = Option::<OwnCertificateForm>::deserialize(deserializer)?;
    Ok(form.map(|form| match form {
        OwnCertificateForm::Path(cert) => OwnCertificate { cert, key: None },
        OwnCertificateForm::Files(files) => files,
    }))
}
