//! The one thread that writes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::metrics::{Counter, Registry, families};

/// How long a failing target is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How long a target that would block (a terminal or pipe that somebody else made non-blocking) is left alone.
const BLOCKED: Duration = Duration::from_millis(10);

/// Buffers kept for the next batches, over all workers.
const SPARE_BUFFERS: usize = 64;

/// A buffer that grew beyond this is not kept.
const SPARE_BYTES: usize = 128 * 1024;

/// Opens the target, again and again.
pub(super) type Open = Box<dyn FnMut() -> io::Result<Box<dyn Write + Send>> + Send>;

/// What the queue carries.
#[derive(Debug)]
pub(super) enum Message {
    Batch(Batch),
    /// Nothing but a reason to look at the flags.
    Wake,
}

/// Whole lines.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

/// What workers, control and the thread have in common.
#[derive(Debug)]
pub(super) struct Shared {
    must_reopen: AtomicBool,
    must_stop: AtomicBool,
    spare: Mutex<Vec<Vec<u8>>>,
    written: Counter,
    dropped: Counter,
    errors: Counter,
}

impl Shared {
    pub(super) fn new(registry: &Registry) -> Self {
        let shard = registry.shared_shard();
        Self {
            must_reopen: AtomicBool::new(false),
            must_stop: AtomicBool::new(false),
            spare: Mutex::default(),
            written: shard.counter(&families::ACCESS_LOG_LINES, &[]),
            dropped: shard.counter(&families::ACCESS_LOG_DROPPED, &[]),
            errors: shard.counter(&families::ACCESS_LOG_ERRORS, &[]),
        }
    }

    pub(super) fn ask_to_reopen(&self) {
        self.must_reopen.store(true, Ordering::Release);
    }

    pub(super) fn ask_to_stop(&self) {
        self.must_stop.store(true, Ordering::Release);
    }

    fn is_stopping(&self) -> bool {
        self.must_stop.load(Ordering::Acquire)
    }

    pub(super) fn drop_lines(&self, lines: u64) {
        self.dropped.add(lines);
    }

    pub(super) fn dropped_lines(&self) -> u64 {
        self.dropped.value()
    }

    /// A used buffer, or a new one. Somebody else at the spare ones is no reason to wait.
    pub(super) fn spare_buffer(&self) -> Vec<u8> {
        self.spare.try_lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default()
    }

    fn recycle(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        if bytes.capacity() > SPARE_BYTES {
            return;
        }
        if let Ok(mut spare) = self.spare.try_lock()
            && spare.len() < SPARE_BUFFERS
        {
            spare.push(bytes);
        }
    }

    pub(super) fn recycle_refused(&self, refused: TrySendError<Message>) {
        let (TrySendError::Full(message) | TrySendError::Disconnected(message)) = refused;
        if let Message::Batch(batch) = message {
            self.recycle(batch.bytes);
        }
    }
}

/// The running thread, seen from outside.
#[derive(Debug)]
pub(super) struct WriterThread {
    handle: JoinHandle<()>,
    /// Says once whether all lines were written.
    done: Receiver<bool>,
}

impl WriterThread {
    pub(super) fn start(
        queue: Receiver<Message>,
        shared: Arc<Shared>,
        open: Open,
        target: Box<dyn Write + Send>,
        name: String,
    ) -> io::Result<Self> {
        let (say_done, done) = sync_channel(1);
        let output = Output { shared, open, target, name, open_fails: false, write_fails: false };
        let handle = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || output.run(&queue, &say_done))?;
        Ok(Self { handle, done })
    }

    pub(super) fn unpark(&self) {
        self.handle.thread().unpark();
    }

    /// Waits for its end; false if it did not end in time or lost lines in ending.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        self.done.recv_timeout(patience).unwrap_or(false)
    }
}

/// The target, and what is known of it.
struct Output {
    shared: Arc<Shared>,
    open: Open,
    target: Box<dyn Write + Send>,
    name: String,
    open_fails: bool,
    write_fails: bool,
}

impl Output {
    fn run(mut self, queue: &Receiver<Message>, done: &SyncSender<bool>) {
        let mut is_complete = true;
        loop {
            let message = if self.shared.is_stopping() { queue.try_recv().ok() } else { queue.recv().ok() };
            let Some(message) = message else { break };
            self.reopen_if_asked();
            if let Message::Batch(batch) = message {
                is_complete &= self.write(&batch);
                self.shared.recycle(batch.bytes);
            }
        }
        // Nobody may be listening.
        let _ = done.try_send(is_complete);
    }

    /// Writes a batch, however long the target takes to accept it; gives up only when the log is to stop.
    fn write(&mut self, batch: &Batch) -> bool {
        let mut rest = batch.bytes.as_slice();
        while !rest.is_empty() {
            match self.target.write(rest) {
                Ok(0) => {
                    if !self.endure(&io::ErrorKind::WriteZero.into()) {
                        return self.give_up(batch, rest);
                    }
                }
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    self.write_works();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::park_timeout(BLOCKED),
                Err(error) => {
                    if !self.endure(&error) {
                        return self.give_up(batch, rest);
                    }
                }
            }
            if self.reopen_if_asked() {
                rest = from_line_start(&batch.bytes, rest.len());
            }
        }
        self.shared.written.add(batch.lines);
        true
    }

    /// Counts a failure, says so once, waits; false if there is no time left for that.
    fn endure(&mut self, error: &io::Error) -> bool {
        self.shared.errors.increment();
        if !std::mem::replace(&mut self.write_fails, true) {
            tracing::warn!(log = %self.name, %error, "the access log cannot be written; retrying, lines may be lost");
        }
        if self.shared.is_stopping() {
            return false;
        }
        std::thread::park_timeout(RETRY);
        true
    }

    fn write_works(&mut self) {
        if std::mem::take(&mut self.write_fails) {
            let dropped = self.shared.dropped_lines();
            tracing::info!(log = %self.name, dropped, "the access log can be written again");
        }
    }

    /// Counts the lines of a batch that were not written to their end.
    fn give_up(&self, batch: &Batch, rest: &[u8]) -> bool {
        let lost = rest.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.shared.drop_lines(lost);
        self.shared.written.add(batch.lines.saturating_sub(lost));
        false
    }

    /// True if the target is a new one. If it cannot be opened, the old one stays in use and the next batch tries again.
    fn reopen_if_asked(&mut self) -> bool {
        if !self.shared.must_reopen.swap(false, Ordering::AcqRel) {
            return false;
        }
        match (self.open)() {
            Ok(target) => {
                self.target = target;
                self.open_fails = false;
                true
            }
            Err(error) => {
                self.shared.errors.increment();
                self.shared.ask_to_reopen();
                if !std::mem::replace(&mut self.open_fails, true) {
                    tracing::warn!(log = %self.name, %error, "the access log cannot be opened again; the old file stays in use");
                }
                false
            }
        }
    }
}

/// What is left of a batch, from the start of the line that was begun: a new target gets whole lines.
fn from_line_start(bytes: &[u8], rest: usize) -> &[u8] {
    let written = bytes.len().saturating_sub(rest);
    let before = bytes.get(..written).unwrap_or_default();
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |place| place + 1);
    bytes.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_target_gets_whole_lines() {
        let bytes = b"one\ntwo\n";
        assert_eq!(from_line_start(bytes, 8), bytes);
        assert_eq!(from_line_start(bytes, 6), bytes);
        assert_eq!(from_line_start(bytes, 4), b"two\n");
        assert_eq!(from_line_start(bytes, 1), b"two\n");
        assert_eq!(from_line_start(bytes, 0), b"");
    }
}
