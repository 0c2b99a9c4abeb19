//! Aya's configuration.

use std::fmt::Write as _;

use anyhow::Result;

use super::free_address;
use super::setup::{Routes, Setup, Site};
use crate::load::host_name;

/// As it comes: endpoints in turn, failures in a row lead to ejection, endpoints are compared with their peers.
pub(super) fn usual(site: &Site<'_>) -> Result<Setup> {
    setup(site, "balance: round-robin")
}

/// Learns nothing.
pub(super) fn plain(site: &Site<'_>) -> Result<Setup> {
    setup(site, "balance: round-robin\n    ejection: off")
}

/// Learns all it can.
pub(super) fn learning(site: &Site<'_>) -> Result<Setup> {
    setup(site, "balance: peak-ewma")
}

fn setup(site: &Site<'_>, balancing: &str) -> Result<Setup> {
    let endpoints: Vec<String> = site.backends.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "workers: 1
listeners:
  web: {{bind: {address}, forwarded: append, max-connections: 16384}}
pools:
  backend:
    endpoints: [{endpoints}]
    {balancing}
    health: {{http: /healthz, interval: 2s}}
    connections: {{max: 4096, max-idle: 1024}}
admin: {{bind: {admin}}}
history: {{folder: {home}/history}}
routes:
",
        address = site.address,
        endpoints = endpoints.join(", "),
        admin = free_address()?,
        home = site.home.display(),
    );
    match site.routes {
        Routes::Few => text.push_str(
            "  - {match: {host: shop.example.com, path: /api/**}, pool: backend}
  - {match: {host: '*.example.com'}, pool: backend}
  - {match: {path: '/**'}, pool: backend}
",
        ),
        Routes::Hosts(count) => {
            for number in 0..count {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  - {{match: {{host: {}}}, pool: backend}}", host_name(number));
            }
        }
    }
    Ok(Setup::of_file(site, "aya.yaml", text, &["run"]))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_host_gets_its_route() {
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let routes = Routes::Hosts(3);
        let site = Site { address, backends: &[address], routes, home: Path::new("/nowhere") };
        let setup = usual(&site).unwrap();
        let (_, text) = &setup.files[0];
        assert_eq!(text.matches("example.test").count(), 3);
        assert!(text.contains(&host_name(2)));
    }
}
