//! `random`: each request to a random endpoint, heavier ones more often.
//!
//! The alias method (Walker 1977, in Vose's form of 1991): a pick costs two random numbers, whatever the weights.

use base_kit::{KindInfo, Moment, Rng, Status};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::balancer::{
    Balancer, BalancerKind, FactsNeeded, Member, RequestFacts, SettingsError, read_settings,
};
use crate::endpoint::EndpointId;

/// The kind.
pub(super) struct RandomKind;

const NAME: &str = "random";

/// There is nothing to set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {}

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
        schemars::schema_for!(Settings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let Settings {} = read_settings(NAME, settings)?;
        Ok(Box::new(Random::default()))
    }
}

/// Draws before a retry looks through the members one by one. Where half of the weight was tried, one retry in 256 does.
const DRAWS: usize = 8;

/// One column of the table: its own member below the threshold, the alias above.
#[derive(Clone, Copy, Debug)]
struct Column {
    id: EndpointId,
    weight: u32,
    /// Out of the total weight.
    threshold: u64,
    alias: usize,
}

#[derive(Debug, Default)]
struct Random {
    columns: Vec<Column>,
    total: u64,
}

impl Random {
    fn draw(&self, rng: &mut dyn Rng) -> usize {
        let index = rng.below(self.columns.len() as u64) as usize;
        match self.columns.get(index) {
            Some(column) if rng.below(self.total) >= column.threshold => column.alias,
            _ => index,
        }
    }

    /// A draw among those not tried, exactly in proportion.
    fn draw_untried(&self, tried: &[EndpointId], rng: &mut dyn Rng) -> Option<usize> {
        let untried = || self.columns.iter().enumerate().filter(|(_, column)| !tried.contains(&column.id));
        let total = untried().map(|(_, column)| u64::from(column.weight)).sum();
        let mut point = rng.below(total);
        for (index, column) in untried() {
            match point.checked_sub(u64::from(column.weight)) {
                Some(rest) => point = rest,
                None => return Some(index),
            }
        }
        None
    }

    /// Vose's construction in whole numbers: a column holds `total` parts, a member owns `weight × n` of all parts.
    fn fill_columns(&mut self) {
        let count = self.columns.len() as u64;
        let mut parts: Vec<u64> =
            self.columns.iter().map(|column| u64::from(column.weight) * count).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..parts.len()).partition(|&index| parts.get(index).is_some_and(|&part| part < self.total));
        while let (Some(&donor), Some(taker)) = (large.last(), small.pop()) {
            let own = parts.get(taker).copied().unwrap_or_default();
            if let Some(column) = self.columns.get_mut(taker) {
                column.threshold = own;
                column.alias = donor;
            }
            if let Some(rest) = parts.get_mut(donor) {
                *rest = rest.saturating_sub(self.total - own);
                if *rest < self.total {
                    large.pop();
                    small.push(donor);
                }
            }
        }
    }
}

impl Balancer for Random {
    fn update(&mut self, members: &[Member]) {
        self.total = members.iter().map(|member| u64::from(member.weight)).sum();
        self.columns.clear();
        let total = self.total;
        let column = |(index, member): (usize, &Member)| Column {
            id: member.id,
            weight: member.weight,
            threshold: total,
            alias: index,
        };
        self.columns.extend(members.iter().enumerate().map(column));
        self.fill_columns();
    }

    fn needs(&self) -> FactsNeeded {
        FactsNeeded::default()
    }

    fn pick(
        &mut self,
        _request: &RequestFacts,
        tried: &[EndpointId],
        _now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        if self.columns.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let index = self.draw(rng);
            if self.columns.get(index).is_some_and(|column| !tried.contains(&column.id)) {
                return Some(index);
            }
        }
        self.draw_untried(tried, rng)
    }

    fn check_invariants(&self) {
        let count = self.columns.len() as u64;
        let mut owned = vec![0_u64; self.columns.len()];
        for (index, column) in self.columns.iter().enumerate() {
            assert!(column.threshold <= self.total && column.alias < self.columns.len());
            for (owner, parts) in [(index, column.threshold), (column.alias, self.total - column.threshold)] {
                if let Some(sum) = owned.get_mut(owner) {
                    *sum += parts;
                }
            }
        }
        for (column, parts) in self.columns.iter().zip(owned) {
            assert_eq!(parts, u64::from(column.weight) * count, "the table gives each member its weight");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, members};
    use base_kit::SeededRng;

    #[test]
    fn the_table_is_exact_for_any_weights() {
        let mut rng = SeededRng::new(11);
        for count in 1..200 {
            let weights: Vec<u32> = (0..count).map(|_| 1 + rng.below(65_535) as u32).collect();
            let mut balancer = Random::default();
            balancer.update(&members(&weights));
            balancer.check_invariants();
        }
    }

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
