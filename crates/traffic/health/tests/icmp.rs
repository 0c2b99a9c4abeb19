//! Echo requests: to this machine, and to one in a network namespace that comes and goes. Needs root; says so without.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests, too")]
#![expect(dead_code, clippy::indexing_slicing, reason = "the stage holds what other tests need")]

mod stage;

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use base_model::model::{CheckKind, Endpoint, Host};
use stage::{Stage, check, pool, soon, until};
use traffic_balance::Health;
use traffic_health::{Passed, Probe, ProbeFailure, kinds};

fn probe() -> Box<dyn Probe> {
    let check = check(CheckKind::Icmp);
    kinds::ALL.iter().find_map(|kind| kind.build(&check)).unwrap().unwrap()
}

/// Runs a command of words between blanks; whether it succeeded.
fn run(line: &str) -> bool {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output();
    output.is_ok_and(|output| {
        if !output.status.success() {
            eprintln!("{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    })
}

/// Another machine behind a cable: a network namespace at the end of a pair of devices. Gone when dropped.
struct Machine {
    name: String,
    v4: IpAddr,
    v6: IpAddr,
}

impl Machine {
    /// `None`, with the reason on standard error, where this process may not make one.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: network namespaces need root");
            return None;
        }
        let process = std::process::id();
        // Addresses for tests (RFC 5737, RFC 4193), different for processes that run at once.
        let [.., high, low] = process.to_be_bytes();
        let (near, far) = (format!("ayan{process}"), format!("ayaf{process}"));
        let machine = Self {
            name: format!("aya{process}"),
            v4: format!("198.18.{high}.{}", low / 4 * 4 + 2).parse().unwrap(),
            v6: format!("fd00:a7a:{process:x}::2").parse().unwrap(),
        };
        let name = &machine.name;
        if !run(&format!("ip netns add {name}")) {
            eprintln!("SKIPPED: no network namespace can be made here");
            return None;
        }
        let own = format!("198.18.{high}.{}/30", low / 4 * 4 + 1);
        for line in [
            format!("ip link add {near} type veth peer name {far} netns {name}"),
            format!("ip address add {own} dev {near}"),
            format!("ip address add fd00:a7a:{process:x}::1/64 dev {near} nodad"),
            format!("ip link set {near} up"),
            format!("ip -n {name} address add {}/30 dev {far}", machine.v4),
            format!("ip -n {name} address add {}/64 dev {far} nodad", machine.v6),
            format!("ip -n {name} link set {far} up"),
        ] {
            assert!(run(&line), "{line}");
        }
        Some(machine)
    }

    fn set(&self, ip: IpAddr, there: bool) {
        let (what, prefix) = (if there { "add" } else { "del" }, if ip.is_ipv6() { "64" } else { "30" });
        let nodad = if there && ip.is_ipv6() { " nodad" } else { "" };
        let device = format!("ayaf{}", std::process::id());
        assert!(run(&format!("ip -n {} address {what} {ip}/{prefix} dev {device}{nodad}", self.name)));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The pair of devices goes with the namespace.
        run(&format!("ip link del ayan{}", std::process::id()));
        run(&format!("ip netns del {}", self.name));
    }
}

#[tokio::test]
async fn a_machine_that_goes_and_returns_is_left_out_meanwhile() {
    let Some(machine) = Machine::new() else { return };
    let mut ping = check(CheckKind::Icmp);
    ping.timeout = Duration::from_millis(200);
    let endpoints = [machine.v4, machine.v6].map(|ip| Endpoint::new(Host::Ip(ip), 80));
    let stage = Stage::new(&pool(endpoints.to_vec(), vec![ping]));
    let all = |health| (0..2).all(|index| stage.endpoint(index).health() == health);
    until("both up", || all(Health::Up)).await;
    for ip in [machine.v4, machine.v6] {
        machine.set(ip, false);
    }
    until("both down", || all(Health::Down)).await;
    let told = stage.told();
    assert!(told.iter().any(|line| line == "unchecked>up: icmp check: echo reply"), "{told:?}");
    let is_cause = |line: &String| {
        line.contains("icmp check: timed out after 200ms") || line.contains("icmp check: connect failed")
    };
    assert_eq!(
        told.iter().filter(|line| line.starts_with("up>down")).filter(|line| is_cause(line)).count(),
        2,
        "{told:?}"
    );
    for ip in [machine.v4, machine.v6] {
        machine.set(ip, true);
    }
    until("both up again", || all(Health::Up)).await;
}

#[tokio::test]
async fn this_machine_answers_itself_or_says_what_is_missing() {
    for address in ["127.0.0.1:80", "[::1]:80"] {
        let target = stage::target(address.parse().unwrap());
        match soon("a verdict", probe().run(&target)).await {
            Ok(passed) => assert_eq!(passed, Passed::Echoed),
            Err(ProbeFailure::EchoDenied) => {
                assert!(!rustix::process::geteuid().is_root());
                let said = ProbeFailure::EchoDenied.to_string();
                assert!(said.contains("net.ipv4.ping_group_range") && said.contains("CAP_NET_RAW"), "{said}");
            }
            Err(failure) => panic!("{address}: {failure}"),
        }
    }
}

#[tokio::test]
async fn many_at_once_get_their_own_replies() {
    let target = stage::target("127.0.0.1:80".parse().unwrap());
    if probe().run(&target).await == Err(ProbeFailure::EchoDenied) {
        eprintln!("SKIPPED: this process may not send echo requests");
        return;
    }
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let target = target.clone();
        all.spawn(async move { probe().run(&target).await });
    }
    for passed in soon("all replies", all.join_all()).await {
        assert_eq!(passed, Ok(Passed::Echoed));
    }
}
