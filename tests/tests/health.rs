//! Endpoints that fall sick, are left out, and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use base_testkit::{Aya, Backend, Python, answer, never_within, wait_until};

use crate::{config, config_of, front_with};

/// A backend whose health answer can be changed.
fn patient(name: &'static str) -> (Backend, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let shown = Arc::clone(&status);
    let backend = Backend::answering(move |request| {
        let status = if request.target == "/healthz" { shown.load(Ordering::SeqCst) } else { 200 };
        answer(status, &[&format!("x-backend: {name}")], if status == 200 { "all fine" } else { "sick" })
    });
    (backend, status)
}

/// The endpoint's view in the status of its pool.
fn endpoint(aya: &Aya, backend: &Backend) -> serde_json::Value {
    let pool = aya.admin("GET", "/api/v1/pools/main", "").json();
    let endpoints = pool["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.into_iter().find(|one| one["address"] == backend.to_string()).expect("the endpoint is listed")
}

fn transitions(aya: &Aya, to: &str) -> f64 {
    aya.metrics().sum("aya_endpoint_transitions_total", &[("pool", "main"), ("to", to)])
}

const QUICK: &str = "health: {http: /healthz, interval: 50ms, timeout: 1s, rise: 2, fall: 2}";

/// An endpoint that fails its check is left out, and is back when it passes again; both are logged with their cause and counted.
#[test]
fn http_checks_take_out_and_bring_back() {
    let (well, _) = patient("well");
    let (sick, health) = patient("sick");
    let mut aya = front_with("", "", QUICK, &[&well, &sick]);
    wait_until("both to be up", || {
        endpoint(&aya, &well)["health"] == "up" && endpoint(&aya, &sick)["health"] == "up"
    });
    health.store(503, Ordering::SeqCst);
    wait_until("the sick one to be out", || endpoint(&aya, &sick)["health"] == "down");
    for _ in 0..20 {
        assert_eq!(aya.get("/").header("x-backend"), Some("well"));
    }
    assert!(endpoint(&aya, &sick)["cause"].as_str().is_some_and(|cause| cause.contains("503")));
    let line = aya.wait_for_line(&sick.to_string());
    assert!(line.contains("main"), "{line}");
    health.store(200, Ordering::SeqCst);
    wait_until("it to be back", || aya.get("/").header("x-backend") == Some("sick"));
    assert!(transitions(&aya, "down") >= 1.0 && transitions(&aya, "up") >= 1.0);
    assert!(aya.metrics().sum("aya_health_checks_total", &[("pool", "main"), ("result", "fail")]) >= 2.0);
}

/// One bad check does not take an endpoint out when two are asked for.
#[test]
fn a_single_failure_is_not_enough() {
    let countdown = Arc::new(AtomicU16::new(u16::MAX));
    let left = Arc::clone(&countdown);
    let backend = Backend::answering(move |request| {
        let fails = request.target == "/healthz" && left.fetch_sub(1, Ordering::SeqCst) == 1;
        answer(if fails { 500 } else { 200 }, &[], "")
    });
    let aya = front_with("", "", QUICK, &[&backend]);
    wait_until("it to be up", || endpoint(&aya, &backend)["health"] == "up");
    countdown.store(1, Ordering::SeqCst);
    let checks = || backend.requests().iter().filter(|request| request.target == "/healthz").count();
    let before = checks();
    wait_until("some checks to pass", || checks() > before + 5);
    assert!(transitions(&aya, "down") < 0.5);
}

/// No request goes to an endpoint that has not passed its first check.
#[test]
fn the_first_check_comes_before_traffic() {
    let (sick, health) = patient("sick");
    health.store(500, Ordering::SeqCst);
    let aya = front_with("", "", QUICK, &[&sick]);
    for _ in 0..10 {
        let response = aya.get("/");
        assert_eq!((response.status, response.reason()), (503, "no-endpoint"));
    }
    wait_until("it to be known as down", || endpoint(&aya, &sick)["health"] == "down");
    assert!(sick.requests().iter().all(|request| request.target == "/healthz"));
    health.store(200, Ordering::SeqCst);
    wait_until("it to be up", || aya.get("/").status == 200);
}

/// A check asks as it is told: method, host, fields; and accepts the statuses and the body it is told.
#[test]
fn a_check_asks_and_judges_as_told() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/check" => answer(418, &[], "status: fine and well"),
        _ => answer(200, &[], ""),
    });
    let health = "health: {http: /check, method: POST, host: inner.test, headers: {x-probe: aya}, \
                  status: [200-299, 418], body: fine, interval: 50ms}";
    let aya = front_with("", "", health, &[&backend]);
    wait_until("it to be up", || aya.get("/").status == 200);
    let check =
        backend.requests().into_iter().find(|request| request.target == "/check").expect("it was asked");
    assert_eq!((check.method.as_str(), check.header("host")), ("POST", Some("inner.test")));
    assert_eq!(check.header("x-probe"), Some("aya"));
    drop(aya);
    for judgement in ["status: [200]", "status: [418], body: sick", "status: [418], body: '~ ^fine'"] {
        let health = format!("health: {{http: /check, {judgement}, interval: 50ms, fall: 1}}");
        let aya = front_with("", "", &health, &[&backend]);
        wait_until("it to be down", || endpoint(&aya, &backend)["health"] == "down");
        assert_eq!(aya.get("/").status, 503, "{judgement}");
    }
}

