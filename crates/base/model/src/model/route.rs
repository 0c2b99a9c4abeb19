//! Which request goes where.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{HostPattern, KindSettings};

/// A condition, what is done to the request and the answer, and who answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Given, or `route-N` with its place in the document (from 1). Unique.
    pub name: Arc<str>,
    /// Indices of the listeners it holds for; empty means all.
    pub listeners: Vec<usize>,
    /// When it applies.
    pub matches: Match,
    /// In order.
    pub filters: Vec<FilterUse>,
    /// Who answers.
    pub action: Action,
    /// For the whole request, from its head to the end of the answer; `None` is without limit.
    pub request_timeout: Option<Duration>,
    /// Attempts in all (the first included) when it is safe to try again; at least 1.
    pub attempts: u32,
}

/// A filter with its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterUse {
    /// Kind name and settings.
    pub kind: KindSettings,
}

/// The conditions of a route; all must hold. Default: everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// One of these; empty means any.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: Option<PathPattern>,
    /// One of these; empty means any. Methods are case-sensitive.
    pub methods: Vec<Arc<str>>,
    /// Names in lower case.
    pub headers: Vec<FieldMatch>,
    /// Decoded names.
    pub query: Vec<FieldMatch>,
    /// Cookie names.
    pub cookies: Vec<FieldMatch>,
    /// The client's address lies in one of these; empty means any.
    pub client: Vec<ipnet::IpNet>,
    /// What is asked of the client's certificate; `None` means nothing.
    pub certificate: Option<CertificateMatch>,
}

/// What is asked of a client's certificate.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateMatch {
    /// None was shown.
    Absent,
    /// One was, and all of these hold.
    Shown(Vec<CertificateTest>),
}

/// What is asked of a part of a certificate.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateTest {
    /// Of the subject as RFC 4514 writes it.
    Subject(ValuePattern),
    /// Of the issuer, written alike.
    Issuer(ValuePattern),
    /// Of one of its alternative names.
    Name(ValuePattern),
    /// Its SHA-256 in hexadecimal digits, in lower case, is one of these.
    Fingerprint(Vec<Arc<str>>),
}

/// Which paths. Percent-encoding of unreserved characters is removed before comparing.
#[derive(Clone, Debug, PartialEq)]
pub enum PathPattern {
    /// `/a`: this one.
    Exact(Arc<str>),
    /// `/a/**` is kept as `/a`: this and all below, at segment borders; `/**` is kept as the empty string.
    Prefix(Arc<str>),
    /// `/u/{id}/x`, `/u/{id}/**`.
    Template {
        /// Literal segments and named ones (`Err` holds the name).
        segments: Vec<Result<Arc<str>, Arc<str>>>,
        /// Whether more segments may follow.
        open: bool,
    },
    /// `~ ^/r.*`: a regular expression over the whole path; valid.
    Regex(Arc<str>),
}

/// A named value and what is asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldMatch {
    /// Its name.
    pub name: Arc<str>,
    /// What is asked of it.
    pub value: ValuePattern,
}

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum ValuePattern {
    /// Just this.
    Exact(Arc<str>),
    /// `true`: it is there.
    Present,
    /// `false`: it is not there.
    Absent,
    /// `~ …`: a regular expression found somewhere in it; valid.
    Regex(Arc<str>),
}

/// Who answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// An endpoint of one pool, by weight. One share is the plain `pool: name`. Weights sum to at least 1.
    Proxy(Vec<Share>),
    /// A handler that answers by itself (`redirect`, `respond`), with its settings.
    Handler(KindSettings),
}

/// A part of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Index in [`crate::Model::pools`].
    pub pool: usize,
    /// Its part of the sum.
    pub weight: u32,
}
