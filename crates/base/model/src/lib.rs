//! The configuration: text → [`document::Document`] (as written) → [`Model`] (checked) → [`Snapshot`] (numbered, immutable).
//!
//! Always true here: a [`Model`] exists only if everything in it was checked; all that is wrong is reported at once,
//! with its place and a way out; the value of a secret or of an environment variable is in no message; what is read is
//! bounded ([`limits`]). The only I/O is reading the configuration and the secrets it names.
//!
//! Not here: what balancers, filters and handlers there are ([`document::KindCatalog`] brings them), and putting a model
//! to use.

mod check;
pub mod diagnostic;
pub mod document;
pub mod limits;
mod load;
pub mod model;
mod output;
mod text;

pub use check::{BadEndpoint, Findings, check_zone, parse_endpoint, read_other, read_other_bytes};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::{
    CertificateCheck, CertificateUse, KindCatalog, KindEntry, OcspProblem, SettingsProblem, Validity, schema,
};
pub use load::{Loaded, check_bytes, check_file, load, load_bytes, load_file};
pub use model::{Model, Snapshot};
pub use output::{Change, ChangeKind, FormatError, diff, format, reference_markdown, render_full};