/// A check that gets no answer in its time fails.
#[test]
fn a_silent_endpoint_fails_its_check() {
    let backend = Backend::script(|session| {
        while session.request()?.is_some() {}
        Ok(())
    });
    let health = "health: {http: /healthz, interval: 50ms, timeout: 100ms, fall: 1}";
    let aya = front_with("", "", health, &[&backend]);
    wait_until("it to be down", || endpoint(&aya, &backend)["health"] == "down");
    assert_eq!(aya.get("/").reason(), "no-endpoint");
}

/// A tcp check sees a dead port and a living one.
#[test]
fn tcp_checks_take_out_and_bring_back() {
    let (well, _) = patient("well");
    let (mut mortal, _) = patient("mortal");
    let health = "ejection: off, health: {tcp: true, interval: 50ms, fall: 2, rise: 2}";
    let aya = front_with("", "", health, &[&well, &mortal]);
    wait_until("both to be up", || {
        endpoint(&aya, &well)["health"] == "up" && endpoint(&aya, &mortal)["health"] == "up"
    });
    mortal.kill();
    wait_until("the dead one to be out", || endpoint(&aya, &mortal)["health"] == "down");
    for _ in 0..20 {
        assert_eq!(aya.get("/").status, 200);
    }
    mortal.restart();
    wait_until("it to be back", || aya.get("/").header("x-backend") == Some("mortal"));
}

/// The shorthand `health: tcp` checks as the long form does.
#[test]
fn the_short_tcp_check_works() {
    let (well, _) = patient("well");
    let aya = front_with("", "", "health: tcp", &[&well]);
    wait_until("it to be up", || aya.get("/").status == 200);
}

/// A check on another port judges the endpoint by what answers there.
#[test]
fn a_check_can_ask_another_port() {
    let (service, _) = patient("service");
    let (agent, health) = patient("agent");
    let check =
        format!("health: {{http: /healthz, port: {}, interval: 50ms, fall: 1, rise: 1}}", agent.port());
    let aya = front_with("", "", &check, &[&service]);
    wait_until("it to be up", || aya.get("/").status == 200);
    health.store(500, Ordering::SeqCst);
    wait_until("it to be down", || aya.get("/").status == 503);
    assert!(service.requests().iter().all(|request| request.target != "/healthz"));
}

