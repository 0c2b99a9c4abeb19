//! Aya itself, as its users run it: the program, a file, and ports that it names.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::process::Pid;
use serde_json::Value;

use crate::client::Client;
use crate::folder::{TempFolder, target_folder};
use crate::message::Response;
use crate::metrics::Metrics;
use crate::process::{Ended, Memory, Process, Signal};
use crate::time::{PATIENCE, Stopwatch, wait_until};

/// The name of the configuration in Aya's folder.
const CONFIG: &str = "aya.yaml";
/// How long Aya may take to stop when a play is over: more than the drain time that plays get by default.
const STOP: Duration = Duration::from_secs(8);

/// Memory that has not changed for so long is at rest.
const REST: Duration = Duration::from_millis(100);

/// Between two looks whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What it says when a task, or all of it, has panicked.
const PANICS: [&str; 2] = ["panicked at", "aya::panic"];

/// A running Aya. Stopped with SIGTERM when dropped; the play fails when it panicked or ended badly.
#[derive(Debug)]
pub struct Aya {
    process: Option<Process>,
    /// Those that have taken over, the last one last. What they write goes where the first one wrote.
    successors: Vec<Pid>,
    folder: TempFolder,
    listeners: HashMap<String, Vec<SocketAddr>>,
    admin: SocketAddr,
}

