//! What a look-up costs as the number of hosts and routes grows.
//!
//! `cargo run --release -p traffic-route --example lookup` prints nanoseconds and the ratio of many to few.
//! `lookup SCENARIO LOOK-UPS` runs one scenario only, to be counted with `valgrind --tool=callgrind`: the difference
//! between two numbers of look-ups is free of the cost of compiling.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use base_kit::{Clock, MonotonicClock, Rng, SeededRng};
use base_model::model::{Action, HostPattern, Match, PathPattern, Route};
use traffic_route::{RequestView, Router};

/// Different requests a scenario cycles through.
const REQUESTS: usize = 1 << 16;
const LOOK_UPS: usize = 2_000_000;
/// Each figure is the best of so many runs: the others were disturbed.
const RUNS: usize = 7;

struct Scenario {
    name: &'static str,
    routes: Vec<Route>,
    /// Host and path.
    requests: Vec<(String, String)>,
}

fn route(host: String, path: Option<PathPattern>) -> Route {
    let matches = Match { hosts: vec![HostPattern::Exact(host.into())], path, ..Match::default() };
    Route {
        name: "".into(),
        listeners: vec![],
        matches,
        filters: vec![],
        action: Action::Proxy(vec![]),
        request_timeout: None,
        attempts: 1,
    }
}

fn host(number: u64) -> String {
    format!("shop-{number:06}.example.com")
}

/// One route a host; requests for random ones of the first `asked`.
fn hosts(name: &'static str, count: u64, asked: u64) -> Scenario {
    let mut rng = SeededRng::new(1);
    let path = || Some(PathPattern::Prefix("/api".into()));
    Scenario {
        name,
        routes: (0..count).map(|number| route(host(number), path())).collect(),
        requests: (0..REQUESTS).map(|_| (host(rng.below(asked)), "/api/v1/items".to_owned())).collect(),
    }
}

/// Many routes under one host; requests for random ones of the first `asked`.
fn paths(name: &'static str, count: u64, asked: u64) -> Scenario {
    let mut rng = SeededRng::new(1);
    let path = |number: u64| format!("/api/section-{number:05}/items");
    Scenario {
        name,
        routes: (0..count)
            .map(|number| route(host(0), Some(PathPattern::Exact(path(number).into()))))
            .collect(),
        requests: (0..REQUESTS).map(|_| (host(0), path(rng.below(asked)))).collect(),
    }
}

fn scenarios() -> [Scenario; 6] {
    [
        hosts("hosts-10", 10, 10),
        hosts("hosts-100000-ask-10", 100_000, 10),
        hosts("hosts-100000", 100_000, 100_000),
        paths("paths-10", 10, 10),
        paths("paths-10000-ask-10", 10_000, 10),
        paths("paths-10000", 10_000, 10_000),
    ]
}

fn look_up(router: &Router, requests: &[(String, String)], count: usize) -> usize {
    let fields: Vec<(String, String)> = Vec::new();
    let view = |(host, path): &'_ (String, String)| {
        let (host, path) = (black_box(host.as_bytes()), black_box(path.as_bytes()));
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let request = RequestView {
            listener: 0,
            host,
            method: b"GET",
            path,
            query: None,
            client,
            certificate: None,
            fields: &fields,
        };
        usize::from(router.find(&request).is_some())
    };
    requests.iter().cycle().take(count).map(view).sum()
}

fn nanoseconds(scenario: &Scenario) -> f64 {
    let clock = MonotonicClock;
    let start = clock.now();
    let Ok(router) = Router::compile(&scenario.routes) else { return f64::NAN };
    let compiled = clock.now().since(start);
    let run = || {
        let start = clock.now();
        let found = look_up(&router, &scenario.requests, LOOK_UPS);
        assert_eq!(found, LOOK_UPS, "every request has its route");
        clock.now().since(start).as_secs_f64() * 1e9 / LOOK_UPS as f64
    };
    let best = (0..RUNS).map(|_| run()).fold(f64::INFINITY, f64::min);
    println!("{:<22} {best:7.1} ns   compiled in {compiled:?}", scenario.name);
    best
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if let (Some(name), Some(count)) = (arguments.next(), arguments.next()) {
        let scenario = scenarios().into_iter().find(|scenario| scenario.name == name);
        let (Some(scenario), Ok(count)) = (scenario, count.parse()) else {
            eprintln!("usage: lookup [SCENARIO LOOK-UPS]");
            return;
        };
        if let Ok(router) = Router::compile(&scenario.routes) {
            println!("{}", look_up(&router, &scenario.requests, count));
        }
        return;
    }
    let all = scenarios();
    let [few_hosts, same_hosts, many_hosts, few_paths, same_paths, many_paths] =
        all.each_ref().map(nanoseconds);
    println!(
        "100,000 hosts : 10, the same ten asked {:.2}, all asked {:.2}",
        same_hosts / few_hosts,
        many_hosts / few_hosts
    );
    println!(
        "10,000 paths : 10, the same ten asked {:.2}, all asked {:.2}",
        same_paths / few_paths,
        many_paths / few_paths
    );
}
