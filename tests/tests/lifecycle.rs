//! From start to end, with faults and changes under load in between.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base_testkit::{
    Aya, Backend, Client, Gate, Nginx, Process, Signal, Stopwatch, TempFolder, answer, free_port, load,
    wait_until,
};

use crate::{config, config_of, front, is_long};

/// A backend that waits for its cue.
fn held(gate: &Arc<Gate>) -> Backend {
    let cue = Arc::clone(gate);
    Backend::answering(move |request| {
        if request.target == "/hold" {
            cue.pass();
        }
        answer(200, &[], "done")
    })
}

/// Signals are heeded from the moment Aya says that it is ready: none of them ends it by surprise.
#[test]
fn signals_are_heeded_from_the_start() {
    let backend = Backend::echo("a");
    let text = config("", "", "", &[&backend]);
    for number in 0..20 {
        let mut aya = Aya::start(&text);
        aya.signal([Signal::HUP, Signal::USR1, Signal::TERM, Signal::INT][number % 4]);
        if number % 4 < 2 {
            assert_eq!(aya.get("/").status, 200);
        } else {
            assert_eq!(aya.wait(Duration::from_secs(10)).code, Some(0));
        }
    }
}

/// SIGTERM: new connections are refused, the request under way is finished, and the process ends well.
#[test]
fn sigterm_finishes_what_is_under_way() {
    let gate = Arc::new(Gate::new());
    let backend = held(&gate);
    let mut aya = Aya::start(&format!("drain: 60s\n{}", config("", "", "", &[&backend])));
    let address = aya.listener("web");
    let mut under_way = aya.client();
    under_way.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut idle = aya.client();
    assert_eq!(idle.get("/").status, 200);
    wait_until("the request to arrive", || {
        backend.requests().iter().any(|request| request.target == "/hold")
    });
    aya.signal(Signal::TERM);
    wait_until("new connections to be refused", || std::net::TcpStream::connect(address).is_err());
    idle.expect_close();
    gate.open();
    let response = under_way.response();
    assert_eq!((response.text().as_str(), response.keeps_alive()), ("done", false));
    under_way.expect_close();
    let ended = aya.wait(Duration::from_secs(10));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// What does not end in its drain time is cut off, and the process ends.
#[test]
fn the_drain_has_its_time() {
    let gate = Arc::new(Gate::new());
    let backend = held(&gate);
    let mut aya = Aya::start(&format!("drain: 500ms\n{}", config("", "", "", &[&backend])));
    let mut stuck = aya.client();
    stuck.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.request_count() == 1);
    let watch = Stopwatch::start();
    aya.signal(Signal::TERM);
    let ended = aya.wait(Duration::from_secs(10));
    assert!(watch.elapsed() > Duration::from_millis(400), "{:?}", watch.elapsed());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    drop(stuck);
    gate.open();
}

/// A second signal ends the process at once.
#[test]
fn a_second_signal_does_not_wait() {
    let gate = Arc::new(Gate::new());
    let backend = held(&gate);
    let mut aya = Aya::start(&format!("drain: 60s\n{}", config("", "", "", &[&backend])));
    let mut stuck = aya.client();
    stuck.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.request_count() == 1);
    aya.signal(Signal::INT);
    let address = aya.listener("web");
    wait_until("new connections to be refused", || std::net::TcpStream::connect(address).is_err());
    aya.signal(Signal::INT);
    assert!(aya.ends_within(Duration::from_secs(10)));
    aya.kill();
    gate.open();
}

/// While it drains, Aya says that it wants no traffic.
#[test]
fn a_draining_aya_is_not_ready() {
    let gate = Arc::new(Gate::new());
    let backend = held(&gate);
    let mut aya = Aya::start(&format!("drain: 60s\n{}", config("", "", "", &[&backend])));
    assert_eq!((aya.admin("GET", "/readyz", "").status, aya.admin("GET", "/healthz", "").status), (200, 200));
    let mut under_way = aya.client();
    under_way.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.request_count() == 1);
    aya.signal(Signal::TERM);
    wait_until("it to be unready", || aya.admin("GET", "/readyz", "").status == 503);
    assert_eq!(aya.status()["draining"], true);
    gate.open();
    assert_eq!(under_way.response().text(), "done");
}

/// Under load, a backend that is killed and started again, over and over, costs no request: neither where only traffic tells of
/// its death, nor where checks do.
#[test]
fn killing_a_backend_costs_no_request() {
    kill_under_load("ejection: {consecutive-failures: 3, for: 200ms}");
    kill_under_load(
        "ejection: off, balance: least-connections, health: {http: /, interval: 100ms, fall: 1, rise: 1}",
    );
}

