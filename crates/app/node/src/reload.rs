//! Following the configuration file, and the files that it names.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base_model::limits::MAX_SOURCE_BYTES;

use crate::node::{Node, Origin};

/// How often the file is looked at. Looking works on every file system and through every way of replacing a file; a
/// notification would have to follow renames and links.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// For `custom_flags`, which takes the system's number.
const O_NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// What tells one state of a file from the next without reading it. What is neither a regular file nor a folder has none.
type Stamp = (u64, u64, i64, i64, u64);

/// How often the files that a configuration names are looked at: there may be thousands, and they change once in weeks.
const LOOKS_PER_LOOK_AT_OTHERS: u32 = 4;

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok().filter(|meta| meta.is_file() || meta.is_dir())?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()))
}

/// Applies the file whenever it or one that it names changes, until the node stops. A file that is being written is left alone until it rests.
pub async fn follow_file(node: Node, path: PathBuf) {
    let mut applied = stamp(&path);
    let mut seen = applied;
    let mut others = Others::of(&node);
    let mut stopped = node.0.stopped.subscribe();
    for look in 1_u32.. {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let now = stamp(&path);
        let rests = now == seen;
        seen = now;
        let is_changed = rests && now.is_some() && now != applied;
        let others_changed = look.is_multiple_of(LOOKS_PER_LOOK_AT_OTHERS) && others.have_changed(&node);
        if is_changed || (others_changed && rests) {
            applied = now;
            apply_file(&node, &path).await;
            others.note_applied(&node);
        }
    }
}

/// The files that the configuration in use was read from besides its own.
struct Others {
    files: Arc<[PathBuf]>,
    applied: Vec<Option<Stamp>>,
    seen: Vec<Option<Stamp>>,
}

impl Others {
    fn of(node: &Node) -> Self {
        let files = node.files();
        let now: Vec<_> = files.iter().map(|path| stamp(path)).collect();
        Self { files, applied: now.clone(), seen: now }
    }

    /// Whether they are other than they were, and rest.
    fn have_changed(&mut self, node: &Node) -> bool {
        // What came through the API names others.
        if *self.files != *node.files() {
            *self = Self::of(node);
        }
        let now: Vec<_> = self.files.iter().map(|path| stamp(path)).collect();
        let rest = now == self.seen;
        self.seen = now;
        rest && self.seen != self.applied
    }

    /// What was seen last is in use, or was refused. What has changed while it was read will be seen.
    fn note_applied(&mut self, node: &Node) {
        if self.files == node.files() {
            self.applied.clone_from(&self.seen);
        } else {
            *self = Self::of(node);
        }
    }
}

/// Applies the file as it is now, and says what came of it.
pub async fn apply_file(node: &Node, path: &Path) {
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_regular(&file)).await;
    match read.unwrap_or_else(|fault| Err(io::Error::other(fault))) {
        // What comes of it is logged where it is applied.
        Ok(source) => drop(node.apply_source(&source, &path.display().to_string(), Origin::File, None).await),
        Err(error) => {
            node.count_rejected();
            tracing::error!(target: "aya::config", path = %path.display(), %error, "not readable; the configuration in use stays");
        }
    }
}

/// Reads a file that has an end and can be read again: no pipe, no device, not more than a configuration may hold.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    // Without waiting for whoever is to write into a pipe: that it is one shows only afterwards.
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file, which is only read at the start"));
    }
    let mut source = Vec::new();
    // One byte more than allowed: what is too long is then refused with the message that says so.
    file.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut source)?;
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_length_are_read() {
        let folder = std::env::temp_dir().join(format!("aya-reload-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (short, long, pipe) = (folder.join("short"), folder.join("long"), folder.join("pipe"));
        fs::write(&short, "a").unwrap();
        fs::File::create(&long).unwrap().set_len(MAX_SOURCE_BYTES as u64 * 4).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read_regular(&short).unwrap(), b"a");
        assert_eq!(read_regular(&long).unwrap().len(), MAX_SOURCE_BYTES + 1);
        for other in [pipe.as_path(), Path::new("/dev/zero")] {
            assert!(read_regular(other).is_err(), "{}", other.display());
            assert_eq!(stamp(other), None, "it is not followed");
        }
        assert!(read_regular(&folder).is_err());
        assert!(stamp(&short).is_some());
        fs::remove_dir_all(folder).unwrap();
    }
}
