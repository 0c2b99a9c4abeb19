//! `aya run`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use app_node::{Node, Overrides, StartError, catalog};
use base_model::model;
use clap::ValueEnum;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::commands::config::colour;
use crate::{logging, output, service};

/// Threads of the control side: API and reloads. Health checks have a thread of their own. None of them is on the request path.
const CONTROL_THREADS: usize = 2;

/// Where the program lies. Once it is replaced the system knows only the old one.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// How long tasks of the control side may take to end after all else has.
const LAST_TASKS: Duration = Duration::from_millis(200);

/// What drives the workers' sockets.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Driver {
    Auto,
    Epoll,
    IoUring,
}

impl From<Driver> for model::Driver {
    fn from(driver: Driver) -> Self {
        match driver {
            Driver::Auto => Self::Auto,
            Driver::Epoll => Self::Epoll,
            Driver::IoUring => Self::IoUring,
        }
    }
}

/// Serves traffic until told to stop.
pub(crate) fn run(
    file: &Path,
    workers: Option<NonZeroUsize>,
    io: Option<Driver>,
) -> anyhow::Result<ExitCode> {
    if let Ok(program) = std::env::current_exe() {
        PROGRAM.get_or_init(|| program);
    }
    let overrides = Overrides { workers, io: io.map(Into::into) };
    let catalog = catalog();
    let loaded = match base_model::load_file(file, &|name| std::env::var(name).ok(), &catalog) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            output::say(&diagnostics.render(colour()));
            return Ok(ExitCode::from(2));
        }
    };
    output::say(&loaded.warnings.render(colour()));
    let _guard = logging::start(loaded.model.operation.log_level);
    app_node::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("aya-control")
        .enable_all()
        .build()
        .context("cannot start the control threads")?;
    let ended = runtime.block_on(async {
        // Before anything can be asked of the process: a signal that comes early waits its turn.
        let signals = Signals::new()?;
        let node = match Node::start(loaded, catalog, overrides).await {
            Ok(node) => node,
            Err(StartError::Config(diagnostics)) => {
                output::say(&diagnostics.render(colour()));
                return Ok(ExitCode::from(2));
            }
            Err(error) => return Err(error.into()),
        };
        let (version, generation) = (env!("CARGO_PKG_VERSION"), node.generation());
        tracing::info!(target: "aya::node", version, config = %file.display(), generation, "started");
        node.succeed_with(successor);
        announce(&node);
        service::ready();
        serve(&node, file, signals).await
    });
    // A thread that waits for a file that does not answer is not waited for.
    runtime.shutdown_timeout(LAST_TASKS);
    ended
}

/// Says where traffic is accepted: one line each, for people and scripts.
fn announce(node: &Node) {
    let started = node.started();
    for (name, address) in &started.listeners {
        output::say(&format!("listening name={name} address={address}\n"));
    }
    if let Some(address) = started.admin {
        output::say(&format!("admin address={address}\n"));
    }
    output::say("ready\n");
}

/// What the process is asked from outside.
struct Signals {
    hangup: Signal,
    reopen: Signal,
    upgrade: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Follows the file and the signals until one of them says to stop.
async fn serve(node: &Node, file: &Path, mut signals: Signals) -> anyhow::Result<ExitCode> {
    let following = app_node::follow_file(node.clone(), file.to_owned());
    let mut following = std::pin::pin!(following);
    let mut has_successor = false;
    loop {
        tokio::select! {
            () = &mut following => break,
            // A configuration that is slow to take up does not put off the end.
            _ = signals.hangup.recv() => tokio::select! {
                () = app_node::apply_file(node, file) => {}
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
            },
            _ = signals.reopen.recv() => node.reopen_logs(),
            // What comes of it is in the log.
            _ = signals.upgrade.recv() => drop(node.hand_over()),
            () = node.succeeded() => {
                has_successor = true;
                break;
            }
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    tracing::info!(target: "aya::node", "draining");
    if !has_successor {
        service::stopping();
    }
    tokio::select! {
        drained = node.shutdown() => {
            if !drained {
                tracing::warn!(target: "aya::node", "the time to drain ran out; connections that were left are closed");
            }
        }
        // Whoever asks twice does not want to wait.
        _ = signals.terminate.recv() => return Ok(stopped_at_once()),
        _ = signals.interrupt.recv() => return Ok(stopped_at_once()),
    }
    tracing::info!(target: "aya::node", "stopped");
    Ok(ExitCode::SUCCESS)
}

/// What this process was started with, from where it was started: whatever lies there by now.
fn successor() -> Command {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let program = PROGRAM.get().cloned().unwrap_or_else(|| name.into());
    let mut command = Command::new(program);
    command.args(words);
    command
}

fn stopped_at_once() -> ExitCode {
    tracing::warn!(target: "aya::node", "stopped at once on request; connections that were left are closed");
    ExitCode::SUCCESS
}
