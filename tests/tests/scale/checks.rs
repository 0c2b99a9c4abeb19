//! Twenty thousand endpoints that are checked all the time.

use std::net::Ipv4Addr;
use std::time::Duration;

use base_testkit::{Aya, Evidence, Nginx, Stopwatch, raise_file_limit, wait_until};

use super::{ENDPOINTS_OF_A_POOL, LISTENER, hosts, pools, reload};
use crate::is_long;

const POOLS: usize = 1_000;
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

/// A thousand pools of twenty endpoints, each checked every two seconds, on two cores: every check is made in time, and what it
/// costs is known. A configuration like that is taken up while traffic flows.
#[test]
fn twenty_thousand_checked_endpoints() {
    raise_file_limit();
    let nginx = Nginx::start_on(Ipv4Addr::UNSPECIFIED, "location / { return 200 'fine'; }");
    let port = nginx.address().port();
    let text = |check: &str, interval: &str| {
        let keys = format!(", health: {{{check}, interval: {interval}, timeout: 1500ms}}");
        format!("{LISTENER}{}{}", hosts(POOLS, POOLS), pools(POOLS, port, &keys))
    };
    let aya = Aya::start(&text("http: /bystander", "2s"));
    let due = (POOLS * ENDPOINTS_OF_A_POOL) as f64;
    wait_until("all endpoints to be checked", || checks(&aya, "pass") > 1.5 * due);
    let http = measure(&aya);
    let again = reload(&aya, &text("http: /bystander", "2500ms"));
    let to_tcp = reload(&aya, &text("tcp: true", "2s"));
    wait_until("all endpoints to be checked anew", || checks(&aya, "pass") > 4.0 * due);
    let tcp = measure(&aya);
    let mut evidence = Evidence::of("scale", file!());
    let shown =
        |cost: &Cost| format!("{:.0} checks/s for {:.1} % of one core", cost.per_second, 100.0 * cost.share);
    let seen = format!(
        "http: {}; tcp: {}; {} failed. All of Aya's CPU time over {} s, both ends of each connection on this machine",
        shown(&http),
        shown(&tcp),
        http.failed + tcp.failed,
        WINDOW.as_secs(),
    );
    println!("{seen}\nreloads: {again}; {to_tcp}");
    // From the end of one check to the start of the next: 2 s and what a check takes.
    let in_time = [&http, &tcp].iter().all(|cost| cost.per_second > 0.8 * due / 2.0);
    let pace = "1,000 pools of 20 endpoints are checked every 2 s, every check is made in time";
    evidence.claim(pace, in_time && http.failed + tcp.failed < 0.5, seen.as_str());
    if is_long() {
        let claim = "checking 20,000 endpoints every 2 s costs at most 15 % of one core";
        evidence.claim(claim, http.share <= SHARE_OF_A_CORE, seen.as_str());
    }
    let claim = "a configuration of 20,000 endpoints is taken up while traffic flows, and nobody notices";
    evidence.claim(claim, true, format!("another interval: {again}; another kind of check: {to_tcp}"));
    assert_eq!(http.failed + tcp.failed, 0.0, "healthy endpoints failed checks");
    assert!(in_time || !is_long(), "checks are late: {seen}");
}
