//! Networks of the play's own: a namespace with one way in, which can be cut in several ways.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a way is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Packets vanish on their way in.
    Drop,
    /// Packets are answered with a reset.
    Reject,
    /// The link is down.
    Down,
    /// Packets vanish on their way out: requests arrive, answers do not.
    Blackhole,
}

/// A network namespace with one address, reached through a pair of virtual interfaces. Gone with its value.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    outside: Ipv4Addr,
    inside: Ipv4Addr,
    cut: Option<Cut>,
}

/// Of the addresses for tests between networks (RFC 2544): four for each namespace.
const FIRST: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const NETWORKS: u32 = 1 << 15;

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Namespace {
    /// Makes one.
    ///
    /// # Errors
    /// When this process may not, or a tool for it is missing.
    pub(crate) fn new() -> Result<Self, String> {
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let network = FIRST + 4 * ((process.wrapping_mul(7) + number) % NETWORKS);
        let (outside, inside) = (Ipv4Addr::from(network + 1), Ipv4Addr::from(network + 2));
        let name = format!("aya{process}n{number}");
        ip(&["netns", "add", &name])?;
        // From here on it is taken down again whatever fails.
        let namespace = Self { name, outside, inside, cut: None };
        let (name, ours, theirs) = (&namespace.name, namespace.end("a"), namespace.end("b"));
        ip(&["link", "add", &ours, "type", "veth", "peer", "name", &theirs, "netns", name])?;
        ip(&["address", "add", &format!("{outside}/30"), "dev", &ours])?;
        ip(&["link", "set", &ours, "up"])?;
        namespace.ip(&["address", "add", &format!("{inside}/30"), "dev", &theirs])?;
        namespace.ip(&["link", "set", &theirs, "up"])?;
        namespace.nft("add table ip aya; add chain ip aya in { type filter hook input priority 0; }")?;
        Ok(namespace)
    }

    /// Its address, as seen from outside.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.inside
    }

    /// A command that runs in it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Cuts the way.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) fn cut(&mut self, cut: Cut) -> Result<(), String> {
        self.cut = Some(cut);
        match cut {
            Cut::Drop => self.nft("add rule ip aya in drop"),
            Cut::Reject => self.nft("add rule ip aya in meta l4proto tcp reject with tcp reset"),
            Cut::Down => self.ip(&["link", "set", &self.end("b"), "down"]),
            Cut::Blackhole => self.ip(&["route", "add", "blackhole", &format!("{}/32", self.outside)]),
        }
    }

    /// Makes the way good again.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        match self.cut.take() {
            None => Ok(()),
            Some(Cut::Drop | Cut::Reject) => self.nft("flush chain ip aya in"),
            Some(Cut::Down) => self.ip(&["link", "set", &self.end("b"), "up"]),
            Some(Cut::Blackhole) => self.ip(&["route", "del", "blackhole", &format!("{}/32", self.outside)]),
        }
    }

    /// The name of an interface: 15 bytes at most.
    fn end(&self, side: &str) -> String {
        format!("{}{side}", self.name)
    }

    fn ip(&self, arguments: &[&str]) -> Result<(), String> {
        run(self.command("ip").args(arguments))
    }

    fn nft(&self, rule: &str) -> Result<(), String> {
        run(self.command("nft").arg(rule))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // With the namespace goes its end of the pair, and with that the other one.
        let _ = ip(&["netns", "del", &self.name]);
        let _ = ip(&["link", "del", &self.end("a")]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
