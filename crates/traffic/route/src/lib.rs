//! Which route takes a request: routes are compiled once, then looked up at a cost that depends on the request alone.
//!
//! | step | what wins |
//! |---|---|
//! | 1. host | exact name, then the longest `*.` suffix, then any host |
//! | 2. path | segment by segment from the left: a literal segment over `{name}` over `/**`; ending here over `/**`; then regular expressions; then `/**` at the root and no path at all |
//! | 3. further conditions | the more there are: methods, client, listeners (each counts once), every header, query parameter and cookie |
//! | 4. document | the earlier route |
//!
//! Where a candidate's further conditions fail, the next one in this order is tried, over all three host steps.
//!
//! Always true here: no I/O, no clock; a look-up allocates nothing (except for decoding values longer than 256 bytes);
//! hashes are keyed, so that names from outside cannot be chosen to collide. What a look-up costs does not grow with the
//! number of hosts, of routes with different paths, or of segments. It does grow with the routes of one host that have the
//! same path, or a regular expression for it: those are tried one by one.
//!
//! Not here: reading requests, running filters, choosing endpoints.

mod compile;
mod conditions;
mod error;
mod explain;
mod limits;
mod normal;
mod regexes;
mod request;
mod router;
mod split;
mod tables;
mod values;

pub use conditions::Loss;
pub use error::CompileError;
pub use explain::{Considered, Verdict};
pub use limits::{MAX_HOST_BYTES, MAX_PATH_SEGMENTS};
pub use normal::{AmbiguousPath, normalise};
pub use request::{CertificateView, FieldLookup, RequestView};
pub use router::Router;
pub use split::Split;
pub use tables::Passages;
pub use values::{any_cookie_value, any_query_value, without_quotes};
