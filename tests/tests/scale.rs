//! A great many of everything: connections, endpoints that are checked, hosts; and what each of them costs.

mod bare;
mod checks;
mod connections;
mod curves;
mod hosts;

use std::fmt::Write as _;

use base_testkit::{Aya, Stopwatch};

use crate::vitals::Bystander;

/// Endpoints of a pool, where pools are many.
const ENDPOINTS_OF_A_POOL: usize = 20;

/// So many addresses of this machine at this port, as endpoints; from the `first` on.
fn endpoints(first: usize, count: usize, port: u16) -> Vec<String> {
    let address = |number: usize| {
        format!("127.{}.{}.{}:{port}", 1 + number / 62_500, number / 250 % 250, number % 250 + 1)
    };
    (first..first + count).map(address).collect()
}

/// So many pools of 20 endpoints each, with these further keys.
fn pools(count: usize, port: u16, keys: &str) -> String {
    let mut text = String::from("pools:\n");
    for number in 0..count {
        let endpoints = endpoints(number * ENDPOINTS_OF_A_POOL, ENDPOINTS_OF_A_POOL, port).join(", ");
        let _ = writeln!(text, "  p{number}: {{endpoints: [{endpoints}]{keys}}}");
    }
    text
}

/// A route for each of so many hosts, to so many pools in turn, and one for everything else to the first pool.
fn hosts(count: usize, pools: usize) -> String {
    let mut text = String::from("routes:\n  - {pool: p0}\n");
    for number in 0..count {
        let _ = writeln!(text, "  - {{match: {{host: h{number}.play.test}}, pool: p{}}}", number % pools);
    }
    text
}

const LISTENER: &str =
    "listeners: {web: {bind: '127.0.0.1:0', max-connections: 16384}}\nlogs: {level: warn}\n";

/// Has Aya take up a configuration while a bystander looks on; gives how long it took, and what the bystander saw.
fn reload(aya: &Aya, text: &str) -> String {
    let text = format!("{text}admin: {{bind: '127.0.0.1:0'}}\nworkers: 2\ndrain: 3s\n");
    let bystander = Bystander::start(aya);
    let (watch, cpu) = (Stopwatch::start(), aya.cpu_time());
    let answer = aya.admin("POST", "/api/v1/config", &text);
    let (took, cpu) = (watch.elapsed(), aya.cpu_time() - cpu);
    let calm = bystander.finish();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(calm.faults.is_empty(), "the bystander suffered: {:?}", calm.faults);
    format!(
        "{} ms ({} ms of CPU, {} KiB of text), {calm}",
        took.as_millis(),
        cpu.as_millis(),
        text.len() >> 10
    )
}
