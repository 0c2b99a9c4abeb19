//! Files that a configuration names, read while it is checked.

pub(super) mod certificates;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// What to do where the system gives no file.
pub(super) const CHECK_PATH: &str =
    "check path and permissions; relative paths start at the folder of the configuration";

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The system says no, or it is not text.
    System(io::Error),
    /// A pipe or a device may never end, and a running Aya must not wait for it.
    NotRegular,
    TooLong,
}

/// Reads a regular file of text, of at most this many bytes.
pub(super) fn read_regular(path: &Path, limit: u64) -> Result<String, Unreadable> {
    let not_text = |error| Unreadable::System(io::Error::new(io::ErrorKind::InvalidData, error));
    String::from_utf8(read_regular_bytes(path, limit)?).map_err(not_text)
}

/// Reads a regular file of at most this many bytes.
pub(super) fn read_regular_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, Unreadable> {
    // Without it, opening a pipe waits for somebody who writes.
    let not_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(not_waiting).open(path).map_err(Unreadable::System)?;
    if !file.metadata().map_err(Unreadable::System)?.is_file() {
        return Err(Unreadable::NotRegular);
    }
    let mut bytes = Vec::new();
    let length = file.take(limit + 1).read_to_end(&mut bytes).map_err(Unreadable::System)?;
    if length as u64 > limit { Err(Unreadable::TooLong) } else { Ok(bytes) }
}
