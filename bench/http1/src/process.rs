//! A proxy, or the backend without one, as a child process: started on its core, measured, ended.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base_kit::{Clock, MonotonicClock};
use rustix::process::{Pid, Signal};

/// How long a child may take to end when asked to.
const GRACE: Duration = Duration::from_secs(3);
/// How often a condition is looked at while waiting for it.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// Time for a counter of system calls to attach, during which no request is sent.
const ATTACHING: Duration = Duration::from_millis(600);

/// This program, even if its file has been replaced by a newer build since it was started.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// A child of this program; ends when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` on a core; what it says goes to the file `log`.
    pub(crate) fn start(core: usize, command: &[OsString], log: &Path) -> Result<Self> {
        let file = File::create(log)?;
        let child = launcher(core, command).stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { child })
    }

    /// Starts a role of this program that says where it listens, at `addresses` places.
    pub(crate) fn start_role(
        core: usize,
        role: &[&str],
        addresses: usize,
    ) -> Result<(Self, Vec<SocketAddr>)> {
        let mut command = vec![OsString::from(OWN_PROGRAM)];
        command.extend(role.iter().map(OsString::from));
        let mut child = launcher(core, &command).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output from a child")?;
        let process = Self { child };
        let mut listening = Vec::new();
        for line in BufReader::new(output).lines().take(addresses) {
            let line = line?;
            let address = line.strip_prefix("listening ").context("a child did not say where it listens")?;
            listening.push(address.parse()?);
        }
        if listening.len() < addresses {
            bail!("{role:?} ended before it listened");
        }
        Ok((process, listening))
    }

    /// Fails if the child has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("ended with {status}"),
        }
    }

    /// Processor time of all threads of the child and its children. Nanoseconds from the scheduler, or what
    /// `stat` says (in hundredths of a second) on kernels that do not tell.
    pub(crate) fn cpu_time(&self) -> Duration {
        let nanos: u64 = self.threads().iter().map(|thread| scheduler_nanos(thread)).sum();
        if nanos > 0 {
            return Duration::from_nanos(nanos);
        }
        let ticks: u64 = self.threads().iter().map(|thread| stat_ticks(thread)).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory of the child and its children, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.pids().iter().map(|pid| resident_kib(*pid)).sum()
    }

    /// System calls made while `work` runs, in which all requests start and end; `None` if neither `perf`
    /// nor `strace` can count them here.
    pub(crate) fn count_system_calls(
        &self,
        folder: &Path,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<Option<u64>> {
        let pids: Vec<String> = self.pids().iter().map(u32::to_string).collect();
        let pids = pids.join(",");
        let report = folder.join("calls");
        let mut counter = if can_use_perf() {
            let mut perf = Command::new("perf");
            perf.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pids, "-o"]).arg(&report);
            perf
        } else {
            let mut strace = Command::new("strace");
            strace.args(["-c", "-f", "-o"]).arg(&report).args(["-p", &pids]);
            strace
        };
        let _ = fs::remove_file(&report);
        let counter = counter.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = counter else { return Ok(None) };
        let mut counter = Self { child };
        std::thread::sleep(ATTACHING);
        let worked = work();
        counter.end(Signal::INT);
        worked?;
        Ok(counted_calls(&fs::read_to_string(&report).unwrap_or_default()))
    }

    /// The child and its children, however deep.
    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = pids.get(next).copied() {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
            next += 1;
        }
        pids
    }

    /// The folder in `/proc` of each thread.
    fn threads(&self) -> Vec<std::path::PathBuf> {
        let tasks = self.pids().into_iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        tasks.flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// Asks to end, waits, and insists after a while.
    fn end(&mut self, signal: Signal) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let pids = self.pids();
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), signal);
        let deadline = MonotonicClock.now() + GRACE;
        while MonotonicClock.now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        for pid in pids.into_iter().filter_map(|pid| Pid::from_raw(pid as i32)) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Signal::TERM);
    }
}

fn launcher(core: usize, command: &[OsString]) -> Command {
    let mut launcher = Command::new(OWN_PROGRAM);
    launcher.args(["launch", "--core", &core.to_string(), "--"]).args(command).stdin(Stdio::null());
    launcher
}

fn scheduler_nanos(thread: &Path) -> u64 {
    let text = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// User and system time of a thread: fields 14 and 15, of which the name in parentheses may hold blanks.
fn stat_ticks(thread: &Path) -> u64 {
    let text = fs::read_to_string(thread.join("stat")).unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// `perf` disturbs least, but only some users on some machines may count system calls with it.
fn can_use_perf() -> bool {
    let probe = Command::new("perf")
        .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "true"])
        .stdin(Stdio::null())
        .output();
    probe.is_ok_and(|output| {
        output.status.success() && counted_calls(&String::from_utf8_lossy(&output.stderr)).is_some()
    })
}

/// The sum in the report of `perf stat -x,` or of `strace -c`.
fn counted_calls(report: &str) -> Option<u64> {
    report.lines().find_map(|line| {
        if line.contains("raw_syscalls:sys_enter") {
            line.split(',').next()?.parse().ok()
        } else if line.ends_with(" total") {
            line.split_whitespace().nth(3)?.parse().ok()
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counters_are_understood() {
        let perf = "# started\n\n80123,,raw_syscalls:sys_enter,200000,100.00,,\n";
        assert_eq!(counted_calls(perf), Some(80_123));
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
                      100.00    0.104404           5     20844         3 total\n";
        assert_eq!(counted_calls(strace), Some(20_844));
        assert_eq!(counted_calls("<not counted>,,raw_syscalls:sys_enter,0,100.00,,"), None);
    }

    #[test]
    fn a_thread_is_found_in_proc() {
        assert!(resident_kib(std::process::id()) > 0);
    }
}
