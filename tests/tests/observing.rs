//! What Aya tells: metrics, access logs, status; and to whom.

use std::collections::HashSet;

use base_testkit::{Aya, Backend, Client, Signal, TempFolder, answer, free_port, wait_until};
use serde_json::Value;

use crate::{config, front};

/// Metrics count what happened: requests by route and class, failures by reason, bytes, connections, upstream attempts.
#[test]
fn metrics_count_what_happened() {
    let backend = Backend::answering(|request| {
        let status = if request.target == "/bad" { 500 } else { 200 };
        answer(status, &[], "12345")
    });
    let aya = Aya::start(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}\n\
         routes:\n  - {{name: site, match: {{path: '/**', host: play.test}}, pool: main}}\n\
         pools: {{main: {{endpoints: [{backend}]}}}}\n"
    ));
    let mut client = aya.client();
    (0..7).for_each(|_| assert_eq!(client.get("/fine").status, 200));
    (0..3).for_each(|_| assert_eq!(client.get("/bad").status, 500));
    client.send("GET / HTTP/1.1\r\nHost: nowhere.test\r\n\r\n");
    assert_eq!(client.response().status, 404);
    client.send("BROKEN\r\n\r\n");
    assert_eq!(client.response().status, 400);
    drop(client);
    wait_until("the connection to be over", || aya.metrics().sum("aya_connections_open", &[]) < 0.5);
    let metrics = aya.metrics();
    let endpoint = backend.to_string();
    for (name, labels, expected) in [
        ("aya_requests_total", vec![("route", "site"), ("code", "2xx")], 7.0),
        ("aya_requests_total", vec![("route", "site"), ("code", "5xx")], 3.0),
        ("aya_requests_total", vec![("code", "4xx")], 2.0),
        ("aya_failures_total", vec![("reason", "no-route"), ("blame", "aya")], 1.0),
        ("aya_failures_total", vec![("reason", "bad-request"), ("blame", "client")], 1.0),
        ("aya_request_duration_seconds_count", vec![("route", "site")], 10.0),
        ("aya_connections_accepted_total", vec![("listener", "web")], 1.0),
        ("aya_upstream_requests_total", vec![("endpoint", &endpoint), ("outcome", "2xx")], 7.0),
        ("aya_upstream_requests_total", vec![("endpoint", &endpoint), ("outcome", "5xx")], 3.0),
        ("aya_upstream_first_byte_seconds_count", vec![("pool", "main")], 10.0),
        ("aya_endpoint_requests_in_flight", vec![], 0.0),
    ] {
        let value = metrics.sum(name, &labels);
        assert!((value - expected).abs() < 0.1, "{name} {labels:?} is {value}, not {expected}");
    }
    assert!(metrics.sum("aya_bytes_received_total", &[("listener", "web")]) > 400.0);
    assert!(metrics.sum("aya_bytes_sent_total", &[("listener", "web")]) > 600.0);
    for name in
        ["aya_build_info", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"]
    {
        assert!(metrics.has(name), "{name} is missing");
    }
}

/// What clients make up never becomes a label: the number of series does not grow with hosts, paths or methods.
#[test]
fn clients_cannot_make_series() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    let mut ask = |number: usize| {
        client.send(format!(
            "M{number} /{number} HTTP/1.1\r\nHost: h{number}.test\r\nUser-Agent: u{number}\r\n\r\n"
        ));
        client.response().status
    };
    ask(0);
    // A request is counted when its answer has been sent, so the client may be faster.
    wait_until("the first request to be counted", || aya.metrics().sum("aya_requests_total", &[]) > 0.5);
    let before = aya.metrics().series_count();
    (1..200).for_each(|number| {
        ask(number);
    });
    let grown = aya.metrics().series_count().saturating_sub(before);
    assert!(grown < 10, "{grown} series more");
}

/// Every metric is explained in the reference.
#[test]
fn metrics_are_documented() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    aya.get("/");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/metrics.md"));
    let page = page.expect("the reference is there");
    for name in aya.metrics().names() {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        assert!(
            page.contains(name) || family.is_some_and(|name| page.contains(name)),
            "{name} is not documented"
        );
    }
}

