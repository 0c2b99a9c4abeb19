//! The twelve questions of `docs/guide/explain.md`, one test each, of what would become of a request and of what became of one.

use std::time::Duration;

use base_testkit::{Aya, Backend, Process, TempFolder, answer, free_port, wait_for, wait_until};

use super::past::{closing, explained, gated};
use super::{CONFIG, ask, explain, has};
use crate::{config, config_of, front, front_with};

/// More than a short program takes.
const PATIENCE: Duration = Duration::from_secs(20);
const GUIDE: &str = include_str!("../../../docs/guide/explain.md");

#[test]
fn q01_why_404() {
    has(&ask(&["GET", "http://nobody.test/"]), &["answer    404 no-route", "gold: does not: host"]);
    has(&ask(&["GET", "http://shop.test/cart"]), &["404", "api: does not: path"]);
    has(&ask(&["DELETE", "http://shop.test/api/items"]), &["404", "api: does not: method"]);
    has(&ask(&["CONNECT", "http://shop.test/"]), &["400"]);

    let backend = Backend::echo("a");
    let aya = front_with("", "name: here, match: {path: /here}", "", &[&backend]);
    let text = explained(&aya, &aya.get("/there"));
    has(
        &text,
        &["asked     GET play.test/there", "route     none took it", "answer    404; no-route: No route"],
    );
    let own = Backend::answering(|_| answer(404, &[], ""));
    let aya = front(&[&own]);
    has(&explained(&aya, &aya.get("/")), &["route     route-1", "answered 404", "answer    404\n"]);
}

#[test]
fn q02_why_400() {
    let twice = ["POST", "/office", "-H", "Content-Length: 1", "-H", "Content-Length: 2"];
    has(&ask(&twice), &["answer    400 bad-request", "mended by client"]);

    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.status, response.header("x-request-id")),
        (400, None),
        "too broken to be given an id"
    );
    let remembered = wait_for("it to be remembered", || {
        let found = aya.admin("GET", "/api/v1/decisions?limit=1", "").json();
        found.get(0).cloned()
    });
    assert_eq!((&remembered["reason"], &remembered["blame"]), (&"bad-request".into(), &"client".into()));
}

#[test]
fn q03_why_this_route() {
    let text = ask(&["GET", "http://shop.test/api/items"]);
    has(&text, &["api: takes it", "gold: does not: header x-tier"]);
    let text = ask(&["GET", "http://shop.test/api/items", "-H", "x-tier: gold"]);
    has(&text, &["gold: takes it", "api: would take it, but `gold`"]);

    let backend = Backend::echo("a");
    let aya = front_with("", "name: here, match: {path: '/here/**'}", "", &[&backend]);
    has(&explained(&aya, &aya.get("/here/x")), &["asked     GET play.test/here/x", "route     here"]);
}

