//! Programs of others that Aya must get along with.

mod haproxy;
mod nginx;
mod origin;
mod python;
mod tools;

pub use haproxy::HaProxy;
pub use nginx::Nginx;
pub use origin::{ORIGINS, Origin, OriginKind, Seen, SeenBody};
pub use python::Python;
pub use tools::{Load, LoadReport, curl, is_program, load};
