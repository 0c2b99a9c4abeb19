//! How requests are spread over endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base_testkit::{Aya, Backend, Gate, answer, wait_until};

use crate::{config, config_of, hold_at};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn echoes(count: usize) -> Vec<Backend> {
    NAMES[..count].iter().copied().map(Backend::echo).collect()
}

/// Aya with one worker, so that its order can be seen.
fn one_worker(pool: &str, backends: &[Backend]) -> Aya {
    let backends: Vec<_> = backends.iter().collect();
    Aya::start(&format!("workers: 1\n{}", config("", "", pool, &backends)))
}

fn order(aya: &Aya, count: usize) -> String {
    let mut client = aya.client();
    (0..count).map(|_| client.get("/").header("x-backend").unwrap_or("?").to_owned()).collect()
}

fn counts(order: &str) -> HashMap<char, usize> {
    order.chars().fold(HashMap::new(), |mut counts, name| {
        *counts.entry(name).or_default() += 1;
        counts
    })
}

/// By default endpoints take turns.
#[test]
fn round_robin_takes_turns() {
    let backends = echoes(4);
    let aya = one_worker("", &backends);
    let order = order(&aya, 40);
    let first = &order[..4];
    assert_eq!(counts(first).len(), 4, "{order}");
    assert_eq!(order, first.repeat(10));
}

/// Weights are kept exactly, and smoothly: a heavy endpoint is not hit in bursts.
#[test]
fn weighted_round_robin_is_exact_and_smooth() {
    let backends = echoes(3);
    let endpoints = format!(
        "{{address: '{}', weight: 5}}, {{address: '{}', weight: 2}}, {{address: '{}', weight: 1}}",
        backends[0], backends[1], backends[2]
    );
    let pool = "balance: weighted-round-robin";
    let aya = Aya::start(&format!("workers: 1\n{}", config_of("", "", pool, &endpoints)));
    let order = order(&aya, 80);
    assert_eq!(counts(&order), HashMap::from([('a', 50), ('b', 20), ('c', 10)]), "{order}");
    assert!(!order.contains("aaaa"), "{order}");
}

/// Random spreads evenly, and by weight.
#[test]
fn random_spreads_by_weight() {
    let backends = echoes(2);
    let endpoints = format!("{{address: '{}', weight: 3}}, '{}'", backends[0], backends[1]);
    let aya = Aya::start(&config_of("", "", "balance: random", &endpoints));
    let counts = counts(&order(&aya, 800));
    // 800 draws at three in four: 6 standard deviations are 74.
    assert!(counts[&'a'].abs_diff(600) < 74, "{counts:?}");
}

/// An endpoint that is busy gets nothing while others are idle, whichever worker the requests come to.
#[test]
fn least_connections_avoids_the_busy() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let busy = Backend::answering(move |request| {
        if request.target == "/hold" {
            cue.pass();
        }
        answer(200, &["x-backend: busy"], "")
    });
    let idle = Backend::answering(|_| answer(200, &["x-backend: idle"], ""));
    let aya =
        Aya::start(&format!("workers: 2\n{}", config("", "", "balance: least-connections", &[&busy, &idle])));
    let mut held = hold_at(&aya, &busy);
    for _ in 0..30 {
        // A client may have its answer a moment before the endpoint is counted as free again.
        wait_until("nothing but the held to be in flight", || {
            let in_flight = aya.metrics().sum("aya_endpoint_requests_in_flight", &[("pool", "main")]);
            (in_flight - 1.0).abs() < 0.1
        });
        // Each on a connection of its own, so that both workers have their say.
        assert_eq!(aya.get("/").header("x-backend"), Some("idle"));
    }
    gate.open();
    assert_eq!(held.response().status, 200);
}

