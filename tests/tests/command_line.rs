//! The command as people meet it: bad input, the demo, the examples.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base_testkit::{
    Aya, Backend, Client, Ended, Issued, Nginx, Process, Python, TempFolder, answer, free_port, wait_until,
};

use crate::config;
use crate::grpc::GRPC;

/// `aya run` on this text, to its end.
fn run(text: &str, arguments: &[&str]) -> Ended {
    let folder = TempFolder::new();
    let file = folder.write("aya.yaml", text);
    let mut command = Aya::command();
    command.arg("run").arg(file).args(arguments);
    Process::run(command, Duration::from_secs(15))
}

/// The one line on standard error.
fn only_line(ended: &Ended) -> String {
    let lines: Vec<_> = ended.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    lines[0].to_owned()
}

/// A port that is in use: one line that names it and the way out, and the exit code of a failure at run time.
#[test]
fn a_port_in_use_is_said_in_one_line() {
    let taken = Backend::echo("taken");
    let text = config("", "", "", &[&taken]).replace("'127.0.0.1:0'", &format!("'{taken}'"));
    let ended = run(&text, &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let line = only_line(&ended);
    assert!(line.contains(&taken.to_string()) && line.contains("in use"), "{line}");
    let admin = format!("{}admin: {{bind: '{taken}'}}\n", config("", "", "", &[&taken]));
    let ended = run(&admin, &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&taken.to_string()), "{}", ended.stderr);
}

