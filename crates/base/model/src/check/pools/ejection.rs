//! What is learned from traffic: times that go together.

use std::time::Duration;

use crate::check::checker::Checker;
use crate::document::{self, OrOff};
use crate::model::{PassiveCheck, PeerCheck};
use crate::text::Place;

/// Refuses times that do not go together.
pub(super) fn check(checker: &mut Checker<'_>, ejection: &OrOff<document::Ejection>, place: &Place<'_>) {
    let OrOff::On(ejection) = ejection else { return };
    checker.positive(&[("for", ejection.span)], place);
    if ejection.max_for < ejection.span && checker.clean {
        let message = format!("`max-for` is {}, less than `for`, {}", ejection.max_for, ejection.span);
        let help = format!("write at least `{}`", ejection.span);
        checker.error("bad-limit", message, &place.key("max-for"), help);
    }
    if let OrOff::On(peers) = &ejection.peers {
        checker.positive(&[("interval", peers.interval)], &place.key("peers"));
    }
}

impl From<&OrOff<document::Ejection>> for PassiveCheck {
    fn from(ejection: &OrOff<document::Ejection>) -> Self {
        match ejection {
            OrOff::On(on) => Self {
                consecutive_failures: on.consecutive_failures.on().copied().unwrap_or(0),
                eject_for: on.span.duration(),
                max_eject_for: on.max_for.duration(),
                max_share: on.max_share.share(),
                peers: on.peers.on().map(PeerCheck::from),
            },
            OrOff::Off => Self {
                consecutive_failures: 0,
                eject_for: Duration::ZERO,
                max_eject_for: Duration::ZERO,
                max_share: 0.0,
                peers: None,
            },
        }
    }
}

impl Default for PassiveCheck {
    /// As in a document that says nothing about it.
    fn default() -> Self {
        Self::from(&document::Pool::default().ejection)
    }
}

impl From<&document::Peers> for PeerCheck {
    fn from(peers: &document::Peers) -> Self {
        Self {
            interval: peers.interval.duration(),
            requests: peers.requests,
            errors: peers.errors.on().map(|percent| percent.share()),
            slower: peers.slower.on().copied(),
            slower_by: peers.slower_by.duration(),
        }
    }
}