/// Least-connections respects weights: at equal speed the load in flight follows them.
#[test]
fn least_connections_respects_weights() {
    let gate = Arc::new(Gate::new());
    let held = || {
        let cue = Arc::clone(&gate);
        Backend::answering(move |_| {
            cue.pass();
            answer(200, &[], "")
        })
    };
    let (heavy, light) = (held(), held());
    let endpoints = format!("{{address: '{heavy}', weight: 3}}, '{light}'");
    let aya = Aya::start(&config_of("", "", "balance: least-connections", &endpoints));
    let mut clients = Vec::new();
    for number in 1..=16 {
        let mut client = aya.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_until("the request to arrive", || heavy.request_count() + light.request_count() == number);
        clients.push(client);
    }
    assert_eq!((heavy.request_count(), light.request_count()), (12, 4));
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

/// What is in flight is counted over all workers, and comes back to nothing.
#[test]
fn in_flight_is_true_over_all_workers() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let backend = Backend::answering(move |_| {
        cue.pass();
        answer(200, &[], "")
    });
    let aya = Aya::start(&format!("workers: 2\n{}", config("", "", "", &[&backend])));
    let mut clients: Vec<_> = (0..12).map(|_| aya.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    wait_until("all requests to arrive", || backend.request_count() == 12);
    let in_flight = || aya.metrics().sum("aya_endpoint_requests_in_flight", &[("pool", "main")]);
    assert!((in_flight() - 12.0).abs() < 0.1, "{}", in_flight());
    // Some end well, some by the client's going.
    let leaving = clients.split_off(6);
    leaving.into_iter().for_each(base_testkit::Client::reset);
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    wait_until("nothing to be in flight", || in_flight().abs() < 0.1);
}

/// A client always meets the same endpoint, clients are spread, and a dead endpoint moves only its own clients.
#[test]
fn source_hash_binds_clients() {
    let mut backends = echoes(4);
    let listener = "trusted-proxies: [127.0.0.0/8]";
    let text = config(listener, "", "balance: source-hash", &backends.iter().collect::<Vec<_>>());
    let aya = Aya::start(&text);
    let mut client = aya.client();
    let mut place = |number: usize| {
        let response = client.get_with("/", &format!("X-Forwarded-For: 192.0.2.{number}\r\n"));
        response.header("x-backend").unwrap_or("?").to_owned()
    };
    let before: Vec<_> = (0..100).map(&mut place).collect();
    let again: Vec<_> = (0..100).map(&mut place).collect();
    assert_eq!(before, again);
    let spread = counts(&before.concat());
    assert!(spread.len() == 4 && spread.values().all(|count| *count >= 8), "{spread:?}");
    backends[0].kill();
    // Other clients see other workers: the choice is the same there.
    for (number, old) in before.iter().enumerate() {
        let response = aya.client().get_with("/", &format!("X-Forwarded-For: 192.0.2.{number}\r\n"));
        assert_eq!(response.status, 200);
        let new = response.header("x-backend").unwrap_or("?").to_owned();
        assert!(if old == "a" { new != "a" } else { new == *old }, "{number}: {old} became {new}");
    }
}

/// Every balancer serves from what is left when endpoints die, and uses them all again when they are back.
#[test]
fn every_balancer_goes_on_with_what_is_left() {
    for kind in ["round-robin", "weighted-round-robin", "random", "least-connections", "source-hash"] {
        let mut backends = echoes(3);
        let listener = "trusted-proxies: [127.0.0.0/8]";
        let pool = format!("balance: {kind}, ejection: {{consecutive-failures: 2, for: 200ms}}");
        let aya = Aya::start(&config(listener, "", &pool, &backends.iter().collect::<Vec<_>>()));
        let mut number = 0;
        let mut ask = || {
            number += 1;
            let line = format!("X-Forwarded-For: 192.0.{}.{}\r\n", number / 200, number % 200);
            aya.client().get_with("/", &line)
        };
        backends[1].kill();
        for _ in 0..30 {
            let response = ask();
            assert_eq!(response.status, 200, "{kind}: {}", response.reason());
            assert_ne!(response.header("x-backend"), Some("b"), "{kind}");
        }
        backends[1].restart();
        wait_until("the endpoint to be used again", || ask().header("x-backend") == Some("b"));
    }
}

/// A weight of zero takes no traffic.
#[test]
fn weight_zero_takes_nothing() {
    let backends = echoes(2);
    let endpoints = format!("{{address: '{}', weight: 0}}, '{}'", backends[0], backends[1]);
    for kind in ["round-robin", "weighted-round-robin", "random", "least-connections", "source-hash"] {
        let aya = Aya::start(&config_of("", "", &format!("balance: {kind}"), &endpoints));
        assert_eq!(order(&aya, 10), "bbbbbbbbbb", "{kind}");
    }
}

/// Requests with the same key go to the same endpoint, whatever the key is made from; those without it go anywhere.
#[test]
fn consistent_hash_keeps_a_key_together() {
    let backends = echoes(4);
    // What the key is made from, and the target and lines that carry it.
    let keys = [
        ("{header: x-user}", "/", "X-User: USER\r\n"),
        ("{cookie: id}", "/", "Cookie: a=1; id=USER\r\n"),
        ("{query: id}", "/?a=1&id=USER", ""),
        ("path", "/USER", ""),
    ];
    for (key, target, lines) in keys {
        let pool = format!("balance: {{kind: consistent-hash, key: {key}}}");
        let aya = Aya::start(&config("", "", &pool, &backends.iter().collect::<Vec<_>>()));
        let ask = |user: usize| {
            let named = |text: &str| text.replace("USER", &format!("u{user}"));
            let response = aya.client().get_with(&named(target), &named(lines));
            response.header("x-backend").unwrap_or("?").to_owned()
        };
        let first: Vec<_> = (0..30).map(ask).collect();
        assert!((0..3).all(|_| (0..30).map(ask).eq(first.iter().cloned())), "{key}: a key moved");
        let used: std::collections::HashSet<_> = first.iter().collect();
        assert!(used.len() >= 3, "{key}: {first:?}");
    }
    let pool = "balance: {kind: consistent-hash, key: {header: x-user}}";
    let counts = counts(&order(&one_worker(pool, &backends), 200));
    assert!(counts.len() == 4, "requests without the key: {counts:?}");
}

/// Of two, the busy one is left alone.
#[test]
fn power_of_two_avoids_the_busy() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let busy = Backend::answering(move |request| {
        if request.target == "/hold" {
            cue.pass();
        }
        answer(200, &["x-backend: b"], "")
    });
    let idle = Backend::answering(|_| answer(200, &["x-backend: i"], ""));
    let aya =
        Aya::start(&format!("workers: 1\n{}", config("", "", "balance: power-of-two", &[&busy, &idle])));
    let mut held = hold_at(&aya, &busy);
    // One after the other, so that nothing else is in flight.
    assert_eq!(counts(&order(&aya, 30)), HashMap::from([('i', 30)]));
    gate.open();
    assert_eq!(held.response().status, 200);
}

