//! The configuration: what is in use, what was, and what is offered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A configuration in use.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct ConfigView {
    /// Its number; grows by one with each change. Also the `ETag` of the answer.
    pub generation: u64,
    /// Tells configurations apart by what they say.
    pub fingerprint: String,
    /// When it was applied, in milliseconds since 1970-01-01 UTC.
    pub applied_ms: u64,
    /// Where it came from.
    pub origin: Origin,
    /// As it was written. Secrets are references there, never values.
    pub source: String,
}

/// Where a configuration came from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The file, at start or when it changed.
    File,
    /// This API.
    Api,
    /// An earlier one, taken up again.
    Rollback,
}

/// What a check found.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct CheckReport {
    /// Whether it could be applied.
    pub valid: bool,
    /// Tells configurations apart by what they say; absent if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// All that was found, in the order of the document.
    pub diagnostics: Vec<Diagnostic>,
    /// What it would change in the configuration in use; empty if it is not valid.
    pub changes: Vec<Change>,
}

/// Something to say about a configuration.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Diagnostic {
    /// Whether it keeps the configuration from being applied.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The place in the document's structure.
    #[schema(example = "pools.api.endpoints[1]")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The lines it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It keeps the configuration from being applied.
    Error,
    /// It is likely not meant so.
    Warning,
}

/// A difference between two configurations.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Change {
    /// The place in the document's structure.
    #[schema(example = "pools.api.balance")]
    pub path: String,
    /// What happens there.
    pub kind: ChangeKind,
    /// What is there in the configuration in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What would be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What happens at a place.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It comes.
    Added,
    /// It goes.
    Removed,
    /// It becomes something else.
    Changed,
}

/// A configuration that was taken up.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Applied {
    /// Its number.
    pub generation: u64,
    /// Tells configurations apart by what they say.
    pub fingerprint: String,
    /// False if it says the same as the one before; the number is then the same too.
    pub changed: bool,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// What it changed.
    pub changes: Vec<Change>,
}

/// A configuration that is or was in use.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct HistoryEntry {
    /// Its number.
    pub generation: u64,
    /// Tells configurations apart by what they say.
    pub fingerprint: String,
    /// When it was applied, in milliseconds since 1970-01-01 UTC.
    pub applied_ms: u64,
    /// Where it came from.
    pub origin: Origin,
}

/// Which configuration to take up again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The number it had. What it says is applied under a new number.
    pub generation: u64,
}
