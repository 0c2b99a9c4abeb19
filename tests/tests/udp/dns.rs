//! Real name servers, and those who ask them.

use std::path::Path;
use std::process::Command;

use base_testkit::{Aya, PATIENCE, Process, TempFolder, free_port, wait_until};

/// `dnsmasq` with some hundred names of its own, which are all it knows.
struct NameServer {
    _process: Process,
    port: u16,
}

impl NameServer {
    /// One that calls itself so.
    fn start(name: &str, hosts: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--no-daemon",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
        ]);
        command.args(["--bind-interfaces", "--listen-address=127.0.0.1", "--pid-file="]);
        command.args(["--user=root", "--cache-size=0"]);
        command.arg(format!("--port={port}"));
        command.arg(format!("--addn-hosts={}", hosts.display()));
        command.arg(format!("--txt-record=who.test,{name}"));
        // An answer that no packet has room for.
        command.arg(format!("--txt-record=long.test{}", format!(",{}", "x".repeat(250)).repeat(16)));
        let server = Self { _process: Process::start(command), port };
        wait_until("the name server to answer", || dig(server.port, &["who.test", "TXT"]).contains(name));
        server
    }
}

/// What `dig` says, in short.
fn dig(port: u16, question: &[&str]) -> String {
    let mut command = Command::new("dig");
    command.args(["@127.0.0.1", "-p", &port.to_string(), "+short", "+tries=1", "+time=5"]).args(question);
    Process::run(command, PATIENCE).stdout
}

/// `dig` gets its answers over UDP and over TCP from the same address, short ones and long ones; `dnsperf` loses none of thousands; and when a name
/// server dies, nobody who asks notices.
#[test]
fn name_servers_are_balanced() {
    let folder = TempFolder::new();
    let hosts: String = (0..200).map(|number| format!("10.1.2.{number} host{number}.test\n")).collect();
    let hosts = folder.write("hosts", hosts);
    let questions: String = (0..200).map(|number| format!("host{number}.test A\n")).collect();
    let questions = folder.write("questions", questions);
    let mut servers: Vec<_> = ["one", "two"].map(|name| NameServer::start(name, &hosts)).into();
    let port = free_port();
    // Asks for `who.test`, as text.
    let check = "udp: 'hex:6179 0100 0001 0000 0000 0000 0377 686f 0474 6573 7400 0010 0001', expect: who";
    let aya = Aya::start(&format!(
        "listeners:\n\
         \x20 dns: {{bind: '127.0.0.1:{port}', protocol: udp, pool: names}}\n\
         \x20 dns-tcp: {{bind: '127.0.0.1:{port}', protocol: tcp, pool: names}}\n\
         pools:\n\
         \x20 names:\n\
         \x20   endpoints: ['127.0.0.1:{}', '127.0.0.1:{}']\n\
         \x20   udp: {{replies: 1, timeout: 2s}}\n\
         \x20   health: {{{check}, interval: 500ms}}\n",
        servers[0].port, servers[1].port
    ));
    assert_eq!(aya.listener("dns").port(), port);
    let mut heard: Vec<String> = (0..16).map(|_| dig(port, &["who.test", "TXT"])).collect();
    heard.sort();
    heard.dedup();
    assert_eq!(heard, ["\"one\"\n", "\"two\"\n"]);
    assert_eq!(dig(port, &["host7.test", "+tcp"]), "10.1.2.7\n");
    // Too long for a packet: in fragments, or once more over TCP.
    for how in ["+bufsize=8192", "+bufsize=512"] {
        assert_eq!(dig(port, &["long.test", "TXT", how]).matches('x').count(), 16 * 250, "{how}");
    }
    assert_eq!(lost(port, &questions, 4), 0);
    drop(servers.pop());
    assert_eq!(lost(port, &questions, 2), 0, "nobody listens there any more");
    let failed = aya.total("aya_udp_sessions_total", &[("listener", "dns"), ("result", "failed")]);
    assert_eq!(failed, 0.0);
}

/// Asks each question so many times with `dnsperf`, twenty at once, and says how many had no answer.
fn lost(port: u16, questions: &Path, times: u32) -> u64 {
    let mut command = Command::new("dnsperf");
    command.args(["-s", "127.0.0.1", "-p", &port.to_string(), "-d"]).arg(questions);
    command.args(["-n", &times.to_string(), "-q", "20", "-c", "20", "-t", "5"]);
    let ended = Process::run(command, PATIENCE);
    let figure = |what: &str| {
        let line = ended.stdout.lines().find(|line| line.trim_start().starts_with(what));
        let words = line.and_then(|line| line.split_whitespace().nth(2));
        words.and_then(|word| word.parse::<u64>().ok())
    };
    let Some(completed) = figure("Queries completed:") else { panic!("{}{}", ended.stdout, ended.stderr) };
    assert!(completed >= u64::from(times) * 190, "{}", ended.stdout);
    figure("Queries lost:").expect("it says that, too")
}
