//! What happens to servers and load, whatever the balancers do.

use base_kit::Rng;

use super::Engine;
use crate::engine::events::Event;
use crate::law::exponential;
use crate::plan::Effect;

impl Engine<'_> {
    pub(super) fn schedule_surroundings(&mut self) {
        for (index, fault) in self.plan.faults.iter().enumerate() {
            self.events.push(fault.from, Event::Fault { index });
            self.events.push(fault.to, Event::Fault { index });
        }
        for (server, plan) in self.plan.servers.iter().enumerate() {
            let Some(antagonist) = plan.antagonist else { continue };
            let (on, off) = (antagonist.on.duration().as_secs_f64(), antagonist.off.duration().as_secs_f64());
            // Begins as it will be on average; an exponential time that is under way already lasts as long as a new one.
            let comes = self.streams.antagonists.unit() < on / (on + off);
            self.events.push(0, Event::Antagonist { server, comes });
        }
        for pair in self.plan.phases.windows(2) {
            if let [before, after] = pair
                && before.load != after.load
            {
                self.events.push(after.begins, Event::Load);
            }
        }
    }

    pub(super) fn antagonise(&mut self, number: usize, comes: bool) {
        let antagonist = self.plan.servers.get(number).and_then(|server| server.antagonist);
        let (Some(antagonist), Some(site)) = (antagonist, self.sites.get_mut(number)) else { return };
        site.server.set_taken(if comes { antagonist.share } else { 0.0 }, self.now);
        let mean = if comes { antagonist.on } else { antagonist.off }.duration().as_nanos() as f64;
        let lasts = exponential(mean, &mut self.streams.antagonists) as u64;
        self.events.push(self.now.saturating_add(lasts), Event::Antagonist { server: number, comes: !comes });
        self.predict(number);
    }

    /// Works out anew what all faults together do to the servers of this one.
    pub(super) fn fault(&mut self, index: usize) {
        let plan = self.plan;
        for number in plan.faults.get(index).into_iter().flat_map(|fault| &fault.servers).copied() {
            let (mut down, mut silent, mut slowdown, mut error_share) = (false, false, 1.0, 0.0_f64);
            let strikes = |from, to| from <= self.now && self.now < to;
            for fault in &plan.faults {
                if !strikes(fault.from, fault.to) || !fault.servers.contains(&number) {
                    continue;
                }
                match fault.effect {
                    Effect::Down => down = true,
                    Effect::Silent => silent = true,
                    Effect::Slow(factor) => slowdown *= factor,
                    Effect::Errors(share) => error_share = error_share.max(share),
                }
            }
            let Some(site) = self.sites.get_mut(number) else { continue };
            (site.down, site.silent, site.error_share) = (down, silent, error_share);
            site.server.set_slowdown(if silent { f64::INFINITY } else { slowdown }, self.now);
            let broken = if down { site.server.clear(self.now) } else { Vec::new() };
            self.predict(number);
            broken.into_iter().for_each(|ticket| self.break_off(ticket));
        }
    }
}
