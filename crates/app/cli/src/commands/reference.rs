//! `aya reference`: pages that are generated from what the code says of itself.

use std::process::ExitCode;

use clap::ValueEnum;

/// A page.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Page {
    /// Every key of the configuration
    Configuration,
    /// Ways of balancing
    Balancers,
    /// Ways of checking the health of endpoints
    HealthChecks,
    /// Filters and handlers
    Filters,
    /// Metrics
    Metrics,
    /// Why requests fail
    Reasons,
    /// Fields of the access log
    AccessLog,
    /// The admin API
    AdminApi,
    /// The admin API as an OpenAPI document
    Openapi,
}

/// Prints a page.
pub(crate) fn reference(page: Page) -> anyhow::Result<ExitCode> {
    let text = match page {
        Page::Configuration => base_model::reference_markdown(&app_node::catalog()),
        Page::Balancers => traffic_balance::reference_markdown(),
        Page::HealthChecks => traffic_health::reference_markdown(),
        Page::Filters => traffic_filter::reference_markdown(),
        Page::Metrics => base_signal::families::reference_markdown(),
        Page::Reasons => base_signal::reference::reasons_markdown(),
        Page::AccessLog => base_signal::reference::access_log_markdown(),
        Page::AdminApi => control_api::reference_markdown(),
        Page::Openapi => control_api::openapi_json(),
    };
    crate::output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