/// An endpoint that fails request after request is ejected for its time, without any active check, and then tried again.
#[test]
fn failures_in_a_row_eject() {
    let (well, _) = patient("well");
    let (mut mortal, _) = patient("mortal");
    let mut aya = front_with("", "", "ejection: {consecutive-failures: 3, for: 1s}", &[&well, &mortal]);
    mortal.kill();
    wait_until("it to be ejected", || {
        assert_eq!(aya.get("/").status, 200);
        endpoint(&aya, &mortal)["eligible"] == false
    });
    let line = aya.wait_for_line(&mortal.to_string());
    assert!(line.contains("main"), "{line}");
    mortal.restart();
    wait_until("it to be used again", || aya.get("/").header("x-backend") == Some("mortal"));
    assert!(aya.metrics().sum("aya_endpoint_transitions_total", &[("pool", "main")]) >= 2.0);
}

/// Failures that are not in a row do not eject, and neither does an error status of the application.
#[test]
fn a_success_between_failures_clears_them() {
    let backend = Backend::script(|session| {
        while let Some(request) = session.request()? {
            match request.target.as_str() {
                "/drop" => return Ok(()),
                "/error" => session.send(answer(500, &[], ""))?,
                _ => session.send(answer(200, &[], ""))?,
            }
        }
        Ok(())
    });
    let pool = "ejection: {consecutive-failures: 3, for: 60s}";
    let aya = front_with("", "retry: {attempts: 1}", pool, &[&backend]);
    for _ in 0..6 {
        for _ in 0..2 {
            let mut client = aya.client();
            assert_eq!(client.post("/drop", "x").status, 502);
        }
        assert_eq!(aya.get("/").status, 200);
    }
    for _ in 0..10 {
        assert_eq!(aya.get("/error").status, 500);
    }
    assert_eq!(aya.get("/").status, 200);
}

/// Checks are spread: an endpoint is not asked more often than its interval says, however many workers there are.
#[test]
fn checks_keep_their_interval() {
    let (backend, _) = patient("one");
    let health = "health: {http: /healthz, interval: 60s}";
    let aya = Aya::start(&format!("workers: 4\n{}", config("", "", health, &[&backend])));
    wait_until("it to be up", || endpoint(&aya, &backend)["health"] == "up");
    let checks = || backend.requests().iter().filter(|request| request.target == "/healthz").count();
    let first = checks();
    never_within(Duration::from_millis(500), "it is asked again", || checks() > first);
    assert!(first <= 3, "{first} checks at the start");
}

/// Three machines, played by addresses of this one: each with a service that tells its load as a file says, if there is one; two of them
/// with an agent that says what a file holds. Services and agents are processes of their own, and end with the script.
const THREE_MACHINES: &str = r#"
import http.server, os, pathlib, socketserver, sys, threading, time

class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        report = pathlib.Path(self.server.server_address[0] + "-report")
        if report.exists():
            self.send_header("endpoint-load-metrics", report.read_text())
        self.end_headers()
    def log_message(self, *_):
        pass