#[test]
fn q04_why_no_backend() {
    has(&ask(&["GET", "/old/page"]), &["old: takes it", "answer    308, by `redirect`"]);
    let text = "listeners: {web: {bind: '127.0.0.1:0'}}
routes:
  - {name: old, match: {path: '/old/**'}, redirect: {to: 'http://a/'}}
  - {name: hello, match: {path: '/hello'}, respond: {status: 200, body: hi}}
";
    let aya = Aya::start(text);
    let mut client = aya.client();
    let redirected = client.get("/old/page");
    has(&explained(&aya, &redirected), &["route     old", "answered  by `redirect`", "answer    308"]);
    has(
        &explained(&aya, &client.get("/hello")),
        &["route     hello", "answered  by `respond`", "answer    200"],
    );
    has(&explained(&aya, &client.get("/else")), &["route     none took it", "answer    404; no-route"]);
    client.send("OPTIONS /hello HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    has(&explained(&aya, &client.response()), &["answered  by `max-forwards`", "answer    204"]);
}

#[test]
fn q05_why_this_pool() {
    has(&ask(&["GET", "/canary"]), &["main, for 95 of 100 requests", "other, for 5 of 100 requests"]);

    let backends = [Backend::echo("a"), Backend::echo("b")];
    let aya = Aya::start(&format!(
        "listeners: {{web: {{bind: '127.0.0.1:0'}}}}
routes: [{{match: {{path: /b}}, split: {{first: 0, second: 1}}}}, {{pool: first}}]
pools: {{first: {{endpoints: ['{}']}}, second: {{endpoints: ['{}'], balance: random}}}}
",
        backends[0], backends[1]
    ));
    has(&explained(&aya, &aya.get("/a")), &["pool      first, balanced by round-robin"]);
    has(&explained(&aya, &aya.get("/b")), &["pool      second, balanced by random"]);
}

#[test]
fn q06_why_this_endpoint() {
    let text = ask(&["GET", "http://shop.test/api/", "-H", "x-tier: gold"]);
    has(&text, &["consistent-hash", "the request lacks what the balancer's key is made from"]);
    let backends = [Backend::echo("a"), Backend::echo("b"), Backend::echo("c")];
    let pool = "balance: {kind: consistent-hash, key: path}";
    let aya = front_with("", "", pool, &[&backends[0], &backends[1], &backends[2]]);
    let mut client = aya.client();
    for path in ["/a", "/b", "/c"] {
        let response = client.get(path);
        let place = ["a", "b", "c"].iter().position(|name| response.header("x-backend") == Some(name));
        let attempt = format!("attempt 1 {}", backends[place.unwrap()]);
        let choice = "chosen by consistent-hash among 3 that took traffic";
        has(&explained(&aya, &response), &["balanced by consistent-hash", &attempt, choice, "answered 200"]);
    }
    what_is_known_of_candidates();
}

/// How often each is the first choice, what is in reserve, who is asked beside traffic; of the past, how they are by now.
fn what_is_known_of_candidates() {
    let weighted = CONFIG.replace(
        "{endpoints: [MAIN], balance: {kind: consistent-hash, key: {header: x-user}}}",
        "{endpoints: [{address: '10.0.0.1:80', weight: 3}, '10.0.0.2:80', {address: '10.0.0.3:80', tier: 1, zone: south}], \
         balance: weighted-round-robin}",
    );
    let text = explain(&weighted, &["GET", "/canary"]).stdout;
    has(&text, &["10.0.0.1:80, the first for 75%", "10.0.0.2:80, the first for 25%"]);
    has(&text, &["tier 0, 100% of the requests", "tier 1, in reserve\n            10.0.0.3:80\n"]);
    let probed = CONFIG.replace("MAIN", "'10.0.0.1:80'");
    let probed =
        probed.replace("{kind: consistent-hash, key: {header: x-user}}", "{kind: prequal, probe: /load}");
    has(&explain(&probed, &["GET", "/canary"]).stdout, &["probes    the running process asks `GET /load`"]);

    let (dead, backend, spare) = (free_port(), Backend::echo("a"), Backend::echo("b"));
    let endpoints = format!("127.0.0.1:{dead}, '{backend}', {{address: '{spare}', tier: 1, weight: 2}}");
    let pool = "balance: peak-ewma, ejection: off, health: {tcp: true, interval: 50ms, fall: 1}";
    let aya = Aya::start(&config_of("", "", pool, &endpoints));
    wait_until("the living to be up", || aya.get("/").status == 200);
    let text = explained(&aya, &aya.get("/"));
    has(
        &text,
        &["the only one that took traffic", &format!("\nnow       127.0.0.1:{dead} down (tcp check: ")],
    );
    has(
        &text,
        &[
            &format!("{backend} up, 0 in flight, answers in "),
            &format!("{spare} up, 0 in flight, weight 2, tier 1"),
        ],
    );
}

#[test]
fn q07_why_this_session() {
    const STICKY: &str = "balance: random, sticky: {cookie: node, keys: {env: AYA_STICKY_KEY}}";
    const KEY: (&str, &str) = ("AYA_STICKY_KEY", "a-key-of-the-plays-0123456789");
    let mut backends = [Backend::echo("a"), Backend::echo("b")];
    let text = config("", "", STICKY, &[&backends[0], &backends[1]]);
    let aya = Aya::start_with(&text, &[], &[KEY]);
    let first = aya.get("/");
    has(&explained(&aya, &first), &["session   none; begins with this answer"]);
    let line = first.header("set-cookie").unwrap_or_default();
    let pair = line.split(';').next().unwrap_or_default().to_owned();
    let home = usize::from(first.header("x-backend") == Some("b"));
    let name = backends[home].to_string();
    let ask = |pair: &str| aya.client().get_with("/", &format!("Cookie: {pair}\r\n"));
    let kept = explained(&aya, &ask(&pair));
    has(&kept, &[&format!("session   bound to {name}, which answered"), "its session is bound to it"]);
    has(&explained(&aya, &ask("node=forged")), &["session   named, but not known here: forged"]);
    let path = format!("/api/v1/pools/main/endpoints/{name}");
    assert_eq!(aya.admin("PATCH", &path, r#"{"state": "maintenance"}"#).status, 200);
    let moved = explained(&aya, &ask(&pair));
    has(&moved, &[&format!("session   bound to {name}; moved to the endpoint that answered")]);
    has(&moved, &[&format!("{name} maintenance (set through the admin API), 0 in flight")]);
    backends[1 - home].kill();
    let lost = explained(&aya, &ask(&pair));
    has(&lost, &[&format!("session   bound to {name}\n"), &format!("{name} was out: maintenance")]);

    let folder = TempFolder::new();
    let file = folder.write("aya.yaml", &text).to_string_lossy().into_owned();
    let foretold = |cookie: &str| {
        let mut command = Aya::command();
        command.args(["explain", &file, "GET", "/", "-H", &format!("cookie: {cookie}")]).env(KEY.0, KEY.1);
        Process::run(command, PATIENCE).stdout
    };
    has(
        &foretold(&pair),
        &["session   the cookie `node` names the endpoint", "the first one, while it is up", &name],
    );
    has(&foretold("node=forged"), &["session   the cookie `node` is not known", "the first for "]);
    has(&foretold("other=1"), &["session   no cookie `node`: the balancer chooses"]);
}

#[test]
fn q08_why_502_or_504() {
    nonsense_is_answered();
    nothing_is_answered_in_time();
}

fn nonsense_is_answered() {
    let backend = Backend::answering(|_| b"SSH-2.0-nonsense\r\n\r\n".to_vec());
    let aya = front_with("", "retry: {attempts: 1}", "ejection: off", &[&backend]);
    let text = explained(&aya, &aya.get("/x"));
    let attempt = format!("attempt 1 {backend}");
    has(
        &text,
        &[&attempt, "answer    502; bad-response", "went wrong: bad-response", "by fault of the endpoint"],
    );
    has(&text, &["not sent again: the attempts were used up"]);
}

fn nothing_is_answered_in_time() {
    let (backend, gate) = gated();
    let aya = front_with("", "retry: {attempts: 1}", "timeouts: {first-byte: 200ms}", &[&backend]);
    let text = explained(&aya, &aya.get("/"));
    let vain = format!("in vain with {backend}, the longest part");
    has(&text, &["went wrong: first-byte-timeout", "answer    504; first-byte-timeout", &vain]);
    gate.open();
}

#[test]
fn q09_why_503() {
    nobody_is_up();
    all_are_full();
}

fn nobody_is_up() {
    let check = "health: {tcp: true, interval: 50ms, fall: 1}";
    let aya = Aya::start(&config_of("", "", check, &format!("127.0.0.1:{}", free_port())));
    let response = aya.get("/");
    assert_eq!(response.reason(), "no-endpoint");
    let text = explained(&aya, &response);
    has(
        &text,
        &[
            "pool      main",
            "answer    503; no-endpoint",
            "was out: down, and still is: ",
            "mended by upstream",
        ],
    );
    assert!(!text.contains("attempt "), "{text}");
}

fn all_are_full() {
    let (backend, gate) = gated();
    let aya = front_with("", "", "connections: {max: 1, queue: 1, queue-timeout: 2s}", &[&backend]);
    let mut holder = aya.client();
    holder.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the endpoint to be full", || backend.request_count() == 1);
    let late = aya.get("/");
    assert_eq!(late.status, 503);
    has(&explained(&aya, &late), &["queue-timeout: ", "waiting for an endpoint with room, the longest part"]);
    let mut waiting = aya.client();
    waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("it to wait", || aya.admin("GET", "/api/v1/pools", "").json()[0]["waiting"] == 1);
    let refused = aya.get("/");
    assert_eq!(refused.status, 503);
    has(
        &explained(&aya, &refused),
        &["connection-limit: Every endpoint", "took traffic", "mended by upstream"],
    );
    gate.open();
    assert_eq!(holder.response().status, 200);
}

#[test]
fn q10_why_slow() {
    const WAIT: Duration = Duration::from_millis(300);
    let slow_start = Backend::answering(|_| {
        std::thread::sleep(WAIT);
        answer(200, &[], "ok")
    });
    let aya = front(&[&slow_start]);
    let waiting = format!("until {slow_start} began to answer, the longest part");
    has(&explained(&aya, &aya.get("/")), &[&waiting]);

    let slow_body = Backend::script(|session| {
        session.request()?;
        session.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")?;
        std::thread::sleep(WAIT);
        session.send("cd")
    });
    let aya = front(&[&slow_body]);
    has(&explained(&aya, &aya.get("/")), &["relaying the answer, the longest part"]);

    let backend = Backend::echo("a");
    let aya = front(&[&backend]);
    let mut client = aya.client();
    client.send("GET / HTTP/1.1\r\n");
    std::thread::sleep(WAIT);
    client.send("Host: a\r\n\r\n");
    has(&explained(&aya, &client.response()), &["receiving the head, the longest part"]);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    std::thread::sleep(WAIT);
    client.send("b");
    let sending = format!("sending the request to {backend}, the longest part");
    has(&explained(&aya, &client.response()), &[&sending]);

    let (backend, gate) = gated();
    let aya = front_with("", "", "connections: {max: 1, queue-timeout: 20s}", &[&backend]);
    let mut clients = [aya.client(), aya.client()];
    clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    wait_until("one to wait", || aya.admin("GET", "/api/v1/pools", "").json()[0]["waiting"] == 1);
    std::thread::sleep(WAIT);
    gate.open();
    let texts = clients.each_mut().map(|client| explained(&aya, &client.response()));
    let waited = texts.iter().filter(|text| text.contains(" ms waiting for an endpoint with room"));
    assert_eq!(waited.count(), 1, "{texts:?}");
}

#[test]
fn q11_why_sent_again() {
    where_that_does_no_harm();
    and_why_not();
    on_a_fresh_connection();
}

fn where_that_does_no_harm() {
    let (dead, well) = (free_port(), Backend::echo("well"));
    let endpoints = format!("127.0.0.1:{dead}, {well}");
    let aya = Aya::start(&format!("workers: 1\n{}", config_of("", "", "ejection: off", &endpoints)));
    let mut client = aya.client();
    let texts: Vec<_> = (0..4).map(|_| explained(&aya, &client.get("/"))).collect();
    let text = texts.iter().find(|text| text.contains("attempt 2")).expect("one began at the dead one");
    let first = format!("attempt 1 127.0.0.1:{dead} on a new connection");
    has(text, &[&first, "went wrong: connect-failed", "Connection refused", "by fault of the endpoint"]);
    has(text, &["another endpoint was looked for", &format!("attempt 2 {well}"), "answer    200"]);
}

fn and_why_not() {
    let (first, second) = (closing(), closing());
    let aya = front_with("", "retry: {attempts: 3}", "ejection: off", &[&first, &second]);
    let response = aya.client().post("/", "data");
    assert_eq!((response.status, response.reason()), (502, "upstream-closed"));
    let text = explained(&aya, &response);
    has(&text, &["not sent again: it had been sent, and its method must not be repeated"]);
    let text = explained(&aya, &aya.get("/"));
    has(&text, &["attempt 2", "not sent again: no other endpoint could take it"]);
}

/// A connection that was idle may be closed at any time: what was done about it is said.
fn on_a_fresh_connection() {
    let backend = Backend::script(|session| {
        session.request()?;
        session.send(answer(200, &[], "ok"))?;
        // Takes another one, and closes without a word.
        session.request().map(drop)
    });
    let aya = Aya::start(&format!("workers: 1\n{}", config_of("", "", "", &backend.to_string())));
    assert_eq!(aya.get("/first").status, 200);
    let second = aya.get("/second");
    assert_eq!(second.status, 200);
    let text = explained(&aya, &second);
    has(&text, &["on an open connection", "sent again on a fresh connection", "attempt 2", "answer    200"]);
}

#[test]
fn q12_why_out() {
    let (mut mortal, well) = (Backend::echo("mortal"), Backend::echo("well"));
    let pool = "health: {tcp: true, interval: 50ms, fall: 1}, ejection: off";
    let aya = front_with("", "", pool, &[&mortal, &well]);
    mortal.kill();
    let path = format!("/api/v1/pools/main/endpoints/{well}");
    assert_eq!(aya.admin("PATCH", &path, r#"{"state": "drain"}"#).status, 200);
    wait_until("both to be out", || aya.get("/").reason() == "no-endpoint");
    let text = explained(&aya, &aya.get("/"));
    has(&text, &[&format!("{mortal} was out: down, and still is: "), &format!("{well} was out: drain")]);
    it_is_new_and_gets_less();
    it_does_worse_than_its_peers();
    so_little_is_fit_that_all_get_traffic();
}

fn it_is_new_and_gets_less() {
    let (backend, other) = (Backend::echo("a"), Backend::echo("b"));
    let aya = front_with("", "", "slow-start: 1h", &[&backend, &other]);
    let set = |backend: &Backend, state: &str| {
        let path = format!("/api/v1/pools/main/endpoints/{backend}");
        assert_eq!(aya.admin("PATCH", &path, &format!("{{\"state\": \"{state}\"}}")).status, 200);
    };
    set(&backend, "maintenance");
    set(&backend, "ready");
    set(&other, "drain");
    let text = explained(&aya, &aya.get("/"));
    has(
        &text,
        &[
            "the only one that took traffic; it gets 10% of its share",
            &format!("{other} drain (set through the admin API), 0 in flight"),
        ],
    );
}

fn it_does_worse_than_its_peers() {
    let sick = Backend::answering(|_| answer(500, &[], ""));
    let (well, other) = (Backend::echo("a"), Backend::echo("b"));
    let peers =
        "ejection: {consecutive-failures: 1000, for: 1s, peers: {interval: 1s, requests: 5, slower: off}}";
    let mut aya = front_with("", "", peers, &[&sick, &well, &other]);
    let (response, text) = wait_for("it to get less", || {
        let response = aya.get("/");
        let text = (response.status == 500).then(|| explained(&aya, &response))?;
        text.contains("% of its share (").then_some((response, text))
    });
    let took = format!("{sick} took traffic, ");
    has(&text, &[&took, "% of its ", "requests fail", "degraded ("]);
    // What has happened to it since is told as how it is now, not as why it was so then.
    let since = "the time of its ejection is over";
    wait_for("it to be ejected", || {
        aya.get("/");
        aya.stderr().contains("endpoint is ejected").then_some(())
    });
    aya.wait_for_line(since);
    let text = explained(&aya, &response);
    has(&text, &[&took, since]);
    let then = text.lines().find(|line| line.contains(&took));
    assert!(then.is_some_and(|line| !line.contains(since)), "{text}");
}

fn so_little_is_fit_that_all_get_traffic() {
    let (mut mortal, well) = (Backend::echo("mortal"), Backend::echo("well"));
    let pool = "health: {tcp: true, interval: 50ms, fall: 1}, ejection: off, panic: 60%";
    let mut aya = front_with("", "", pool, &[&mortal, &well]);
    wait_until("both to be up", || aya.get("/").status == 200);
    mortal.kill();
    let text = wait_for("one to be tried in panic", || {
        let text = explained(&aya, &aya.get("/"));
        text.contains("attempt 2").then_some(text).filter(|text| text.contains("in panic"))
    });
    has(
        &text,
        &[
            "in panic: so little is fit that all get traffic",
            "took traffic though down: too little else was fit",
        ],
    );
    let shown = aya.admin("GET", "/api/v1/pools/main", "").json();
    let cause = "50% of the weight is fit, less than 60%: all endpoints get traffic";
    assert_eq!((&shown["panic"], &shown["panic_cause"]), (&true.into(), &cause.into()), "{shown}");
    assert!(shown["panic_since_ms"].as_u64() > Some(0), "{shown}");
    assert!(aya.wait_for_line("pool is in panic").contains(cause));
    mortal.restart();
    wait_until("it to be calm", || aya.admin("GET", "/api/v1/pools/main", "").json()["panic"] == false);
    assert!(aya.wait_for_line("pool is out of panic").contains("100% of the weight is fit"));
}

/// The page has these twelve questions, and a test of this file is called after each.
#[test]
fn the_page_has_the_twelve_questions_of_the_tests() {
    let headings = GUIDE.lines().filter_map(|line| line.strip_prefix("### "));
    let asked: Vec<String> = headings
        .filter_map(|heading| heading.split_once(". "))
        .filter_map(|(number, question)| {
            let words: Vec<_> = question.trim_end_matches('?').split(' ').map(str::to_lowercase).collect();
            Some(format!("q{:02}_{}", number.parse::<u8>().ok()?, words.join("_")))
        })
        .collect();
    let tests = include_str!("questions.rs").lines().filter_map(|line| line.strip_prefix("fn q"));
    let tests: Vec<_> = tests.filter_map(|line| Some(format!("q{}", line.split_once('(')?.0))).collect();
    assert_eq!((asked.len(), &asked), (12, &tests));
}

/// What the page says that `aya explain` prints of an example is what it prints.
#[test]
fn the_page_shows_what_is_printed() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let blocks: Vec<_> = GUIDE.split("```").skip(1).step_by(2).collect();
    let blocks = blocks.iter().filter_map(|block| block.strip_prefix("\n$ aya explain examples/"));
    let mut shown = 0;
    for block in blocks {
        let (line, printed) = block.split_once('\n').expect("a block has lines");
        let mut command = std::process::Command::new("sh");
        let program = Aya::command().get_program().to_string_lossy().into_owned();
        command.args(["-c", &format!("'{program}' explain examples/{line}")]).current_dir(root);
        let ended = Process::run(command, PATIENCE);
        assert_eq!(ended.stdout, printed, "{line}: {}", ended.stderr);
        shown += 1;
    }
    assert!(shown >= 5, "{shown} examples");
}
