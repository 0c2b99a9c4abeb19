//! The project's chores: `cargo xtask tidy`, `test`, `schema`, `docs`, `figures` and `prove`.
//!
//! What a chore needs from the machine it names before it starts; it installs nothing.

mod command;
mod figures;
mod generate;
mod prove;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of this project.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Checks the rules of the house: planes, sizes, kinds, names, import cycles, dependencies, links.
    Tidy {
        /// Tells only of files below these paths, from the root of the checkout.
        paths: Vec<String>,
    },
    /// Runs every check there is, in order, and says how long each took.
    Test {
        /// Only what takes a minute or two: no rustdoc, deny or scenarios.
        #[arg(long)]
        quick: bool,
    },
    /// Writes docs/reference/config.schema.json.
    Schema {
        /// Writes nothing, fails if the file would change.
        #[arg(long)]
        check: bool,
    },
    /// Writes the generated pages of docs/reference.
    Docs {
        /// Writes nothing, fails if a page would change.
        #[arg(long)]
        check: bool,
    },
    /// Writes docs/reference/figures/balancing.md: runs every scenario of examples/simulations, which takes some minutes.
    Figures,
    /// Runs the harnesses that prove the engine, for docs/reference/conformance.md: some hours for all in their long form.
    Prove {
        /// The short form, some minutes. What it finds goes to the target folder.
        #[arg(long)]
        short: bool,
        /// Only these harnesses.
        #[arg(long, value_delimiter = ',', value_name = "NAME")]
        only: Vec<String>,
        /// Also puts faults into a copy of Aya, one at a time, which the harnesses must notice.
        #[arg(long)]
        mutants: bool,
        /// Runs none of the experiments: with --mutants only these, else only the page is made anew.
        #[arg(long)]
        page: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Tidy { paths } => tidy::run(&paths),
        Chore::Test { quick } => test::run(quick),
        Chore::Schema { check } => generate::schema(check),
        Chore::Docs { check } => generate::docs(check),
        Chore::Figures => figures::run(),
        Chore::Prove { short, only, mutants, page } => {
            prove::run(&prove::Options { is_long: !short, only, with_mutants: mutants, with_runs: !page })
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
