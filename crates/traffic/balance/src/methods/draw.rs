//! Drawing members at random, in proportion to their weights.
//!
//! The alias method (Walker 1977, in Vose's form of 1991): a draw costs two random numbers, whatever the weights.

use base_kit::Rng;

use crate::balancer::Member;
use crate::endpoint::EndpointId;

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

/// Members to draw from.
#[derive(Debug, Default)]
pub(crate) struct Urn {
    columns: Vec<Column>,
    total: u64,
}

impl Urn {
    /// Draws from these members from now on.
    pub(crate) fn fill(&mut self, members: &[Member]) {
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

    /// One that was not tried, exactly in proportion to weight among those.
    pub(crate) fn draw(&self, tried: &[EndpointId], rng: &mut dyn Rng) -> Option<usize> {
        self.draw_where(rng, |_, column| !tried.contains(&column.id))
    }

    /// One that was not tried, and another one where there is another.
    pub(crate) fn draw_two(&self, tried: &[EndpointId], rng: &mut dyn Rng) -> Option<(usize, Option<usize>)> {
        let first = self.draw(tried, rng)?;
        let wanted = |index, column: &Column| index != first && !tried.contains(&column.id);
        // Of two, the other one: every other draw would be in vain.
        if self.columns.len() == 2 {
            let other = 1 - first.min(1);
            return Some((
                first,
                self.columns.get(other).filter(|column| wanted(other, column)).map(|_| other),
            ));
        }
        Some((first, self.draw_where(rng, wanted)))
    }

    fn draw_where(&self, rng: &mut dyn Rng, wanted: impl Fn(usize, &Column) -> bool) -> Option<usize> {
        if self.columns.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let index = self.draw_any(rng);
            if self.columns.get(index).is_some_and(|column| wanted(index, column)) {
                return Some(index);
            }
        }
        let wanted = || self.columns.iter().enumerate().filter(|(index, column)| wanted(*index, column));
        let total = wanted().map(|(_, column)| u64::from(column.weight)).sum();
        let mut point = rng.below(total);
        for (index, column) in wanted() {
            match point.checked_sub(u64::from(column.weight)) {
                Some(rest) => point = rest,
                None => return Some(index),
            }
        }
        None
    }

    fn draw_any(&self, rng: &mut dyn Rng) -> usize {
        let index = rng.below(self.columns.len() as u64) as usize;
        match self.columns.get(index) {
            Some(column) if rng.below(self.total) >= column.threshold => column.alias,
            _ => index,
        }
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

    /// Asserts that the table gives each member its weight; for tests and simulations.
    pub(crate) fn check_invariants(&self) {
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
    use crate::fixture::members;
    use base_kit::SeededRng;

    #[test]
    fn the_table_is_exact_for_any_weights() {
        let mut rng = SeededRng::new(11);
        for count in 1..200 {
            let weights: Vec<u32> = (0..count).map(|_| 1 + rng.below(65_535) as u32).collect();
            let mut urn = Urn::default();
            urn.fill(&members(&weights));
            urn.check_invariants();
        }
    }

    #[test]
    fn two_draws_are_two_members() {
        let mut urn = Urn::default();
        let mut rng = SeededRng::new(3);
        urn.fill(&members(&[65_535, 1]));
        for _ in 0..1_000 {
            let (first, second) = urn.draw_two(&[], &mut rng).unwrap();
            assert_eq!(second, Some(1 - first));
        }
        urn.fill(&members(&[7]));
        assert_eq!(urn.draw_two(&[], &mut rng), Some((0, None)));
    }
}
