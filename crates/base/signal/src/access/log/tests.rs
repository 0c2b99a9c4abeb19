use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::access::format::AccessFormat;
use crate::metrics::Registry;

/// Long enough that only a fault makes a test wait so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A target that tests look into, hold up and make fail.
#[derive(Clone, Default)]
struct Target {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Taken one before each write, if there are any left.
    failures: Arc<Mutex<Vec<io::ErrorKind>>>,
    /// Most bytes that one write takes; 0 is without limit.
    at_most: usize,
}

impl Target {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }

    fn opener(&self) -> Open {
        let target = self.clone();
        Box::new(move || Ok(Box::new(target.clone())))
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.failures.lock().unwrap().pop() {
            return Err(kind.into());
        }
        let count = if self.at_most == 0 { bytes.len() } else { bytes.len().min(self.at_most) };
        self.bytes.lock().unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A target that says when a write begins and then waits to be let go.
struct Gate {
    entered: Sender<()>,
    go: Receiver<()>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.go.recv_timeout(PATIENCE);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn paths() -> AccessLayout {
    AccessLayout::new(AccessFormat::Text, &["path"]).unwrap()
}

fn record(writer: &mut AccessWriter, path: &str) {
    writer.record(&AccessRecord { path: path.as_bytes(), ..AccessRecord::default() });
}

fn start(target: &Target, queue_batches: usize) -> (AccessLog, Registry) {
    let registry = Registry::new();
    let log =
        AccessLog::start_with(target.opener(), "test".into(), paths(), &registry, queue_batches).unwrap();
    (log, registry)
}

fn metric(registry: &Registry, name: &str) -> u64 {
    let text = registry.render();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    value.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

/// Waits for a condition, not for a time.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never came true: {what}");
}

#[test]
fn a_worker_s_lines_keep_their_order_and_none_is_lost() {
    const LINES: usize = 20_000;
    let target = Target { at_most: 1_000, ..Target::default() };
    let (log, registry) = start(&target, 10_000);
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let mut writer = log.writer();
            scope.spawn(move || (0..LINES).for_each(|line| record(&mut writer, &format!("{worker}/{line}"))));
        }
    });
    assert!(log.close(PATIENCE));
    let text = target.text();
    for worker in 0..3 {
        let prefix = format!("path={worker}/");
        let own = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        assert!(own.eq((0..LINES).map(|line| line.to_string())), "worker {worker}");
    }
    assert_eq!(metric(&registry, "aya_access_log_lines_total"), 3 * LINES as u64);
    assert_eq!(metric(&registry, "aya_access_log_dropped_lines_total"), 0);
}

#[test]
fn a_full_queue_drops_whole_batches_and_counts_their_lines() {
    let (entered, has_entered) = channel();
    let (go, may_go) = channel();
    let mut gate = Some(Gate { entered, go: may_go });
    let open: Open =
        Box::new(move || gate.take().map(|gate| Box::new(gate) as _).ok_or(io::ErrorKind::NotFound.into()));
    let registry = Registry::new();
    let log = AccessLog::start_with(open, "test".into(), paths(), &registry, 2).unwrap();
    let mut writer = log.writer();
    record(&mut writer, "in the write that hangs");
    writer.flush();
    has_entered.recv_timeout(PATIENCE).unwrap();
    // Two batches fit into the queue; the lines of all further ones are lost, without waiting.
    for lines in [1, 2, 3, 40, 500] {
        (0..lines).for_each(|_| record(&mut writer, "x"));
        writer.flush();
    }
    assert_eq!(log.dropped_lines(), 543);
    (0..3).for_each(|_| go.send(()).unwrap());
    eventually("the queue is written", || metric(&registry, "aya_access_log_lines_total") == 4);
    drop(go);
    record(&mut writer, "room again");
    writer.flush();
    eventually("the line is written", || metric(&registry, "aya_access_log_lines_total") == 5);
    assert!(log.close(PATIENCE));
    record(&mut writer, "too late");
    writer.flush();
    assert_eq!(metric(&registry, "aya_access_log_dropped_lines_total"), 544);
}

