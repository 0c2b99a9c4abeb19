//! Other programs: started, watched, signalled, and ended with their value.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::time::{Stopwatch, wait_for};

pub use rustix::process::Signal;

/// In which the kernel tells programs CPU times (`USER_HZ`), whatever it counts in itself.
const TICKS_PER_SECOND: u64 = 100;

/// A running program whose output is kept. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    readers: Vec<JoinHandle<()>>,
    out: Output,
    err: Output,
}

type Output = Arc<Mutex<Vec<u8>>>;

/// How a program ended, and what it said.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now, in bytes.
    pub resident: u64,
    /// The most that was ever resident, in bytes.
    pub peak: u64,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (out, err) = (Output::default(), Output::default());
        let readers = vec![
            collect(child.stdout.take().expect("stdout is piped"), Arc::clone(&out)),
            collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&err)),
        ];
        Self { name, child, ended: None, readers, out, err }
    }

    /// Starts it and waits for its end.
    ///
    /// # Panics
    /// When it cannot be started, or does not end within `patience`.
    pub fn run(command: Command, patience: Duration) -> Ended {
        Self::start(command).wait(patience)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.out)
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.err)
    }

    /// Sends a signal; nothing happens when it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.exit_status().is_none()
            && let Some(id) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            // It may end between the look and the signal.
            let _ = rustix::process::kill_process(id, signal);
        }
    }

    /// How it ended; `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come within `patience`.
    pub fn wait(mut self, patience: Duration) -> Ended {
        assert!(
            self.ends_within(patience),
            "{} still runs after {patience:?}; it said:\n{}{}",
            self.name,
            self.stdout(),
            self.stderr()
        );
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        let code = self.exit_status().and_then(|status| status.code());
        Ended { code, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Whether it ends within this time.
    pub fn ends_within(&mut self, patience: Duration) -> bool {
        let watch = Stopwatch::start();
        while self.exit_status().is_none() {
            if watch.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Waits until a line of its standard error holds `part`, and gives that line.
    ///
    /// # Panics
    /// When the program ends without it, or the line does not come.
    pub fn wait_for_line(&mut self, part: &str) -> String {
        wait_for(&format!("{} to say {part:?}", self.name), || {
            let ended = self.exit_status();
            if let Some(line) = self.stderr().lines().find(|line| line.contains(part)) {
                return Some(line.to_owned());
            }
            assert!(ended.is_none(), "{} ended ({ended:?}) and said:\n{}", self.name, self.stderr());
            None
        })
    }

    /// What it holds of the machine's memory.
    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kilobytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default()
        };
        Memory { resident: kilobytes("VmRSS:") * 1024, peak: kilobytes("VmHWM:") * 1024 }
    }

    /// Forgets the most that was ever resident: from now on [`Memory::peak`] is the most since now.
    pub fn forget_peak(&self) {
        // Where the kernel does not do it, the peak stays too high, and no bound is found to hold that does not.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// CPU time it has used so far.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.child.id())
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Lowers its limit of open files, for good.
    pub fn limit_files(&self, files: u64) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let limit = Rlimit { current: Some(files), maximum: Some(files) };
        prlimit(pid, Resource::Nofile, limit).unwrap_or_else(|error| panic!("cannot limit files: {error}"));
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id())).map_or(0, Iterator::count)
    }

    /// Kills it, at once and for sure.
    pub fn kill(&mut self) {
        if self.exit_status().is_none() {
            drop(self.child.kill());
            self.ended = self.child.wait().ok();
        }
    }
}

/// CPU time that a process has used so far, in user and kernel mode, of all its threads.
pub fn cpu_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; user and system time are fields 14 and 15 of all, 11 and 12 behind it.
    let behind = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = behind.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Raises this process's limit of open files as far as it may; gives what it is then. Programs that it starts inherit it.
pub fn raise_file_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // The readers end by themselves; a grandchild that holds the pipe must not hold the play.
    }
}

fn collect(mut pipe: impl Read + Send + 'static, into: Output) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..count]);
        }
    })
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
