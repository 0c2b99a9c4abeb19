//! `aya upgrade`: a new process of the program takes over from a running one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use control_api::Upgraded;

use crate::admin::{Client, DEFAULT_URL};
use crate::output;

/// No answer in this time is none: longer than a successor may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct UpgradeOptions {
    /// The admin port of the running Aya
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    admin: String,
    /// The file that holds the token of that admin port, if it wants one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Asks a running Aya to be succeeded, and says by whom it was.
pub(crate) fn upgrade(options: &UpgradeOptions) -> anyhow::Result<ExitCode> {
    let mut client = Client::at(&options.admin, options.token_file.as_deref(), PATIENCE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(client.post("/api/v1/upgrade"));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let Upgraded { pid } = answer.map_err(|none| none.explained(&client.target))?;
    output::print(&format!("process {pid} serves; the one before ends when its connections have\n"))?;
    Ok(ExitCode::SUCCESS)
}
