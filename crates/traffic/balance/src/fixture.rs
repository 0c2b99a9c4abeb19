//! Members and requests for the tests of the kinds.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Moment, SeededRng};
use base_model::model::{Endpoint, Host, PassiveCheck, Pool, SameSite, Secret, StickyCookie};

use crate::balancer::{Balancer, Member, RequestFacts};
use crate::pool::PoolState;

/// A request of some client.
pub(crate) const CLIENT: RequestFacts =
    RequestFacts { client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), key: None };

/// The endpoint `10.0.x.y:80`.
pub(crate) fn endpoint(number: usize, weight: u32) -> Endpoint {
    let [.., high, low] = number.to_be_bytes();
    Endpoint { weight, ..Endpoint::new(Host::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, high, low))), 80) }
}

/// A pool without checks.
pub(crate) fn pool(name: &str, endpoints: Vec<Endpoint>) -> Pool {
    Pool {
        passive: PassiveCheck {
            consecutive_failures: 3,
            eject_for: Duration::from_secs(10),
            ..PassiveCheck::default()
        },
        ..Pool::new(name, endpoints)
    }
}

/// The state of a pool of so many endpoints of weight 1.
pub(crate) fn pool_of(name: &str, count: usize) -> Arc<PoolState> {
    PoolState::new(&pool(name, (0..count).map(|number| endpoint(number, 1)).collect()))
}

/// A cookie named `node`, signed with the first of these keys.
pub(crate) fn sticky_cookie(keys: &[&str]) -> StickyCookie {
    StickyCookie {
        name: "node".into(),
        keys: keys.iter().map(|key| Secret::new(key)).collect(),
        max_age: None,
        path: "/".into(),
        domain: None,
        secure: false,
        http_only: true,
        same_site: SameSite::Lax,
    }
}

/// Members of these weights. They outlive their pool.
pub(crate) fn members(weights: &[u32]) -> Vec<Member> {
    let endpoints = weights.iter().enumerate().map(|(number, &weight)| endpoint(number, weight)).collect();
    let state: Arc<PoolState> = PoolState::new(&pool("fixture", endpoints));
    state.eligible(Moment::ZERO)
}

/// The first picks with this seed, without retries.
pub(crate) fn picks(balancer: &mut dyn Balancer, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = SeededRng::new(seed);
    (0..count).filter_map(|_| balancer.pick(&CLIENT, &[], Moment::ZERO, &mut rng)).collect()
}
