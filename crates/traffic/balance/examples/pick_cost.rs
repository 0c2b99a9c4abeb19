//! What a request costs in the selector, as the proxy has it around a balancer (a look for changes, a pick, its feedback, and what
//! is learned from probes), in instructions: stable where times are not.
//!
//! `cargo run --release -p traffic-balance --example pick_cost` runs itself in callgrind, once with N and once with 2N requests,
//! for each kind and number of endpoints, and prints a table. Needs valgrind.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made has nothing to go on with")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use base_kit::{Moment, Rng, SeededRng};
use base_model::model::{Endpoint, Host, Pool};
use serde_json::{Value, json};
use traffic_balance::{Feedback, PoolState, ProbeAnswer, RequestFacts, Resources, Selector, hash_key, kinds};

/// Endpoints in the pool.
const SIZES: [u16; 3] = [10, 100, 1_000];
/// Clients that there are.
const CLIENTS: u64 = 1_000;
/// Requests of the shorter run, in which all clients are there once.
const REQUESTS: u64 = 3_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [balance, size, requests] = arguments.as_slice() {
        let balance = serde_json::from_str(balance).expect("settings");
        return run(&balance, size.parse().expect("a size"), requests.parse().expect("a number"));
    }
    println!("| instructions per request, endpoints: | {} | {} | {} |", SIZES[0], SIZES[1], SIZES[2]);
    println!("|---|--:|--:|--:|");
    for balance in variants() {
        let costs = SIZES.map(|size| {
            let cost =
                |requests| instructions(&[balance.to_string(), size.to_string(), format!("{requests}")]);
            ((cost(2 * REQUESTS) - cost(REQUESTS)) / REQUESTS).to_string()
        });
        println!("| `{}` | {} |", title(&balance), costs.join(" | "));
    }
}

/// Each kind with its defaults, and the settings that change the cost.
fn variants() -> Vec<Value> {
    let mut variants: Vec<Value> = kinds::ALL.iter().map(|kind| json!({"kind": kind.info().name})).collect();
    for method in ["ring", "rendezvous"] {
        variants.push(json!({"kind": "consistent-hash", "method": method}));
    }
    variants.push(json!({"kind": "consistent-hash", "load-factor": 1.25}));
    variants.push(json!({"kind": "prequal", "probe": "/load"}));
    variants
}

fn title(balance: &Value) -> String {
    let settings = balance.as_object().into_iter().flatten();
    let words = settings.map(|(name, value)| match value.as_str() {
        Some(text) if name == "kind" => text.to_owned(),
        Some(text) => format!("{name}: {text}"),
        None => format!("{name}: {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn instructions(arguments: &[String]) -> u64 {
    let program = std::env::current_exe().expect("a path of its own");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output()
        .expect("valgrind is installed");
    let report = String::from_utf8_lossy(&output.stderr);
    let line = report.lines().find(|line| line.contains("Collected")).expect("a count");
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Requests against a pool, half as many in flight as there are endpoints.
fn run(balance: &Value, size: u16, requests: u64) {
    let mut settings = balance.clone();
    let name = settings.as_object_mut().and_then(|settings| settings.remove("kind")).expect("a kind");
    let kind = kinds::find(name.as_str().unwrap_or_default()).expect("a kind that there is");
    let mut selector = Selector::new(kind, settings).expect("settings that are right");
    let pool = PoolState::new(&pool(size));
    selector.refresh(&pool, Moment::ZERO);
    let members = selector.members().to_vec();
    let mut tried = Vec::new();
    let told = Resources { cpu: Some(0.5), memory: Some(0.5), io: None };
    members.iter().for_each(|member| member.state.learned().utilisation.report(told, Moment::from_nanos(1)));
    let mut rng = SeededRng::new(1);
    let mut running = std::collections::VecDeque::new();
    for number in 0..requests {
        let now = Moment::from_nanos(1_000_000_000 + number * 10_000);
        // Clients come back; the first request of one may cost more.
        let bits = if number < CLIENTS { number } else { rng.below(CLIENTS) };
        let client = IpAddr::V4(Ipv4Addr::from_bits(bits as u32));
        let facts = RequestFacts { client, key: Some(hash_key(bits.to_be_bytes())) };
        selector.refresh(black_box(&pool), now);
        let picked = selector.pick(black_box(&facts), &mut tried, now, &mut rng).expect("somebody");
        let Some(member) = members.get(picked.index) else { continue };
        member.state.try_begin(u32::MAX);
        selector.feedback(&member.state, Feedback::Started, now);
        running.push_back(member);
        while let Some(member) = selector.next_probe(now, &mut rng).and_then(|index| members.get(index)) {
            let in_flight = Some(member.state.in_flight());
            let answer = ProbeAnswer { in_flight, latency: Some(Duration::from_millis(1)) };
            selector.probed(&member.state, answer, now);
        }
        if running.len() > usize::from(size) / 2
            && let Some(member) = running.pop_front()
        {
            let latency = Duration::from_micros(500 + bits % 1_000);
            selector.feedback(
                &member.state,
                Feedback::FirstByte { latency, others: 0, status: 200, retry_after: None },
                now,
            );
            selector.feedback(&member.state, Feedback::Finished, now);
            member.state.end();
        }
    }
}

fn pool(size: u16) -> Pool {
    let endpoint = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Endpoint::new(Host::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, high, low))), 80)
    };
    Pool::new("cost", (0..size).map(endpoint).collect())
}
