//! When the certificates that are shown to others run out: a number for each, and a word in the log while there is time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base_kit::WallClock;
use base_model::limits::CERTIFICATE_ENDS_SOON;
use base_signal::{Registry, Shard, families};
use tokio::sync::watch;
use traffic_proxy::Plan;
use traffic_tls::Certificate;

use crate::control::{lock, tracked};

/// How often it is said.
const SAY_EVERY: Duration = Duration::from_hours(24);

/// The certificates in use, with their places in the configuration.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<Vec<(String, Arc<Certificate>)>>);

impl Shown {
    /// Takes up those of a plan.
    pub(crate) fn note(&self, plan: &Plan, shard: &Shard, metrics: &Registry) {
        let next: Vec<_> =
            plan.certificates().map(|(place, certificate)| (place, Arc::clone(certificate))).collect();
        let names: HashSet<_> = next.iter().map(|(place, certificate)| (place, &certificate.name)).collect();
        let mut shown = lock(&self.0);
        for (place, certificate) in shown.iter() {
            if !names.contains(&(place, &certificate.name)) {
                metrics.retire(&[("place", place), ("certificate", &certificate.name)]);
            }
        }
        for (place, certificate) in &next {
            let ends = shard.gauge(&families::TLS_CERTIFICATE_ENDS, &[place, &certificate.name]);
            ends.set(certificate.ends.as_secs().cast_signed());
        }
        *shown = next;
    }

    /// What authorities have said and does not hold any more is not shown beside them.
    pub(crate) fn drop_ended_staples(&self) {
        let now = WallClock.since_epoch();
        for (_, certificate) in lock(&self.0).iter() {
            if certificate.staple_ends().is_some_and(|ends| ends <= now) {
                certificate.set_staple(None);
            }
        }
    }

    /// Says which run out soon, or have.
    fn say(&self) {
        let now = WallClock.since_epoch();
        for (place, certificate) in lock(&self.0).iter() {
            let name = &*certificate.name;
            if certificate.ends <= now {
                tracing::error!(target: "aya::tls", place, certificate = name, "the certificate has run out");
            } else if certificate.ends - now < CERTIFICATE_ENDS_SOON {
                let days = (certificate.ends - now).as_secs() / Duration::from_hours(24).as_secs();
                tracing::warn!(target: "aya::tls", place, certificate = name, days, "the certificate runs out soon");
            }
        }
    }
}

/// Says once a day which certificates run out soon, until the node stops. At the start and with each reload the configuration's own warnings say it.
pub(crate) fn watch(shown: Arc<Shown>, mut stopped: watch::Receiver<bool>) {
    tracked(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SAY_EVERY) => shown.say(),
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
        }
    });
}
