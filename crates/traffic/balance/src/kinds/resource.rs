//! `resource`: of two endpoints drawn at random, rather the one whose machine has more left.
//!
//! What is left is told by the endpoint in its answers (ORCA) or by an agent beside it, and is as old as the last time it was told. To
//! run to whoever looked idlest then would fill that one up until it tells again; so the busier machine is passed over by chance,
//! the more often the less it has left beside the other. Requests in flight, which are always up to date, correct what that
//! leaves uneven.

use std::sync::Arc;

use base_kit::{KindInfo, Moment, Rng, Status, TimeSpan};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::balancer::{
    Balancer, BalancerKind, FactsNeeded, Member, ReportUse, RequestFacts, SettingsError, read_sound_settings,
};
use crate::endpoint::{Counting, EndpointId, EndpointState};
use crate::methods::draw::Urn;

/// The kind.
pub(super) struct ResourceKind;

const NAME: &str = "resource";

/// What a machine has left at least, as a share: the fullest one is still tried, so that it is seen when it recovers.
const LEAST_LEFT: f64 = 0.05;
/// What a reading counts in the average that stands for those that do not tell.
const AVERAGE_OVER: f64 = 32.0;
/// What the average is before anybody told.
const UNTOLD: f64 = 0.5;

/// What counts, and for how long.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// How much the utilisation of the processors counts. The resource that is scarcest by its weight decides; 0 is not looked at.
    #[schemars(range(min = 0, max = 10))]
    cpu: f64,
    /// How much that of the memory counts: less, as memory that is in use is no work that waits.
    #[schemars(range(min = 0, max = 10))]
    memory: f64,
    /// How much that of disks and network counts.
    #[schemars(range(min = 0, max = 10))]
    io: f64,
    /// For how long a reading counts in full. Then it fades into the average of the others, for as long again.
    stale_after: TimeSpan,
    /// Whether clients get the field `endpoint-load-metrics`, too. It tells of the machines behind Aya.
    forward_report: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cpu: 1.0, memory: 0.5, io: 1.0, stale_after: TimeSpan::from_secs(10), forward_report: false }
    }
}

impl Settings {
    fn problem(&self) -> Option<String> {
        let weights = [self.cpu, self.memory, self.io];
        if !weights.iter().all(|weight| (0.0..=10.0).contains(weight)) {
            return Some("`cpu`, `memory` and `io` are 0 to 10".to_owned());
        }
        if weights.iter().all(|weight| *weight == 0.0) {
            return Some("at least one of `cpu`, `memory` and `io` has to count: write `cpu: 1`".to_owned());
        }
        self.stale_after.is_zero().then(|| "`stale-after` is longer than zero".to_owned())
    }

    fn counting(&self) -> Counting {
        let Self { cpu, memory, io, stale_after, .. } = *self;
        Counting { cpu, memory, io, stale_after: stale_after.duration() }
    }
}

impl BalancerKind for ResourceKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "Of two endpoints drawn at random, heavier ones more often, rather the one whose machine has more CPU, memory and \
                      I/O left, as it tells itself in its answers (ORCA) or by an agent; less if it has more requests in flight for its \
                      weight.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Settings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let settings = read_sound_settings(NAME, settings, Settings::problem)?;
        let report = if settings.forward_report { ReportUse::Forwarded } else { ReportUse::Taken };
        Ok(Box::new(Resource {
            counting: settings.counting(),
            report,
            average: None,
            urn: Urn::default(),
            entries: Vec::new(),
        }))
    }
}

#[derive(Debug)]
struct Resource {
    counting: Counting,
    report: ReportUse,
    /// Of what is in use at those that tell.
    average: Option<f64>,
    urn: Urn,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    weight: f64,
    state: Arc<EndpointState>,
}

impl Entry {
    /// Requests in flight, with so many more, for what it can take.
    fn load_with(&self, more: f64, left: f64) -> f64 {
        (f64::from(self.state.in_flight()) + more) / (self.weight * left)
    }
}

impl Resource {
    /// What a machine has left, as a share.
    fn left(&mut self, index: usize, now: Moment) -> f64 {
        let told = self
            .entries
            .get(index)
            .and_then(|entry| entry.state.learned().utilisation.scarcest(&self.counting, now));
        let average = self.average.unwrap_or(UNTOLD);
        let used = match told {
            None => average,
            Some((used, belief)) => {
                let next = self.average.map_or(used, |average| average + (used - average) / AVERAGE_OVER);
                self.average = Some(next);
                average + (used - average) * belief
            }
        };
        (1.0 - used).max(LEAST_LEFT)
    }

    /// Which of the two takes the request.
    fn choose(&mut self, first: usize, second: usize, now: Moment, rng: &mut dyn Rng) -> usize {
        let (left_first, left_second) = (self.left(first, now), self.left(second, now));
        let first_stays = rng.unit() * left_second < left_first;
        let (chosen, left_chosen, other, left_other) = if first_stays {
            (first, left_first, second, left_second)
        } else {
            (second, left_second, first, left_first)
        };
        let (Some(one), Some(another)) = (self.entries.get(chosen), self.entries.get(other)) else {
            return chosen;
        };
        // With this request, too, the other would have less to do than the chosen one has without it.
        if another.load_with(1.0, left_other) < one.load_with(0.0, left_chosen) { other } else { chosen }
    }
}

