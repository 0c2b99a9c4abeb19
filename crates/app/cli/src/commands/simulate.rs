//! `aya simulate`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use base_kit::TimeSpan;
use clap::{Args, ValueEnum};
use sim::LoadError;

use crate::commands::config::colour;
use crate::output;

/// What is asked on the command line.
#[derive(Debug, Args)]
pub(crate) struct SimulateOptions {
    /// The scenario (YAML); examples/simulations/ has some
    scenario: PathBuf,
    /// Balancers by name in place of those of the scenario; `all` takes every one there is
    #[arg(long = "policy", value_name = "NAME", num_args = 1..)]
    policies: Vec<String>,
    /// Where randomness starts, in place of `seed` in the scenario
    #[arg(long)]
    seed: Option<u64>,
    /// Time that is measured; warm-up, phases and faults are stretched or shortened with it
    #[arg(long, value_name = "TIME")]
    duration: Option<TimeSpan>,
    /// For programs
    #[arg(long)]
    json: bool,
    /// Draw the latency over time into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Which latency is drawn
    #[arg(long, value_enum, default_value_t = Quantile::P99, requires = "svg")]
    quantile: Quantile,
}

/// A quantile of latency.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Quantile {
    /// The median
    P50,
    /// 99 of 100
    P99,
    /// 999 of 1000
    #[value(name = "p99.9")]
    P999,
}

impl From<Quantile> for sim::Quantile {
    fn from(quantile: Quantile) -> Self {
        match quantile {
            Quantile::P50 => Self::P50,
            Quantile::P99 => Self::P99,
            Quantile::P999 => Self::P999,
        }
    }
}

/// Compares balancers on a scenario.
pub(crate) fn simulate(options: SimulateOptions) -> anyhow::Result<ExitCode> {
    let SimulateOptions { scenario, policies, seed, duration, json, svg, quantile } = options;
    let simulation = match sim::load(&scenario, &sim::Overrides { policies, seed, duration }) {
        Ok(simulation) => simulation,
        Err(LoadError::Scenario(diagnostics)) => {
            output::say(&diagnostics.render(colour()));
            return Ok(ExitCode::from(2));
        }
        Err(error) => {
            output::say(&format!("aya: {error}\n"));
            return Ok(ExitCode::from(2));
        }
    };
    let results = simulation.run()?;
    if let Some(file) = svg {
        write(&file, &sim::chart(&simulation, &results, quantile.into()))?;
    }
    let text = if json {
        format!("{}\n", serde_json::to_string_pretty(&sim::json(&results))?)
    } else {
        sim::table(&simulation, &results)
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
