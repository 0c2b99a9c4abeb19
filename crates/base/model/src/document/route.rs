//! Which request goes where.

use std::collections::BTreeMap;

use base_kit::TimeSpan;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::forms::{HostText, OneOrSome, OrOff, one_or_many};
use super::listener::Network;

/// A condition, what is done to the request and the answer, and who answers: exactly one of `pool`, `split` and the
/// handlers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(deny_unknown_fields)]
pub struct Route {
    /// A name for logs and metrics; `route-1`, `route-2` … if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "name"))]
    pub name: Option<String>,
    /// Names of the listeners it holds for; all if not given.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<String>")]
    pub listeners: Vec<String>,
    /// When it applies: all conditions must hold. Without any it takes everything.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// What is done to requests and answers, in order.
    #[serde(default)]
    #[schemars(with = "Vec<FilterSlot>")]
    pub filters: Vec<BTreeMap<String, Value>>,
    /// Name of the pool that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Pools that answer, each with its share: `{web-v1: 95, web-v2: 5}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("additionalProperties" = {"type": "integer", "minimum": 0, "maximum": 1_000_000}, "minProperties" = 1))]
    pub split: Option<IndexMap<String, u32>>,
    /// Handlers by kind; each is a key of its own in the schema.
    #[serde(flatten)]
    #[schemars(skip)]
    pub handlers: BTreeMap<String, Value>,
    /// How long a request may take.
    #[serde(default)]
    pub timeouts: RouteTimeouts,
    /// Trying again with another endpoint when it is safe: nothing was sent, or the request may be repeated.
    #[serde(default)]
    pub retry: Retry,
}

// Stands in the schema where the filters of the catalog go.
#[derive(JsonSchema)]
#[schemars(rename = "Filter")]
struct FilterSlot {}

/// The conditions of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Match {
    /// Host, or a list: `shop.example.com`, or `"*.example.com"` for all names below.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<HostText>")]
    pub host: Vec<String>,
    /// `/a` exact, `/a/**` this and all below, `/u/{id}` any one segment, `~ ^/r.*` regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "path-pattern"))]
    pub path: Option<String>,
    /// Method, or a list.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<MethodText>")]
    pub method: Vec<String>,
    /// Header fields by name: a value, `~ regex`, `true` (is there) or `false` (is not).
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(extend("propertyNames" = {"format": "header-name"}))]
    pub header: IndexMap<String, ValueMatch>,
    /// Query parameters by name, in the same way.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub query: IndexMap<String, ValueMatch>,
    /// Cookies by name, in the same way.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub cookie: IndexMap<String, ValueMatch>,
    /// Network of the client, or a list.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<Network>")]
    pub client: Vec<String>,
    /// The client's certificate: `true` (it has shown one) or `false` (it has not), or what has to be in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificateMatch>,
}

/// What is asked of a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ClientCertificateMatch {
    /// `true`: one was shown; `false`: none was.
    Present(bool),
    /// One with these.
    With(ClientCertificateParts),
}

/// What is in a client's certificate; all that is given has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct ClientCertificateParts {
    /// Its subject as RFC 4514 writes it, `CN=alice,O=Example`, or `~ regex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "value-pattern"))]
    pub subject: Option<String>,
    /// Its issuer, in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "value-pattern"))]
    pub issuer: Option<String>,
    /// One of its alternative names with its kind, `DNS:shop.example.com`, `URI:spiffe://…`, `email:…` or `IP:…`; or `~ regex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "value-pattern"))]
    pub name: Option<String>,
    /// SHA-256 of the certificate in hexadecimal digits, with or without colons, or a list.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<Fingerprint>")]
    pub fingerprint: Vec<String>,
}

// Tells the schema that a text is a fingerprint.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "fingerprint"))]
struct Fingerprint(#[expect(dead_code, reason = "only its schema is used")] String);

#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "method"))]
struct MethodText(#[expect(dead_code, reason = "only its schema is used")] String);

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ValueMatch {
    /// `true`: it is there; `false`: it is not.
    Present(bool),
    /// The value, or `~ regex`.
    Text(#[schemars(extend("format" = "value-pattern"))] String),
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RouteTimeouts {
    /// From the head of the request to the end of the answer; `off` for no limit.
    pub request: OrOff<TimeSpan>,
}

impl Default for RouteTimeouts {
    fn default() -> Self {
        Self { request: OrOff::Off }
    }
}

/// Trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts in all, the first included; 1 never tries again.
    #[schemars(range(min = 1, max = 16))]
    pub attempts: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3 }
    }
}
