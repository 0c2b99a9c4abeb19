//! The handles that callers keep and write through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::buckets;

/// How a shard's cells are written.
#[derive(Clone, Debug)]
pub(super) enum Writer {
    /// By one thread: a relaxed load and a relaxed store, no locked instruction.
    One {
        #[cfg(debug_assertions)]
        owner: Arc<std::sync::OnceLock<std::thread::ThreadId>>,
    },
    /// By several: a locked addition.
    Many,
}

impl Writer {
    /// For a shard that one thread owns. Debug builds remember the first thread that writes and refuse any other.
    pub(super) fn one() -> Self {
        Self::One {
            #[cfg(debug_assertions)]
            owner: Arc::default(),
        }
    }

    /// Adds with wrap-around, so that the same bits serve signed gauges.
    fn add(&self, cell: &AtomicU64, amount: u64) {
        match self {
            Self::One { .. } => {
                self.check_thread();
                cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
            }
            Self::Many => {
                cell.fetch_add(amount, Ordering::Relaxed);
            }
        }
    }

    /// Two threads that write one cell by load and store would lose counts without a trace: debug builds stop there.
    fn check_thread(&self) {
        #[cfg(debug_assertions)]
        if let Self::One { owner } = self {
            let here = std::thread::current().id();
            debug_assert_eq!(*owner.get_or_init(|| here), here, "a metrics shard has one writing thread");
        }
    }
}

/// Something that only grows.
#[derive(Clone, Debug)]
pub struct Counter {
    cell: Arc<AtomicU64>,
    writer: Writer,
}

impl Counter {
    pub(super) const fn new(cell: Arc<AtomicU64>, writer: Writer) -> Self {
        Self { cell, writer }
    }

    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.writer.add(&self.cell, amount);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// What this shard has counted.
    pub fn value(&self) -> u64 {
        self.cell.load(Ordering::Relaxed)
    }
}

/// Something that goes up and down. What is reported is the sum over all shards: several workers may each keep their part
/// with [`Gauge::add`]; a value set as a whole ([`Gauge::set`]) is to be set in one shard only.
#[derive(Clone, Debug)]
pub struct Gauge {
    cell: Arc<AtomicU64>,
    writer: Writer,
}

impl Gauge {
    pub(super) const fn new(cell: Arc<AtomicU64>, writer: Writer) -> Self {
        Self { cell, writer }
    }

    /// Adds to this shard's part; negative amounts take away.
    pub fn add(&self, amount: i64) {
        self.writer.add(&self.cell, amount.cast_unsigned());
    }

    /// Sets this shard's part.
    pub fn set(&self, value: i64) {
        self.cell.store(value.cast_unsigned(), Ordering::Relaxed);
    }

    /// This shard's part.
    pub fn value(&self) -> i64 {
        self.cell.load(Ordering::Relaxed).cast_signed()
    }
}

/// How long things take.
#[derive(Clone, Debug)]
pub struct Histogram {
    cell: Arc<HistogramCell>,
    writer: Writer,
}

/// Counts per bucket (not cumulative) and the sum of all durations in nanoseconds: 584 years of it before it wraps.
#[derive(Debug, Default)]
pub(super) struct HistogramCell {
    pub(super) buckets: [AtomicU64; buckets::COUNT],
    pub(super) sum_nanos: AtomicU64,
}

impl Histogram {
    pub(super) const fn new(cell: Arc<HistogramCell>, writer: Writer) -> Self {
        Self { cell, writer }
    }

    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        // `as_nanos` multiplies in 128 bits; a duration of traffic fits into 64.
        let nanos =
            duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into());
        if let Some(bucket) = self.cell.buckets.get(buckets::index(nanos)) {
            self.writer.add(bucket, 1);
        }
        self.writer.add(&self.cell.sum_nanos, nanos);
    }

    /// How many durations this shard has counted.
    pub fn count(&self) -> u64 {
        self.cell.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}
