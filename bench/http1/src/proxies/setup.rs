//! What every proxy is given: one core, connections kept alive on both sides, no access log, two endpoints in turn, the client's
//! address told to them. Else what each ships with.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::load::host_name;

/// Open connections that a proxy must bear: 10,000 clients and some.
pub(super) const MAX_CONNECTIONS: usize = 12_000;
/// Connections to endpoints that are kept while nothing uses them: more than there are clients in any case but the idle one.
pub(super) const MAX_IDLE: usize = 512;

/// Where a proxy stands.
pub(super) struct Site<'a> {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// In front of these.
    pub(super) backends: &'a [SocketAddr],
    pub(super) routes: Routes,
    /// Its own folder.
    pub(super) home: &'a Path,
}

/// How a proxy is started there.
#[derive(Default)]
pub(super) struct Setup {
    /// Name and text of each file in its folder.
    pub(super) files: Vec<(&'static str, String)>,
    pub(super) arguments: Vec<OsString>,
}

/// The routes Aya is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Routes {
    /// A few, the last of which takes everything.
    Few,
    /// One for each of so many hosts.
    Hosts(u64),
}

impl Site<'_> {
    /// A file in its folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// The addresses of the endpoints, each as `shape` has it.
    pub(super) fn each_backend(&self, shape: impl Fn(&SocketAddr) -> String) -> String {
        self.backends.iter().map(shape).collect()
    }
}

impl Setup {
    /// One file, which is the last argument.
    pub(super) fn of_file(site: &Site<'_>, name: &'static str, text: String, arguments: &[&str]) -> Self {
        let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        arguments.push(site.file(name).into());
        Self { files: vec![(name, text)], arguments }
    }
}

impl Routes {
    /// A word for file names.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Few => "few".to_owned(),
            Self::Hosts(count) => format!("{count}-hosts"),
        }
    }

    /// A host that has a route.
    pub(crate) fn some_host(self) -> String {
        host_name(0)
    }
}