/// A missing file: one line, exit code 2.
#[test]
fn a_missing_file_is_said_in_one_line() {
    let ended = Aya::run(&["run", "/nowhere/at/all.yaml"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(only_line(&ended).contains("/nowhere/at/all.yaml"));
    let ended = Aya::run(&["run", "/"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    only_line(&ended);
}

/// Runs `aya run` as an ordinary user, whom root's permissions do not help; `None` when that cannot be arranged here.
fn as_nobody(arguments: &[&str]) -> Option<Ended> {
    let folder = TempFolder::new();
    let program = folder.path().join("aya");
    std::fs::copy(base_testkit::aya_binary(), &program).ok()?;
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    ]);
    command.arg(program).args(arguments).current_dir("/");
    let ended = Process::run(command, Duration::from_secs(15));
    (!ended.stderr.contains("setpriv:")).then_some(ended)
}

/// A file that may not be read, and a port that may not be bound: one line each, with the way out.
#[test]
fn missing_permission_is_said_in_one_line() {
    let folder = TempFolder::new();
    let backend = Backend::echo("a");
    let secret = folder.write("secret.yaml", config("", "", "", &[&backend]));
    let mut lock = Command::new("chmod");
    lock.arg("000").arg(&secret);
    Process::run(lock, Duration::from_secs(5));
    let Some(ended) = as_nobody(&["run", &secret.to_string_lossy()]) else { return };
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let line = only_line(&ended);
    assert!(line.contains("secret.yaml") && line.to_lowercase().contains("permission"), "{line}");
    let low =
        folder.write("low.yaml", config("", "", "", &[&backend]).replace("127.0.0.1:0", "127.0.0.1:81"));
    let Some(ended) = as_nobody(&["run", &low.to_string_lossy()]) else { return };
    if lowest_free_port() <= 81 {
        return;
    }
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let line = only_line(&ended);
    assert!(line.contains(":81") && line.to_lowercase().contains("permission"), "{line}");
}

/// The lowest port that needs no permission.
fn lowest_free_port() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    text.trim().parse().unwrap_or(1024)
}

/// A bad configuration: all of its faults, with line and column, and exit code 2; nothing is started.
#[test]
fn a_bad_configuration_is_refused_with_all_its_faults() {
    let text = "listeners: {web: {bind: '127.0.0.1:0', colour: blue}}\nroutes:\n  - {pool: nowhere}\n  - {pol: main}\n\
                pools: {main: {endpoints: ['127.0.0.1:1'], timeouts: {connect: 5 parsecs}}}\n";
    let folder = TempFolder::new();
    let file = folder.write("bad.yaml", text);
    for command in ["run", "check"] {
        let ended = Aya::run(&[command, &file.to_string_lossy()]);
        assert_eq!(ended.code, Some(2), "{command}: {}", ended.stderr);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        for part in ["colour", "nowhere", "pol", "parsecs", "bad.yaml"] {
            assert!(said.contains(part), "{command} does not name {part}:\n{said}");
        }
        assert!(said.contains(":1:") && said.contains(":3:") && said.contains(":5:"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Input that is no configuration at all ends with exit code 2, in time and without a panic.
#[test]
fn garbage_is_refused() {
    let bomb: String = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        let before = n - 1;
        format!("{text}a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}]\n")
    });
    let cases: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("noise", crate::noise(10_000_000, 1)),
        ("text", vec![b'a'; 10_000_000]),
        ("brackets", vec![b'['; 1_000_000]),
        ("not UTF-8", b"listeners: {web: {bind: '\xff\xfe'}}\n".to_vec()),
        ("a bomb", bomb.into_bytes()),
        ("twice", b"routes: []\nroutes: []\n".to_vec()),
    ];
    let folder = TempFolder::new();
    for (name, bytes) in cases {
        let file = folder.write("bad.yaml", bytes);
        let mut command = Aya::command();
        command.arg("run").arg(file);
        let ended = Process::run(command, Duration::from_secs(20));
        assert_eq!(ended.code, Some(2), "{name}: {}", &ended.stderr[..ended.stderr.len().min(500)]);
        assert!(!ended.stderr.contains("panicked") && ended.stderr.len() < 20_000, "{name}");
    }
}

/// Unknown commands and options end with exit code 2 and point to the help.
#[test]
fn wrong_usage_is_bad_input() {
    for arguments in
        [&["runn"][..], &["run"], &["run", "--nonsense", "x"], &["run", "x", "--workers", "many"]]
    {
        let ended = Aya::run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help"), "{arguments:?}: {}", ended.stderr);
    }
    let help = Aya::run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in ["run", "check", "fmt", "schema", "diff", "demo"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
    }
    assert_eq!(Aya::run(&["--version"]).code, Some(0));
}

/// Output that nobody takes, or that has no room, is no reason to panic.
#[test]
fn output_may_fail() {
    let program = base_testkit::aya_binary().display().to_string();
    let folder = TempFolder::new();
    let file = folder.write("one.yaml", "listeners: {web: {bind: ':80'}}\nroutes: [{respond: {body: x}}]\n");
    let file = file.display();
    for command in [
        "schema".to_owned(),
        format!("fmt --full {file}"),
        format!("check --json {file}"),
        "--help".to_owned(),
    ] {
        for ending in ["| true", "> /dev/full", ">&-"] {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{program} {command} {ending}")]);
            let ended = Process::run(shell, Duration::from_secs(15));
            assert!(!ended.stderr.contains("panicked"), "{command} {ending}: {}", ended.stderr);
            assert_ne!(ended.code, Some(101), "{command} {ending}");
        }
    }
}

/// A token must guard an admin port that others can reach.
#[test]
fn an_open_admin_port_needs_a_token() {
    let backend = Backend::echo("a");
    let text = format!("{}admin: {{bind: '0.0.0.0:{}'}}\n", config("", "", "", &[&backend]), free_port());
    let ended = run(&text, &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("token"), "{}", ended.stderr);
}

/// The other commands: what `fmt` writes means the same and stays as it is, `diff` tells what differs, `schema` is JSON, and
/// `check --json` is for programs.
#[test]
fn configurations_can_be_worked_with() {
    let backend = Backend::echo("a");
    let folder = TempFolder::new();
    let file = folder.write("one.yaml", config("", "", "", &[&backend])).display().to_string();
    let other =
        folder.write("two.yaml", config("", "", "balance: random", &[&backend])).display().to_string();
    for full in [&["fmt", &file][..], &["fmt", "--full", &file]] {
        let formatted = Aya::run(full);
        assert_eq!(formatted.code, Some(0), "{}", formatted.stderr);
        let again = folder.write("formatted.yaml", &formatted.stdout).display().to_string();
        let mut twice = full.to_vec();
        *twice.last_mut().expect("it has a last") = &again;
        assert_eq!(Aya::run(&twice).stdout, formatted.stdout, "{full:?}");
        let same = Aya::run(&["diff", &file, &again]);
        assert!(!same.stdout.contains("balance"), "{}", same.stdout);
    }
    assert!(Aya::run(&["diff", &file, &other]).stdout.contains("balance"));
    let schema: serde_json::Value =
        serde_json::from_str(&Aya::run(&["schema"]).stdout).expect("the schema is JSON");
    assert!(schema["properties"]["listeners"].is_object());
    let bad = folder.write("bad.yaml", "routes: [{pool: nowhere}]\n").display().to_string();
    for (name, code) in [(&file, 0), (&bad, 2)] {
        let checked = Aya::run(&["check", "--json", name]);
        assert_eq!(checked.code, Some(code), "{}", checked.stderr);
        serde_json::from_str::<serde_json::Value>(&checked.stdout).expect("the report is JSON");
    }
}

/// The demo shows, in plain lines when nobody looks at a terminal, traffic over four backends of which one leaves and returns,
/// and ends by itself with a summary.
#[test]
fn the_demo_runs_and_ends() {
    let mut command = Aya::command();
    command.args(["demo", "--seconds", "15"]);
    let ended = Process::run(command, Duration::from_secs(60));
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(0), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains("panicked"), "{said}");
    assert!(ended.stdout.lines().count() >= 15, "{said}");
    let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("{part:?} is not said:\n{said}"));
    assert!(at(" left: ") < at(" returned: "), "{said}");
    let summary = &said[at(" requests in ")..];
    assert!(summary.contains("No client saw a failure"), "{said}");
    assert_eq!(summary.lines().filter(|line| line.contains(" answers, ")).count(), 4, "{said}");
}

