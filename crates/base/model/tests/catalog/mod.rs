//! A small catalog that resembles the real one: this crate knows no kinds.
#![expect(dead_code, reason = "of the settings only the schema is used")]

use std::collections::BTreeMap;

use base_kit::{KindInfo, Status};
use base_model::{KindCatalog, KindEntry, SettingsProblem};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Value, json};

/// Header fields to write, in both directions.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[derive(Default)]
struct Write {
    /// On the request.
    #[schemars(extend("propertyNames" = {"format": "header-name"}, "additionalProperties" = {"type": "string", "format": "header-value"}))]
    request: BTreeMap<String, String>,
    /// On the response.
    #[schemars(extend("propertyNames" = {"format": "header-name"}, "additionalProperties" = {"type": "string", "format": "header-value"}))]
    response: BTreeMap<String, String>,
}

/// Header fields to remove.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Remove {
    /// On the request.
    request: Vec<String>,
    /// On the response.
    response: Vec<String>,
}

#[expect(dead_code, reason = "only its schema is used")]
#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[serde(rename_all = "kebab-case")]
struct Cors {
    origins: Vec<String>,
    methods: Option<Vec<String>>,
    headers: Option<Vec<String>>,
    #[serde(default)]
    expose: Vec<String>,
    #[serde(default)]
    credentials: bool,
    max_age: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct GrpcWeb {}

/// Certificates of clients.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RequireCertificate {
    /// One of these.
    subject: Option<Vec<String>>,
    /// One of these.
    name: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Rewrite {
    /// The new path.
    path: Option<String>,
    /// Taken off the front.
    strip_prefix: Option<String>,
    /// Put in front.
    add_prefix: Option<String>,
    /// The new host.
    host: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Redirect {
    /// Where to.
    to: String,
    /// One of 301, 302, 303, 307 and 308.
    #[serde(default = "permanent")]
    #[schemars(range(min = 301, max = 308))]
    status: u16,
}

const fn permanent() -> u16 {
    308
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Respond {
    /// The status.
    #[schemars(range(min = 200, max = 599))]
    status: u16,
    /// The body.
    #[serde(default)]
    body: String,
    /// Header fields.
    #[serde(default)]
    headers: BTreeMap<String, Scalar>,
    /// What the body is.
    content_type: Option<String>,
}

/// Text, or what looks like something else.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Flag(bool),
    Number(serde_json::Number),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PeakEwma {
    /// For how long an answer time counts.
    decay: base_kit::TimeSpan,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Prequal {
    /// The path that is asked.
    probe: Option<String>,
    /// How long an answer may take.
    probe_timeout: Option<base_kit::TimeSpan>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Resource {
    /// How much memory counts.
    memory: Option<u32>,
    /// When what was told is forgotten.
    stale_after: Option<base_kit::TimeSpan>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ConsistentHash {
    /// What requests have in common.
    key: Value,
    /// Times the fair share.
    load_factor: Option<f64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SourceHash {
    /// Leading bits of an IPv4 address that count.
    #[serde(default = "bits")]
    #[schemars(range(min = 1, max = 32))]
    ipv4_prefix: u8,
}

const fn bits() -> u8 {
    32
}

/// The catalog of the tests.
pub(crate) fn catalog() -> KindCatalog {
    let nothing = json!({ "type": "null" });
    KindCatalog {
        balancers: vec![
            entry("round-robin", "One after the other.", nothing.clone()),
            entry("weighted-round-robin", "One after the other, by weight.", nothing.clone()),
            entry("random", "Any, by weight.", nothing.clone()),
            entry("least-connections", "The one with the fewest requests in flight.", nothing.clone()),
            entry("source-hash", "The same one for the same client.", schema_for!(SourceHash).to_value()),
            entry("power-of-two", "The idler of two.", nothing),
            entry("peak-ewma", "The quicker of two.", schema_for!(PeakEwma).to_value()),
            entry("prequal", "The one that says it has little to do.", schema_for!(Prequal).to_value()),
            entry("resource", "The one whose machine has room.", schema_for!(Resource).to_value()),
            entry("consistent-hash", "The same one for a key.", schema_for!(ConsistentHash).to_value()),
        ],
        filters: vec![
            entry("set-header", "Sets header fields.", schema_for!(Write).to_value()),
            entry("add-header", "Adds header fields.", schema_for!(Write).to_value()),
            entry("remove-header", "Removes header fields.", schema_for!(Remove).to_value()),
            entry(
                "require-certificate",
                "Refuses clients without a certificate.",
                schema_for!(RequireCertificate).to_value(),
            ),
            entry("cors", "Lets pages of other sites in.", schema_for!(Cors).to_value()),
            entry("grpc-web", "Lets browsers call.", schema_for!(GrpcWeb).to_value()),
            entry("rewrite", "Changes path and host.", schema_for!(Rewrite).to_value()).with_check(braces),
        ],
        handlers: vec![
            entry("redirect", "Sends the client elsewhere.", schema_for!(Redirect).to_value())
                .with_check(braces),
            entry("respond", "Answers by itself.", schema_for!(Respond).to_value()),
        ],
        certificates: None,
        access_fields: vec![
            "time",
            "client",
            "method",
            "host",
            "path",
            "status",
            "reason",
            "endpoint",
            "duration_ms",
        ],
    }
}

fn entry(name: &'static str, summary: &'static str, schema: Value) -> KindEntry {
    KindEntry::new(KindInfo { name, summary, status: Status::Stable }, schema)
}

/// Stands for the check of templates that the real kinds have.
fn braces(settings: &Value) -> Result<(), SettingsProblem> {
    for key in ["to", "path"] {
        let text = settings.get(key).and_then(Value::as_str).unwrap_or_default();
        if text.matches('{').count() != text.matches('}').count() {
            return Err(SettingsProblem {
                at: vec![key.to_owned()],
                message: format!("the template `{text}` has a brace without its partner"),
                help: Some("close it, or write `{{` for a plain brace".to_owned()),
            });
        }
    }
    Ok(())
}
