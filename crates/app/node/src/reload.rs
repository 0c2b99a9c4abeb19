//! Following the configuration file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::apply::ApplyOutcome;
use crate::node::{Node, Origin};

/// How often the file is looked at. Looking works on every file system and through every way of replacing a file; a
/// notification would have to follow renames and links.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What tells one state of a file from the next without reading it.
type Stamp = (u64, u64, i64, i64, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()))
}

/// Applies the file whenever it changes, until the node stops. A file that is being written is left alone until it rests.
pub async fn follow_file(node: Node, path: PathBuf) {
    let mut applied = stamp(&path);
    let mut seen = applied;
    let mut stopped = node.0.stopped.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        let now = stamp(&path);
        let rests = now == seen;
        seen = now;
        if rests && now.is_some() && now != applied {
            applied = now;
            apply_file(&node, &path).await;
        }
    }
}

/// Applies the file as it is now, and says what came of it.
pub async fn apply_file(node: &Node, path: &Path) {
    let source = match tokio::fs::read(path).await {
        Ok(source) => source,
        Err(error) => {
            tracing::error!(target: "aya::config", path = %path.display(), %error, "not readable; the configuration in use stays");
            return;
        }
    };
    match node.apply_source(&source, &path.display().to_string(), Origin::File, None).await {
        Ok(ApplyOutcome { generation, changed: true, .. }) => {
            tracing::info!(target: "aya::config", generation, "configuration applied");
        }
        Ok(_) => tracing::info!(target: "aya::config", "configuration unchanged"),
        Err(reason) => {
            tracing::error!(target: "aya::config", "configuration refused, the one in use stays\n{reason}");
        }
    }
}
