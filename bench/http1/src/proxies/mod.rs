//! The proxies: how each is configured, started and found ready.

mod aya;
mod kind;
mod peers;
mod setup;

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base_kit::{Clock, MonotonicClock};
use clap::ValueEnum;

use crate::process::{POLL, Process};

pub(crate) use self::kind::Proxy;
pub(crate) use self::setup::Routes;
use self::setup::Site;

/// How long a proxy may take until it answers; a hundred thousand routes are read in that time.
const STARTING: Duration = Duration::from_secs(60);
/// What a proxy says is written to this file.
const LOG: &str = "log";
/// How long the first answer itself may take.
const ANSWERING: Duration = Duration::from_secs(2);

/// A proxy that can be started here.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) proxy: Proxy,
    /// The name in tables, which tells versions apart where there are several.
    pub(crate) name: String,
    pub(crate) version: String,
    program: OsString,
}

/// Something that answers.
pub(crate) struct Running {
    pub(crate) installed: Installed,
    pub(crate) address: SocketAddr,
    /// What is measured; nothing, where the backend itself answers.
    pub(crate) process: Option<Process>,
}

/// A program to take in place of what the search path has: `haproxy=/opt/haproxy/sbin/haproxy`.
#[derive(Clone, Debug)]
pub(crate) struct ProgramPath {
    pub(crate) proxy: Proxy,
    pub(crate) path: PathBuf,
}

impl FromStr for ProgramPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or("write NAME=PATH, as in haproxy=/opt/haproxy")?;
        let proxy = Proxy::from_str(name, false)?;
        Ok(Self { proxy, path: path.into() })
    }
}

impl Proxy {
    /// Finds the program; the error says what to do about its absence.
    pub(crate) fn find(self, program: Option<&Path>) -> Result<Installed> {
        let Some(card) = self.card() else {
            let name = if self == Self::Direct { "direct" } else { "bare relay" };
            let version = env!("CARGO_PKG_VERSION").to_owned();
            return Ok(Installed { proxy: self, name: name.to_owned(), version, program: OsString::new() });
        };
        let program = program.map_or_else(|| self.usual_place(card.program), Path::to_owned);
        let missing = || format!("{} does not run ({}): `{}`", card.name, program.display(), card.install);
        let output = Command::new(&program).arg(card.version).output().with_context(missing)?;
        if !output.status.success() {
            bail!(missing());
        }
        let text = [output.stdout, output.stderr].concat();
        let version = version(&String::from_utf8_lossy(&text));
        Ok(Installed { proxy: self, name: card.name.to_owned(), version, program: program.into() })
    }

    /// Aya is built beside this program; what comes from PyPI lies below a folder; the rest is in the search path.
    fn usual_place(self, program: &str) -> PathBuf {
        let packages = std::env::var_os("AYA_PEERS").map(PathBuf::from).unwrap_or_default();
        let candidates = match self {
            Self::Aya | Self::AyaPlain | Self::AyaLearning => {
                std::env::current_exe().map(|own| own.with_file_name(program)).into_iter().collect()
            }
            Self::Envoy => vec![packages.join("envoy/_bin/envoy")],
            Self::Traefik => vec![packages.join("bin/traefik")],
            _ => Vec::new(),
        };
        candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| program.into())
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
        let name = &self.name;
        let (process, address) =
            self.launch(core, backends, routes, folder).with_context(|| format!("cannot start {name}"))?;
        let mut running = Running { installed: self.clone(), address, process };
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
    ) -> Result<(Option<Process>, SocketAddr)> {
        let backend = backends.first().copied().context("no backend")?;
        let Some(card) = self.proxy.card() else {
            if self.proxy == Proxy::Direct {
                return Ok((None, backend));
            }
            let (process, addresses) = Process::start_role(core, &["relay", &backend.to_string()], 1)?;
            return Ok((Some(process), addresses.first().copied().context("no address")?));
        };
        let home = self.home(routes, folder);
        fs::create_dir_all(&home)?;
        let address = free_address()?;
        let setup = (card.setup)(&Site { address, backends, routes, home: &home })?;
        for (name, text) in setup.files {
            fs::write(home.join(name), text)?;
        }
        let mut command = vec![self.program.clone()];
        command.extend(setup.arguments);
        Ok((Some(Process::start(core, &command, &home.join(LOG))?), address))
    }

    /// A folder for each configuration: Aya follows its file, so that no two may share one.
    fn home(&self, routes: Routes, folder: &Path) -> PathBuf {
        let name = format!("{:?}-{}-{}", self.proxy, self.version, routes.label());
        folder.join(name.to_lowercase())
    }
}

impl Running {
    fn wait_until_ready(&mut self, host: &str) -> Result<()> {
        let deadline = MonotonicClock.now() + STARTING;
        loop {
            self.process.as_mut().map_or(Ok(()), Process::check_alive)?;
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
        let envoy = "/usr/bin/envoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(version(envoy), "1.40.0");
        assert_eq!(version("nothing"), "unknown");
    }
}