/// The examples, with the path of each.
fn examples() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let entries = std::fs::read_dir(folder).expect("the folder of examples is there");
    let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// A backend that every example's checks find well.
fn well() -> Backend {
    Backend::answering(|_| answer(200, &["content-type: application/json"], r#"{"status": "ok"}"#))
}

/// The port of an agent that finds its endpoint well. It speaks as long as this process lives.
fn talking_agent() -> u16 {
    let listener = std::net::TcpListener::bind((LOOPBACK, 0)).expect("a port is free");
    let port = listener.local_addr().expect("a listener has an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"up 100%\n");
        }
    });
    port
}

/// The same over TLS, with the certificate of the examples.
fn well_over_tls() -> Nginx {
    let read = |name: &str| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/certificates/");
        std::fs::read_to_string(format!("{path}{name}")).expect("it is there")
    };
    let issued = Issued { cert: read("site.pem"), key: read("site.key"), serial: 0 };
    let answers = "ssl_protocols TLSv1.2 TLSv1.3; location / { return 200 '{\"status\": \"ok\"}'; }";
    Nginx::start_tls(&issued, answers)
}

/// A backend that answers datagrams on its port, too: with what they say, and a word of its own.
fn well_over_udp() -> Backend {
    let backend = well();
    let socket = std::net::UdpSocket::bind(backend.address()).expect("the port of TCP is free for UDP");
    std::thread::spawn(move || {
        let mut datagram = [0; 1_500];
        while let Ok((length, peer)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&[&datagram[..length], b"PONG"].concat(), peer);
        }
    });
    backend
}

/// Asks over UDP, and wants an answer.
fn ask_over_udp(address: SocketAddr) -> bool {
    let socket = std::net::UdpSocket::bind((LOOPBACK, 0)).expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(15))).expect("it can be set");
    socket.send_to(b"anybody there?", address).expect("it goes out");
    socket.recv(&mut [0; 1_500]).is_ok()
}

/// Backends in the places of the addresses that examples name; those on ports that begin with 844 speak TLS, on
/// 5005 gRPC, on 53 UDP, too.
#[derive(Default)]
struct Cast {
    plain: HashMap<String, Backend>,
    over_tls: HashMap<String, Nginx>,
    grpc: Option<Python>,
}

impl Cast {
    /// The text with every endpoint played by a backend of its own.
    fn play(&mut self, line: &str) -> String {
        let mut out = String::new();
        for part in
            line.split_inclusive(|character: char| !character.is_ascii_digit() && !".:".contains(character))
        {
            let (word, rest) = part.split_at(part.trim_end_matches(|c: char| !c.is_ascii_digit()).len());
            if word.starts_with("127.0.0.1:844") {
                let backend = self.over_tls.entry(word.to_owned()).or_insert_with(well_over_tls);
                out.push_str(&backend.address().to_string());
            } else if word.starts_with("127.0.0.1:5005") {
                let server = self.grpc.get_or_insert_with(|| Python::script_with(GRPC, &[], &["serve"]));
                out.push_str(&server.address().to_string());
            } else if word.starts_with("127.0.0.1:53") {
                let backend = self.plain.entry(word.to_owned()).or_insert_with(well_over_udp);
                out.push_str(&backend.to_string());
            } else if word.starts_with("127.0.0.1:") {
                let backend = self.plain.entry(word.to_owned()).or_insert_with(well);
                out.push_str(&backend.to_string());
            } else {
                out.push_str(word);
            }
            out.push_str(rest);
        }
        out
    }

