//! The log and the workers' ends of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use thiserror::Error;

use super::format::AccessLayout;
use super::record::AccessRecord;
use super::thread::{Batch, Message, Open, Shared, WriterThread};
use crate::metrics::Registry;

/// For `custom_flags`, which takes the system's number.
const O_NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// A new file says who asked for what: it is for its owner and a group that collects logs.
const FILE_MODE: u32 = 0o640;

/// A batch goes to the writing thread when it has this many bytes: large enough that a system call a batch costs nothing,
/// small enough for the batches of many workers to stay in cache.
const BATCH_BYTES: usize = 32 * 1024;

/// Batches that may wait for the target, over all workers: 4 MiB, about a second of a disk's hiccup at 20,000 lines/s.
const QUEUE_BATCHES: usize = 128;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; made if it is not there.
    File(PathBuf),
}

/// Why a log could not be started.
#[derive(Debug, Error)]
pub enum AccessLogError {
    /// The target cannot be opened.
    #[error(
        "cannot open the access log {target}: {source}; mend the folder and its permissions or change `logs.access.to`"
    )]
    Open {
        /// The target, for people.
        target: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no thread to be had.
    #[error("cannot start the access log's thread: {0}")]
    Thread(io::Error),
}

/// An access log with its thread. When it and all its writers are dropped, what is queued is written and the thread ends.
#[derive(Debug)]
pub struct AccessLog {
    layout: Arc<AccessLayout>,
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    thread: WriterThread,
}

impl AccessLog {
    /// Opens the target and starts the thread.
    ///
    /// # Errors
    /// If the target cannot be opened. A target that fails later is retried instead.
    pub fn start(
        target: &AccessTarget,
        layout: AccessLayout,
        registry: &Registry,
    ) -> Result<Self, AccessLogError> {
        Self::start_with(target.opener(), target.to_string(), layout, registry, QUEUE_BATCHES)
    }

    pub(super) fn start_with(
        mut open: Open,
        target: String,
        layout: AccessLayout,
        registry: &Registry,
        queue_batches: usize,
    ) -> Result<Self, AccessLogError> {
        let first = open().map_err(|source| AccessLogError::Open { target: target.clone(), source })?;
        let (queue, receiver) = sync_channel(queue_batches);
        let shared = Arc::new(Shared::new(registry));
        let thread = WriterThread::start(receiver, shared.clone(), open, first, target)
            .map_err(AccessLogError::Thread)?;
        Ok(Self { layout: Arc::new(layout), queue, shared, thread })
    }

    /// A worker's end of it.
    pub fn writer(&self) -> AccessWriter {
        AccessWriter {
            layout: self.layout.clone(),
            queue: self.queue.clone(),
            shared: self.shared.clone(),
            batch: self.shared.spare_buffer(),
            lines: 0,
        }
    }

    /// Has the target opened anew before the next batch is written, for instance because the file was renamed.
    pub fn reopen(&self) {
        self.shared.ask_to_reopen();
        self.wake();
    }

    /// Lines lost so far.
    pub fn dropped_lines(&self) -> u64 {
        self.shared.dropped_lines()
    }

    /// Writes what is queued and ends the thread. Workers are to flush before; their later lines are lost and counted.
    /// A target that does not take the rest within `patience` is given up. True if all of it was written.
    pub fn close(self, patience: Duration) -> bool {
        self.shared.ask_to_stop();
        self.wake();
        self.thread.wait(patience)
    }

    /// The thread may wait for a batch or for a failing target. If the queue is full, it is awake anyway.
    fn wake(&self) {
        let _ = self.queue.try_send(Message::Wake);
        self.thread.unpark();
    }
}

impl AccessTarget {
    fn opener(&self) -> Open {
        match self.clone() {
            // A descriptor of our own, without the buffer of `std::io::Stdout`: what a failed write has taken is then known.
            Self::Stdout => Box::new(|| Ok(Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)))),
            Self::Stderr => Box::new(|| Ok(Box::new(File::from(io::stderr().as_fd().try_clone_to_owned()?)))),
            Self::File(path) => Box::new(move || Ok(Box::new(open_file(&path)?))),
        }
    }
}

/// Opens without waiting: a FIFO that nobody reads is an error, not a standstill.
fn open_file(path: &std::path::Path) -> io::Result<File> {
    let file =
        OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(O_NONBLOCK).open(path)?;
    let flags = rustix::fs::fcntl_getfl(&file)? - rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&file, flags)?;
    Ok(file)
}

impl std::fmt::Display for AccessTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A worker's end of the log. Never waits.
#[derive(Debug)]
pub struct AccessWriter {
    layout: Arc<AccessLayout>,
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    batch: Vec<u8>,
    lines: u64,
}

impl AccessWriter {
    /// Adds a line. The batch is handed over when it is full.
    pub fn record(&mut self, record: &AccessRecord<'_>) {
        self.layout.write(record, &mut self.batch);
        self.lines += 1;
        if self.batch.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Hands over what there is; to be called now and then, so that lines of a quiet time do not wait for a busy one.
    pub fn flush(&mut self) {
        if self.lines == 0 {
            return;
        }
        let bytes = std::mem::replace(&mut self.batch, self.shared.spare_buffer());
        let lines = std::mem::take(&mut self.lines);
        if let Err(refused) = self.queue.try_send(Message::Batch(Batch { bytes, lines })) {
            self.shared.drop_lines(lines);
            self.shared.recycle_refused(refused);
        }
    }
}

impl Drop for AccessWriter {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests;
