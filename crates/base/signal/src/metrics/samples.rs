//! Values as they are at one scrape.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::buckets;
use super::families::Family;

/// The label value of the series that takes what exceeds a family's limit.
const OTHER: &str = "other";

/// Label values, in the order of the family's label names.
pub type Labels = Arc<[Box<str>]>;

/// What a series adds up to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Count(u64),
    Level(i64),
    Number(f64),
    Histogram(Box<Distribution>),
}

/// Durations summed over shards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Durations by the bound of [`DURATION_BOUNDS_NANOS`](super::DURATION_BOUNDS_NANOS) that they do not exceed; the last takes
    /// what is longer. Not cumulative.
    pub buckets: [u64; buckets::COUNT],
    /// The sum of all in nanoseconds.
    pub sum_nanos: u64,
}

impl Distribution {
    /// Adds another one to it.
    pub fn add(&mut self, other: &Self) {
        for (total, more) in self.buckets.iter_mut().zip(other.buckets) {
            *total += more;
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(other.sum_nanos);
    }
}

/// A family's values at one scrape.
pub(super) type Values = BTreeMap<Labels, Value>;

/// What collectors report at a scrape.
#[derive(Debug, Default)]
pub struct Samples(HashMap<&'static str, Values>);

impl Samples {
    /// A counter's total.
    pub fn count(&mut self, family: &'static Family, labels: &[&str], total: u64) {
        self.put(family, labels, Value::Count(total));
    }

    /// A gauge's level.
    pub fn level(&mut self, family: &'static Family, labels: &[&str], level: i64) {
        self.put(family, labels, Value::Level(level));
    }

    /// A counter or gauge with a fraction.
    pub fn number(&mut self, family: &'static Family, labels: &[&str], number: f64) {
        self.put(family, labels, Value::Number(number));
    }

    fn put(&mut self, family: &'static Family, labels: &[&str], value: Value) {
        debug_assert_eq!(family.labels.len(), labels.len(), "labels of {}", family.name);
        let values = self.0.entry(family.name).or_default();
        let key = owned(labels);
        let key = if values.len() < family.max_series || values.contains_key(&key) {
            key
        } else {
            others(labels.len())
        };
        add(values, key, value);
    }

    /// Hands over what was reported of a family.
    pub(super) fn move_into(&mut self, family: &Family, values: &mut Values) {
        for (labels, value) in self.0.remove(family.name).unwrap_or_default() {
            add(values, labels, value);
        }
    }
}

/// Two values of one series are added: shards and collectors each know a part.
fn add(values: &mut Values, labels: Labels, value: Value) {
    let Some(held) = values.get_mut(&labels) else {
        values.insert(labels, value);
        return;
    };
    *held = match (&*held, &value) {
        (Value::Count(a), Value::Count(b)) => Value::Count(a.wrapping_add(*b)),
        (Value::Level(a), Value::Level(b)) => Value::Level(a.wrapping_add(*b)),
        (a, b) => Value::Number(a.as_number() + b.as_number()),
    };
}

impl Value {
    fn as_number(&self) -> f64 {
        match self {
            Self::Count(count) => *count as f64,
            Self::Level(level) => *level as f64,
            Self::Number(number) => *number,
            Self::Histogram(_) => 0.0,
        }
    }
}

/// Label values as a key.
pub(super) fn owned(labels: &[&str]) -> Labels {
    labels.iter().map(|&label| label.into()).collect()
}

/// The key of the series that takes what exceeds a family's limit.
pub(super) fn others(count: usize) -> Labels {
    (0..count).map(|_| OTHER.into()).collect()
}
