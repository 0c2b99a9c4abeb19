//! The kinds that a configuration may name. They live in higher planes; whoever puts Aya together hands them in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base_kit::KindInfo;
use serde_json::Value;

/// Everything that can be named in a configuration but is not defined here.
#[derive(Clone, Debug, Default)]
pub struct KindCatalog {
    /// For `balance`.
    pub balancers: Vec<KindEntry>,
    /// For `filters`.
    pub filters: Vec<KindEntry>,
    /// Keys of a route that answer by themselves.
    pub handlers: Vec<KindEntry>,
    /// Fields that an access log can have; empty allows any.
    pub access_fields: Vec<&'static str>,
    /// Looks at certificates; without it they are not looked at.
    pub certificates: Option<Arc<dyn CertificateCheck>>,
}

/// Looks at settings that fit the schema already.
pub type SettingsCheck = Arc<dyn Fn(&Value) -> Result<(), SettingsProblem> + Send + Sync>;

/// Looks at certificates and what belongs to them. What knows them lives in a higher plane.
pub trait CertificateCheck: fmt::Debug + Send + Sync {
    /// Whether a certificate and its key can be used together, for this.
    ///
    /// # Errors
    /// Why not; `at` is `key` if it is about that.
    fn certificate(
        &self,
        chain: &str,
        key: &str,
        shown_by: CertificateUse,
    ) -> Result<Validity, SettingsProblem>;

    /// Whether an OCSP response in DER is about the first certificate of this chain, and can be shown beside it.
    ///
    /// # Errors
    /// Why not.
    fn ocsp(&self, chain: &str, response: &[u8]) -> Result<(), OcspProblem>;

    /// Whether those who sign the certificates of clients or of servers, perhaps beside those that the system trusts, and their revocation lists can be
    /// used.
    ///
    /// # Errors
    /// Why not; `at` is `authorities` or `revoked`.
    fn authorities(
        &self,
        of: CertificateUse,
        system: bool,
        authorities: &str,
        revoked: &str,
    ) -> Result<(), SettingsProblem>;
}

/// Why an OCSP response cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspProblem {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
    /// Whether it is only that it does not hold now.
    pub is_of_time: bool,
}

/// Who shows a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateUse {
    /// A listener, to those who come for a host of its names.
    Server,
    /// Aya, to endpoints that ask who comes.
    Client,
}

/// When a certificate is good, since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub begins: Duration,
    /// Until then.
    pub ends: Duration,
}

/// One kind.
#[derive(Clone)]
pub struct KindEntry {
    /// Its name card.
    pub info: KindInfo,
    /// JSON Schema of its settings, as schemars makes it.
    pub schema: Value,
    /// What the schema cannot say.
    pub check: Option<SettingsCheck>,
}

impl KindEntry {
    /// A kind whose schema says everything.
    pub const fn new(info: KindInfo, schema: Value) -> Self {
        Self { info, schema, check: None }
    }

    /// Adds a check of what the schema cannot say; building the kind from its settings is a good one.
    #[must_use]
    pub fn with_check<F>(mut self, check: F) -> Self
    where
        F: Fn(&Value) -> Result<(), SettingsProblem> + Send + Sync + 'static,
    {
        self.check = Some(Arc::new(check));
        self
    }
}

impl fmt::Debug for KindEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindEntry").field("info", &self.info).finish_non_exhaustive()
    }
}

/// What is wrong with the settings of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// Keys on the way to the value, from the settings; empty for all of them.
    pub at: Vec<String>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl From<String> for SettingsProblem {
    fn from(message: String) -> Self {
        Self { at: Vec::new(), message, help: None }
    }
}
