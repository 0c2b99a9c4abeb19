//! How machines are called.

use std::net::IpAddr;
use std::sync::Arc;

/// How an endpoint's machine is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// By address.
    Ip(IpAddr),
    /// By a name that is looked up again and again.
    Name(Arc<str>),
}