/// Aya with this access log, and the requests of [`talk`] made.
fn logging(access: &str, environment: &[(&str, &str)]) -> (Aya, Backend) {
    let backend = Backend::echo("a");
    let text = format!("{}logs: {{access: {access}}}\n", config("", "", "", &[&backend]));
    let aya = Aya::start_with(&text, &[], environment);
    (aya, backend)
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The access log has one JSON object for each request, with what the client, the route and the endpoint had to do with it.
#[test]
fn the_access_log_is_json() {
    let (aya, backend) = logging("json", &[]);
    let mut client = aya.client();
    client.send(
        "GET /pa\"th?q=1 HTTP/1.1\r\nHost: play.test\r\nUser-Agent: player \"1\" \u{e9}\r\n\
         traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
    );
    let id = client.response().header("x-request-id").expect("an id").to_owned();
    assert_eq!(client.post("/two", "data").status, 200);
    wait_until("two lines", || json_lines(&aya.stdout()).len() == 2);
    let lines = json_lines(&aya.stdout());
    let first = &lines[0];
    for (field, value) in [
        ("request_id", id.as_str()),
        ("client", "127.0.0.1"),
        ("listener", "web"),
        ("method", "GET"),
        ("host", "play.test"),
        ("path", "/pa\"th"),
        ("version", "HTTP/1.1"),
        ("route", "route-1"),
        ("pool", "main"),
        ("endpoint", &backend.to_string()),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ] {
        assert_eq!(first[field], value, "{field} in {first}");
    }
    assert_eq!((first["status"].as_u64(), first["attempts"].as_u64()), (Some(200), Some(1)));
    assert!(first["duration_ms"].as_f64().is_some_and(|time| time > 0.0 && time < 60_000.0), "{first}");
    assert!(first["bytes_in"].as_u64().is_some_and(|count| count > 100), "{first}");
    assert!(
        first["time"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')),
        "{first}"
    );
    assert_eq!((lines[1]["method"].as_str(), lines[1]["path"].as_str()), (Some("POST"), Some("/two")));
}

/// A failure is in the log with its reason, and with who has to act.
#[test]
fn the_access_log_names_reasons() {
    let text = crate::config_of("", "", "", &format!("127.0.0.1:{}", free_port()));
    let aya = Aya::start(&format!("{text}logs: {{access: json}}\n"));
    assert_eq!(aya.get("/").status, 502);
    let mut client = aya.client();
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.response().status, 400);
    wait_until("two lines", || json_lines(&aya.stdout()).len() == 2);
    let lines = json_lines(&aya.stdout());
    let reasons: HashSet<_> =
        lines.iter().map(|line| (line["reason"].as_str(), line["blame"].as_str())).collect();
    let expected = [(Some("connect-failed"), Some("upstream")), (Some("bad-request"), Some("client"))];
    assert_eq!(reasons, HashSet::from(expected), "{lines:?}");
}

/// A client that leaves before its answer is in the log too, and in the counts.
#[test]
fn clients_that_leave_are_logged() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.closed_by_peer()
    });
    let aya = Aya::start(&format!("{}logs: {{access: json}}\n", config("", "", "", &[&backend])));
    let mut client = aya.client();
    client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request to arrive", || backend.request_count() == 1);
    client.reset();
    wait_until("a line", || json_lines(&aya.stdout()).len() == 1);
    let line = &json_lines(&aya.stdout())[0];
    assert_eq!(
        (line["reason"].as_str(), line["blame"].as_str()),
        (Some("client-closed"), Some("client")),
        "{line}"
    );
    assert!(aya.metrics().sum("aya_failures_total", &[("reason", "client-closed")]) > 0.5);
    let codes = aya.metrics().sum("aya_requests_total", &[("code", "none")]);
    assert!((codes - 1.0).abs() < 0.1, "{codes}");
}

/// Only the chosen fields are written, in JSON and in text.
#[test]
fn fields_of_the_access_log_are_chosen() {
    let (aya, _backend) = logging("{format: json, fields: [status, method, query]}", &[]);
    assert_eq!(aya.get("/x?secret=1").status, 200);
    wait_until("a line", || !aya.stdout().is_empty());
    let line = aya.stdout();
    assert_eq!(json_lines(&line), [serde_json::json!({"status": 200, "method": "GET", "query": "secret=1"})]);
    let (aya, _backend) = logging("{format: text, fields: [status, method, path]}", &[]);
    assert_eq!(aya.get("/x").status, 200);
    wait_until("a line", || aya.stdout().ends_with('\n'));
    assert_eq!(aya.stdout(), "status=200 method=GET path=/x\n");
}

