//! What the kernel knows about the process, read from `/proc` at each scrape. What cannot be read is left out.

use std::fs;

use super::families;
use super::samples::Samples;

/// `USER_HZ`, the unit of times in `/proc`: part of the kernel's interface, 100 on every architecture Aya is built for.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn collect(samples: &mut Samples) {
    samples.level(&families::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
    if let Some(times) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Times::parse) {
        samples.number(&families::PROCESS_CPU, &[], times.cpu_ticks as f64 / TICKS_PER_SECOND);
        if let Some(boot) = boot_seconds() {
            let started = boot as f64 + times.start_ticks as f64 / TICKS_PER_SECOND;
            samples.number(&families::PROCESS_START_TIME, &[], started);
        }
    }
    if let Some(kibibytes) = number_after("/proc/self/status", "VmRSS:") {
        samples.level(&families::PROCESS_MEMORY, &[], kibibytes.saturating_mul(1024));
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the descriptor that reads the folder.
        let open = entries.count().saturating_sub(1);
        samples.level(&families::PROCESS_OPEN_FILES, &[], i64::try_from(open).unwrap_or(i64::MAX));
    }
    if let Some(most) = number_after("/proc/self/limits", "Max open files") {
        samples.level(&families::PROCESS_MAX_FILES, &[], most);
    }
}

/// Times of a process, in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    cpu_ticks: u64,
    /// After the machine's start.
    start_ticks: u64,
}

impl Times {
    /// From `/proc/PID/stat` (proc(5)): the name in brackets may hold anything, so fields are counted from its end.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut numbers = rest.split_ascii_whitespace();
        // The first field here is number 3 of the manual page: utime is 14, stime 15, starttime 22.
        let user: u64 = numbers.nth(11)?.parse().ok()?;
        let kernel: u64 = numbers.next()?.parse().ok()?;
        let start_ticks = numbers.nth(6)?.parse().ok()?;
        Some(Self { cpu_ticks: user + kernel, start_ticks })
    }
}

/// When the machine started, in seconds since the epoch.
fn boot_seconds() -> Option<i64> {
    number_after("/proc/stat", "btime")
}

/// The first number in the line that starts with `label`.
fn number_after(path: &str, label: &str) -> Option<i64> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 4321 1000000 300";
        assert_eq!(Times::parse(stat), Some(Times { cpu_ticks: 300, start_ticks: 4321 }));
        assert_eq!(Times::parse("7 (x) S 1"), None);
    }
}
