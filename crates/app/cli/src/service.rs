//! What the service manager is told (systemd, `sd_notify(3)`): one datagram each, if it wants to hear.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where it listens: a path, or a name behind an `@`.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Traffic is served, and this is the process to watch: it may be the successor of one that was.
pub(crate) fn ready() {
    tell(&format!("READY=1\nMAINPID={}\n", std::process::id()));
}

/// The end has begun.
pub(crate) fn stopping() {
    tell("STOPPING=1\n");
}

fn tell(what: &str) {
    let Some(place) = std::env::var_os(VARIABLE) else { return };
    if let Err(error) = send(&place, what.as_bytes()) {
        tracing::warn!(target: "aya::node", %error, "the service manager cannot be told ({VARIABLE})");
    }
}

fn send(place: &OsStr, what: &[u8]) -> io::Result<()> {
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(place)?,
    };
    UnixDatagram::unbound()?.send_to_addr(what, &address).map(drop)
}
