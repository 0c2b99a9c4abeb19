//! Programs of others that Aya must get along with.

mod authority;
mod haproxy;
mod nginx;
mod node;
mod origin;
mod packages;
mod python;
mod tools;

pub use authority::{Authority, Issued, Wanted};
pub use haproxy::HaProxy;
pub use nginx::Nginx;
pub use node::Node;
pub use origin::{ORIGINS, Origin, OriginKind, Seen, SeenBody};
pub use python::Python;
pub use tools::{Load, LoadReport, curl, is_program, load};
