//! The balancers there are: one file each, one line each in [`ALL`].
//!
//! To add one: a file beside the others with a settings struct, a type that implements [`Balancer`](crate::Balancer) and
//! a unit struct that implements [`BalancerKind`]; a line in [`ALL`]. The conformance suite then covers it.

mod consistent_hash;
mod least_connections;
mod least_response_time;
mod peak_ewma;
mod power_of_two;
mod prequal;
mod random;
mod resource;
mod round_robin;
mod source_hash;
mod weighted_round_robin;

use crate::balancer::BalancerKind;

/// The kind of a pool that does not name one.
pub const DEFAULT: &str = "round-robin";

/// All kinds, in the order of the reference.
pub static ALL: &[&dyn BalancerKind] = &[
    &round_robin::RoundRobinKind,
    &weighted_round_robin::WeightedRoundRobinKind,
    &random::RandomKind,
    &least_connections::LeastConnectionsKind,
    &power_of_two::PowerOfTwoKind,
    &least_response_time::LeastResponseTimeKind,
    &peak_ewma::PeakEwmaKind,
    &prequal::PrequalKind,
    &resource::ResourceKind,
    &source_hash::SourceHashKind,
    &consistent_hash::ConsistentHashKind,
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static dyn BalancerKind> {
    ALL.iter().copied().find(|kind| kind.info().name == name)
}
