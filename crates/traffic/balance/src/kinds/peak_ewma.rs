//! `peak-ewma`: of two endpoints drawn at random, the one where a request would cost less by recent answer times.
//!
//! The cost is that of Finagle's balancer of this name: a moving average of answer times that follows a rise at once and a fall
//! slowly, times the requests in flight. Drawing two keeps many instances from rushing to the one that looks best.

use base_kit::{KindInfo, Moment, Rng, Status};

use crate::balancer::{
    Balancer, BalancerKind, Feedback, Member, RequestFacts, SettingsError, read_sound_settings,
};
use crate::endpoint::{EndpointId, EndpointState};
use crate::methods::draw::Urn;
use crate::methods::latency::{Entry, Settings};

/// The kind.
pub(super) struct PeakEwmaKind;

const NAME: &str = "peak-ewma";

impl BalancerKind for PeakEwmaKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "Of two endpoints drawn at random, the one with the lower product of recent answer times (peaks \
                      count at once) and requests in flight, for its weight.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Settings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let settings = read_sound_settings(NAME, settings, Settings::problem)?;
        Ok(Box::new(PeakEwma { settings, urn: Urn::default(), entries: Vec::new() }))
    }
}

#[derive(Debug)]
struct PeakEwma {
    settings: Settings,
    urn: Urn,
    entries: Vec<Entry>,
}

impl PeakEwma {
    fn prefers(&self, second: usize, first: usize, now: Moment) -> bool {
        let (Some(first), Some(second)) = (self.entries.get(first), self.entries.get(second)) else {
            return false;
        };
        let latencies = (first.latency(&self.settings, now), second.latency(&self.settings, now));
        // One of which nothing is known is taken to be like the other, so that what is in flight decides.
        let (of_first, of_second) = match latencies {
            (Some(first), Some(second)) => (first, second),
            (known, None) | (None, known) => (known.unwrap_or_default(), known.unwrap_or_default()),
        };
        second.cost(of_second, &self.settings, now) < first.cost(of_first, &self.settings, now)
    }
}

impl Balancer for PeakEwma {
    fn update(&mut self, members: &[Member]) {
        self.urn.fill(members);
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
        let (first, second) = self.urn.draw_two(tried, rng)?;
        Some(second.filter(|&second| self.prefers(second, first, now)).unwrap_or(first))
    }

    fn feedback(&mut self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        self.settings.learn(endpoint, event, now, |learned, sample| {
            learned.latency.observe_peak(sample.latency, sample.decay, now);
        });
    }

    fn check_invariants(&self) {
        self.urn.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixture::{CLIENT, members};
    use base_kit::SeededRng;

    fn answered(millis: u64, status: u16, retry_after: Option<u64>) -> Feedback {
        let retry_after = retry_after.map(Duration::from_secs);
        Feedback::FirstByte { latency: Duration::from_millis(millis), others: 0, status, retry_after }
    }

    fn shares(balancer: &mut dyn Balancer, now: Moment) -> [u32; 2] {
        let mut rng = SeededRng::new(5);
        let mut counts = [0; 2];
        for _ in 0..100 {
            counts[balancer.pick(&CLIENT, &[], now, &mut rng).unwrap()] += 1;
        }
        counts
    }

    fn seconds(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_slow_one_is_left_out_and_tried_again_in_time() {
        let members = members(&[1, 1]);
        let mut balancer = PeakEwmaKind.build(&serde_json::Value::Null).unwrap();
        balancer.update(&members);
        balancer.feedback(&members[0].state, answered(10, 200, None), seconds(1));
        let [known, unknown] = shares(&mut *balancer, seconds(1));
        assert!(known > 30 && unknown > 30, "nothing is held against one that was not asked yet");
        balancer.feedback(&members[1].state, answered(200, 200, None), seconds(1));
        assert_eq!(shares(&mut *balancer, seconds(1)), [100, 0]);
        for second in 1..=300 {
            balancer.feedback(&members[0].state, answered(10, 200, None), seconds(second));
        }
        assert_eq!(shares(&mut *balancer, seconds(300)), [0, 100], "what was not asked for long is forgiven");
    }

    #[test]
    fn refusals_are_no_fast_answers_and_are_heeded_as_long_as_asked() {
        let members = members(&[1, 1]);
        let mut balancer = PeakEwmaKind.build(&serde_json::Value::Null).unwrap();
        balancer.update(&members);
        for member in &members {
            balancer.feedback(&member.state, answered(50, 200, None), seconds(1));
        }
        balancer.feedback(&members[0].state, answered(1, 503, Some(20)), seconds(1));
        assert_eq!(shares(&mut *balancer, seconds(20)), [0, 100]);
        let faded = members[0].state.learned().penalty.value_nanos(Duration::from_secs(5), seconds(41));
        assert!(faded < 0.02 * 1e9, "{faded}");
    }

    #[test]
    fn times_of_zero_are_refused() {
        let settings = serde_json::json!({"decay": "0s"});
        assert!(PeakEwmaKind.build(&settings).is_err());
    }
}
