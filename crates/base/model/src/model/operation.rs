//! Running it.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What concerns the process, not a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Worker threads; `None` is one per usable core.
    pub workers: Option<NonZeroUsize>,
    /// What drives the sockets.
    pub io: Driver,
    /// Whether workers look out for more before they sleep.
    pub busy_poll: bool,
    /// How long running requests may take to end when Aya stops, or when a listener goes.
    pub drain: Duration,
    /// The admin port, if any.
    pub admin: Option<Admin>,
    /// Access log, if any.
    pub access_log: Option<AccessLog>,
    /// Aya's own messages.
    pub log_level: LogLevel,
    /// Which requests are remembered, if any.
    pub decisions: Option<Decisions>,
    /// Earlier configurations, if they are kept.
    pub history: Option<History>,
}

/// The admin port.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// On loopback no token is needed; elsewhere one is there.
    pub bind: SocketAddr,
    /// The bearer token.
    pub token: Option<Secret>,
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps the value.
    pub fn new(value: &str) -> Self {
        Self(value.into())
    }

    /// Stands for one that was only checked for and is not there. Whatever is compared with it differs: it holds what
    /// no header field can.
    pub(crate) fn missing() -> Self {
        Self::new("\0")
    }

    /// Whether it stands for one that was only checked for.
    pub(crate) fn is_missing(&self) -> bool {
        *self == Self::missing()
    }

    /// The value itself; for comparing and sending, never for printing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where and how requests are logged.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// One line a request.
    pub format: LogFormat,
    /// Where to.
    pub target: LogTarget,
    /// Names of the fields, in order; checked against the fields there are. Empty means the default ones.
    pub fields: Vec<Arc<str>>,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `name=value` pairs, values quoted where needed.
    Text,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file; opened again on SIGUSR1.
    File(PathBuf),
}

/// Which requests each worker remembers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decisions {
    /// How many of the latest.
    pub keep: usize,
    /// How many of them in a second; at least 1.
    pub rate: u32,
    /// How many of the latest that failed, were tried more than once or were slow; 0 treats them like the others.
    pub failures: usize,
    /// From how long on a request is slow.
    pub slow: Duration,
}

/// What drives the sockets of the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring where the kernel has it and allows it, else epoll.
    Auto,
    /// epoll.
    Epoll,
    /// io_uring, or Aya does not start.
    IoUring,
}

/// How much Aya says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Earlier configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The folder they are kept in.
    pub folder: PathBuf,
    /// How many.
    pub keep: u32,
}