fn kill_under_load(pool: &str) {
    let mut backends: Vec<_> = (0..3).map(|_| Nginx::start("location / { return 200 'fine'; }")).collect();
    let endpoints: Vec<_> = backends.iter().map(|nginx| nginx.address().to_string()).collect();
    let aya = Aya::start(&config_of("", "", pool, &endpoints.join(", ")));
    let run = load(&aya.url("/"), 32);
    let answered = || aya.metrics().sum("aya_requests_total", &[]);
    let more = |what: &str| {
        let before = answered();
        wait_until(what, || answered() > before + 500.0);
    };
    more("the load to begin");
    for number in 0..if is_long() { 20 } else { 5 } {
        backends[number % 3].kill();
        more("requests while one is dead");
        backends[number % 3].restart();
        let served = || {
            let labels = [("endpoint", endpoints[number % 3].as_str()), ("outcome", "2xx")];
            aya.metrics().sum("aya_upstream_requests_total", &labels)
        };
        let before = served();
        wait_until("the one that is back to serve", || served() > before + 100.0);
    }
    let report = run.finish();
    assert_eq!((report.bad_answers, report.socket_errors), (0, 0), "{}\n{}", report.text, aya.stderr());
    assert!(report.requests > 1000, "{}", report.text);
}

/// Under load, configuration after configuration is taken up, and no request is lost.
#[test]
fn reloading_costs_no_request() {
    let backends: Vec<_> = (0..2).map(|_| Nginx::start("location / { return 200 'fine'; }")).collect();
    let endpoints: Vec<_> = backends.iter().map(|nginx| nginx.address().to_string()).collect();
    let text = |number: usize| {
        let kinds = ["round-robin", "least-connections", "random"];
        let route = format!("timeouts: {{request: {}s}}", 60 + number);
        // Endpoints, balancer and time change from one to the next.
        let used = &endpoints[..1 + number % 2];
        config_of("", &route, &format!("balance: {}", kinds[number % 3]), &used.join(", "))
    };
    let mut aya = Aya::start(&text(0));
    let run = load(&aya.url("/"), 32);
    let answered = |aya: &Aya| aya.metrics().sum("aya_requests_total", &[]);
    wait_until("the load to begin", || answered(&aya) > 500.0);
    for number in 1..=if is_long() { 100 } else { 20 } {
        let (generation, before) = (aya.generation(), answered(&aya));
        aya.rewrite(&text(number));
        aya.signal(Signal::HUP);
        aya.wait_for_generation_after(generation);
        wait_until("requests under the new configuration", || answered(&aya) > before + 100.0);
    }
    let report = run.finish();
    assert_eq!((report.bad_answers, report.socket_errors), (0, 0), "{}\n{}", report.text, aya.stderr());
    assert!(report.requests > 1000, "{}", report.text);
    let listed = aya.metrics().sum("aya_connections_open", &[]);
    assert!(listed < 40.0, "{listed} connections are counted as open");
}

/// Reload after reload leaves nothing behind: neither memory nor descriptors grow without end.
#[test]
fn reloads_leave_nothing_behind() {
    let backend = Backend::echo("a");
    let text =
        |number: usize| config("", &format!("timeouts: {{request: {}s}}", 60 + number), "", &[&backend]);
    let aya = Aya::start(&text(0));
    let descriptors = || aya.descriptors();
    let reload = |range: std::ops::Range<usize>| {
        for number in range {
            let text = format!("{}\nadmin: {{bind: '127.0.0.1:0'}}\nworkers: 2\ndrain: 3s\n", text(number));
            assert_eq!(aya.admin("POST", "/api/v1/config", &text).status, 200);
            assert_eq!(aya.get("/").status, 200);
        }
    };
    reload(1..20);
    let (memory, open) = (aya.memory().resident, descriptors());
    reload(20..120);
    let grown = aya.memory().resident.saturating_sub(memory);
    assert!(grown < 8 * 1024 * 1024, "memory grew by {grown} bytes in 100 reloads");
    wait_until("descriptors to be given back", || descriptors() <= open + 5);
}

/// A thousand clients that come and go at once leave nothing behind.
#[test]
fn connections_leave_nothing_behind() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let descriptors = || aya.descriptors();
    assert_eq!(aya.get("/").status, 200);
    let open = descriptors();
    for round in 0..5 {
        let clients: Vec<_> = (0..200).map(|_| aya.client()).collect();
        for (number, mut client) in clients.into_iter().enumerate() {
            match number % 4 {
                0 => assert_eq!(client.get("/").status, 200),
                1 => client.send("GET /half HTTP/1.1\r\nHo"),
                2 => client.reset(),
                _ => {}
            }
        }
        wait_until(&format!("round {round} to be gone"), || descriptors() <= open + 8);
    }
    wait_until("no connection to be counted", || aya.metrics().sum("aya_connections_open", &[]) < 0.5);
}

/// Out of descriptors, Aya neither ends nor spins; it serves again when some are free.
#[test]
fn running_out_of_descriptors_is_survived() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    assert_eq!(aya.get("/").status, 200);
    let mut command = Command::new("prlimit");
    command.args(["--pid", &aya.id().to_string(), "--nofile=80"]);
    assert_eq!(Process::run(command, Duration::from_secs(10)).code, Some(0));
    let crowd: Vec<_> = (0..150).map(|_| aya.client()).collect();
    drop(crowd);
    wait_until("it to serve again", || {
        let mut client = aya.client();
        client.offer("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.try_response().is_ok_and(|response| response.status == 200)
    });
}