    /// The text with every listener on a port that the kernel picks, every endpoint played, every folder a temporary one.
    fn stage(&mut self, text: &str, folder: &TempFolder) -> String {
        let mut out = String::new();
        let mut section = "";
        for line in text.lines() {
            if !line.is_empty() && !line.starts_with([' ', '#']) {
                section = line.split(':').next().unwrap_or_default();
            }
            let line = if section == "pools" { self.play(line) } else { any_port(line) };
            out.push_str(&line);
            out.push('\n');
        }
        let folder = folder.path().to_string_lossy();
        let out = out.replace("/var/lib/aya", &folder).replace("/var/log/aya", &folder);
        // Agents beside the endpoints, in the examples on a port of their own.
        let agent = self.plain.entry("agent".to_owned()).or_insert_with(well).port();
        out.replace("port: 9000", &format!("port: {agent}"))
            .replace("port: 9001", &format!("port: {}", talking_agent()))
    }
}

/// The line with each address behind `bind:` on loopback, on a port that the kernel picks.
fn any_port(line: &str) -> String {
    if !line.contains("bind:") {
        return line.to_owned();
    }
    let mut line = line.to_owned();
    for address in ["0.0.0.0", "[::1]", "[::]"] {
        line = line.replace(address, LOOPBACK);
    }
    let mut parts = line.split("127.0.0.1:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("127.0.0.1:0");
        out.push_str(part.trim_start_matches(|character: char| character.is_ascii_digit()));
    }
    out
}

const LOOPBACK: &str = "127.0.0.1";

/// Every example is valid, starts, answers, and finds its endpoints well.
#[test]
fn every_example_runs() {
    let files = examples();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        example_runs(&file);
    }
}

fn example_runs(file: &Path) {
    let name = file.display().to_string();
    let token = [
        ("AYA_TOKEN", "play"),
        ("ADMIN_TOKEN", "play"),
        ("AYA_STICKY_KEY", "a-key-of-the-plays-0123456789"),
        ("AYA_TICKET_KEY", "a-key-of-the-plays-0123456789-0123456789"),
    ];
    let mut check = Aya::command();
    check.arg("check").arg(file).envs(token);
    let checked = Process::run(check, Duration::from_secs(15));
    assert_eq!(checked.code, Some(0), "{name}: {}{}", checked.stdout, checked.stderr);
    let (folder, mut cast) = (TempFolder::new(), Cast::default());
    let text = cast.stage(&std::fs::read_to_string(file).expect("a listed file can be read"), &folder);
    // They lie beside the example.
    let beside = file.parent().unwrap_or(file).canonicalize().expect("the folder is there");
    let text = text.replace(" certificates/", &format!(" {}/certificates/", beside.display()));
    let text = text.replace("[certificates/", &format!("[{}/certificates/", beside.display()));
    let aya = Aya::start_in(folder, &text, &[], &token);
    let ask = |path: &str| aya.admin_with("GET", path, "Authorization: Bearer play\r\n", "").json();
    wait_until(&format!("all endpoints of {name} to be well: {}", ask("/api/v1/pools")), || {
        let pools = ask("/api/v1/pools");
        let pools = pools.as_array().expect("pools are listed").clone();
        pools.iter().all(|pool| {
            pool["endpoints"].as_array().is_some_and(|all| all.iter().all(|one| one["eligible"] == true))
        })
    });
    for listener in ask("/api/v1/status")["listeners"].as_array().expect("listeners are listed") {
        let address =
            listener["addresses"][0].as_str().and_then(|text| text.parse().ok()).expect("an address");
        if listener["protocol"] == "udp" {
            // Some say that nobody answers.
            assert!(listener["name"] == "logs" || ask_over_udp(address), "{name}: {listener}");
            continue;
        }
        let response = Client::connect(address).get("/");
        assert!((200..500).contains(&response.status), "{name}: {} {}", response.status, response.reason());
    }
}
