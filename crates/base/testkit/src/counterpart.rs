//! Programs of others that Aya must get along with.

mod nginx;
mod python;
mod tools;

pub use nginx::Nginx;
pub use python::Python;
pub use tools::{Load, LoadReport, curl, load};
