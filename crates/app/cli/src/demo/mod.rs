//! `aya demo`: four backends, traffic and Aya in one process, and a view of what happens.
//!
//! Everything is on loopback, on free ports unless told otherwise, and ends with the command. One of the
//! backends fails now and then; that no client notices is what the demo shows, and what its exit code says.

mod backends;
mod board;
mod event;
mod plain;
mod summary;
mod traffic;
mod view;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base_kit::{Clock as _, Moment, MonotonicClock};
use tokio::time::MissedTickBehavior;

use self::backends::Backends;
use self::board::Board;
use self::plain::Plain;
use self::traffic::Traffic;
use self::view::View;
use crate::terminal::{Interrupts, Wish};

/// How often the view is brought up to date: often enough to look live.
const TICK: Duration = Duration::from_millis(100);
/// How long the first health checks may take.
const FIRST_CHECKS: Duration = Duration::from_secs(5);

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub(crate) struct DemoOptions {
    /// Ends by itself after so long.
    pub(crate) run_for: Option<Duration>,
    /// Port of the proxy; any free one by default.
    pub(crate) port: Option<u16>,
    /// Port of the admin API; any free one by default.
    pub(crate) admin_port: Option<u16>,
    /// Lines even on a terminal.
    pub(crate) plain: bool,
}

impl DemoOptions {
    /// Whether the demo takes the whole terminal: nothing else may write to it then, log lines for instance.
    pub(crate) fn is_live(&self) -> bool {
        !self.plain && io::stdout().is_terminal()
    }
}

/// What the demo needs of a running Aya.
pub(crate) trait DemoNode {
    /// Where it takes traffic.
    fn proxy_address(&self) -> SocketAddr;
    /// Where its admin API is.
    fn admin_address(&self) -> Option<SocketAddr>;
    /// Its endpoints at this moment.
    fn snapshot(&self) -> Vec<EndpointView>;
    /// Ends it.
    async fn shutdown(self) -> Result<()>;
}

/// An endpoint as Aya sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndpointView {
    /// Its address, as in the configuration.
    pub(crate) name: String,
    /// The word for its state: `up`, `down`, `ejected`, `unchecked`, ….
    pub(crate) state: String,
    /// Whether it gets requests.
    pub(crate) takes_traffic: bool,
    /// Why it is in this state; may be empty.
    pub(crate) cause: String,
    /// Requests it is working on.
    pub(crate) in_flight: u32,
    /// Attempts that failed there, whether or not a retry hid them from the client.
    pub(crate) failures: u64,
}

/// Runs the demo until its time is over, `q` is pressed or a signal comes. `start` starts Aya with the
/// configuration it is given. The exit code is a failure if a client saw one.
pub(crate) async fn run<N: DemoNode>(
    options: DemoOptions,
    start: impl AsyncFnOnce(String) -> Result<N>,
) -> Result<ExitCode> {
    let clock = MonotonicClock;
    let mut interrupts = Interrupts::new()?;
    let backends = Backends::start(clock).await.context("cannot start the demo's backends")?;
    let node = start(configuration(&options, &backends)).await.context("cannot start Aya")?;
    let mut board = Board::new(backends.names(), node.proxy_address(), node.admin_address(), clock.now());
    wait_for_first_checks(&node, clock).await;

    let traffic = Traffic::start(node.proxy_address(), backends.len());
    let outcome = watch(&options, &node, &traffic, &mut board, &mut interrupts).await;
    let ledger = traffic.stop().await;
    board.update(clock.now(), &ledger, &node.snapshot());
    node.shutdown().await.context("Aya did not end properly")?;
    drop(backends);
    outcome.context("cannot show what happens")?;
    summary::print(&board).context("cannot print the summary")?;
    Ok(if board.all_went_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Keeps the board and what is shown of it up to date, until it is time to end.
async fn watch(
    options: &DemoOptions,
    node: &impl DemoNode,
    traffic: &Traffic,
    board: &mut Board,
    interrupts: &mut Interrupts,
) -> io::Result<()> {
    let clock = MonotonicClock;
    let end = options.run_for.map_or(Moment::NEVER, |time| clock.now() + time);
    let mut screen = Screen::open(options)?;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while clock.now() < end {
        tokio::select! {
            () = interrupts.come() => break,
            _ = ticks.tick() => {}
        }
        board.update(clock.now(), &traffic.ledger(), &node.snapshot());
        if screen.show(board)? == Wish::End {
            break;
        }
    }
    Ok(())
}

/// Traffic starts once all backends are known to be well, so that the demo begins with all four.
async fn wait_for_first_checks(node: &impl DemoNode, clock: MonotonicClock) {
    let deadline = clock.now() + FIRST_CHECKS;
    while clock.now() < deadline && !node.snapshot().iter().all(|endpoint| endpoint.takes_traffic) {
        tokio::time::sleep(TICK / 2).await;
    }
}

/// The configuration Aya is started with: what a user would write, with checks fast enough to watch.
fn configuration(options: &DemoOptions, backends: &Backends) -> String {
    format!(
        "listeners:
  web: {{bind: 127.0.0.1:{port}}}
routes:
  - pool: demo
    retry: {{attempts: 3}}
pools:
  demo:
    endpoints: [{endpoints}]
    balance: least-connections
    health: {{http: /healthz, interval: 500ms, timeout: 400ms, rise: 2, fall: 2}}
    ejection: {{consecutive-failures: 5, for: 2s}}
admin: {{bind: 127.0.0.1:{admin_port}}}
",
        port = options.port.unwrap_or(0),
        admin_port = options.admin_port.unwrap_or(0),
        endpoints = backends.addresses().join(", "),
    )
}

/// Where the board is shown.
enum Screen {
    Live(Box<View>),
    Lines(Plain),
}

impl Screen {
    fn open(options: &DemoOptions) -> io::Result<Self> {
        if options.is_live() {
            return Ok(Self::Live(Box::new(View::open()?)));
        }
        Ok(Self::Lines(Plain::default()))
    }

    fn show(&mut self, board: &Board) -> io::Result<Wish> {
        match self {
            Self::Live(view) => view.show(board),
            Self::Lines(plain) => plain.show(board, &mut io::stdout().lock()),
        }
    }
}

#[cfg(test)]
mod tests;