impl Aya {
    /// Starts it with this configuration and waits until it is ready.
    ///
    /// Where the text says nothing of it, an admin port, two workers and a short drain are added.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(yaml: &str) -> Self {
        Self::start_with(yaml, &[], &[])
    }

    /// As [`Aya::start`], with further arguments and environment variables.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with(yaml: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_in(TempFolder::new(), yaml, arguments, environment)
    }

    /// As [`Aya::start_with`], in a folder that holds files the configuration speaks of.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_in(
        folder: TempFolder,
        yaml: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let file = folder.write(CONFIG, completed(yaml));
        let mut command = Self::command();
        command.arg("run").arg(file).args(arguments).envs(environment.iter().copied());
        command.current_dir(folder.path());
        let mut process = Process::start(command);
        process.wait_for_line("ready");
        let mut listeners = HashMap::<String, Vec<SocketAddr>>::new();
        let mut admin = None;
        for line in process.stderr().lines() {
            let Some(address) = word(line, "address=").and_then(|text| text.parse().ok()) else { continue };
            if line.starts_with("admin ") {
                admin = Some(address);
            } else if let Some(name) = line.strip_prefix("listening ").and_then(|_| word(line, "name=")) {
                listeners.entry(name.to_owned()).or_default().push(address);
            }
        }
        let admin = admin.unwrap_or_else(|| panic!("no admin address in:\n{}", process.stderr()));
        Self { process: Some(process), successors: Vec::new(), folder, listeners, admin }
    }

    /// The `aya` command, without arguments.
    pub fn command() -> Command {
        Command::new(aya_binary())
    }

    /// Runs an `aya` command to its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn run(arguments: &[&str]) -> Ended {
        let mut command = Self::command();
        command.args(arguments);
        Process::run(command, PATIENCE)
    }

    /// The first address of the first listener named so.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        match self.listeners.get(name) {
            Some(addresses) => addresses[0],
            None => panic!("no listener {name:?} in {:?}", self.listeners),
        }
    }

    /// A new client of the listener `web`.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.listener("web"))
    }

    /// `GET` on a path through the listener `web`, over a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.client().get(path)
    }

    /// A URL on the listener `web`.
    #[track_caller]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listener("web"))
    }

    /// The address of the admin port.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// A request to the admin port; the body, if not empty, is sent as JSON when it begins like it, else as YAML.
    #[track_caller]
    pub fn admin(&self, method: &str, path: &str, body: &str) -> Response {
        self.admin_with(method, path, "", body)
    }

    /// As [`Aya::admin`], with further field lines, each with its line end.
    #[track_caller]
    pub fn admin_with(&self, method: &str, path: &str, lines: &str, body: &str) -> Response {
        let mut client = Client::connect(self.admin);
        let kind = if body.trim_start().starts_with(['{', '[']) { "json" } else { "yaml" };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.admin);
        if !body.is_empty() {
            let _ = write!(head, "Content-Type: application/{kind}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n{lines}\r\n{body}", body.len());
        client.send(head);
        client.response_to(method)
    }

    /// `GET /api/v1/status`.
    ///
    /// # Panics
    /// When it is not answered with 200 and JSON.
    #[track_caller]
    pub fn status(&self) -> Value {
        let response = self.admin("GET", "/api/v1/status", "");
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// `GET /metrics`, read.
    ///
    /// # Panics
    /// When it is not answered with 200.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let response = self.admin("GET", "/metrics", "");
        assert_eq!(response.status, 200, "{}", response.text());
        Metrics::parse(&response.text())
    }

    /// As [`Metrics::sum`] of `GET /metrics`, of which the rest is not read: with ten thousands of endpoints that takes long.
    ///
    /// # Panics
    /// When it is not answered with 200.
    #[track_caller]
    pub fn total(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let response = self.admin("GET", "/metrics", "");
        assert_eq!(response.status, 200, "{}", response.text());
        let text = response.text();
        let about = |line: &&str| line.trim_start_matches("# TYPE ").starts_with(name);
        Metrics::parse(&text.lines().filter(about).collect::<Vec<_>>().join("\n")).sum(name, labels)
    }

    /// The number of the running configuration: it grows with each one that is applied.
    #[track_caller]
    pub fn generation(&self) -> u64 {
        self.status()["generation"].as_u64().unwrap_or_default()
    }

    /// Waits until a later configuration than `before` runs.
    #[track_caller]
    pub fn wait_for_generation_after(&self, before: u64) {
        wait_until("the next configuration to run", || self.generation() > before);
    }

    /// Puts another configuration in the place of the file it was started with.
    pub fn rewrite(&self, yaml: &str) {
        self.folder.write(CONFIG, completed(yaml));
    }

    /// Its folder, which is also its working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file it was started with.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.process.as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.process.as_ref().map(Process::stdout).unwrap_or_default()
    }

    /// What it holds of the machine's memory.
    pub fn memory(&self) -> Memory {
        self.process().memory()
    }

    /// Its memory when it has come to rest: right after the start, threads still set themselves up.
    ///
    /// # Panics
    /// If it does not come to rest.
    pub fn memory_at_rest(&self) -> Memory {
        let mut last = 0;
        wait_until("the memory to be at rest", || {
            std::thread::sleep(REST);
            let resident = self.memory().resident;
            resident == std::mem::replace(&mut last, resident)
        });
        self.memory()
    }

    /// Forgets the peak of its memory so far.
    pub fn forget_peak(&self) {
        self.process().forget_peak();
    }

    /// CPU time it has used so far.
    pub fn cpu_time(&self) -> Duration {
        self.process().cpu_time()
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> usize {
        self.process().descriptors()
    }

    /// Has it open at most so many files from now on.
    pub fn limit_files(&self, files: u64) {
        self.process().limit_files(files);
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.process().threads()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process().id()
    }

    /// Has a successor take over, and waits until it has. From then on the admin port is that one's.
    ///
    /// # Panics
    /// When none does.
    pub fn upgrade(&mut self) {
        const TOLD: &str = "handed over";
        let before = self.stderr().matches(TOLD).count();
        match self.successors.last() {
            Some(pid) => drop(rustix::process::kill_process(*pid, Signal::USR2)),
            None => self.signal(Signal::USR2),
        }
        wait_until("a successor to take over", || self.stderr().matches(TOLD).count() > before);
        let said = self.stderr();
        let line = said.lines().rfind(|line| line.contains(TOLD)).expect("it was told");
        let pid = line.split_once("pid=").expect("it says which").1;
        let digits: String = pid.chars().take_while(char::is_ascii_digit).collect();
        let pid = digits.parse().ok().and_then(Pid::from_raw);
        self.successors.push(pid.unwrap_or_else(|| panic!("no process id in {line}")));
    }

    /// Sends it a signal: to the first one, whoever has taken over.
    pub fn signal(&mut self, signal: Signal) {
        self.process_mut().signal(signal);
    }

    /// Whether it ends within this time.
    pub fn ends_within(&mut self, patience: Duration) -> bool {
        self.process_mut().ends_within(patience)
    }

    /// Waits until a line of its standard error holds this part.
    pub fn wait_for_line(&mut self, part: &str) -> String {
        self.process_mut().wait_for_line(part)
    }

    /// Waits for its end, and tells how it was.
    ///
    /// # Panics
    /// When it does not come within `patience`.
    pub fn wait(mut self, patience: Duration) -> Ended {
        self.process.take().expect("it is there until it is dropped").wait(patience)
    }

    /// Kills it, at once; its end is not judged.
    pub fn kill(mut self) {
        drop(self.process.take());
    }

    /// They hold what the first one writes to.
    fn end_successors(&self) {
        for pid in &self.successors {
            let _ = rustix::process::kill_process(*pid, Signal::TERM);
        }
        let runs = |pid: &Pid| {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
            // The state stands behind the name, which is in brackets.
            state.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
        };
        let watch = Stopwatch::start();
        while self.successors.iter().any(runs) && watch.elapsed() < STOP {
            std::thread::sleep(LOOK_EVERY);
        }
        for pid in self.successors.iter().filter(|pid| runs(pid)) {
            let _ = rustix::process::kill_process(*pid, Signal::KILL);
        }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it is there until it is dropped")
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Aya {
    fn drop(&mut self) {
        self.end_successors();
        let Some(mut process) = self.process.take() else { return };
        process.signal(Signal::TERM);
        let ended = process.ends_within(STOP);
        let status = process.exit_status();
        process.kill();
        let said = process.stderr();
        let fault = if PANICS.iter().any(|sign| said.contains(sign)) {
            "panicked".to_owned()
        } else if !ended {
            format!("did not stop within {STOP:?} after SIGTERM")
        } else if let Some(status) = status.filter(|status| !status.success()) {
            format!("ended badly ({status})")
        } else {
            String::new()
        };
        if std::thread::panicking() {
            eprintln!("Aya {fault} said:\n{said}");
        } else {
            assert!(fault.is_empty(), "Aya {fault}, and said:\n{said}");
        }
    }
}

/// The text with what every play needs.
fn completed(yaml: &str) -> String {
    let mut text = yaml.to_owned();
    let top_level = |key: &str| yaml.lines().any(|line| line.starts_with(key));
    for (key, line) in
        [("admin:", "admin: {bind: 127.0.0.1:0}"), ("workers:", "workers: 2"), ("drain:", "drain: 3s")]
    {
        if !top_level(key) {
            let _ = write!(text, "\n{line}");
        }
    }
    text.push('\n');
    text
}

/// The value after `key` up to the next space.
fn word<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(key))
}

/// The program: `AYA_BIN`, else the one of this build, built anew when a source is younger.
///
/// # Panics
/// When it cannot be built.
pub fn aya_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("AYA_BIN").map_or_else(built_binary, PathBuf::from)).clone()
}

fn built_binary() -> PathBuf {
    let folder = target_folder();
    let binary = folder.join("aya");
    if is_stale(&binary) {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--package", "app-cli", "--target-dir"]);
        build.arg(folder.parent().unwrap_or(&folder)).current_dir(env!("CARGO_MANIFEST_DIR"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status();
        assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "aya is not built: {status:?}");
    }
    binary
}

/// Whether the program is missing, or older than one of the sources that cargo lists beside it.
fn is_stale(binary: &Path) -> bool {
    let modified = |path: &Path| -> Option<SystemTime> { std::fs::metadata(path).ok()?.modified().ok() };
    let sources = std::fs::read_to_string(binary.with_extension("d")).unwrap_or_default();
    let Some((built, (_, sources))) = modified(binary).zip(sources.split_once(": ")) else { return true };
    sources.split_whitespace().any(|source| modified(Path::new(source)).is_none_or(|time| time > built))
}
