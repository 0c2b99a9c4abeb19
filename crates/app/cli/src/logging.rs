//! Aya's own messages, on standard error.

use base_model::model::LogLevel;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Overrides the configured level, in the syntax of `tracing-subscriber` filters.
const VARIABLE: &str = "AYA_LOG";

/// Messages that may wait for whoever reads them; more are dropped.
const QUEUED_MESSAGES: usize = 8192;

/// Starts writing messages of this level and above. A panic, which ends one connection's task only, is a message too.
///
/// They go through a queue to a thread of their own and are dropped when it is full: a reader that stops reading or goes away
/// must hold up neither traffic nor the control side. What is queued is written when the guard is dropped.
pub(crate) fn start(level: LogLevel) -> WorkerGuard {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let filter =
        EnvFilter::builder().with_env_var(VARIABLE).with_default_directive(level.into()).from_env_lossy();
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUED_MESSAGES)
        .lossy(true)
        .finish(std::io::stderr());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(is_terminal)
        .log_internal_errors(false)
        .try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(target: "aya::panic", place, message, "a task failed; please report this");
    }));
    guard
}
