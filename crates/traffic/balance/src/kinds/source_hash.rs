//! `source-hash`: one client, one endpoint, as long as the endpoint is there.
//!
//! By rendezvous hashing of the address, so that all workers and instances agree. Who is first for a client is kept, so that a request
//! costs the same for any number of endpoints.

use std::net::IpAddr;

use base_kit::{KindInfo, Moment, Rng, Status};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::balancer::{
    Balancer, BalancerKind, FactsNeeded, Member, RequestFacts, SettingsError, read_sound_settings,
};
use crate::endpoint::EndpointId;
use crate::methods::hash::mix;
use crate::methods::rendezvous::Rendezvous;

/// The kind.
pub(super) struct SourceHashKind;

const NAME: &str = "source-hash";

/// How clients are told apart.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Leading bits of an IPv4 address that count: with 24, clients of one /24 share an endpoint.
    #[schemars(range(min = 1, max = 32))]
    ipv4_prefix: u8,
    /// Leading bits of an IPv6 address that count. A household or a machine usually has a /64 and changes addresses in it.
    #[schemars(range(min = 1, max = 128))]
    ipv6_prefix: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ipv4_prefix: 32, ipv6_prefix: 64 }
    }
}

impl Settings {
    fn problem(&self) -> Option<String> {
        let in_range = (1..=32).contains(&self.ipv4_prefix) && (1..=128).contains(&self.ipv6_prefix);
        (!in_range).then(|| "`ipv4-prefix` is 1 to 32, `ipv6-prefix` is 1 to 128".to_owned())
    }
}

impl BalancerKind for SourceHashKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "The same client address always goes to the same endpoint, as long as that one is there; clients \
                      are spread in proportion to weight.",
            status: Status::Stable,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Settings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let settings = read_sound_settings(NAME, settings, Settings::problem)?;
        Ok(Box::new(SourceHash { settings, scores: Rendezvous::default() }))
    }
}

#[derive(Debug)]
struct SourceHash {
    settings: Settings,
    scores: Rendezvous,
}

impl SourceHash {
    fn key(&self, client: IpAddr) -> u64 {
        match client.to_canonical() {
            IpAddr::V4(address) => {
                let dropped = 32 - u32::from(self.settings.ipv4_prefix);
                mix(u64::from(address.to_bits() >> dropped))
            }
            IpAddr::V6(address) => {
                let kept = address.to_bits() >> (128 - u32::from(self.settings.ipv6_prefix));
                mix(mix((kept >> 64) as u64 ^ IPV6_SEED) ^ kept as u64)
            }
        }
    }
}

impl Balancer for SourceHash {
    fn update(&mut self, members: &[Member]) {
        self.scores = Rendezvous::new(members);
    }

    fn needs(&self) -> FactsNeeded {
        FactsNeeded { client: true, ..FactsNeeded::default() }
    }

    fn affinity(&self, request: &RequestFacts) -> Option<u64> {
        Some(self.key(request.client))
    }

    fn pick(
        &mut self,
        request: &RequestFacts,
        tried: &[EndpointId],
        _now: Moment,
        _rng: &mut dyn Rng,
    ) -> Option<usize> {
        self.scores.pick(self.key(request.client), tried)
    }

    fn check_invariants(&self) {
        self.scores.check_invariants();
    }
}

/// Keeps IPv6 keys apart from IPv4 ones.
const IPV6_SEED: u64 = 0x6a09_e667_f3bc_c908;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::members;
    use base_kit::SeededRng;

    fn balancer(settings: &str, members: &[Member]) -> Box<dyn Balancer> {
        let settings = serde_json::from_str(settings).unwrap();
        let mut balancer = SourceHashKind.build(&settings).unwrap();
        balancer.update(members);
        balancer
    }

    fn pick(balancer: &mut dyn Balancer, client: &str) -> usize {
        let request = RequestFacts { client: client.parse().unwrap(), key: None };
        balancer.pick(&request, &[], Moment::ZERO, &mut SeededRng::new(0)).unwrap()
    }

    #[test]
    fn the_prefix_tells_clients_apart() {
        let members = members(&[1; 50]);
        let mut by_network = balancer(r#"{"ipv4-prefix": 24}"#, &members);
        let mut by_address = balancer("{}", &members);
        let picks = |balancer: &mut dyn Balancer| -> std::collections::HashSet<usize> {
            (0..100).map(|last| pick(balancer, &format!("192.0.2.{last}"))).collect()
        };
        assert_eq!(picks(&mut *by_network).len(), 1);
        assert!(picks(&mut *by_address).len() > 20);
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        let mut balancer = balancer("{}", &members(&[1; 50]));
        for last in 0..50 {
            let plain = pick(&mut *balancer, &format!("192.0.2.{last}"));
            assert_eq!(plain, pick(&mut *balancer, &format!("::ffff:192.0.2.{last}")));
        }
    }

    #[test]
    fn prefixes_out_of_range_are_refused() {
        for settings in [r#"{"ipv4-prefix": 0}"#, r#"{"ipv4-prefix": 33}"#, r#"{"ipv6-prefix": 129}"#] {
            assert!(SourceHashKind.build(&serde_json::from_str(settings).unwrap()).is_err(), "{settings}");
        }
    }
}
