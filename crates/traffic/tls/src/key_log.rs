//! The secrets of connections, written down for tools that decrypt recorded traffic.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Only for the owner: whoever reads it reads everything.
const MODE: u32 = 0o600;

/// A file in the format of `SSLKEYLOGFILE`.
#[derive(Debug)]
pub(crate) struct KeyLog(Mutex<File>);

impl KeyLog {
    /// Opens it for appending; makes it if it is not there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
        Ok(Self(Mutex::new(file)))
    }
}

impl rustls::KeyLog for KeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A connection is not to fail for it.
        let _ = file.write_all(line.as_bytes());
    }
}
