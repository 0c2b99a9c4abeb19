//! The commands, one function each.

mod config;
mod demo;
mod explain;
mod reference;
mod run;
mod simulate;
mod upgrade;

pub(crate) use config::{check, diff, fmt, schema};
pub(crate) use demo::demo;
pub(crate) use explain::{ExplainOptions, explain};
pub(crate) use reference::{Page, reference};
pub(crate) use run::{Driver, run};
pub(crate) use simulate::{SimulateOptions, simulate};
pub(crate) use upgrade::{UpgradeOptions, upgrade};