#[test]
fn a_batch_is_handed_over_when_it_is_full() {
    let target = Target::default();
    let (log, _) = start(&target, 16);
    let mut writer = log.writer();
    for _ in 0..=BATCH_BYTES / 100 {
        record(&mut writer, &"x".repeat(100));
    }
    eventually("a full batch is written", || target.text().len() >= BATCH_BYTES);
}

#[test]
fn what_is_left_is_written_when_all_is_dropped() {
    let target = Target::default();
    let (log, _) = start(&target, 16);
    let mut writer = log.writer();
    record(&mut writer, "last");
    drop(log);
    drop(writer);
    eventually("the last line is written", || target.text() == "path=last\n");
}

#[test]
fn a_failing_disk_is_counted_and_tried_again() {
    let target = Target { at_most: 7, ..Target::default() };
    target.failures.lock().unwrap().extend([
        io::ErrorKind::StorageFull,
        io::ErrorKind::Interrupted,
        io::ErrorKind::WouldBlock,
        io::ErrorKind::BrokenPipe,
    ]);
    let (log, registry) = start(&target, 16);
    let mut writer = log.writer();
    record(&mut writer, "first");
    record(&mut writer, "second");
    writer.flush();
    eventually("the lines are written", || target.text() == "path=first\npath=second\n");
    assert!(log.close(PATIENCE));
    assert_eq!(metric(&registry, "aya_access_log_errors_total"), 2);
    assert_eq!(metric(&registry, "aya_access_log_dropped_lines_total"), 0);
}

#[test]
fn a_full_disk_does_not_keep_the_process_from_stopping() {
    let full = AccessTarget::File("/dev/full".into());
    let registry = Registry::new();
    let log = AccessLog::start(&full, paths(), &registry).unwrap();
    let mut writer = log.writer();
    record(&mut writer, "lost");
    record(&mut writer, "lost");
    writer.flush();
    assert!(!log.close(PATIENCE));
    assert_eq!(metric(&registry, "aya_access_log_dropped_lines_total"), 2);
    assert!(metric(&registry, "aya_access_log_errors_total") >= 1);
}

#[test]
fn a_renamed_file_is_left_alone_after_reopening() {
    let folder = std::env::temp_dir().join(format!("aya-access-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (path, old) = (folder.join("access.log"), folder.join("access.log.1"));
    let registry = Registry::new();
    let log = AccessLog::start(&AccessTarget::File(path.clone()), paths(), &registry).unwrap();
    let mut writer = log.writer();
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_default();

    record(&mut writer, "before");
    writer.flush();
    eventually("the first line is written", || read(&path) == "path=before\n");
    std::fs::rename(&path, &old).unwrap();
    record(&mut writer, "between");
    writer.flush();
    eventually("the renamed file is still written", || read(&old) == "path=before\npath=between\n");
    log.reopen();
    eventually("a new file is there without a line to write", || path.exists());
    record(&mut writer, "after");
    writer.flush();
    assert!(log.close(PATIENCE));
    assert_eq!(read(&path), "path=after\n");
    assert_eq!(read(&old), "path=before\npath=between\n");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_target_that_cannot_be_opened_is_said_at_the_start() {
    let missing = AccessTarget::File("/nonexistent/folder/access.log".into());
    let error = AccessLog::start(&missing, paths(), &Registry::new()).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/folder/access.log"), "{error}");
}

#[test]
fn buffers_are_used_again() {
    let target = Target::default();
    let (log, _) = start(&target, 16);
    let mut writer = log.writer();
    record(&mut writer, "a");
    let buffer = writer.batch.as_ptr();
    writer.flush();
    eventually("the buffer is back", || {
        let spare = log.shared.spare_buffer();
        spare.as_ptr() == buffer
    });
}

#[test]
fn a_new_file_is_not_for_everybody_and_one_that_cannot_be_opened_has_a_way_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::temp_dir().join(format!("aya-access-mode-{}.log", std::process::id()));
    let start = |path: &std::path::Path| {
        let layout = AccessLayout::standard(AccessFormat::Json);
        AccessLog::start(&AccessTarget::File(path.to_owned()), layout, &Registry::new())
    };
    assert!(start(&path).unwrap().close(PATIENCE));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777 & !FILE_MODE, 0);
    std::fs::remove_file(&path).unwrap();
    let error = start(&path.join("below")).unwrap_err().to_string();
    assert!(error.contains("logs.access.to"), "{error}");
}
