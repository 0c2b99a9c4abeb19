//! `aya top`: a running Aya watched, by scripts and on a terminal.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Backend, Ended, Process, TempFolder, answer, free_port};
use serde_json::Value;

use crate::config;

/// More than looking twice takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// `aya top` on this Aya with these arguments, to its end; `token` is in its environment.
fn top(aya: &Aya, arguments: &[&str], token: &str) -> Ended {
    let mut command = Aya::command();
    command.arg("top").arg(format!("http://{}", aya.admin_address())).args(arguments).env("AYA_TOKEN", token);
    Process::run(command, PATIENCE)
}

/// The figures that it prints while `play` is repeated.
fn figures_during(aya: &Aya, play: impl Fn() + Sync) -> Value {
    let is_over = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                play();
            }
        });
        let ended = top(aya, &["--json", "--interval", "500ms"], "");
        is_over.store(true, Ordering::Relaxed);
        ended
    });
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("it prints JSON")
}

fn is_positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|value| value > 0.0)
}

/// For scripts: rates, times and states of each endpoint over one interval, and what fails, with its reason.
#[test]
fn figures_of_a_running_aya_for_scripts() {
    let backend = Backend::answering(|request| {
        answer(if request.target == "/bad" { 500 } else { 200 }, &["x-backend: fine"], "")
    });
    let dead = format!("127.0.0.1:{}", free_port());
    let aya = Aya::start(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\n\
         routes:\n  - {{match: {{path: /gone}}, pool: gone}}\n  - {{pool: main}}\n\
         pools:\n  main: {{endpoints: ['{backend}', '{dead}'], ejection: off}}\n  \
         gone: {{endpoints: ['{dead}'], ejection: off}}\n"
    ));
    let figures = figures_during(&aya, || {
        aya.get("/");
        aya.get("/bad");
        aya.get("/gone");
    });
    assert!(
        is_positive(&figures["requests_per_second"]) && is_positive(&figures["error_share"]),
        "{figures}"
    );
    let pool = &figures["pools"][0];
    assert_eq!((&pool["name"], &pool["balance"]), (&"main".into(), &"round-robin".into()));
    let endpoints = [&pool["endpoints"][0], &pool["endpoints"][1]];
    for (endpoint, address) in endpoints.into_iter().zip([&backend.to_string(), &dead]) {
        assert_eq!((&endpoint["address"], &endpoint["condition"]), (&address.as_str().into(), &"up".into()));
        assert!(is_positive(&endpoint["requests_per_second"]), "{endpoint}");
    }
    assert!(is_positive(&endpoints[0]["p50_ms"]) && is_positive(&endpoints[0]["p99_ms"]), "{pool}");
    assert_eq!((&endpoints[1]["p50_ms"], &endpoints[1]["error_share"]), (&Value::Null, &1.0.into()));
    let failures = figures["failures"].as_array().expect("a list");
    let refused = failures.iter().find(|failure| failure["reason"] == "connect-failed");
    assert!(refused.is_some_and(|failure| is_positive(&failure["per_second"])), "{failures:?}");
    let trouble = &figures["troubles"][0];
    assert_eq!((&trouble["endpoint"], &trouble["what"]), (&dead.as_str().into(), &"connect-failed".into()));
    let text = top(&aya, &["--once", "--interval", "100ms"], "").stdout;
    assert!(text.contains(&dead) && text.contains("connect-failed"), "{text}");
}