/// What answers slowly gets little, and what refuses fast is not taken for fast.
#[test]
fn response_times_steer() {
    let slow = || {
        Backend::answering(|_| {
            std::thread::sleep(Duration::from_millis(40));
            answer(200, &["x-backend: s"], "")
        })
    };
    let refusing = || Backend::answering(|_| answer(503, &["x-backend: r", "retry-after: 1"], ""));
    let quick = || {
        Backend::answering(|_| {
            std::thread::sleep(Duration::from_millis(2));
            answer(200, &["x-backend: q"], "")
        })
    };
    for kind in ["peak-ewma", "least-response-time"] {
        for other in [slow(), refusing()] {
            let backends = [other, quick()];
            let aya = one_worker(&format!("balance: {kind}"), &backends);
            let order = order(&aya, 60);
            // Until both are known, lots are drawn: seven to one side now and then.
            let known = order.trim_start_matches(|name| name != 'q');
            let others =
                known.chars().filter(|name| *name != 'q').count() + 60 * usize::from(known.is_empty());
            assert!(others <= 6, "{kind}: {order}");
        }
    }
}

/// A backend that answers probes at `/load` with what the cell holds, and everything else with its name.
fn reporting(name: &'static str, report: &Arc<Mutex<String>>) -> Backend {
    let report = Arc::clone(report);
    Backend::answering(move |request| {
        if request.target == "/load" {
            let field = format!(
                "endpoint-load-metrics: {}",
                report.lock().map(|report| report.clone()).unwrap_or_default()
            );
            return answer(200, &[&field], "load");
        }
        answer(200, &[&format!("x-backend: {name}")], "")
    })
}

