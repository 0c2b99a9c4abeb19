//! What the bench asks of the machine: cores, open files, the life of children, and what to call it all.

use std::fs;

use anyhow::{Context, Result, bail};
use base_kit::WallClock;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::CpuSet;

/// Ten thousand clients and as many again for whoever needs two descriptors for each.
const OPEN_FILES: u64 = 65_536;

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// The proxy that is measured, alone.
    pub(crate) proxy: usize,
    /// The load and the backend.
    pub(crate) load: usize,
}

/// Shares out the cores that this process may use.
pub(crate) fn cores() -> Result<Cores> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    match *usable.as_slice() {
        [load, .., proxy] => Ok(Cores { proxy, load }),
        _ => bail!("two cores are needed: one for the proxy, one for the load and the backend"),
    }
}

/// Keeps the calling thread, and what it starts, on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}

/// Raises the limit of open files as far as allowed; whoever then runs out reports it.
pub(crate) fn allow_many_files() {
    let limits = rustix::process::getrlimit(Resource::Nofile);
    let hard = limits.maximum.map_or(OPEN_FILES, |hard| hard.max(OPEN_FILES));
    let wanted = Rlimit { current: Some(hard), maximum: Some(hard) };
    if rustix::process::setrlimit(Resource::Nofile, wanted).is_err() {
        let allowed = Rlimit { current: limits.maximum, maximum: limits.maximum };
        // Already the best that this user may have.
        let _ = rustix::process::setrlimit(Resource::Nofile, allowed);
    }
}

/// How many files this process may open.
pub(crate) fn open_files() -> u64 {
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(OPEN_FILES)
}

/// Has the kernel end this process when its parent ends, however that happens.
pub(crate) fn end_with_parent() -> Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?)
}

/// One line about processor, memory and kernel.
pub(crate) fn description() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let cpu =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cpu = cpu.trim_start_matches([' ', '\t', ':']);
    let count = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let meminfo = read("/proc/meminfo");
    let memory_kib: u64 = meminfo.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let virtual_machine = if cpuinfo.contains("hypervisor") { ", virtual machine" } else { "" };
    let memory_gib = memory_kib.div_ceil(1024 * 1024);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cpu}, {count} cores, {memory_gib} GiB{virtual_machine}; Linux {}", kernel.trim())
}

/// Today in UTC, as `2026-01-31`.
pub(crate) fn today() -> String {
    date((WallClock.since_epoch().as_secs() / 86_400) as i64)
}

/// The civil date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn date(day: i64) -> String {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_777), "2026-11-20");
    }

    #[test]
    fn the_machine_has_a_name() {
        assert!(description().contains("cores"));
    }
}
