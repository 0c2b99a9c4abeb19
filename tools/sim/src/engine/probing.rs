//! What instances do without a request: their ticks, checking servers, and asking them what they have to do.

use std::time::Duration;

use traffic_balance::ProbeAnswer;

use super::Engine;
use crate::engine::events::Event;

/// How long a probe is under way: a round trip in a data centre.
const PROBE_TAKES: u64 = 500_000;

/// How often an instance looks what is due, as the proxy does.
const TICK: u64 = 100_000_000;

/// For how long an answer time counts where servers tell how long answers take: one of this age weighs 1/e of a new one.
pub(super) const TIMES_DECAY: Duration = Duration::from_secs(1);

impl Engine<'_> {
    pub(super) fn schedule_ticks(&mut self) {
        for instance in 0..self.instances.len() {
            // Not all at the same instant.
            let after = TICK * instance as u64 / self.instances.len() as u64;
            self.events.push(after, Event::Tick { instance });
        }
    }

    pub(super) fn schedule_checks(&mut self) {
        let Some(checks) = self.plan.checks else { return };
        for instance in 0..self.instances.len() {
            let after = checks.interval * instance as u64 / self.instances.len() as u64;
            self.events.push(after, Event::Check { instance });
        }
    }

    /// An instance checks all servers; answers take no time.
    pub(super) fn check(&mut self, instance: usize) {
        let (Some(checks), Some(known)) = (self.plan.checks, self.instances.get_mut(instance)) else {
            return;
        };
        for (number, site) in self.sites.iter().enumerate() {
            known.checked(number, !site.down && !site.silent, &checks);
        }
        self.events.push(self.now + checks.interval, Event::Check { instance });
    }

    pub(super) fn tick(&mut self, instance: usize) {
        let now = self.moment();
        if let Some(known) = self.instances.get_mut(instance) {
            let suffering = known.tick(now);
            self.recorder.record_standing(suffering, self.sites.len(), self.now);
        }
        self.send_probes(instance);
        self.events.push(self.now + TICK, Event::Tick { instance });
    }

    pub(super) fn send_probes(&mut self, instance: usize) {
        let now = self.moment();
        let Some(known) = self.instances.get_mut(instance).filter(|known| known.asks()) else { return };
        while let Some(server) = known.next_probe(now) {
            self.events.push(self.now + PROBE_TAKES, Event::Probe { instance, server });
        }
    }

    /// A server tells what it has to do: all that is there, whoever sent it.
    pub(super) fn probe(&mut self, instance: usize, server: usize) {
        let now = self.moment();
        let (Some(known), Some(site)) = (self.instances.get_mut(instance), self.sites.get(server)) else {
            return;
        };
        if site.down || site.silent {
            return;
        }
        let in_flight = site.server.load() as u32;
        let latency = site.times.value_nanos(in_flight, 10 * TIMES_DECAY, now);
        let latency = latency.map(|nanos| Duration::from_nanos(nanos as u64));
        known.probed(server, ProbeAnswer { in_flight: Some(in_flight), latency }, now);
    }
}
