//! Sessions that stay with their endpoint.

use base_kit::TimeSpan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{OneOrSome, one_or_many};
use super::operation::SecretSource;

/// How a session is known: by a cookie of Aya's own (`{cookie: NAME}`), by the client's address (`source`), or by what endpoints
/// name their sessions (`{learn: {cookie: NAME}}`, `{learn: {header: NAME}}`, `{learn: quic}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, from = "StickyForm")]
pub enum Sticky {
    /// By a cookie of Aya's own.
    Cookie(StickyCookie),
    /// By the client's address.
    Source(StickySource),
    /// By what endpoints name their sessions.
    Learn(StickyLearn),
}

/// Sessions known by a cookie that Aya sets. It names the endpoint in a way that nobody else can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub struct StickyCookie {
    /// The name of the cookie.
    #[schemars(extend("format" = "cookie-name"))]
    pub cookie: String,
    /// Secrets that sign it: the first signs, all verify. Without them sessions end with the process, and other nodes do not know them.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<SecretSource>", extend("title" = "secret"))]
    pub keys: Vec<SecretSource>,
    /// How long clients keep it; until they are closed if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<TimeSpan>,
    /// Paths that clients send it to: this one, and those below.
    #[serde(default = "root_path")]
    #[schemars(extend("format" = "cookie-path"))]
    pub path: String,
    /// The domain whose hosts get it; only the host that was asked if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "cookie-domain"))]
    pub domain: Option<String>,
    /// Clients send it over TLS only.
    #[serde(default)]
    pub secure: bool,
    /// Scripts in pages cannot read it.
    #[serde(default = "yes")]
    pub http_only: bool,
    /// Whether clients send it with requests that other sites' pages make: `strict` (never), `lax` (when a link is followed), `none` (always).
    #[serde(default)]
    pub same_site: SameSite,
}

fn root_path() -> String {
    "/".to_owned()
}

const fn yes() -> bool {
    true
}

/// Whether clients send a cookie with requests that other sites' pages make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When a link is followed.
    #[default]
    Lax,
    /// Always.
    None,
}

/// Sessions known by the client's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub struct StickySource {
    /// How much of the address counts.
    pub source: Prefixes,
    /// How long a session is kept after its last request.
    #[serde(default = "default_ttl")]
    pub ttl: TimeSpan,
    /// Sessions that find room at once, over all workers; 16 to 32 bytes for each.
    #[serde(default = "default_max")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max: u32,
}

/// Bits of an address that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Prefixes {
    /// Of an IPv4 address.
    #[schemars(range(min = 1, max = 32))]
    pub prefix: u8,
    /// Of an IPv6 address. Clients change the last 64 as they like.
    #[schemars(range(min = 1, max = 128))]
    pub prefix6: u8,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self { prefix: 32, prefix6: 64 }
    }
}

/// Sessions known by what endpoints name them: learned from their answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub struct StickyLearn {
    /// Where the session's name stands: `{cookie: NAME}`, `{header: NAME}` or `quic`.
    pub learn: LearnFrom,
    /// How long a session is kept after its last request.
    #[serde(default = "default_ttl")]
    pub ttl: TimeSpan,
    /// Sessions that find room at once, over all workers; 16 to 32 bytes for each.
    #[serde(default = "default_max")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max: u32,
}

/// Where the name of a session stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum LearnFrom {
    /// A cookie that endpoints set.
    Cookie(#[schemars(extend("format" = "cookie-name"))] String),
    /// A field of their answers, or of the requests.
    Header(#[schemars(extend("format" = "header-name"))] String),
    /// The connection id of QUIC, for listeners with `protocol: udp`.
    Quic,
}

/// A long lunch.
const fn default_ttl() -> TimeSpan {
    TimeSpan::from_secs(3_600)
}

/// Some megabytes.
const fn default_max() -> u32 {
    100_000
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum StickyForm {
    Word(StickyWord),
    Cookie(StickyCookie),
    Source(StickySource),
    Learn(StickyLearn),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum StickyWord {
    /// By the client's address.
    Source,
}

impl From<StickyForm> for Sticky {
    fn from(form: StickyForm) -> Self {
        match form {
            StickyForm::Word(StickyWord::Source) => Self::Source(StickySource {
                source: Prefixes::default(),
                ttl: default_ttl(),
                max: default_max(),
            }),
            StickyForm::Cookie(cookie) => Self::Cookie(cookie),
            StickyForm::Source(source) => Self::Source(source),
            StickyForm::Learn(learn) => Self::Learn(learn),
        }
    }
}