class Agent(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(pathlib.Path(self.server.server_address[0]).read_bytes())

class Agents(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

script = os.getpid()

def end_with_script():
    while os.getppid() == script:
        time.sleep(0.1)
    os._exit(0)

def in_a_process(server):
    if os.fork() == 0:
        threading.Thread(target=end_with_script, daemon=True).start()
        server.serve_forever()
    server.socket.close()

for machine in ["127.0.0.3", "127.0.0.2", "127.0.0.1"]:
    service = http.server.ThreadingHTTPServer((machine, 0), Service)
    pathlib.Path(machine + "-port").write_text(str(service.server_port))
    in_a_process(service)
    if machine != "127.0.0.3":
        in_a_process(Agents((machine, int(sys.argv[1])), Agent))
while True:
    time.sleep(60)
"#;

struct Machines(Python);

impl Machines {
    const NAMES: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

    fn saying(line: &str) -> Self {
        Self(Python::script(THREE_MACHINES, &[(Self::NAMES[0], line), (Self::NAMES[1], line)]))
    }

    /// Changes what an agent says, at once.
    fn say(&self, machine: usize, line: &str) {
        self.write(Self::NAMES[machine], line);
    }

    /// Changes what a service tells of its load.
    fn report(&self, machine: usize, report: &str) {
        self.write(&format!("{}-report", Self::NAMES[machine]), report);
    }

    fn write(&self, file: &str, text: &str) {
        let (path, new) = (self.0.folder().join(file), self.0.folder().join("new"));
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(new, path));
        written.expect("the file can be written");
    }

    fn endpoint(&self, machine: usize) -> String {
        let name = Self::NAMES[machine];
        let port = std::fs::read_to_string(self.0.folder().join(format!("{name}-port")));
        format!("{name}:{}", port.expect("the service has a port"))
    }

    /// In front of the two that have agents.
    fn front(&self) -> Aya {
        let endpoints = [0, 1].map(|machine| self.endpoint(machine)).join(", ");
        Aya::start(&format!("workers: 1\n{}", config_of("", "", &self.check(), &endpoints)))
    }

    /// In front of all three, by this balancer.
    fn front_all(&self, balance: &str) -> Aya {
        let endpoints = [0, 1, 2].map(|machine| self.endpoint(machine)).join(", ");
        let pool = format!("balance: {balance}, {}", self.check());
        Aya::start(&format!("workers: 1\n{}", config_of("", "", &pool, &endpoints)))
    }

    fn check(&self) -> String {
        format!("health: {{agent: true, port: {}, interval: 50ms}}", self.0.address().port())
    }

    /// What a machine has of this in use, in percent, as far as Aya knows.
    fn in_use(&self, aya: &Aya, machine: usize, resource: &str) -> f64 {
        let endpoint = self.endpoint(machine);
        let labels = [("pool", "main"), ("endpoint", &*endpoint), ("resource", resource)];
        aya.metrics().sum("aya_endpoint_utilization_percent", &labels)
    }

    fn view(&self, aya: &Aya, machine: usize) -> serde_json::Value {
        let pool = aya.admin("GET", "/api/v1/pools/main", "").json();
        pool["endpoints"][machine].clone()
    }

    /// How many of so many requests each machine takes.
    fn shares<const N: usize>(&self, aya: &Aya, requests: usize) -> [f64; N] {
        let taken = || {
            let metrics = aya.metrics();
            std::array::from_fn(|machine| {
                let endpoint = self.endpoint(machine);
                metrics.sum("aya_upstream_requests_total", &[("pool", "main"), ("endpoint", &endpoint)])
            })
        };
        let before: [f64; N] = taken();
        for _ in 0..requests {
            assert_eq!(aya.get("/").status, 200);
        }
        // A request is counted when all of it is over, which is after its answer has come.
        let shares = || {
            let after: [f64; N] = taken();
            std::array::from_fn(|machine| after[machine] - before[machine])
        };
        wait_until("all to be counted", || shares().iter().sum::<f64>() >= requests as f64);
        shares()
    }
}

/// `resource` goes by what machines have in use: two tell it through agents, one in its answers, in both forms. Shares are as they should be, but
/// for five standard deviations. Clients do not see the reports.
#[test]
fn resource_goes_by_what_machines_have_in_use() {
    let machines = Machines::saying("up cpu:20% mem:40% io:1.5%\n");
    machines.report(2, "TEXT cpu_utilization=0.2, mem_utilization=0.4");
    let aya = machines.front_all("resource");
    let in_use = |machine, resource| machines.in_use(&aya, machine, resource);
    wait_until("all to have told", || {
        assert!(aya.get("/").header("endpoint-load-metrics").is_none(), "it is not for clients");
        (0..3).all(|machine| in_use(machine, "cpu") == 20.0 && in_use(machine, "memory") == 40.0)
    });
    assert_eq!(
        (in_use(0, "io"), in_use(2, "io")),
        (2.0, 0.0),
        "to whole percent; what was not told is not there"
    );
    // 240 draws at one in three: five standard deviations are 37.
    assert!(machines.shares::<3>(&aya, 240).iter().all(|share| (share - 80.0).abs() < 37.0));

    machines.say(0, "up cpu:90%\n");
    machines.report(2, r#"JSON {"cpu_utilization": 0.9}"#);
    wait_until("the busy two to have told", || {
        aya.get("/");
        in_use(0, "cpu") == 90.0 && in_use(2, "cpu") == 90.0
    });
    let shares: [f64; 3] = machines.shares(&aya, 240);
    // An eighth of what the idle one has left: it keeps its third, and gets seven eighths of what would be drawn beside it.
    assert!((shares[1] - 150.0).abs() < 37.0 && shares[0] > 15.0 && shares[2] > 15.0, "{shares:?}");

    machines.say(0, "up cpu:20%\n");
    machines.say(1, "up cpu:90%\n");
    wait_until("the agents to have told", || in_use(0, "cpu") == 20.0 && in_use(1, "cpu") == 90.0);
    let shares: [f64; 3] = machines.shares(&aya, 240);
    assert!((shares[0] - 150.0).abs() < 37.0, "{shares:?}");
}

/// What endpoints tell of their load goes on to the client where that is wanted, and everywhere but with `resource`.
#[test]
fn reports_of_load_are_kept_or_passed_on() {
    let machines = Machines::saying("up\n");
    let report = "TEXT cpu_utilization=0.25";
    (0..3).for_each(|machine| machines.report(machine, report));
    for (balance, expected) in [
        ("resource", None),
        ("{kind: resource, forward-report: true}", Some(report)),
        ("random", Some(report)),
    ] {
        let aya = machines.front_all(balance);
        wait_until("all to be up", || aya.get("/").status == 200);
        assert_eq!(aya.get("/").header("endpoint-load-metrics"), expected, "{balance}");
        let known = (0..3).map(|machine| machines.in_use(&aya, machine, "cpu")).fold(0.0, f64::max);
        assert!((known - if balance == "random" { 0.0 } else { 25.0 }).abs() < 0.1, "{balance}: {known}");
    }
}

/// Agents steer the shares of two endpoints that the configuration gives the same weight.
#[test]
fn agents_steer_shares() {
    let machines = Machines::saying("up 100%\n");
    let aya = machines.front();
    wait_until("both agents to have spoken", || {
        (0..2).all(|machine| machines.view(&aya, machine)["agent"]["weight_percent"] == 100)
    });
    assert_eq!(machines.shares(&aya, 30), [15.0, 15.0]);
    machines.say(0, "50% #busy\n");
    wait_until("the share to change", || machines.view(&aya, 0)["agent"]["weight_percent"] == 50);
    assert_eq!(machines.shares(&aya, 30), [10.0, 20.0]);
    assert_eq!(machines.view(&aya, 0)["weight"], 1);
    let percent = |machine| {
        let endpoint = machines.endpoint(machine);
        aya.metrics().sum("aya_endpoint_agent_weight_percent", &[("pool", "main"), ("endpoint", &endpoint)])
    };
    assert_eq!((percent(0), percent(1)), (50.0, 100.0));
}

/// What an agent says takes its endpoint out and brings it back, with the agent's line as cause in log, API and metrics; what
/// an operator said stays beside it.
#[test]
fn agents_take_out_and_bring_back() {
    let machines = Machines::saying("up 100%\n");
    let mut aya = machines.front();
    wait_until("both to be up", || (0..2).all(|machine| machines.view(&aya, machine)["eligible"] == true));
    for (line, field, value) in [
        ("drain #tonight\n", ("state", "drain"), "drain"),
        ("maint\n", ("state", "maintenance"), "maintenance"),
    ] {
        machines.say(1, line);
        wait_until("it to be out", || machines.view(&aya, 1)["agent"][field.0] == field.1);
        let view = machines.view(&aya, 1);
        assert_eq!(
            (&view["eligible"], &view["state"], &view["health"]),
            (&false.into(), &"ready".into(), &"up".into())
        );
        assert_eq!(machines.shares(&aya, 6), [6.0, 0.0]);
        let labels = [("pool", "main"), ("to", value), ("cause", "agent-check")];
        assert!(aya.metrics().sum("aya_endpoint_transitions_total", &labels) > 0.5);
    }
    let line = aya.wait_for_line("drain #tonight");
    assert!(line.contains(&machines.endpoint(1)) && line.contains("draining"), "{line}");
    machines.say(1, "ready\n");
    wait_until("it to be back", || machines.view(&aya, 1)["eligible"] == true);
    machines.say(1, "down #disk full\n");
    wait_until("it to be down", || machines.view(&aya, 1)["health"] == "down");
    assert_eq!(machines.view(&aya, 1)["cause"], "agent check: `down #disk full`");
    assert_eq!(machines.shares(&aya, 6), [6.0, 0.0]);
    machines.say(1, "up\n");
    wait_until("it to be up", || machines.view(&aya, 1)["health"] == "up");
    assert_eq!(machines.shares(&aya, 6), [3.0, 3.0]);

    let path = format!("/api/v1/pools/main/endpoints/{}", machines.endpoint(1));
    assert_eq!(aya.admin("PATCH", &path, r#"{"state": "drain"}"#).status, 200);

    assert_eq!(machines.view(&aya, 1)["eligible"], false);
}

/// An agent that is gone changes nothing; that is logged, and counted.
#[test]
fn a_silent_agent_changes_nothing() {
    let well = patient("well").0;
    let nobody = base_testkit::free_port();
    let check = format!("health: [tcp, {{agent: true, port: {nobody}, interval: 50ms}}]");
    let mut aya = front_with("", "", &check, &[&well]);
    let silent =
        |aya: &Aya| aya.metrics().sum("aya_health_checks_total", &[("pool", "main"), ("result", "silent")]);
    wait_until("it to be missed", || silent(&aya) >= 3.0);
    assert_eq!(aya.get("/").status, 200);
    assert!(endpoint(&aya, &well)["agent"].is_null());
    let line = aya.wait_for_line("agent is silent");
    assert!(line.contains("connect refused"), "{line}");
}

/// A script decides over each endpoint by its address; what it says when it fails is the cause.
#[test]
fn programs_take_out_and_bring_back() {
    let (well, sick) = (patient("well").0, patient("sick").0);
    let folder = base_testkit::TempFolder::new();
    let script = "#!/bin/sh\ncd \"${0%/*}\" || exit 9\ntest \"$AYA_PORT\" != \"$(cat sick)\" && exit\n\
                  echo \"$AYA_POOL/$AYA_ENDPOINT at $AYA_ADDRESS is sick\"\nexit 7\n";
    let script = folder.write("check.sh", script);
    folder.write("sick", "none");
    let check =
        format!("health: {{exec: [/bin/sh, '{}'], interval: 50ms, rise: 1, fall: 1}}", script.display());
    let mut aya = front_with("", "", &check, &[&well, &sick]);
    wait_until("both to be up", || {
        endpoint(&aya, &well)["health"] == "up" && endpoint(&aya, &sick)["health"] == "up"
    });
    folder.write("sick", sick.port().to_string());
    wait_until("the sick one to be out", || endpoint(&aya, &sick)["health"] == "down");
    let cause = format!("exec check: exit status 7, `main/{sick} at 127.0.0.1 is sick`");
    assert_eq!(endpoint(&aya, &sick)["cause"], cause);
    assert!(aya.wait_for_line("exit status 7").contains(&sick.to_string()));
    for _ in 0..10 {
        assert_eq!(aya.get("/").header("x-backend"), Some("well"));
    }
    let labels = [("pool", "main"), ("to", "down"), ("cause", "exec-check")];
    assert!(aya.metrics().sum("aya_endpoint_transitions_total", &labels) > 0.5);
    folder.write("sick", "none");
    wait_until("it to be back", || aya.get("/").header("x-backend") == Some("sick"));
}
