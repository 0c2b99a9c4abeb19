//! The project's chores: `cargo xtask tidy`, `test`, `schema`, `docs` and `figures`.
//!
//! What a chore needs from the machine it names before it starts; it installs nothing.

mod command;
mod figures;
mod generate;
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
    /// Writes docs/reference/balancing-figures.md: runs every scenario of examples/simulations, which takes some minutes.
    Figures,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Tidy { paths } => tidy::run(&paths),
        Chore::Test { quick } => test::run(quick),
        Chore::Schema { check } => generate::schema(check),
        Chore::Docs { check } => generate::docs(check),
        Chore::Figures => figures::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
