//! `slowhttptest`, the tool that slow attacks are tried with.

use std::process::Command;
use std::time::Duration;

use base_testkit::{Backend, Evidence, Process, answer};

use super::{STATE_BYTES, Siege};
use crate::is_long;

/// Connections that the tool makes.
const CONNECTIONS: usize = 1_000;

/// The tool's modes, with what makes each of them slow.
const MODES: &[(&str, &str, &[&str])] = &[
    ("-H", "slow heads", &["-i", "1"]),
    ("-B", "slow bodies", &["-i", "1", "-s", "8192", "-x", "24"]),
    ("-R", "ranges", &["-a", "5", "-b", "2000"]),
    ("-X", "slow reading", &["-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "3"]),
];

/// In all four modes of the tool the service is there for others all the time, and the tool itself finds it available.
#[test]
fn slowhttptest_in_its_four_modes() {
    let claim =
        "slowhttptest (-H, -B, -R, -X; 1,000 connections each) finds the service available throughout";
    if Command::new("slowhttptest").arg("-h").output().is_err() {
        Evidence::of("hostile", file!()).not_run(claim, "slowhttptest (Debian package) is not installed");
        println!("not run: slowhttptest is not installed");
        return;
    }
    base_testkit::raise_file_limit();
    let backend = Backend::answering(|_| answer(200, &[], vec![b'x'; 100_000]));
    let listener = "timeouts: {request-head: 5s, body-progress: 5s, send-progress: 5s, half-close: 200ms}";
    let siege = Siege::lay(listener, "timeouts: {request: 10s}", "connections: {max: 2000}", &[&backend]);
    let seconds = if is_long() { 60 } else { 5 };
    let mut found = Vec::new();
    for (mode, what, more) in MODES {
        let mut command = Command::new("slowhttptest");
        command.args([mode, "-u", &siege.aya.url("/"), "-c", &CONNECTIONS.to_string(), "-r", "500"]);
        command.args(["-l", &seconds.to_string(), "-p", "3"]).args(*more);
        let ended = Process::run(command, Duration::from_secs(seconds + 30));
        // It says so at every look, in colour.
        let (yes, no) = ("service available:", "YES");
        let looks: Vec<_> = ended.stdout.lines().filter(|line| line.contains(yes)).collect();
        let up = looks.iter().filter(|line| line.contains(no)).count();
        assert!(!looks.is_empty(), "{what}: it said\n{}{}", ended.stdout, ended.stderr);
        assert_eq!(up, looks.len(), "{what}: it was not available\n{}", ended.stdout);
        found.push(format!("{what}: {up} of {} looks", looks.len()));
    }
    siege.lift(
        claim,
        file!(),
        CONNECTIONS as u64 * (256 * 1024 + 16 * 1024 + STATE_BYTES) / 4,
        &format!("1,000 connections, a quarter of them with 256 KiB of an answer; {}", found.join(", ")),
    );
}
