//! `aya demo`: the command line's part of it, and Aya as the demo sees it.

use std::net::SocketAddr;
use std::process::ExitCode;

use app_node::{Node, Overrides, catalog};
use base_model::model::LogLevel;

use crate::demo::{self, DemoNode, DemoOptions, EndpointView};
use crate::logging;

/// Shows Aya at work.
pub(crate) fn demo(options: DemoOptions) -> anyhow::Result<ExitCode> {
    // Messages would tear the live view apart; the view tells what happens by itself.
    let _guard = logging::start(LogLevel::Error);
    app_node::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(demo::run(options, async |source: String| {
        let catalog = catalog();
        let loaded = base_model::load(&source, "demo.yaml", &|_| None, &catalog)
            .map_err(|diagnostics| anyhow::anyhow!("{diagnostics}"))?;
        Ok(Shown(Node::start(loaded, catalog, Overrides::default()).await?))
    }));
    // Nothing that is left is worth waiting for.
    runtime.shutdown_background();
    ended
}

/// A node as the demo shows it.
struct Shown(Node);

impl DemoNode for Shown {
    fn proxy_address(&self) -> SocketAddr {
        let started = self.0.started();
        started.listeners.first().map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |(_, address)| *address)
    }

    fn admin_address(&self) -> Option<SocketAddr> {
        self.0.started().admin
    }

    fn snapshot(&self) -> Vec<EndpointView> {
        let pools = self.0.pool_views();
        pools.into_iter().flat_map(|pool| pool.endpoints).map(view).collect()
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        self.0.shutdown().await;
        Ok(())
    }
}

fn view(endpoint: app_node::EndpointView) -> EndpointView {
    EndpointView {
        name: endpoint.address,
        state: endpoint.condition,
        takes_traffic: endpoint.eligible,
        cause: endpoint.cause.unwrap_or_default(),
        in_flight: endpoint.in_flight,
        failures: endpoint.failures,
    }
}
