//! TLS: what a listener shows to its clients, and what it asks of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{OneOrMany, OneOrSome, OrOff, one_or_many};
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
}

/// Certificates in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub struct CertificateFolder {
    /// Path of a folder. Each `NAME.pem` or `NAME.crt` in it is a certificate; its key is in `NAME.key`, or behind it.
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
            CertificateForm::Path(cert) => Self::Files(CertificateFiles { cert, key: None }),
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