/// Every worker count works, and each worker serves.
#[test]
fn workers_can_be_chosen() {
    let backend = Backend::echo("a");
    for workers in [1, 2, 5] {
        let aya = Aya::start(&format!("workers: {workers}\n{}", config("", "", "", &[&backend])));
        assert_eq!(aya.status()["workers"], workers);
        for _ in 0..20 {
            assert_eq!(aya.get("/").status, 200);
        }
    }
    let aya = Aya::start_with(&config("", "", "", &[&backend]), &["--workers", "3"], &[]);
    assert_eq!(aya.status()["workers"], 3);
}

/// Without being told, Aya takes as many workers as it may use cores.
#[test]
fn workers_follow_the_usable_cores() {
    let backend = Backend::echo("a");
    let folder = TempFolder::new();
    let text = format!("{}admin: {{bind: '127.0.0.1:0'}}\n", config("", "", "", &[&backend]));
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", "0"])
        .arg(base_testkit::aya_binary())
        .arg("run")
        .arg(folder.write("aya.yaml", text));
    let mut process = Process::start(command);
    process.wait_for_line("ready");
    let line = process.wait_for_line("admin address=");
    let address = line.rsplit('=').next().and_then(|text| text.parse().ok()).expect("an address");
    let mut client = Client::connect(address);
    client.send(format!("GET /api/v1/status HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert_eq!(client.response().json()["workers"], 1);
}

/// What becomes of the reader of Aya's messages once Aya is ready.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reader {
    Gone,
    Stuck,
}

/// A configuration that answers with this word.
fn saying(word: &str) -> String {
    format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\nroutes: [{{respond: {{body: {word}}}}}]\n\
         admin: {{bind: '127.0.0.1:0'}}\nlogs: {{access: {{format: json, to: stderr}}}}\nworkers: 1\n"
    )
}

/// Starts Aya, lets this happen to its reader, and watches whether traffic and reloads go on.
fn with_reader(reader: Reader) {
    let folder = TempFolder::new();
    let (messages, mut writer) = std::io::pipe().expect("a pipe can be made");
    let mut command = Command::new(base_testkit::aya_binary());
    command.arg("run").arg(folder.write("aya.yaml", saying("before"))).stdout(Stdio::null());
    let mut child =
        command.stderr(writer.try_clone().expect("it can be cloned")).spawn().expect("aya can be started");
    // The command holds its end of the pipe open.
    drop(command);
    let mut messages = BufReader::new(messages);
    let mut web = None;
    // These two come by ways of their own, in either order. After both, nothing is written until there is traffic, and the pipe is empty.
    let (mut is_ready, mut has_started) = (false, false);
    for line in messages.by_ref().lines().map_while(Result::ok) {
        if line.starts_with("listening ") {
            web = line.rsplit('=').next().and_then(|text| text.parse().ok());
        }
        is_ready |= line == "ready";
        has_started |= line.contains(" started ");
        if is_ready && has_started {
            break;
        }
    }
    let web = web.expect("an address is named");
    let kept = match reader {
        Reader::Gone => {
            drop(messages);
            None
        }
        Reader::Stuck => {
            writer.write_all(&vec![b'\n'; PIPE_BYTES]).expect("the pipe has room");
            Some(messages)
        }
    };
    let get = || {
        let mut client = Client::connect(web);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.try_response().map(|response| response.text()).unwrap_or_default()
    };
    let outcome = std::panic::catch_unwind(|| {
        (0..100).for_each(|_| assert_eq!(get(), "before"));
        folder.write("aya.yaml", saying("after"));
        wait_until("the new answer", || get() == "after");
    });
    let ended = child.try_wait().ok().flatten();
    drop(child.kill());
    drop(child.wait());
    drop(kept);
    assert!(outcome.is_ok() && ended.is_none(), "{reader:?}: it ended: {ended:?}");
}

/// What a pipe holds, as Linux makes it.
const PIPE_BYTES: usize = 64 * 1024;

/// Whoever reads Aya's messages may go away, or stop reading: traffic and reloads go on.
#[test]
fn readers_of_messages_hold_nobody_up() {
    with_reader(Reader::Gone);
    with_reader(Reader::Stuck);
}

/// A fixed port is free again at once when Aya has ended: it can be started anew without waiting.
#[test]
fn a_restart_finds_its_port_free() {
    let backend = Backend::echo("a");
    let port = free_port();
    let text = config("", "", "", &[&backend]).replace("'127.0.0.1:0'", &format!("'127.0.0.1:{port}'"));
    for _ in 0..3 {
        let aya = Aya::start(&text);
        let mut client = aya.client();
        assert_eq!(client.get("/").status, 200);
    }
}
