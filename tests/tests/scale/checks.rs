//! Twenty thousand endpoints that are checked all the time.

use std::net::Ipv4Addr;
use std::time::Duration;

use base_testkit::{Aya, Evidence, Nginx, Stopwatch, raise_file_limit};

use super::{ENDPOINTS_OF_A_POOL, bare, endpoints, hosts, pools, reload};
use crate::is_long;
use crate::vitals::wait_long;

const POOLS: usize = 1_000;
/// With how many connections it is tried what questions cost at least, where there are files for them.
const ASKED_BARELY: usize = 19_000;
/// Of one core: what checking 20,000 endpoints every 2 s may cost.
const SHARE_OF_A_CORE: f64 = 0.15;
/// What is measured of it: CPU time has a grain of 10 ms.
const WINDOW: Duration = Duration::from_secs(6);

fn checks(aya: &Aya, result: &str) -> f64 {
    aya.total("aya_health_checks_total", &[("result", result)])
}

/// What the checks of one configuration cost.
struct Cost {
    /// CPU time of all of Aya, as a share of one core.
    share: f64,
    per_second: f64,
    failed: f64,
}

/// Lets checks run for a while, and measures.
fn measure(aya: &Aya) -> Cost {
    let watch = Stopwatch::start();
    let look = || (checks(aya, "pass"), watch.elapsed().as_secs_f64());
    let failed = checks(aya, "fail");
    let (made, began) = look();
    // Asking for the counts costs something, too; it is no check.
    let cpu = aya.cpu_time();
    std::thread::sleep(WINDOW);
    let spent = aya.cpu_time() - cpu;
    let (more, ended) = look();
    Cost {
        share: spent.as_secs_f64() / WINDOW.as_secs_f64(),
        per_second: (more - made) / (ended - began),
        failed: checks(aya, "fail") - failed,
    }
}

/// The one in the middle of three.
fn median(aya: &Aya) -> Cost {
    let mut costs = [measure(aya), measure(aya), measure(aya)];
    costs.sort_by(|one, other| one.share.total_cmp(&other.share));
    let [_, middle, _] = costs;
    middle
}

/// Few connections of clients, so that nearly every check may keep its own.
const FEW_CLIENTS: &str =
    "listeners: {web: {bind: '127.0.0.1:0', max-connections: 10}}\nlogs: {level: warn}\n";

/// A thousand pools of twenty endpoints, each checked every two seconds, on two cores: every check is made in time, and what it
/// costs is known. A configuration like that is taken up while traffic flows.
#[test]
fn twenty_thousand_checked_endpoints() {
    let files = raise_file_limit();
    let nginx = Nginx::start_on(Ipv4Addr::UNSPECIFIED, "location / { return 200 'fine'; }");
    let port = nginx.address().port();
    let text = |check: &str, interval: &str| {
        let keys = format!(", health: {{{check}, interval: {interval}, timeout: 1500ms}}");
        format!("{FEW_CLIENTS}{}{}", hosts(POOLS, POOLS), pools(POOLS, port, &keys))
    };
    let aya = Aya::start(&text("http: /bystander", "2s"));
    let due = (POOLS * ENDPOINTS_OF_A_POOL) as f64;
    wait_long("all endpoints to be checked", || checks(&aya, "pass") > 2.5 * due);
    let http = if is_long() { median(&aya) } else { measure(&aya) };
    let again = reload(&aya, &text("http: /bystander", "2500ms"));
    let to_tcp = reload(&aya, &text("tcp: true", "2s"));
    let so_far = checks(&aya, "pass");
    wait_long("all endpoints to be checked anew", || checks(&aya, "pass") > so_far + 1.5 * due);
    let tcp = measure(&aya);
    drop(aya);
    let floor = bare::ask(&endpoints(0, ASKED_BARELY.min(files * 9 / 10), port), Duration::from_secs(2));
    let mut evidence = Evidence::of("scale", file!());
    let shown =
        |cost: &Cost| format!("{:.0} checks/s for {:.1} % of one core", cost.per_second, 100.0 * cost.share);
    let seen = format!(
        "http, on connections that are kept: {}; tcp: {}; {} failed. All of Aya's CPU time over {} s; each connection has both its ends \
         on this machine, where a loop that only asks takes {:.1} µs for each question",
        shown(&http),
        shown(&tcp),
        http.failed + tcp.failed,
        WINDOW.as_secs(),
        floor,
    );
    println!("{seen}\nreloads: {again}; {to_tcp}");
    // From the end of one check to the start of the next: 2 s and what a check takes.
    let in_time = [&http, &tcp].iter().all(|cost| cost.per_second > 0.8 * due / 2.0);
    let pace = "1,000 pools of 20 endpoints are checked every 2 s, every check is made in time";
    if is_long() {
        evidence.claim(pace, in_time && http.failed + tcp.failed < 0.5, seen.as_str());
        let claim = "http checks of 20,000 endpoints every 2 s cost at most 15 % of one core, the median of three windows";
        let share = http.share * due / 2.0 / http.per_second;
        evidence.claim(claim, share <= SHARE_OF_A_CORE, seen.as_str());
    }
    let claim = "a configuration of 20,000 endpoints is taken up while traffic flows, and nobody notices";
    evidence.claim(claim, true, format!("another interval: {again}; another kind of check: {to_tcp}"));
    assert_eq!(http.failed + tcp.failed, 0.0, "healthy endpoints failed checks");
    assert!(in_time || !is_long(), "checks are late: {seen}");
}
