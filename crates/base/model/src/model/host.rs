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

/// Which hosts. All names are in lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This one.
    Exact(Arc<str>),
    /// `*.example.com` is kept as `example.com`: at least one label in front of it.
    Below(Arc<str>),
}
