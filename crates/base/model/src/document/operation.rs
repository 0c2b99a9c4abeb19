//! Running it.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use base_kit::TimeSpan;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::forms::OrOff;

/// This process among others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Node {
    /// Its name, different from that of other nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "name"))]
    pub name: Option<String>,
    /// Where it is: endpoints of this zone are preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "name"))]
    pub zone: Option<String>,
}

impl Node {
    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// Worker threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workers {
    /// One for each core that may be used.
    #[default]
    Auto,
    /// So many.
    #[serde(untagged)]
    Number(NonZeroUsize),
}

impl JsonSchema for Workers {
    fn schema_name() -> Cow<'static, str> {
        "Workers".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 1_024 }] })
    }
}

/// What drives the sockets of the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// io_uring where the kernel has it (Linux 6.1) and allows it, else epoll.
    #[default]
    Auto,
    /// epoll: four system calls for each small request.
    Epoll,
    /// io_uring: many operations with one system call. Aya does not start where the kernel does not allow it.
    IoUring,
}

/// The admin port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Admin {
    /// Address and port. On loopback no token is needed.
    #[schemars(extend("format" = "bind-address"))]
    pub bind: String,
    /// The bearer token that callers must show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSource>,
}

/// Where a secret is: it never stands in the configuration itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("title" = "secret"))]
pub enum SecretSource {
    /// Name of the environment variable that holds it.
    Env(String),
    /// Path of the file that holds it; relative ones start at the folder of the configuration.
    File(String),
}

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Logs {
    /// How much Aya says about itself.
    pub level: LogLevel,
    /// One line for each request: `json`, `text`, or `{format: …, to: …, fields: […]}`.
    pub access: OrOff<Access>,
}

impl Default for Logs {
    fn default() -> Self {
        Self { level: LogLevel::Info, access: OrOff::Off }
    }
}

/// How much Aya says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum LogLevel {
    /// Failures of Aya.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And changes of state.
    Info,
    /// And what helps to find a fault.
    Debug,
}

/// One line for each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", from = "AccessForm")]
pub struct Access {
    /// How a line is written.
    pub format: AccessFormat,
    /// `stdout`, `stderr` or the path of a file.
    pub to: String,
    /// Which fields, in order; the usual ones if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AccessFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// `name=value` pairs, values quoted where needed.
    Text,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum AccessForm {
    Format(AccessFormat),
    Full(AccessFull),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(inline)]
struct AccessFull {
    /// How a line is written.
    format: AccessFormat,
    /// `stdout`, `stderr` or the path of a file; files are opened again on SIGUSR1.
    #[schemars(extend("format" = "log-target"))]
    to: String,
    /// Which fields, in order; the usual ones if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<AccessFieldSlot>")]
    fields: Vec<String>,
}

// Stands in the schema where the fields of the access log go.
#[derive(JsonSchema)]
#[schemars(rename = "AccessField")]
struct AccessFieldSlot {}

impl Default for AccessFull {
    fn default() -> Self {
        Self { format: AccessFormat::Json, to: "stdout".to_owned(), fields: Vec::new() }
    }
}

impl From<AccessForm> for Access {
    fn from(form: AccessForm) -> Self {
        let full = match form {
            AccessForm::Format(format) => AccessFull { format, ..AccessFull::default() },
            AccessForm::Full(full) => full,
        };
        Self { format: full.format, to: full.to, fields: full.fields }
    }
}

/// Which requests are remembered for a while, so that one can ask what became of them. Each worker remembers its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Decisions {
    /// So many of the latest, on each worker; 0 keeps only failures.
    #[schemars(range(min = 0, max = 65_536))]
    pub keep: u32,
    /// At most so many of them in a second, so that what is remembered reaches back for some seconds however much there is to do.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rate: u32,
    /// So many of the latest that failed, were tried more than once or took long, on each worker: kept apart, so that those
    /// that went well do not push them out. All of them, whatever `rate` says. 0 treats them like the others.
    #[schemars(range(min = 0, max = 65_536))]
    pub failures: u32,
    /// What takes long, from the request's first byte to the last of its answer.
    pub slow: TimeSpan,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { keep: 1_024, rate: 100, failures: 1_024, slow: TimeSpan::from_secs(1) }
    }
}

/// Keeps earlier configurations on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct History {
    /// The folder they are kept in; a relative path starts at the folder of the configuration.
    #[schemars(length(min = 1))]
    pub folder: String,
    /// How many.
    #[serde(default = "default_keep")]
    #[schemars(range(min = 1, max = 10_000))]
    pub keep: u32,
}

const fn default_keep() -> u32 {
    20
}
