//! Runs the cases: proxies in turn, again and again, so that what the machine does meanwhile meets them all.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::backend::{BackendBeside, LISTENERS};
use crate::cases::{self, Case};
use crate::load::{Load, Tally, Traffic};
use crate::machine::Cores;
use crate::process::Process;
use crate::proxies::{Installed, Proxy, Routes, Running};
use crate::results::{CaseResult, HostsResult, IdleResult, Latency, Pace, Results, Row};

/// Connections while routes are looked up.
const HOSTS_CONNECTIONS: usize = 64;
/// Rounds in which every host must have been asked for.
const VISITS: u32 = 60;
/// For the memory to settle after connections were closed.
const SETTLING: Duration = Duration::from_millis(300);
/// How long opening all idle connections may take.
const OPENING: Duration = Duration::from_secs(60);

/// Where latency is measured, the rounds of each proxy at each rate for one round elsewhere. At the rates that count there are more, of those proxies
/// that are near each other, as many times as a case gets more rounds.
pub(crate) const LATENCY_ROUNDS: usize = 2;
/// How many times shorter they are.
const LATENCY_SHORTER: u32 = 2;
/// Into how many pieces each is cut, with percentiles of their own. A stall of the machine spoils those of the piece that it falls into, and there
/// are up to ten every second: of long pieces nearly all would be spoiled, of short ones half, which the lower quartile leaves out.
const LATENCY_PIECES: u32 = 16;
/// What goes before such a round takes at least as long as the kernel's timers of the connections that were in use before still run: a retransmission
/// timer is left to go off when all is acknowledged, 200 ms after the last request at the earliest, two thousand of them in a few ticks.
const TIMERS: Duration = Duration::from_millis(300);

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// Names of cases, or how they begin; all if empty.
    pub(crate) only: Vec<String>,
    /// Rounds of each proxy in a case that does not ask for more.
    pub(crate) repeats: usize,
    /// Length of a round.
    pub(crate) round: Duration,
    /// Length of what goes before a round.
    pub(crate) warm_up: Duration,
    /// Idle clients.
    pub(crate) idle_clients: usize,
    /// Hosts in the large configuration.
    pub(crate) hosts: u64,
}

impl Effort {
    /// The length of what latency's percentiles are taken of.
    pub(crate) fn latency_piece(&self) -> Duration {
        self.round / LATENCY_SHORTER / LATENCY_PIECES
    }

    /// How many such pieces there are of each proxy at each rate.
    pub(crate) const fn latency_pieces(&self) -> usize {
        self.repeats * LATENCY_ROUNDS * LATENCY_PIECES as usize
    }
}

/// A backend, and the proxies that can be started in front of it.
pub(crate) struct Bench {
    effort: Effort,
    cores: Cores,
    installed: Vec<Installed>,
    folder: PathBuf,
    backend: BackendBeside,
    backends: Vec<SocketAddr>,
    /// What answers where there is no proxy: alone on the core that a proxy would have.
    alone: SocketAddr,
    _lonely: Process,
}

impl Bench {
    /// Starts the backend.
    pub(crate) fn new(
        effort: Effort,
        cores: Cores,
        installed: Vec<Installed>,
        folder: PathBuf,
    ) -> Result<Self> {
        let (backend, backends) = BackendBeside::start()?;
        let (lonely, addresses) = Process::start_role(cores.proxy, &["backend"], LISTENERS)?;
        let alone = *addresses.first().context("no address")?;
        Ok(Self { effort, cores, installed, folder, backend, backends, alone, _lonely: lonely })
    }

    /// Everything that was asked for.
    pub(crate) fn run(&self) -> Result<Results> {
        let mut results = Results { cases: self.traffic_cases()?, idle: Vec::new(), hosts: None };
        if self.is_chosen(cases::IDLE) {
            for installed in self.installed.iter().filter(|installed| installed.proxy != Proxy::Direct) {
                results.idle.push(self.idle(installed)?);
            }
        }
        let aya = self.installed.iter().find(|installed| installed.proxy == Proxy::Aya);
        if let Some(aya) = aya.filter(|_| self.is_chosen(cases::HOSTS)) {
            results.hosts = Some(self.hosts(aya)?);
        }
        Ok(results)
    }

    fn is_chosen(&self, name: &str) -> bool {
        cases::is_chosen(name, &self.effort.only)
    }