impl Balancer for Resource {
    fn update(&mut self, members: &[Member]) {
        self.urn.fill(members);
        self.entries.clear();
        let entry =
            |member: &Member| Entry { weight: f64::from(member.weight), state: Arc::clone(&member.state) };
        self.entries.extend(members.iter().map(entry));
    }

    fn needs(&self) -> FactsNeeded {
        FactsNeeded { report: self.report, ..FactsNeeded::default() }
    }

    fn pick(
        &mut self,
        _request: &RequestFacts,
        tried: &[EndpointId],
        now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        match self.urn.draw_two(tried, rng)? {
            (first, None) => Some(first),
            (first, Some(second)) => Some(self.choose(first, second, now, rng)),
        }
    }

    fn check_invariants(&self) {
        self.urn.check_invariants();
        assert!(self.average.is_none_or(|average| average >= 0.0), "{:?}", self.average);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base_kit::SeededRng;
    use serde_json::json;

    use super::*;
    use crate::endpoint::Resources;
    use crate::fixture::{CLIENT, members};

    fn seconds(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(100 + seconds)
    }

    /// How often each of these is picked of 1,000, with nothing in flight.
    fn shares(members: &[Member], settings: &serde_json::Value, now: Moment) -> Vec<u32> {
        let mut balancer = ResourceKind.build(settings).unwrap();
        balancer.update(members);
        let mut rng = SeededRng::new(5);
        let mut counts = vec![0; members.len()];
        for _ in 0..1_000 {
            counts[balancer.pick(&CLIENT, &[], now, &mut rng).unwrap()] += 1;
        }
        balancer.check_invariants();
        counts
    }

    fn tell(member: &Member, cpu: f64, memory: f64) {
        let told = Resources { cpu: Some(cpu), memory: Some(memory), io: None };
        member.state.learned().utilisation.report(told, seconds(0));
    }

    #[test]
    fn who_has_less_left_gets_less_and_never_nothing() {
        let members = members(&[1; 2]);
        tell(&members[0], 0.8, 0.0);
        tell(&members[1], 0.2, 0.0);
        let counts = shares(&members, &json!({}), seconds(0));
        // Of the half in which it comes first it keeps a quarter.
        assert!(counts[0].abs_diff(125) < 45, "{counts:?}");
        tell(&members[0], 3.0, 0.0);
        assert!(shares(&members, &json!({}), seconds(0))[0] > 5, "it is still tried");
    }

    #[test]
    fn only_what_has_a_weight_counts() {
        let members = members(&[1; 2]);
        tell(&members[0], 0.9, 0.1);
        tell(&members[1], 0.1, 0.9);
        let by_cpu = shares(&members, &json!({"memory": 0}), seconds(0));
        let by_memory = shares(&members, &json!({"cpu": 0, "memory": 1}), seconds(0));
        assert!(by_cpu[0] < 150 && by_memory[1] < 150, "{by_cpu:?} {by_memory:?}");
    }

    #[test]
    fn who_tells_nothing_or_has_not_for_long_counts_as_average() {
        let members = members(&[1; 3]);
        tell(&members[0], 0.9, 0.0);
        let fresh = shares(&members, &json!({}), seconds(0));
        let old = shares(&members, &json!({}), seconds(20));
        assert!(old.iter().all(|count| count.abs_diff(333) < 80), "{old:?}");
        assert!(fresh.iter().all(|count| count.abs_diff(333) < 120), "only one told anything: {fresh:?}");
        tell(&members[1], 0.1, 0.0);
        let between = shares(&members, &json!({}), seconds(0));
        assert!(between[0] < between[2] && between[2] < between[1], "{between:?}");
    }

    #[test]
    fn requests_in_flight_even_out_what_was_told_long_ago() {
        let members = members(&[1; 2]);
        tell(&members[0], 0.2, 0.0);
        tell(&members[1], 0.6, 0.0);
        (0..8).for_each(|_| assert!(members[0].state.try_begin(100)));
        // Three in flight at half of what is left are less than eight.
        (0..3).for_each(|_| assert!(members[1].state.try_begin(100)));
        let counts = shares(&members, &json!({}), seconds(0));
        assert!(counts[0] > 600, "{counts:?}");
        (0..4).for_each(|_| assert!(members[0].state.try_begin(100)));
        assert_eq!(shares(&members, &json!({}), seconds(0)), [0, 1_000]);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for settings in [
            json!({"cpu": 0, "memory": 0, "io": 0}),
            json!({"cpu": -1}),
            json!({"io": 11}),
            json!({"stale-after": "0s"}),
        ] {
            assert!(ResourceKind.build(&settings).is_err(), "{settings}");
        }
        let use_of = |settings: serde_json::Value| ResourceKind.build(&settings).unwrap().needs().report;
        assert_eq!(use_of(json!({})), ReportUse::Taken);
        assert_eq!(use_of(json!({"forward-report": true})), ReportUse::Forwarded);
    }
}
