//! Who is preferred: tiers before their backups, the own zone before others, each only as far as it suffices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base_kit::Moment;
use base_model::model::{Preference, Subset};

use super::shares;
use crate::balancer::Member;
use crate::endpoint::{EndpointState, tier_of};
use crate::methods::hash::{hash_key, mix};

/// Endpoints that are equally preferred.
#[derive(Clone, Debug)]
pub struct Level {
    /// Which one it is; the more preferred the smaller. It stays the same when others come and go.
    pub number: u8,
    /// Share of the pool's traffic, 0 to 1. Those of all levels sum to 1. What has none is there for retries.
    pub share: f64,
    /// Those that may take traffic, at least one; with the weights that agents want.
    pub members: Vec<Member>,
}

impl Level {
    /// 0 takes traffic first; the next ones are its backup.
    pub const fn tier(&self) -> u8 {
        tier_of(self.number)
    }

    /// Whether it is in the zone of this node, or zones make no difference.
    pub const fn is_near(&self) -> bool {
        self.number.is_multiple_of(2)
    }
}

/// All endpoints of a tier, fit or not.
#[derive(Default)]
struct Tier {
    weight: f64,
    /// `None` for those of which it is not said.
    zones: BTreeSet<Option<Arc<str>>>,
}

/// Puts the members of a pool of these endpoints into levels.
pub(super) fn levels(
    endpoints: &[Arc<EndpointState>],
    members: Vec<Member>,
    preference: &Preference,
    now: Moment,
) -> Vec<Level> {
    let mut by_number: BTreeMap<u8, Vec<Member>> = BTreeMap::new();
    for member in members {
        by_number.entry(member.state.level()).or_default().push(member);
    }
    let mut levels: Vec<Level> =
        by_number.into_iter().map(|(number, members)| Level { number, share: 0.0, members }).collect();
    match levels.as_mut_slice() {
        [] => {}
        [only] => only.share = 1.0,
        several => {
            let mut tiers: BTreeMap<u8, Tier> = BTreeMap::new();
            for endpoint in endpoints {
                let tier = tiers.entry(tier_of(endpoint.level())).or_default();
                tier.weight += f64::from(endpoint.weight());
                tier.zones.insert(endpoint.zone());
            }
            share_out(several, &tiers, preference, now);
        }
    }
    for level in &mut levels {
        if let Some(subset) = &preference.subset {
            choose(&mut level.members, subset);
        }
        shares::apply_wishes(&mut level.members);
    }
    levels
}

/// Gives each level its share of the traffic, by what is fit of it: in a panic there are others as well. Where nothing is, all counts.
fn share_out(levels: &mut [Level], tiers: &BTreeMap<u8, Tier>, preference: &Preference, now: Moment) {
    let weigh = |wanted: &dyn Fn(&Member) -> bool| -> Vec<f64> {
        let of = |level: &Level| {
            let members = level.members.iter().filter(|member| wanted(member));
            members.map(serves).sum()
        };
        levels.iter().map(of).collect()
    };
    let mut weights = weigh(&|member| member.state.is_eligible(now));
    if weights.iter().all(|weight| *weight == 0.0) {
        weights = weigh(&|_| true);
    }
    let mut weighed: Vec<(&mut Level, f64)> = levels.iter_mut().zip(weights).collect();
    let mut left = 1.0;
    for same_tier in weighed.chunk_by_mut(|(a, _), (b, _)| tier_of(a.number) == tier_of(b.number)) {
        let tier = same_tier.first().and_then(|(level, _)| tiers.get(&tier_of(level.number)));
        let Some(tier) = tier else { continue };
        let fit: f64 = same_tier.iter().map(|(_, weight)| weight).sum();
        let tier_share = left * suffices(fit, preference.tier_suffices * tier.weight);
        left -= tier_share;
        match same_tier {
            [(near, weight), (far, far_weight)] => {
                let zones = tier.zones.len().max(1) as f64;
                let enough = preference.zone_suffices * tier.weight / zones;
                let near_part = if *far_weight > 0.0 { suffices(*weight, enough) } else { 1.0 };
                near.share = tier_share * near_part;
                far.share = tier_share - near.share;
            }
            // Whatever zone it is, it is all that this tier has.
            others => others.iter_mut().for_each(|(level, _)| level.share = tier_share),
        }
    }
    // All of them together do not suffice: they share what they cannot serve as well.
    let sum: f64 = weighed.iter().map(|(level, _)| level.share).sum();
    weighed.iter_mut().for_each(|(level, _)| level.share /= sum);
}

/// What a member can serve: its weight, or less if its agent wants that. One that wants more than its weight stands in for nobody.
fn serves(member: &Member) -> f64 {
    let percent = member.state.agent().map_or(100, |wish| wish.percent.min(100));
    f64::from(member.weight) * f64::from(percent) / 100.0
}

/// Which part of the traffic can be served, of those that weigh so much, where `enough` serves all of it.
fn suffices(fit: f64, enough: f64) -> f64 {
    if fit == 0.0 { 0.0 } else { (fit / enough).min(1.0) }
}

/// Leaves so many members, for each node others (rendezvous hashing): when one goes, one comes, and nothing else changes.
fn choose(members: &mut Vec<Member>, subset: &Subset) {
    let node = hash_key(subset.node.bytes());
    let score = |member: &Member| mix(node ^ mix(hash_key(member.state.name().bytes())));
    let size = subset.size as usize;
    if members.len() > size && size > 0 {
        let mut scores: Vec<u64> = members.iter().map(score).collect();
        let (_, limit, _) = scores.select_nth_unstable(size - 1);
        let limit = *limit;
        members.retain(|member| score(member) <= limit);
    }
}

#[cfg(test)]
mod tests;
