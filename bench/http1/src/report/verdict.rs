//! What Aya has to reach, for the page of proofs.

use base_testkit::Evidence;

use super::number;
use crate::proxies::Proxy;
use crate::results::{CaseResult, Pace, Results};

/// Small requests on kept connections, to the bare relay and to the best peer; the latter is what others are at work for.
const SMALL_TO_RELAY: f64 = 1.15;
const SMALL_TO_PEER: f64 = 0.9;
/// Large bodies are bound by copying: no worse than the others.
const LARGE_TO_PEER: f64 = 1.0;
/// Receive and send, on either side; the rest is a share of waiting.
const CALLS: f64 = 4.1;
/// For 10,000 idle clients: 4 KiB each.
const IDLE_MIB: f64 = 40.0;

/// States each target and whether it was reached. Figures of a trial run are not judged.
pub(crate) fn publish(results: &Results, is_trial: bool) {
    let mut evidence = Evidence::of("bench", file!());
    let own: u64 = ["Aya", "bare relay"].iter().map(|name| results.failures(name)).sum();
    evidence.claim(
        "no request fails",
        own == 0,
        format!("{own} of all that were sent through Aya and the relay"),
    );
    let mut judge = |claim: &str, figure: Option<(f64, String)>, limit: f64| match figure {
        _ if is_trial => evidence.not_run(claim, "the short form's figures mean nothing"),
        Some((value, text)) => {
            evidence.claim(claim, value <= limit, text);
        }
        None => evidence.not_run(claim, "not measured, or there is nothing to compare with"),
    };
    for connections in ["64", "512"] {
        let case = results.case(&format!("keepalive-{connections}"));
        let (relay, peer) = (ratio(case, |proxy| proxy == Proxy::Relay), ratio(case, Proxy::is_peer));
        let what = format!("128 B on {connections} kept connections take at most");
        judge(&format!("{what} 1.15 of the relay's CPU time"), relay, SMALL_TO_RELAY);
        judge(&format!("{what} 0.9 of the best peer's CPU time"), peer, SMALL_TO_PEER);
        let calls = case.and_then(CaseResult::aya).and_then(|row| row.calls_per_request);
        judge(
            &format!("{what} four system calls, but for a share of waiting"),
            calls.map(|calls| (calls, number(calls, 2))),
            CALLS,
        );
        let adds =
            format!("Aya adds no more to the p99 of 128 B on {connections} connections than the best peer");
        let p99 = |pace| case.and_then(|case| added_p99(case, pace));
        judge(&format!("at half of its capacity, {adds}"), p99(Pace::OfItsOwn(0.5)), 1.0);
        // No trial gets as far.
        if !is_trial {
            let claim = format!("at half of the best peer's capacity, asked of all, {adds}");
            judge(&claim, p99(Pace::OfBestPeer(0.5)), 1.0);
        }
    }
    let large = ratio(results.case("body-1m"), Proxy::is_peer);
    judge("bodies of 1 MiB take no more CPU time than with the best peer", large, LARGE_TO_PEER);
    let idle = results.idle.iter().find(|idle| idle.proxy == Proxy::Aya && idle.clients == 10_000);
    let idle = idle.map(|idle| idle.after_kib.saturating_sub(idle.before_kib) as f64 / 1024.0);
    judge(
        "10,000 idle clients take at most 40 MiB",
        idle.map(|mib| (mib, format!("{mib:.1} MiB"))),
        IDLE_MIB,
    );
}

fn ratio(case: Option<&CaseResult>, others: fn(Proxy) -> bool) -> Option<(f64, String)> {
    let ratio = case?.cpu_ratio(others)?;
    Some((ratio, format!("{ratio:.2}")))
}

/// What Aya adds over what the best peer adds. Less than nothing is as good as nothing.
fn added_p99(case: &CaseResult, pace: Pace) -> Option<(f64, String)> {
    let p99 = |wanted: fn(Proxy) -> bool| {
        let rows = case.rows.iter().filter(|row| wanted(row.proxy));
        let added = rows.filter_map(|row| row.latency(pace).map(|latency| (latency, row.name.as_str())));
        added
            .map(|(latency, name)| (latency.added_us()[1], latency.rate_per_second, name))
            .min_by(|one, other| one.0.total_cmp(&other.0))
    };
    let (aya, aya_rate, _) = p99(|proxy| proxy == Proxy::Aya)?;
    let (peer, peer_rate, name) = p99(Proxy::is_peer)?;
    let text = format!("{aya:+.0} µs at {aya_rate:.0}/s; {name} {peer:+.0} µs at {peer_rate:.0}/s");
    Some((if aya <= peer.max(0.0) { 0.0 } else { aya / peer.max(1.0) }, text))
}
