//! Members and requests for the tests of the kinds.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base_kit::{Moment, SeededRng};
use base_model::model::{Connections, Endpoint, Host, KindSettings, PassiveCheck, Pool, PoolTimeouts};

use crate::balancer::{Balancer, Member, RequestFacts};
use crate::pool::PoolState;

/// A request of some client.
pub(crate) const CLIENT: RequestFacts =
    RequestFacts { client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), key: None };

/// The endpoint `10.0.x.y:80`.
pub(crate) fn endpoint(number: usize, weight: u32) -> Endpoint {
    let [.., high, low] = number.to_be_bytes();
    Endpoint { host: Host::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, high, low))), port: 80, weight }
}

/// A pool without checks.
pub(crate) fn pool(name: &str, endpoints: Vec<Endpoint>) -> Pool {
    let second = Duration::from_secs(1);
    Pool {
        name: name.into(),
        endpoints,
        balance: KindSettings { name: crate::kinds::DEFAULT.into(), settings: serde_json::Value::Null },
        checks: Vec::new(),
        passive: PassiveCheck { consecutive_failures: 3, eject_for: Duration::from_secs(10) },
        connections: Connections { max: 100, max_idle: 1, idle_timeout: second },
        timeouts: PoolTimeouts {
            connect: second,
            first_byte: second,
            response_progress: second,
            send_progress: second,
        },
        host: None,
        replay_bytes: 0,
        max_head_bytes: 65_536,
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