/// What an operator and an agent want of an endpoint is one word in the API, whoever said it last.
#[test]
fn an_endpoint_that_is_drained_is_called_so() {
    let backend = Backend::echo("a");
    let aya = Aya::start(&config("", "", "", &[&backend]));
    let path = format!("/api/v1/pools/main/endpoints/{backend}");
    assert_eq!(aya.admin("PATCH", &path, r#"{"state": "drain"}"#).status, 200);
    let text = top(&aya, &["--once", "--interval", "100ms"], "").stdout;
    assert!(text.contains("0/1 up") && text.contains(" drain "), "{text}");
}

/// A port with a token is read with it, from the environment or a file, and with no other; the token is never printed.
#[test]
fn the_token_is_needed_and_kept() {
    let backend = Backend::echo("a");
    let text = format!(
        "{}admin: {{bind: '127.0.0.1:0', token: {{env: PLAY_TOKEN}}}}\n",
        config("", "", "", &[&backend])
    );
    let aya = Aya::start_with(&text, &[], &[("PLAY_TOKEN", "open-sesame")]);
    let once = ["--once", "--interval", "100ms"];
    assert_eq!(top(&aya, &once, "open-sesame").code, Some(0));
    let folder = TempFolder::new();
    let file = folder.write("token", "open-sesame\n");
    let with_file = ["--once", "--interval", "100ms", "--token-file", &file.to_string_lossy()];
    assert_eq!(top(&aya, &with_file, "wrong").code, Some(0), "the file that is named counts");
    for (token, code, part) in [
        ("", 1, "it wants a token: give --token-file FILE, or set AYA_TOKEN"),
        ("sesame-closed", 1, "it does not take this token"),
        ("in two words", 2, "the token in AYA_TOKEN"),
    ] {
        let ended = top(&aya, &once, token);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
        assert!(token.is_empty() || !ended.stderr.contains(token), "{}", ended.stderr);
    }
}

/// What cannot be asked is refused in one line: with exit code 2 where the command line is wrong, else with 1.
#[test]
fn what_cannot_be_asked_is_refused() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let other = Backend::echo("no Aya");
    for (arguments, code, part) in [
        (["top", "https://127.0.0.1:9900", "--once"], 2, "plain HTTP"),
        (["top", "http://127.0.0.1", "--once"], 2, "it has no port"),
        (["top", "127.0.0.1:9900", "--token-file=/nowhere"], 2, "cannot be read"),
        (["top", "127.0.0.1:9900", "--interval=1ms"], 2, "between 100ms and 1h"),
        (["top", "127.0.0.1:9900", "--interval=1s"], 2, "this is no terminal"),
        (["top", &nobody, "--once"], 1, "connection refused"),
        (["top", &other.to_string(), "--once"], 1, "/api/v1/stats"),
    ] {
        let ended = Aya::run(&arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{arguments:?}: {}", ended.stderr);
    }
}

/// Whoever answers on the port may be somebody else: what it says does not steer the terminal.
#[test]
fn what_would_steer_the_terminal_is_not_printed() {
    const EVIL: &str = "\\u001b]0;evil\\u0007\\r\\nline\\u009b1m\\u202e";
    let evil = Backend::script(|session| {
        let Some(request) = session.request()? else { return Ok(()) };
        let stats = format!(r#"{{"clock_us": 1, "version": "{EVIL}", "pools": [{{"name": "{EVIL}"}}]}}"#);
        let problem = format!(r#"{{"detail": "{EVIL}", "how": "{EVIL}"}}"#);
        let is_top = request.target.contains("stats");
        session.send(answer(if is_top { 200 } else { 500 }, &[], if is_top { stats } else { problem }))
    });
    let admin = evil.to_string();
    for arguments in [["top", &admin, "--once", "--interval=100ms"], ["explain", "--id=1", "--admin", &admin]]
    {
        let Ended { stdout, stderr, .. } = Aya::run(&arguments);
        let printed = stdout + &stderr;
        assert!(printed.contains("evil"), "{printed}");
        let steers = |letter: char| letter != '\n' && letter.is_control() || letter == '\u{202e}';
        assert!(!printed.contains(steers) && !printed.contains("\nline"), "{printed:?}");
    }
}

/// Runs `aya top` on a terminal of 80 × 24: a key, another size, the loss of the Aya it watches, the end by the means named.
/// The terminal is then to be as before.
const ON_A_TERMINAL: &str = r#"
import fcntl, os, pty, select, signal, struct, subprocess, sys, termios, time

program, url, watched, end = sys.argv[1:]
master, slave = pty.openpty()

def resize(columns, lines):
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

resize(80, 24)
before = termios.tcgetattr(slave)
top = subprocess.Popen([program, "top", url, "--interval", "100ms"], stdin=slave, stdout=slave, stderr=slave)
seen, deadline = b"", time.monotonic() + 20

# Spaces that are there already are not sent, so single words are waited for.
def read():
    global seen
    if select.select([master], [], [], 0.05)[0]:
        seen += os.read(master, 65536)

def wait_for(part):
    global seen
    while part not in seen:
        if time.monotonic() > deadline or top.poll() is not None:
            sys.exit(f"{part} did not come: {seen[-2000:]}")
        read()
    seen = b""

wait_for(b"errors")
os.write(master, b"?")
wait_for(b"quantiles")
os.write(master, b"x")
resize(70, 20)
top.send_signal(signal.SIGWINCH)
wait_for(b"endpoint")
os.kill(int(watched), signal.SIGKILL)
wait_for(b"trying")
if end == "TERM":
    top.send_signal(signal.SIGTERM)
else:
    os.write(master, end.encode())
while top.poll() is None:
    if time.monotonic() > deadline:
        top.kill()
        sys.exit("it does not end")
    read()
read()
if b"\x1b[?1049l" not in seen:
    sys.exit(f"the screen is not given back: {seen[-2000:]}")
if termios.tcgetattr(slave) != before:
    sys.exit("the terminal is not as it was")
sys.exit(top.returncode)
"#;

/// On a terminal it is drawn, obeys keys, follows the size, outlives the Aya it watches, and leaves the terminal as it was.
#[test]
fn on_a_terminal_it_is_live_and_leaves_it_as_it_was() {
    for end in ["q", "\u{3}", "TERM"] {
        let backend = Backend::echo("a");
        let aya = Aya::start(&config("", "", "", &[&backend]));
        let mut command = Command::new("python3");
        command.args(["-c", ON_A_TERMINAL]).arg(base_testkit::aya_binary());
        command.arg(format!("http://{}", aya.admin_address())).arg(aya.id().to_string()).arg(end);
        let ended = Process::run(command, Duration::from_secs(30));
        aya.kill();
        assert_eq!(ended.code, Some(0), "{end:?}: {}{}", ended.stdout, ended.stderr);
    }
}