/// What a client sends cannot forge a line of the log.
#[test]
fn log_lines_cannot_be_forged() {
    for format in ["json", "text"] {
        let (aya, _backend) = logging(format, &[]);
        let agent = "x\" status=500 \\ \t \u{1b}[31m\u{ff}";
        let mut client = aya.client();
        client
            .send(format!("GET /a%0Astatus=500 HTTP/1.1\r\nHost: play.test\r\nUser-Agent: {agent}\r\n\r\n"));
        let status = client.response().status;
        assert!(matches!(status, 200 | 400), "{status}");
        wait_until("a line", || aya.stdout().ends_with('\n'));
        let said = aya.stdout();
        assert_eq!(said.lines().count(), 1, "{said:?}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
        if format == "json" {
            assert_eq!(json_lines(&said).len(), 1, "{said:?}");
        }
    }
}

/// A log file is opened again on SIGUSR1, so that it can be moved away; no line is lost between.
#[test]
fn the_log_file_is_reopened() {
    let folder = TempFolder::new();
    let file = folder.path().join("access.log");
    let backend = Backend::echo("a");
    let mut aya = Aya::start(&format!(
        "{}logs: {{access: {{format: json, to: '{}', fields: [path]}}}}\n",
        config("", "", "", &[&backend]),
        file.display()
    ));
    let mut client = aya.client();
    assert_eq!(client.get("/before").status, 200);
    wait_until("the first line", || folder.read("access.log").contains("/before"));
    std::fs::rename(&file, folder.path().join("access.log.1")).expect("a file can be renamed");
    assert_eq!(client.get("/between").status, 200);
    aya.signal(Signal::USR1);
    wait_until("the file to be there again", || file.exists());
    assert_eq!(client.get("/after").status, 200);
    wait_until("the last line", || folder.read("access.log").contains("/after"));
    let all = format!("{}{}", folder.read("access.log.1"), folder.read("access.log"));
    assert_eq!(json_lines(&all).len(), 3, "{all}");
}

/// A log that cannot be written holds no request up: lines are dropped and counted.
#[test]
fn a_full_log_holds_nobody_up() {
    let backend = Backend::echo("a");
    let aya = Aya::start(&format!(
        "{}logs: {{access: {{format: json, to: /dev/full}}}}\n",
        config("", "", "", &[&backend])
    ));
    let mut client = aya.client();
    for _ in 0..200 {
        assert_eq!(client.get("/").status, 200);
    }
    wait_until("the loss to be counted", || {
        let metrics = aya.metrics();
        metrics.sum("aya_access_log_errors_total", &[])
            + metrics.sum("aya_access_log_dropped_lines_total", &[])
            > 0.5
    });
}

/// A log whose reader has stopped reading holds no request up: lines are dropped and counted.
#[test]
fn a_stuck_log_holds_nobody_up() {
    let folder = TempFolder::new();
    let pipe = folder.path().join("pipe");
    let mut make = std::process::Command::new("mkfifo");
    make.arg(&pipe);
    assert_eq!(base_testkit::Process::run(make, base_testkit::PATIENCE).code, Some(0));
    // Opened for both, it opens at once; nobody ever reads.
    let _reader =
        std::fs::OpenOptions::new().read(true).write(true).open(&pipe).expect("a pipe can be opened");
    let backend = Backend::answering(|_| answer(200, &[], ""));
    let text = config("", "", "", &[&backend]);
    let aya = Aya::start(&format!("{text}logs: {{access: {{format: json, to: '{}'}}}}\n", pipe.display()));
    let line = format!("User-Agent: {}\r\n", "x".repeat(4000));
    let mut client = aya.client();
    for _ in 0..20 {
        assert_eq!(client.get_with("/", &line).status, 200);
    }
    wait_until("lines to be dropped", || {
        (0..200).for_each(|_| assert_eq!(client.get_with("/", &line).status, 200));
        aya.metrics().sum("aya_access_log_dropped_lines_total", &[]) > 0.5
    });
}

/// A log that goes into a pipe which nobody has opened does not hang the start: it is said, or done without.
#[test]
fn a_pipe_without_a_reader_does_not_hang_the_start() {
    let folder = TempFolder::new();
    let pipe = folder.path().join("pipe");
    let mut make = std::process::Command::new("mkfifo");
    make.arg(&pipe);
    assert_eq!(base_testkit::Process::run(make, base_testkit::PATIENCE).code, Some(0));
    let backend = Backend::echo("a");
    let text = format!(
        "{}logs: {{access: {{format: json, to: '{}'}}}}\n",
        config("", "", "", &[&backend]),
        pipe.display()
    );
    let mut command = Aya::command();
    command.arg("run").arg(folder.write("aya.yaml", text));
    let mut process = base_testkit::Process::start(command);
    wait_until("Aya to be ready, or to say why not", || {
        process.exit_status().is_some() || process.stderr().lines().any(|line| line == "ready")
    });
}

/// The admin port tells its own shape: every path of the OpenAPI document that can be read without parameters answers.
#[test]
fn the_admin_api_describes_itself() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let document = aya.admin("GET", "/api/v1/openapi.json", "").json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let paths = document["paths"].as_object().expect("paths are listed");
    assert!(paths.len() >= 10, "{:?}", paths.keys());
    for (path, operations) in paths {
        if operations["get"].is_object() {
            let response = aya.admin("GET", &path.replace("{pool}", "main"), "");
            assert_eq!(response.status, 200, "{path}: {}", response.text());
        }
    }
    let missing = aya.admin("GET", "/api/v1/nothing", "");
    assert_eq!((missing.status, missing.header("content-type")), (404, Some("application/problem+json")));
    assert_eq!(aya.admin("PUT", "/api/v1/config", "x").status, 405);
}

