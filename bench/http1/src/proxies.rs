//! The proxies: how each is configured, started and found ready.

mod config;

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base_kit::{Clock, MonotonicClock};
use clap::ValueEnum;

use crate::process::{POLL, Process};

pub(crate) use self::config::Routes;

/// How long a proxy may take until it answers; a hundred thousand routes are read in that time.
const STARTING: Duration = Duration::from_secs(60);
/// What a proxy says is written to this file.
const LOG: &str = "log";
/// How long the first answer itself may take.
const ANSWERING: Duration = Duration::from_secs(2);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Proxy {
    /// The floor: this program's own relay, which has no features.
    Relay,
    /// Aya.
    Aya,
    /// Aya that takes turns and learns nothing; only where it is named.
    AyaPlain,
    /// Aya with `peak-ewma` and comparison of endpoints with their peers; only where it is named.
    AyaLearning,
    /// HAProxy as packaged by the distribution.
    Haproxy,
    /// nginx as packaged by the distribution.
    Nginx,
}

/// A proxy that can be started here, with its version.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) proxy: Proxy,
    pub(crate) version: String,
    program: OsString,
}

/// A proxy that runs and answers.
pub(crate) struct Running {
    pub(crate) proxy: Proxy,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl Proxy {
    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Relay => "bare relay",
            Self::Aya => "Aya",
            Self::AyaPlain => "Aya, plain",
            Self::AyaLearning => "Aya, learning",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
        }
    }

    /// Whether it is measured without being named.
    pub(crate) fn is_usual(self) -> bool {
        !matches!(self, Self::AyaPlain | Self::AyaLearning)
    }

    /// Whether it is measured against Aya as a product, not as a floor.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::Haproxy | Self::Nginx)
    }

    /// Finds the program; the error says what to do about its absence.
    pub(crate) fn find(self, aya: &Path) -> Result<Installed> {
        let (program, flag) = match self {
            Self::Relay => (std::env::current_exe()?.into_os_string(), "--version"),
            Self::Aya | Self::AyaPlain | Self::AyaLearning => (aya.as_os_str().to_owned(), "--version"),
            Self::Haproxy => (OsString::from("haproxy"), "-v"),
            Self::Nginx => (OsString::from("nginx"), "-v"),
        };
        let missing = || match self {
            Self::Relay | Self::Aya | Self::AyaPlain | Self::AyaLearning => {
                format!("{} does not run: build it with `cargo build --release --bin aya`", aya.display())
            }
            Self::Haproxy => "HAProxy is missing: `apt-get install haproxy`".to_owned(),
            Self::Nginx => "nginx is missing: `apt-get install nginx`".to_owned(),
        };
        let output = Command::new(&program).arg(flag).output().with_context(missing)?;
        if !output.status.success() {
            bail!(missing());
        }
        let text = [output.stdout, output.stderr].concat();
        let version = version(&String::from_utf8_lossy(&text));
        Ok(Installed { proxy: self, version, program })
    }
}

/// The first word that looks like a version.
fn version(text: &str) -> String {
    let mut words = text.split([' ', '\n', '/']).filter(|word| !word.is_empty());
    let found = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    found.unwrap_or("unknown").to_owned()
}

impl Installed {
    /// Starts the proxy on a core in front of the backend and waits until it answers.
    pub(crate) fn start(
        &self,
        core: usize,
        backends: &[SocketAddr],
        routes: Routes,
        folder: &Path,
    ) -> Result<Running> {
        let name = self.proxy.name();
        let (process, address) =
            self.launch(core, backends, routes, folder).with_context(|| format!("cannot start {name}"))?;
        let mut running = Running { proxy: self.proxy, address, process };
        running.wait_until_ready(&routes.some_host()).with_context(|| {
            format!("{name} does not answer:\n{}", last_lines(&self.home(routes, folder).join(LOG)))
        })?;
        Ok(running)
    }

    fn launch(
        &self,
        core: usize,
        backends: &[SocketAddr],
        routes: Routes,
        folder: &Path,
    ) -> Result<(Process, SocketAddr)> {
        if self.proxy == Proxy::Relay {
            let backend = backends.first().context("no backend")?.to_string();
            let (process, addresses) = Process::start_role(core, &["relay", &backend], 1)?;
            return Ok((process, addresses.first().copied().context("no address")?));
        }
        let home = self.home(routes, folder);
        fs::create_dir_all(&home)?;
        let address = free_address()?;
        let file = home.join("config");
        let (text, arguments) = match self.proxy {
            Proxy::Nginx => {
                (config::nginx(address, backends, &home), vec!["-p".into(), home.clone().into(), "-c".into()])
            }
            Proxy::Haproxy => (config::haproxy(address, backends), vec!["-db".into(), "-f".into()]),
            proxy => {
                let balancing = match proxy {
                    Proxy::AyaPlain => "balance: round-robin\n    ejection: off",
                    Proxy::AyaLearning => "balance: peak-ewma",
                    _ => "balance: round-robin",
                };
                let admin = free_address()?;
                (config::aya(address, admin, backends, balancing, routes, &home), vec!["run".into()])
            }
        };
        fs::write(&file, text)?;
        let mut command = vec![self.program.clone()];
        command.extend(arguments);
        command.push(file.into());
        Ok((Process::start(core, &command, &home.join(LOG))?, address))
    }

    /// A folder for each configuration: Aya follows its file, so that no two may share one.
    fn home(&self, routes: Routes, folder: &Path) -> PathBuf {
        folder.join(format!("{:?}-{}", self.proxy, routes.label()).to_lowercase())
    }
}

impl Running {
    fn wait_until_ready(&mut self, host: &str) -> Result<()> {
        let deadline = MonotonicClock.now() + STARTING;
        loop {
            self.process.check_alive()?;
            match self.first_answer(host) {
                Ok(()) => return Ok(()),
                Err(error) if MonotonicClock.now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }

    fn first_answer(&self, host: &str) -> Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, ANSWERING)?;
        stream.set_read_timeout(Some(ANSWERING))?;
        let request = format!("GET /128 HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        if &start != b"HTTP/1.1 200" {
            bail!("answered {:?}", String::from_utf8_lossy(&start));
        }
        Ok(())
    }
}

/// An address that nobody uses at this moment.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn last_lines(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(10);
    lines.get(start..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(version("nginx version: nginx/1.22.1\n"), "1.22.1");
        assert_eq!(version("HAProxy version 2.6.12-1+deb12u4 2026/10/17"), "2.6.12-1+deb12u4");
        assert_eq!(version("aya 0.1.0\n"), "0.1.0");
        assert_eq!(version("nothing"), "unknown");
    }
}
