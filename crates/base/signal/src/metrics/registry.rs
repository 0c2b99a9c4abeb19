//! All series of the process, and the shards through which they are written.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::families::{self, Family, FamilyKind};
use super::instrument::{Counter, Gauge, Histogram, HistogramCell, Writer};
use super::samples::{Distribution, Labels, Samples, Value, Values, others, owned};
use super::{process, render};

/// All series. Clones are the same registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    /// Which families there are is fixed, so finding one takes no lock; each has its own lock, taken for look-ups and scrapes.
    families: HashMap<&'static str, Mutex<Table>>,
    collectors: Mutex<Vec<Collector>>,
    shards: AtomicU64,
}

type Collector = Box<dyn Fn(&mut Samples) + Send + Sync>;

/// The series of one family.
struct Table {
    family: &'static Family,
    series: BTreeMap<Labels, Series>,
    /// Look-ups that found no room.
    overflowed: u64,
}

#[derive(Default)]
struct Series {
    cells: Vec<(u64, Cell)>,
    retired: bool,
}

#[derive(Clone)]
enum Cell {
    Number(Arc<AtomicU64>),
    Histogram(Arc<HistogramCell>),
}

impl Registry {
    /// A registry with the families of [`families::ALL`] and [`families::UNSCRAPED`], all without series. It reports the build
    /// and the process by itself.
    pub fn new() -> Self {
        Self::with_families(&[families::ALL, families::UNSCRAPED].concat())
    }

    pub(super) fn with_families(families: &[&'static Family]) -> Self {
        let table = |family: &&'static Family| {
            (family.name, Mutex::new(Table { family, series: BTreeMap::new(), overflowed: 0 }))
        };
        Self(Arc::new(Inner {
            families: families.iter().map(table).collect(),
            collectors: Mutex::default(),
            shards: AtomicU64::new(0),
        }))
    }

    /// A shard for one worker thread. Its handles must be written by one thread only (any thread may look them up); debug
    /// builds check it. What it has counted stays when it is dropped.
    pub fn shard(&self) -> Shard {
        self.new_shard(Writer::one())
    }

    /// A shard whose handles any thread may write, at the price of a locked instruction: for the control side.
    pub fn shared_shard(&self) -> Shard {
        self.new_shard(Writer::Many)
    }

    fn new_shard(&self, writer: Writer) -> Shard {
        let id = self.0.shards.fetch_add(1, Ordering::Relaxed);
        Shard { registry: self.clone(), id, writer }
    }

    /// Calls `collect` at each scrape, for what is known elsewhere and need not be counted twice (states, totals kept by
    /// others). It must not block.
    pub fn collect(&self, collect: impl Fn(&mut Samples) + Send + Sync + 'static) {
        lock(&self.0.collectors).push(Box::new(collect));
    }

    /// Gives up all series that carry all these labels (name, value), because what they tell about is gone. Each stays until
    /// the last handle to it is dropped, so that no count is lost and no counter goes back; a look-up before that keeps it.
    pub fn retire(&self, labels: &[(&str, &str)]) {
        for table in self.0.families.values() {
            lock(table).retire(labels);
        }
    }

    /// What a counter has counted over all shards; 0 for a series that is not there, and what others report at a scrape is
    /// not in it.
    pub fn counter_total(&self, family: &'static Family, labels: &[&str]) -> u64 {
        debug_assert_eq!(family.kind, FamilyKind::Counter, "{}", family.name);
        let Some(table) = self.0.families.get(family.name) else { return 0 };
        lock(table).series.get(&owned(labels)).map_or(0, Series::number)
    }

    /// The labels of each series of a counter or gauge with what it adds up to over all shards; what others report at a scrape
    /// is not in it.
    pub fn numbers(&self, family: &'static Family) -> Vec<(Labels, i64)> {
        debug_assert_ne!(family.kind, FamilyKind::Histogram, "{}", family.name);
        self.series(family, |series| series.number().cast_signed())
    }

    /// The labels of each series of a histogram with its durations over all shards.
    pub fn distributions(&self, family: &'static Family) -> Vec<(Labels, Distribution)> {
        debug_assert_eq!(family.kind, FamilyKind::Histogram, "{}", family.name);
        self.series(family, Series::distribution)
    }

    fn series<T>(&self, family: &'static Family, sum: impl Fn(&Series) -> T) -> Vec<(Labels, T)> {
        let Some(table) = self.0.families.get(family.name) else { return Vec::new() };
        lock(table).series.iter().map(|(labels, series)| (labels.clone(), sum(series))).collect()
    }

    /// Everything but what [`families::UNSCRAPED`] names, as Prometheus text (format 0.0.4).
    pub fn render(&self) -> String {
        let mut samples = Samples::default();
        process::collect(&mut samples);
        for collect in lock(&self.0.collectors).iter() {
            collect(&mut samples);
        }
        let mut tables: Vec<_> = self.0.families.values().map(|table| lock(table).read()).collect();
        for (family, _, overflowed) in &tables {
            if *overflowed > 0 {
                samples.count(&families::METRICS_OVERFLOW, &[family.name], *overflowed);
            }
        }
        tables.retain(|(family, _, _)| !families::UNSCRAPED.contains(family));
        tables.sort_unstable_by_key(|(family, _, _)| family.name);
        let mut text = String::new();
        for (family, mut values, _) in tables {
            samples.move_into(family, &mut values);
            render::family(&mut text, family, &values);
        }
        text
    }

