//! `least-response-time`: the endpoint where a request would be answered first, by recent answer times and what is in flight.
//!
//! Looks at all endpoints. With many instances of Aya in front of few endpoints prefer `peak-ewma`, which does not have all of
//! them choose the same one.

use base_kit::{KindInfo, Moment, Rng, Status};

use crate::balancer::{
    Balancer, BalancerKind, Feedback, Member, RequestFacts, SettingsError, read_sound_settings,
};
use crate::endpoint::{EndpointId, EndpointState};
use crate::methods::latency::{Entry, Settings};

/// The kind.
pub(super) struct LeastResponseTimeKind;

const NAME: &str = "least-response-time";

impl BalancerKind for LeastResponseTimeKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "The endpoint with the lowest product of average answer time and requests in flight, for its \
                      weight.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Settings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let settings = read_sound_settings(NAME, settings, Settings::problem)?;
        Ok(Box::new(LeastResponseTime { settings, ids: Vec::new(), entries: Vec::new() }))
    }
}

#[derive(Debug)]
struct LeastResponseTime {
    settings: Settings,
    ids: Vec<EndpointId>,
    entries: Vec<Entry>,
}

/// The best so far.
struct Best {
    cost: f64,
    index: Option<usize>,
}

impl Default for Best {
    fn default() -> Self {
        Self { cost: f64::INFINITY, index: None }
    }
}

impl LeastResponseTime {
    /// What is assumed of endpoints that have not answered yet: that they are like the others.
    fn usual_latency(&self, now: Moment) -> f64 {
        let known = self.entries.iter().filter_map(|entry| entry.latency(&self.settings, now));
        let (sum, count) = known.fold((0.0, 0.0), |(sum, count), latency| (sum + latency, count + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    }
}

impl Balancer for LeastResponseTime {
    fn update(&mut self, members: &[Member]) {
        self.ids.clear();
        self.ids.extend(members.iter().map(|member| member.id));
        self.entries.clear();
        self.entries.extend(members.iter().map(Entry::from));
    }

    fn pick(
        &mut self,
        _request: &RequestFacts,
        tried: &[EndpointId],
        now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        // From a random place on, so that those that cost the same share.
        let start = rng.below(self.entries.len().max(1) as u64) as usize;
        let mut best = Best::default();
        let mut usual = None;
        for range in [start..self.entries.len(), 0..start] {
            for index in range {
                let (Some(id), Some(entry)) = (self.ids.get(index), self.entries.get(index)) else {
                    continue;
                };
                let known = entry.latency(&self.settings, now);
                let latency = known.unwrap_or_else(|| *usual.get_or_insert_with(|| self.usual_latency(now)));
                let cost = entry.cost(latency, &self.settings, now);
                if cost < best.cost && !tried.contains(id) {
                    best = Best { cost, index: Some(index) };
                }
            }
        }
        best.index
    }

    fn feedback(&mut self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        self.settings.learn(endpoint, event, now, |learned, sample| {
            learned.latency.observe(sample.latency, sample.decay, now);
        });
    }

    fn check_invariants(&self) {
        assert_eq!(self.ids.len(), self.entries.len());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixture::{CLIENT, members};
    use base_kit::SeededRng;

    #[test]
    fn the_fastest_gets_more_until_it_has_its_share_in_flight() {
        let members = members(&[1, 1]);
        let mut balancer = LeastResponseTimeKind.build(&serde_json::Value::Null).unwrap();
        balancer.update(&members);
        for (member, millis) in members.iter().zip([10, 40]) {
            let latency = Duration::from_millis(millis);
            let event = Feedback::FirstByte { latency, others: 0, status: 200, retry_after: None };
            balancer.feedback(&member.state, event, Moment::ZERO);
        }
        let mut rng = SeededRng::new(1);
        for _ in 0..50 {
            let picked = balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng).unwrap();
            assert!(members[picked].state.try_begin(100));
        }
        assert_eq!((members[0].state.in_flight(), members[1].state.in_flight()), (40, 10));
    }
}
