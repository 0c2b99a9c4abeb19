//! Weights as agents want them.

use super::MAX_WEIGHT;
use crate::balancer::Member;
use crate::endpoint::AgentWish;

/// Scales the members' weights as their agents want: whole numbers from 1 to [`MAX_WEIGHT`] in the relation wanted.
/// They are rounded only where even the smallest such numbers are too large for that.
pub(super) fn apply_wishes(members: &mut [Member]) {
    let percent = |member: &Member| member.state.agent().unwrap_or(AgentWish::READY).percent;
    // Read once: an agent may speak in between. What is now 0 was not when the member was found eligible.
    let percents: Vec<u32> = members.iter().map(|member| percent(member).max(1)).collect();
    if percents.iter().all(|percent| *percent == AgentWish::READY.percent) {
        return;
    }
    let scaled = || {
        members.iter().zip(&percents).map(|(member, percent)| u64::from(member.weight) * u64::from(*percent))
    };
    let divisor = scaled().fold(0, greatest_common_divisor).max(1);
    let largest = scaled().max().unwrap_or(1) / divisor;
    let limit = u64::from(MAX_WEIGHT);
    let weights: Vec<u64> = scaled()
        .map(|weight| weight / divisor)
        .map(|weight| if largest > limit { (weight * limit / largest).max(1) } else { weight })
        .collect();
    for (member, weight) in members.iter_mut().zip(weights) {
        member.weight = u32::try_from(weight).unwrap_or(MAX_WEIGHT);
    }
}

const fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use base_kit::Moment;

    use crate::endpoint::AgentWish;
    use crate::fixture::{endpoint, pool};
    use crate::pool::PoolState;
    use crate::transition::CauseKind;

    fn weights(weights: &[u32], percents: &[Option<u32>]) -> Vec<u32> {
        let endpoints =
            weights.iter().enumerate().map(|(number, &weight)| endpoint(number, weight)).collect();
        let pool = PoolState::new(&pool("p", endpoints));
        for (endpoint, percent) in pool.endpoints().iter().zip(percents) {
            let wish = percent.map(|percent| AgentWish { percent, ..AgentWish::READY });
            endpoint.set_agent(wish, CauseKind::AgentCheck, "test");
        }
        pool.check_invariants();
        pool.eligible(Moment::ZERO).iter().map(|member| member.weight).collect()
    }

    #[test]
    fn shares_hold_exactly_even_for_weight_one() {
        assert_eq!(weights(&[1, 1], &[Some(50), None]), [1, 2]);
        assert_eq!(weights(&[1, 1], &[Some(33), Some(100)]), [33, 100]);
        assert_eq!(weights(&[10, 10], &[Some(75), Some(100)]), [3, 4]);
        assert_eq!(weights(&[1, 1], &[Some(300), None]), [3, 1]);
        assert_eq!(weights(&[4, 6], &[Some(50), Some(50)]), [2, 3]);
        assert_eq!(weights(&[4, 6], &[Some(100), None]), [4, 6], "nothing asked, nothing changed");
        assert_eq!(weights(&[4, 6], &[Some(0), None]), [6], "a share of nothing takes no traffic");
    }

    #[test]
    fn weights_stay_in_their_range() {
        let both = weights(&[65_535, 1], &[Some(99), None]);
        assert_eq!(both, [65_535, 1], "rounded, and nobody is left with nothing");
        assert_eq!(weights(&[65_535, 65_534], &[Some(1_000), None])[0], 65_535);
        assert_eq!(weights(&[1, 1], &[Some(u32::MAX), None]), [10, 1], "at most ten times");
    }
}
