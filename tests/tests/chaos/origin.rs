//! Servers in processes of their own, and what fate has in store for them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base_testkit::{Process, Signal, Wire, free_port, wait_until};

use super::network::{Cut, Namespace};

/// What befalls a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its process is killed, and started again.
    Killed,
    /// Its process is stopped (SIGSTOP), and goes on.
    Stopped,
    /// Its process gets a fifth of the time it wants.
    Slowed,
    /// The way to it is cut.
    Cut(Cut),
}

impl Fate {
    /// What may befall any server.
    pub(crate) const OF_A_PROCESS: &[Self] = &[Self::Killed, Self::Stopped, Self::Slowed];
    /// What may befall a server in a network of its own.
    pub(crate) const OF_A_NETWORK: &[Self] =
        &[Self::Cut(Cut::Drop), Self::Cut(Cut::Reject), Self::Cut(Cut::Down), Self::Cut(Cut::Blackhole)];

    /// In words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Killed => "killed (SIGKILL)",
            Self::Stopped => "stopped (SIGSTOP)",
            Self::Slowed => "slowed to a fifth",
            Self::Cut(Cut::Drop) => "cut off: packets dropped",
            Self::Cut(Cut::Reject) => "cut off: connections reset",
            Self::Cut(Cut::Down) => "cut off: link down",
            Self::Cut(Cut::Blackhole) => "cut off: answers lost",
        }
    }
}

/// How long a slowed server runs, and then does not.
const RUNS: Duration = Duration::from_millis(5);
const RESTS: Duration = Duration::from_millis(20);

/// The program `origin`, on loopback or in a network of its own.
#[derive(Debug)]
pub(crate) struct Origin {
    process: Option<Process>,
    address: SocketAddr,
    namespace: Option<Namespace>,
    diary: PathBuf,
}

impl Origin {
    /// Starts one that notes the POSTs it is sent at the end of this file.
    pub(crate) fn start(namespace: Option<Namespace>, diary: &Path) -> Self {
        let host = namespace.as_ref().map_or(Ipv4Addr::LOCALHOST, Namespace::address);
        let address = (IpAddr::V4(host), free_port()).into();
        let mut origin = Self { process: None, address, namespace, diary: diary.to_owned() };
        origin.revive();
        origin
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What may befall it.
    pub(crate) fn fates(&self) -> Vec<Fate> {
        let of_network = if self.namespace.is_some() { Fate::OF_A_NETWORK } else { &[] };
        [Fate::OF_A_PROCESS, of_network].concat()
    }

    /// Lets it happen.
    pub(crate) fn strike(&mut self, fate: Fate) {
        match fate {
            Fate::Killed => self.process = None,
            Fate::Stopped => self.signal(Signal::STOP),
            Fate::Slowed => {}
            Fate::Cut(cut) => {
                let namespace = self.namespace.as_mut().expect("only a network can be cut");
                namespace.cut(cut).expect("a way can be cut");
            }
        }
    }

    /// One turn of being slow: stopped for most of it.
    pub(crate) fn drag(&mut self) {
        self.signal(Signal::STOP);
        std::thread::sleep(RESTS);
        self.signal(Signal::CONT);
        std::thread::sleep(RUNS);
    }

    /// Undoes it, and waits until the server answers again.
    pub(crate) fn heal(&mut self, fate: Fate) {
        match fate {
            Fate::Killed => self.revive(),
            Fate::Stopped | Fate::Slowed => self.signal(Signal::CONT),
            Fate::Cut(_) => {
                let namespace = self.namespace.as_mut().expect("only a network can be cut");
                namespace.heal().expect("a way can be made good");
            }
        }
        let address = self.address;
        wait_until("a server to answer again", || {
            let asked = Wire::connect(address)
                .and_then(|mut wire| wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").map(|()| wire));
            asked.and_then(|mut wire| wire.response("GET")).is_ok_and(|answer| answer.status == 200)
        });
    }

    fn revive(&mut self) {
        let program = env!("CARGO_BIN_EXE_origin");
        let mut command =
            self.namespace.as_ref().map_or_else(|| Command::new(program), |space| space.command(program));
        command.arg(self.address.to_string()).arg(&self.diary);
        let mut process = Process::start(command);
        process.wait_for_line("ready");
        self.process = Some(process);
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process {
            process.signal(signal);
        }
    }
}