    fn traffic_cases(&self) -> Result<Vec<CaseResult>> {
        let chosen: Vec<&Case> = cases::CASES.iter().filter(|case| self.is_chosen(case.name)).collect();
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let proxies: Vec<Running> = self
            .installed
            .iter()
            .map(|installed| self.start(installed, Routes::Few))
            .collect::<Result<_>>()?;
        chosen.into_iter().map(|case| self.traffic_case(case, &proxies)).collect()
    }

    fn start(&self, installed: &Installed, routes: Routes) -> Result<Running> {
        let backends = if installed.proxy == Proxy::Direct { &[self.alone][..] } else { &self.backends };
        installed.start(self.cores.proxy, backends, routes, &self.folder)
    }

    fn load(&self, target: SocketAddr, traffic: Traffic) -> Result<Load> {
        Ok(Load::new(target, traffic)?.beside(&self.backend))
    }

    fn subject<'a>(&self, running: &'a Running, traffic: Traffic) -> Result<Subject<'a>> {
        let row = Row::new(running.installed.proxy, &running.installed.name);
        Ok(Subject { running, load: self.load(running.address, traffic)?, row })
    }

    /// Capacity first, for all; then latency at shares of it; then system calls.
    fn traffic_case(&self, case: &Case, proxies: &[Running]) -> Result<CaseResult> {
        eprintln!("{}:", case.title);
        let mut subjects: Vec<Subject<'_>> =
            proxies.iter().map(|proxy| self.subject(proxy, (case.traffic)())).collect::<Result<_>>()?;
        for _ in 0..self.effort.repeats * case.more_rounds {
            for subject in &mut subjects {
                subject.capacity(&self.effort)?;
            }
        }
        if case.with_latency {
            self.latencies(case, &mut subjects)?;
        }
        for subject in &mut subjects {
            subject.system_calls(&self.effort, &self.folder)?;
            eprintln!("  {}", subject.row.summary());
        }
        let rows = subjects.into_iter().map(|subject| subject.row).collect();
        Ok(CaseResult { name: case.name, title: case.title, rows })
    }

    /// What each proxy adds to the latency of the same backend, which is asked itself at the same rate right after.
    fn latencies(&self, case: &Case, subjects: &mut [Subject<'_>]) -> Result<()> {
        let backend = *self.backends.first().context("no backend")?;
        let mut direct = self.load(backend, (case.traffic)())?;
        let peers = subjects.iter().filter(|subject| subject.row.proxy.is_peer());
        let best_peer = peers.map(|peer| peer.row.rate_per_second()).fold(f64::NAN, f64::max);
        for pace in Pace::ALL {
            let proxies = subjects.iter_mut().filter(|subject| subject.row.proxy != Proxy::Direct);
            let mut able: Vec<_> = proxies.filter_map(|subject| subject.at(*pace, best_peer)).collect();
            let rounds = |subject: &Subject<'_>| {
                let counts = pace.is_judged() && subject.keeps_up(Pace::OfBestPeer(0.5), best_peer);
                self.effort.repeats * LATENCY_ROUNDS * if counts { case.more_rounds } else { 1 }
            };
            for round in 0..self.effort.repeats * LATENCY_ROUNDS * case.more_rounds {
                for subject in able.iter_mut().filter(|subject| round < rounds(subject)) {
                    subject.latency(&mut direct, &self.effort)?;
                }
            }
        }
        Ok(())
    }

    /// Memory of a fresh proxy before and after many clients made one request each and stayed. Before, a single
    /// client has used it, so that its code is in memory but nothing that the others will need is.
    fn idle(&self, installed: &Installed) -> Result<IdleResult> {
        let proxy = self.start(installed, Routes::Few)?;
        let clients = self.effort.idle_clients;
        let mut warm = self.load(proxy.address, Traffic::get("/128", 128, 1))?;
        warm.closed_loop(self.effort.warm_up)?;
        drop(warm);
        std::thread::sleep(SETTLING);
        let memory = || proxy.process.as_ref().map_or(0, Process::resident_kib);
        let before_kib = memory();
        let mut load = self.load(proxy.address, Traffic::get("/128", 128, clients))?;
        let tally = load.one_each(OPENING)?;
        std::thread::sleep(SETTLING);
        let after_kib = memory();
        let (proxy, name) = (installed.proxy, installed.name.clone());
        let result = IdleResult { proxy, name, clients, before_kib, after_kib, failures: tally.failures() };
        eprintln!("idle: {}", result.summary());
        Ok(result)
    }

    /// The same load on two Ayas: one with ten hosts, one with many.
    fn hosts(&self, aya: &Installed) -> Result<HostsResult> {
        let mut rows = Vec::new();
        let counts = [10, self.effort.hosts];
        // One after the other on disk, side by side in memory: both answer before the first round.
        let proxies =
            counts.iter().map(|count| self.start(aya, Routes::Hosts(*count))).collect::<Result<Vec<_>>>()?;
        let mut subjects = Vec::new();
        for (proxy, count) in proxies.iter().zip(counts) {
            let mut subject = self.subject(proxy, Traffic::hosts(count, HOSTS_CONNECTIONS))?;
            subject.visit(count, &self.effort)?;
            subjects.push(subject);
        }
        for _ in 0..self.effort.repeats {
            for subject in &mut subjects {
                subject.capacity(&self.effort)?;
            }
        }
        rows.extend(subjects.into_iter().map(|subject| subject.row));
        let [few, many] = <[Row; 2]>::try_from(rows).ok().context("two rows")?;
        let result = HostsResult { hosts: counts, few, many };
        eprintln!("hosts: {}", result.summary());
        Ok(result)
    }
}

