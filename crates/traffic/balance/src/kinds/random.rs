//! `random`: each request to a random endpoint, heavier ones more often.

use base_kit::{KindInfo, Moment, Rng, Status};

use crate::balancer::{
    Balancer, BalancerKind, Member, NoSettings, RequestFacts, SettingsError, read_settings,
};
use crate::endpoint::EndpointId;
use crate::methods::draw::Urn;

/// The kind.
pub(super) struct RandomKind;

const NAME: &str = "random";

impl BalancerKind for RandomKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "Each request goes to an endpoint drawn at random, with a probability in proportion to its \
                      weight.",
            status: Status::Stable,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(NoSettings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let NoSettings {} = read_settings(NAME, settings)?;
        Ok(Box::new(Random::default()))
    }
}

#[derive(Debug, Default)]
struct Random(Urn);

impl Balancer for Random {
    fn update(&mut self, members: &[Member]) {
        self.0.fill(members);
    }

    fn pick(
        &mut self,
        _request: &RequestFacts,
        tried: &[EndpointId],
        _now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        self.0.draw(tried, rng)
    }

    fn check_invariants(&self) {
        self.0.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, members};
    use base_kit::SeededRng;

    #[test]
    fn a_retry_keeps_the_proportions_of_the_rest() {
        let members = members(&[1_000, 3, 1]);
        let mut balancer = Random::default();
        balancer.update(&members);
        let mut rng = SeededRng::new(2);
        let mut counts = [0_u32; 3];
        for _ in 0..4_000 {
            counts[balancer.pick(&CLIENT, &[members[0].id], Moment::ZERO, &mut rng).unwrap()] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!((2_850..=3_150).contains(&counts[1]), "{counts:?}");
    }
}