/// With a token, nothing but the sign of life is told without it.
#[test]
fn the_admin_token_is_asked_for() {
    let backend = Backend::echo("a");
    let text = format!(
        "{}admin: {{bind: '127.0.0.1:0', token: {{env: PLAY_TOKEN}}}}\n",
        config("", "", "", &[&backend])
    );
    let aya = Aya::start_with(&text, &[], &[("PLAY_TOKEN", "open-sesame")]);
    for lines in [
        "",
        "Authorization: Bearer open\r\n",
        "Authorization: Bearer open-sesame1\r\n",
        "Authorization: Basic x\r\n",
    ] {
        for path in ["/api/v1/status", "/metrics", "/api/v1/config"] {
            let response = aya.admin_with("GET", path, lines, "");
            assert_eq!(response.status, 401, "{path} with {lines:?}");
            assert!(response.header("www-authenticate").is_some());
        }
    }
    assert_eq!(aya.admin("GET", "/healthz", "").status, 200);
    let response = aya.admin_with("GET", "/api/v1/status", "Authorization: Bearer open-sesame\r\n", "");
    assert_eq!(response.status, 200);
    let config = aya.admin_with("GET", "/api/v1/config", "Authorization: Bearer open-sesame\r\n", "");
    assert!(!config.text().contains("open-sesame"), "the token is shown");
    assert!(!aya.stderr().contains("open-sesame"), "the token is logged");
}

/// The token can lie in a file, beside the configuration.
#[test]
fn the_admin_token_can_be_in_a_file() {
    let folder = TempFolder::new();
    let file = folder.write("token", "open-sesame\n");
    let backend = Backend::echo("a");
    let text = config("", "", "", &[&backend]);
    let aya =
        Aya::start(&format!("{text}admin: {{bind: '127.0.0.1:0', token: {{file: '{}'}}}}\n", file.display()));
    assert_eq!(aya.admin("GET", "/api/v1/status", "").status, 401);
    let response = aya.admin_with("GET", "/api/v1/status", "Authorization: Bearer open-sesame\r\n", "");
    assert_eq!(response.status, 200);
}

/// A web page cannot use a visitor's browser to reach the admin port: foreign names and origins are refused.
#[test]
fn the_admin_port_refuses_web_pages() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = Client::connect(aya.admin_address());
    client.send("GET /api/v1/status HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    assert_eq!(client.response().status, 403);
    let response =
        aya.admin_with("POST", "/api/v1/config", "Origin: http://evil.example\r\n", "routes: []\n");
    assert_eq!(response.status, 403);
}

/// Garbage on the admin port harms neither it nor traffic.
#[test]
fn garbage_on_the_admin_port_does_no_harm() {
    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    for seed in 0..20 {
        let mut client = Client::connect(aya.admin_address());
        client.offer(crate::noise(2000, seed * 31 + 7));
        client.half_close();
        drop(client);
        assert_eq!(aya.get("/").status, 200);
    }
    assert_eq!(aya.admin("GET", "/healthz", "").status, 200);
}
