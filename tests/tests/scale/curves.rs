//! How the cost of a request grows with workers, connections, routes and endpoints: CPU time, not time.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use base_testkit::{Aya, Evidence, Nginx, load, raise_file_limit};
use sim::{ChartLine, LineChart};

use super::{LISTENER, endpoints, hosts};
use crate::is_long;
use crate::vitals::wait_long;

/// Connections, where it is not they that are many.
const CONNECTIONS: usize = 64;
/// Connections that an endpoint may have: nobody waits for one, and none is made anew.
const MOST: usize = 8_192;
/// Requests before anything is measured.
const WARM_UP: f64 = 3_000.0;
/// The picture, made by the long form.
const PICTURE: &str = "docs/reference/figures/scale.svg";
/// A request with a hundred thousand routes or ten thousand endpoints may cost so many times what it costs with one: caches, not
/// searches.
const MOST_GROWTH: f64 = 2.0;
/// The same in the short form: few requests, on a machine that has other things to do.
const MOST_GROWTH_SHORT: f64 = 4.0;

/// What there is how many of.
#[derive(Clone, Copy)]
struct Size {
    workers: usize,
    connections: usize,
    routes: usize,
    endpoints: usize,
}

const BASE: Size = Size { workers: 1, connections: CONNECTIONS, routes: 1, endpoints: 1 };

/// CPU time of a request, in microseconds.
fn cost(nginx: &Nginx, size: Size) -> f64 {
    let pool = endpoints(0, size.endpoints, nginx.address().port()).join(", ");
    let text = format!(
        "{LISTENER}workers: {}\n{}pools: {{p0: {{endpoints: [{pool}], connections: {{max: {MOST}, max-idle: {MOST}}}}}}}\n\
         decisions: off\n",
        size.workers,
        hosts(size.routes, 1)
    );
    let aya = Aya::start(&text);
    let run = load(&aya.url("/"), size.connections);
    let answered = || aya.total("aya_requests_total", &[]);
    // Long enough that every endpoint has its connection.
    wait_long("requests to be answered", || answered() > WARM_UP + size.endpoints as f64);
    let look = || (answered(), aya.cpu_time());
    let (start, before) = look();
    std::thread::sleep(if is_long() { Duration::from_secs(4) } else { Duration::from_secs(1) });
    let (end, after) = look();
    let (spent, count) = (after - before, end - start);
    let report = run.finish();
    assert_eq!((report.bad_answers, report.socket_errors), (0, 0), "{}", report.text);
    spent.as_secs_f64() * 1e6 / count
}

/// A line of the chart: sizes with what a request costs.
fn line(name: &str, counts: &[usize], cost: impl Fn(usize) -> f64) -> ChartLine {
    let points = counts.iter().map(|&count| (count as f64, Some(cost(count)))).collect();
    ChartLine { name: name.to_owned(), points }
}

/// How many times the first cost the last one is.
fn growth(line: &ChartLine) -> f64 {
    let cost = |point: Option<&(f64, Option<f64>)>| point.and_then(|(_, cost)| *cost).unwrap_or(f64::NAN);
    cost(line.points.last()) / cost(line.points.first())
}

fn table(lines: &[ChartLine]) -> String {
    let mut text = String::from("| | how many: µs of CPU for a request |\n|---|---|\n");
    for line in lines {
        let points =
            line.points.iter().filter_map(|(count, cost)| cost.map(|cost| format!("{count}: {cost:.1}")));
        let _ = writeln!(text, "| {} | {} |", line.name, points.collect::<Vec<_>>().join(" · "));
    }
    text
}

/// What a request costs does not grow with the number of routes or endpoints, little with the number of connections, and not with the
/// number of workers.
#[test]
fn what_a_request_costs() {
    let most_connections = (raise_file_limit() / 4).min(4_096);
    let nginx = Nginx::start_on(Ipv4Addr::UNSPECIFIED, "location / { return 200 'fine'; }");
    let (connections, routes, endpoints): (&[usize], &[usize], &[usize]) = if is_long() {
        (
            &[1, 4, 16, 64, 256, 1_024, most_connections],
            &[1, 10, 100, 1_000, 10_000, 100_000],
            &[1, 10, 100, 1_000, 4_000],
        )
    } else {
        (&[16, 256], &[1, 2_000], &[1, 1_000])
    };
    let lines = vec![
        line("connections", connections, |count| cost(&nginx, Size { connections: count, ..BASE })),
        line("routes", routes, |count| cost(&nginx, Size { routes: count, ..BASE })),
        line("endpoints", endpoints, |count| cost(&nginx, Size { endpoints: count, ..BASE })),
        line("workers", &[1, 2], |count| cost(&nginx, Size { workers: count, ..BASE })),
    ];
    let table = table(&lines);
    println!("{table}");
    let limit = if is_long() { MOST_GROWTH } else { MOST_GROWTH_SHORT };
    let most = lines.iter().map(growth).fold(0.0, f64::max);
    let seen: Vec<_> = lines.iter().map(|line| format!("{} × {:.2}", line.name, growth(line))).collect();
    let mut evidence = Evidence::of("scale", file!());
    let claim = "what a request costs does not grow with the number of routes, endpoints, connections and workers: from one to the most of \
                 each, CPU time per request at most doubles (× 4 in the short form)";
    evidence.claim(claim, most <= limit, seen.join(", "));
    if is_long() {
        let chart = LineChart {
            title: "CPU time per request, one worker, 64 connections, one route, one endpoint, but for what is varied".to_owned(),
            across: "how many of it".to_owned(),
            upward: "µs of CPU per request".to_owned(),
            is_logarithmic: true,
            lines,
            ..LineChart::default()
        };
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PICTURE);
        std::fs::write(place, chart.svg()).expect("the picture can be written");
    }
    let picture = "![CPU time per request, against the number of workers, connections, routes and endpoints](../figures/scale.svg)";
    evidence.page("scale", "How cost grows", format!("{picture}\n\n{table}"));
    assert!(most <= limit, "{seen:?}");
}
