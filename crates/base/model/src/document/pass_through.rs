//! Connections that are passed on as they are, by what their clients ask for in TLS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{HostText, OneOrSome, one_or_many};

/// Connections over TLS that go to a pool as they are: nothing is decrypted, client and endpoint agree between them. Without `server-name` and `alpn` it takes
/// all connections over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(inline)]
pub struct PassThrough {
    /// The name that the client asks for (SNI), or a list: `db.example.com`, or `"*.example.com"` for all names below.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<HostText>")]
    pub server_name: Vec<String>,
    /// A protocol that the client speaks inside (ALPN), or a list of which one is enough: `postgresql`, `h2`, `acme-tls/1`.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrSome<ProtocolName>")]
    pub alpn: Vec<String>,
    /// The pool that such connections are passed on to.
    pub pool: String,
}

// Tells the schema that a text is the name of a protocol (RFC 7301 §3.1).
#[derive(JsonSchema)]
#[schemars(inline)]
struct ProtocolName(
    #[expect(dead_code, reason = "only its schema is used")]
    #[schemars(length(min = 1, max = 255))]
    String,
);