fn report(text: &str) -> Arc<Mutex<String>> {
    Arc::new(Mutex::new(text.to_owned()))
}

/// Whether so many requests in a row come to this backend.
fn all_come_to(aya: &Aya, name: &str, count: usize) -> bool {
    let mut client = aya.client();
    (0..count).all(|_| client.get("/").header("x-backend") == Some(name))
}

/// `prequal` asks endpoints what they have to do, in both forms of the report, and goes by what they say: also by load that others
/// have brought. Questions go over a connection that is kept.
#[test]
fn prequal_asks_endpoints_and_goes_by_what_they_say() {
    let busy = "TEXT named_metrics.rif=90, named_metrics.latency_ms=3";
    let idle = r#"JSON {"named_metrics": {"in_flight": 0, "latency_ms": 9.5}}"#;
    let (report_a, report_b) = (report(busy), report(idle));
    let backends = [reporting("a", &report_a), reporting("b", &report_b)];
    let pool = "balance: {kind: prequal, probe: /load, probe-timeout: 5s}";
    let aya = one_worker(pool, &backends);
    wait_until("the idle one to get all", || all_come_to(&aya, "b", 40));
    *report_a.lock().unwrap() = idle.to_owned();
    *report_b.lock().unwrap() = busy.to_owned();
    wait_until("the other one to get all", || all_come_to(&aya, "a", 40));
    // Of one moment: there are probes between requests, too.
    let metrics = aya.metrics();
    let answered = metrics.sum("aya_upstream_probes_total", &[("pool", "main"), ("result", "answered")]);
    assert!(answered >= 100.0, "{answered} probes");
    let probes = metrics.sum("aya_upstream_probes_total", &[("pool", "main")]);
    assert!((probes - answered).abs() < 0.1, "all were understood");
    let connections: usize = backends.iter().map(Backend::connection_count).sum();
    assert!(connections <= 10, "{connections} connections for {probes} probes");
}

/// An endpoint that cannot tell what it has to do, as an older version of a service, gets its part beside those that can.
#[test]
fn who_cannot_tell_gets_requests_beside_those_that_can() {
    let busy = report("TEXT named_metrics.rif=5, named_metrics.latency_ms=50");
    let backends = [reporting("a", &busy), reporting("b", &busy), Backend::echo("c")];
    let aya = one_worker("balance: {kind: prequal, probe: /load, probe-timeout: 5s}", &backends);
    wait_until("reports", || {
        order(&aya, 10);
        let answered = [("pool", "main"), ("result", "answered")];
        aya.metrics().sum("aya_upstream_probes_total", &answered) > 20.0
    });
    // The one that is idle by all that is known; without a report of it, `a` and `b` would get all.
    wait_until("its part", || counts(&order(&aya, 40)).get(&'c').is_some_and(|count| *count > 10));
}

/// An endpoint that does not answer probes in time, or not with a report, is used all the same; what it is asked is never in the way.
#[test]
fn probes_without_a_report_do_no_harm() {
    let gate = Arc::new(Gate::new());
    let cue = Arc::clone(&gate);
    let stuck = Backend::answering(move |request| {
        if request.target == "/load" {
            cue.pass();
        }
        answer(200, &["x-backend: a"], "")
    });
    let backends = [stuck, Backend::echo("b")];
    let aya = one_worker("balance: {kind: prequal, probe: /load}", &backends);
    let order = order(&aya, 100);
    let counts = counts(&order);
    assert!(counts[&'a'] > 10 && counts[&'b'] > 10, "{order}");
    for result in ["silent", "failed"] {
        wait_until(result, || {
            let labels = [("pool", "main"), ("result", result)];
            aya.metrics().sum("aya_upstream_probes_total", &labels) > 0.0
        });
    }
    gate.open();
}
