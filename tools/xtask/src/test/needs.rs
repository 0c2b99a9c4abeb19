//! What the scenarios need from the machine, asked for before anything is built.

use std::path::Path;

use anyhow::{Result, bail};

use crate::command;

/// Program → the Debian package it comes in.
const PROGRAMS: &[(&str, &str)] = &[
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("slowhttptest", "slowhttptest"),
    ("ip", "iproute2"),
    ("dig", "bind9-dnsutils"),
    ("dnsperf", "dnsperf"),
    ("dnsmasq", "dnsmasq-base"),
    ("nft", "nftables"),
];
/// Servers that the smuggling grid and the differential meet. Without one of them they say so on their page; CI has them all.
const PEERS: &[(&str, &str)] =
    &[("apache2", "apache2"), ("caddy", "caddy"), ("haproxy", "haproxy"), ("lighttpd", "lighttpd")];
/// What the plays install Python packages with, below the target folder, and its Debian package.
const PIP: (&str, &str) = ("pip", "python3-pip");

/// Fails with the one line to type when something is missing.
pub(crate) fn check(python_packages: &Path, with_peers: bool) -> Result<()> {
    let peers = if with_peers { PEERS } else { &[] };
    let programs = PROGRAMS.iter().chain(peers);
    let mut missing: Vec<_> = programs.filter(|(program, _)| !command::is_installed(program)).collect();
    let packages = ["websockets", "wsproto", "h11", "h2", "grpc", "grpc_health", "grpc_reflection"];
    let has_packages = packages.iter().all(|package| python_packages.join(package).is_dir());
    if !has_packages && !command::quietly(&mut command::command("python3", &["-m", PIP.0, "--version"])?) {
        missing.push(&PIP);
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{}", message(&missing))
}

fn message(missing: &[&(&str, &str)]) -> String {
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    format!(
        "the scenarios need {}; install with\n    sudo apt-get install --no-install-recommends {}\n\
         or leave them out with `cargo xtask test --quick`",
        names.join(", "),
        packages.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_installs_all_that_is_missing() {
        let text = message(&[&("nginx", "nginx-light"), &PIP]);
        assert!(text.contains("need nginx, pip;"), "{text}");
        assert!(text.contains("apt-get install --no-install-recommends nginx-light python3-pip\n"), "{text}");
    }
}