/// A proxy under one kind of load.
struct Subject<'a> {
    running: &'a Running,
    load: Load,
    row: Row,
}

impl Subject<'_> {
    /// Sends at least so many requests, one to each host, so that the rounds find everything in memory.
    fn visit(&mut self, hosts: u64, effort: &Effort) -> Result<()> {
        let mut visited = 0;
        for _ in 0..VISITS {
            let tally = self.load.closed_loop(effort.round)?;
            self.note_failures(&tally);
            visited += tally.answered;
            if visited >= hosts {
                return Ok(());
            }
        }
        bail!("only {visited} of {hosts} hosts answered in {:?}", effort.round * VISITS);
    }

    fn capacity(&mut self, effort: &Effort) -> Result<()> {
        self.load.closed_loop(effort.warm_up)?;
        let process = self.running.process.as_ref();
        let before = process.map(Process::cpu_time);
        let tally = self.load.closed_loop(effort.round)?;
        let used = process.zip(before).map(|(process, before)| process.cpu_time().saturating_sub(before));
        self.note_failures(&tally);
        if tally.answered == 0 {
            bail!("{} answered nothing: {}", self.row.name, tally.failure_text());
        }
        self.row.cpu_us.extend(used.map(|used| used.as_secs_f64() * 1e6 / tally.answered as f64));
        self.row.rates_per_second.push(tally.rate_per_second());
        Ok(())
    }

    fn keeps_up(&self, pace: Pace, best_peer: f64) -> bool {
        pace.rate_per_second(self.row.rate_per_second(), best_peer).is_some()
    }

    /// Begins to measure latency at this pace; `None` where it could not keep up.
    fn at(&mut self, pace: Pace, best_peer: f64) -> Option<&mut Self> {
        let rate = pace.rate_per_second(self.row.rate_per_second(), best_peer)?;
        self.row.latencies.push(Latency::at(pace, rate));
        Some(self)
    }

    /// A round at the rate of the last latency that was begun, and one without the proxy.
    fn latency(&mut self, direct: &mut Load, effort: &Effort) -> Result<()> {
        let Some(rate) = self.row.latencies.last().map(|latency| latency.rate_per_second) else {
            return Ok(());
        };
        let of = |tally: &Tally| tally.percentiles_us(effort.latency_piece(), [0.5, 0.99]);
        let (warm_up, round) = (TIMERS.min(effort.round), effort.round / LATENCY_SHORTER);
        self.load.open_loop(rate, warm_up)?;
        let tally = self.load.open_loop(rate, round)?;
        self.note_failures(&tally);
        direct.open_loop(rate, warm_up)?;
        let without = direct.open_loop(rate, round)?;
        if let Some(latency) = self.row.latencies.last_mut() {
            latency.with_us.extend(of(&tally));
            latency.without_us.extend(of(&without));
        }
        Ok(())
    }

    fn system_calls(&mut self, effort: &Effort, folder: &std::path::Path) -> Result<()> {
        let Self { running, load, row } = self;
        let Some(process) = &running.process else { return Ok(()) };
        let mut counted = None;
        let calls = process.count_system_calls(folder, || {
            counted = Some(load.closed_loop(effort.warm_up)?);
            Ok(())
        })?;
        if let (Some(calls), Some(tally)) = (calls, counted) {
            row.calls_per_request = Some(calls as f64 / tally.answered.max(1) as f64);
            self.note_failures(&tally);
        }
        Ok(())
    }

    fn note_failures(&mut self, tally: &Tally) {
        self.row.failures += tally.failures();
        if tally.failures() > 0 {
            eprintln!("  {}: failed: {}", self.row.name, tally.failure_text());
        }
    }
}
