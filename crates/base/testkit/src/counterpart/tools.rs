//! Command-line clients.

use std::process::Command;
use std::time::Duration;

use crate::process::{Ended, Process, Signal};
use crate::time::PATIENCE;

/// A download of a gigabyte on a slow machine.
const CURL: Duration = Duration::from_secs(120);
/// More than any play needs; a load that nobody stops ends then.
const LONGEST_LOAD: Duration = Duration::from_secs(1_200);

/// Whether a program is installed.
pub fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(name).is_file())
}

/// Runs curl, silent but for errors, to its end.
///
/// # Panics
/// When it is not installed or does not end.
pub fn curl(arguments: &[&str]) -> Ended {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*"]).args(arguments);
    Process::run(command, CURL)
}

/// What wrk counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Answers.
    pub requests: u64,
    /// Answers that are neither 2xx nor 3xx.
    pub bad_answers: u64,
    /// Failed connects, reads and writes, and timeouts.
    pub socket_errors: u64,
    /// All that it said.
    pub text: String,
}

/// Starts wrk with one thread; it runs until [`Load::finish`].
///
/// # Panics
/// When it is not installed.
pub fn load(url: &str, connections: usize) -> Load {
    let mut command = Command::new("wrk");
    command.args([
        "-t1",
        &format!("-c{connections}"),
        &format!("-d{}s", LONGEST_LOAD.as_secs()),
        "--timeout",
        "10s",
    ]);
    command.arg(url);
    Load(Process::start(command))
}

/// A running wrk.
#[derive(Debug)]
pub struct Load(Process);

impl Load {
    /// Stops it and reads its report.
    ///
    /// # Panics
    /// When it had failed, or does not stop.
    pub fn finish(mut self) -> LoadReport {
        self.0.signal(Signal::INT);
        let ended = self.0.wait(PATIENCE);
        assert_eq!(ended.code, Some(0), "wrk failed: {}", ended.stderr);
        read_report(&ended.stdout)
    }
}

fn read_report(text: &str) -> LoadReport {
    let number =
        |word: &str| word.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap_or_default();
    let mut report = LoadReport { text: text.to_owned(), ..LoadReport::default() };
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("Socket errors:") {
            report.socket_errors = rest.split(',').map(number).sum();
        } else if let Some(rest) = line.strip_prefix("Non-2xx or 3xx responses:") {
            report.bad_answers = number(rest);
        } else if let Some((count, _)) = line.split_once(" requests in ") {
            report.requests = number(count);
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_wrk_is_read() {
        let report = read_report(
            "  1234 requests in 2.00s, 1.2MB read\n  Socket errors: connect 1, read 2, write 3, timeout 4\n  \
             Non-2xx or 3xx responses: 7\n",
        );
        assert_eq!((report.requests, report.bad_answers, report.socket_errors), (1234, 7, 10));
    }
}
