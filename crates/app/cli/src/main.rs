//! The `aya` command.
//!
//! Exit codes: 0 fine, 1 failed at run time, 2 bad input.

mod admin;
mod commands;
mod demo;
mod logging;
mod output;
mod service;
mod terminal;
mod top;
mod wire;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A load balancer that sees ahead.
#[derive(Debug, Parser)]
#[command(name = "aya", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve traffic with a configuration; follows the file, SIGHUP, SIGUSR1 (reopen logs), SIGUSR2 (upgrade) and SIGTERM (drain)
    Run {
        /// The configuration (YAML or JSON)
        file: PathBuf,
        /// Worker threads, in place of `workers` in the file; default: usable cores
        #[arg(long)]
        workers: Option<NonZeroUsize>,
        /// What drives the workers' sockets, in place of `io` in the file
        #[arg(long, env = "AYA_IO")]
        io: Option<commands::Driver>,
    },
    /// Say everything that is wrong with a configuration, without using it
    Check {
        /// The configuration; `-` reads standard input
        file: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Write a configuration in its canonical form
    Fmt {
        /// The configuration; `-` reads standard input
        file: PathBuf,
        /// Spell out every shorthand and every default
        #[arg(long)]
        full: bool,
        /// Change the file instead of printing
        #[arg(long, conflicts_with = "full")]
        write: bool,
    },
    /// Print the JSON Schema of the configuration
    Schema,
    /// Say what differs between two configurations
    Diff {
        /// The one in use
        before: PathBuf,
        /// The other
        after: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Say what would become of a request, and why; or, with --id, what has become of one
    Explain(commands::ExplainOptions),
    /// Compare balancers on a scenario, without servers and in far less time than it would take
    Simulate(commands::SimulateOptions),
    /// Show Aya at work: four backends, traffic and a live view, all by itself
    Demo {
        /// End by itself after so many seconds, with a summary
        #[arg(long)]
        seconds: Option<u64>,
        /// Port of the proxy; default: any free one
        #[arg(long)]
        port: Option<u16>,
        /// Port of the admin API; default: any free one
        #[arg(long)]
        admin_port: Option<u16>,
        /// Print lines even on a terminal
        #[arg(long)]
        plain: bool,
    },
    /// Have a new process of the program take over from a running one: nobody who connects meanwhile notices
    Upgrade(commands::UpgradeOptions),
    /// Watch a running Aya: pools and endpoints with their rates, times, states and last errors
    Top(top::TopOptions),
    /// Print a page of the reference
    #[command(hide = true)]
    Reference {
        /// Which page
        page: commands::Page,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run { file, workers, io } => commands::run(&file, workers, io),
        Command::Check { file, json } => commands::check(&file, json),
        Command::Fmt { file, full, write } => commands::fmt(&file, full, write),
        Command::Schema => commands::schema(),
        Command::Diff { before, after, json } => commands::diff(&before, &after, json),
        Command::Explain(options) => commands::explain(options),
        Command::Simulate(options) => commands::simulate(options),
        Command::Demo { seconds, port, admin_port, plain } => {
            let run_for = seconds.map(Duration::from_secs);
            commands::demo(demo::DemoOptions { run_for, port, admin_port, plain })
        }
        Command::Upgrade(options) => commands::upgrade(&options),
        Command::Top(options) => top::run(options),
        Command::Reference { page } => commands::reference(page),
    };
    result.unwrap_or_else(|error| {
        output::say(&format!("aya: {}\n", in_one_line(&error)));
        ExitCode::FAILURE
    })
}

/// An error and its causes, each said once.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            let separator = if line.is_empty() { "" } else { ": " };
            line.push_str(separator);
            line.push_str(&cause);
        }
    }
    line.replace('\n', " ")
}