    fn cell(&self, family: &'static Family, labels: &[&str], shard: u64) -> Option<Cell> {
        debug_assert_eq!(family.labels.len(), labels.len(), "labels of {}", family.name);
        let table = self.0.families.get(family.name);
        debug_assert!(table.is_some(), "{} is not in families::ALL", family.name);
        Some(lock(table?).cell(labels, shard))
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("families", &self.0.families.len()).finish_non_exhaustive()
    }
}

impl Table {
    fn cell(&mut self, labels: &[&str], shard: u64) -> Cell {
        let key = self.admit(labels);
        let series = self.series.entry(key).or_default();
        series.retired = false;
        if let Some((_, cell)) = series.cells.iter().find(|(id, _)| *id == shard) {
            return cell.clone();
        }
        let cell = match self.family.kind {
            FamilyKind::Counter | FamilyKind::Gauge => Cell::Number(Arc::default()),
            FamilyKind::Histogram => Cell::Histogram(Arc::default()),
        };
        series.cells.push((shard, cell.clone()));
        cell
    }

    /// These labels if they are known or there is room, else those of the series for all others.
    fn admit(&mut self, labels: &[&str]) -> Labels {
        let key = owned(labels);
        if self.series.contains_key(&key) {
            return key;
        }
        if self.series.len() >= self.family.max_series {
            self.sweep();
        }
        if self.series.len() < self.family.max_series {
            return key;
        }
        self.overflowed += 1;
        others(labels.len())
    }

    fn retire(&mut self, wanted: &[(&str, &str)]) {
        let names = self.family.labels;
        let carries = |labels: &[Box<str>], (name, value): &(&str, &str)| {
            names.iter().zip(labels).any(|(label, held)| label == name && **held == **value)
        };
        if wanted.is_empty() || !wanted.iter().all(|(name, _)| names.contains(name)) {
            return;
        }
        for (labels, series) in &mut self.series {
            series.retired |= wanted.iter().all(|pair| carries(labels, pair));
        }
        self.sweep();
    }

    /// Removes retired series that nobody writes any more.
    fn sweep(&mut self) {
        self.series
            .retain(|_, series| !series.retired || series.cells.iter().any(|(_, cell)| cell.is_held()));
    }

    fn read(&mut self) -> (&'static Family, Values, u64) {
        self.sweep();
        let sum = |series: &Series| match self.family.kind {
            FamilyKind::Counter => Value::Count(series.number()),
            FamilyKind::Gauge => Value::Level(series.number().cast_signed()),
            FamilyKind::Histogram => Value::Histogram(Box::new(series.distribution())),
        };
        let values = self.series.iter().map(|(labels, series)| (labels.clone(), sum(series))).collect();
        (self.family, values, self.overflowed)
    }
}

impl Series {
    fn number(&self) -> u64 {
        let numbers = self.cells.iter().map(|(_, cell)| match cell {
            Cell::Number(number) => number.load(Ordering::Relaxed),
            Cell::Histogram(_) => 0,
        });
        numbers.fold(0, u64::wrapping_add)
    }

    fn distribution(&self) -> Distribution {
        let mut sum = Distribution::default();
        for (_, cell) in &self.cells {
            let Cell::Histogram(histogram) = cell else { continue };
            for (total, bucket) in sum.buckets.iter_mut().zip(&histogram.buckets) {
                *total += bucket.load(Ordering::Relaxed);
            }
            sum.sum_nanos = sum.sum_nanos.wrapping_add(histogram.sum_nanos.load(Ordering::Relaxed));
        }
        sum
    }
}

impl Cell {
    /// Whether a handle is left besides the registry's own. True answers stay true only under the table's lock.
    fn is_held(&self) -> bool {
        match self {
            Self::Number(number) => Arc::strong_count(number) > 1,
            Self::Histogram(histogram) => Arc::strong_count(histogram) > 1,
        }
    }
}

/// One writer's part of the registry. Looking a handle up takes a lock: keep the handles, not the shard alone.
#[derive(Clone, Debug)]
pub struct Shard {
    registry: Registry,
    id: u64,
    writer: Writer,
}

impl Shard {
    /// The counter of these label values (as many as the family has labels). The same labels give the same series.
    pub fn counter(&self, family: &'static Family, labels: &[&str]) -> Counter {
        debug_assert_eq!(family.kind, FamilyKind::Counter, "{}", family.name);
        Counter::new(self.number(family, labels), self.writer.clone())
    }

    /// The gauge of these label values.
    pub fn gauge(&self, family: &'static Family, labels: &[&str]) -> Gauge {
        debug_assert_eq!(family.kind, FamilyKind::Gauge, "{}", family.name);
        Gauge::new(self.number(family, labels), self.writer.clone())
    }

    /// The histogram of these label values.
    pub fn histogram(&self, family: &'static Family, labels: &[&str]) -> Histogram {
        debug_assert_eq!(family.kind, FamilyKind::Histogram, "{}", family.name);
        let cell = match self.registry.cell(family, labels, self.id) {
            Some(Cell::Histogram(histogram)) => histogram,
            Some(Cell::Number(_)) | None => Arc::default(),
        };
        Histogram::new(cell, self.writer.clone())
    }

    /// A cell of the wrong sort, or of a family that is not registered, is a programmer's mistake that debug builds catch; in
    /// production it costs a number, not the traffic.
    fn number(&self, family: &'static Family, labels: &[&str]) -> Arc<AtomicU64> {
        match self.registry.cell(family, labels, self.id) {
            Some(Cell::Number(number)) => number,
            Some(Cell::Histogram(_)) | None => Arc::default(),
        }
    }
}

/// A panic elsewhere while a lock was held leaves numbers, not invariants, behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
