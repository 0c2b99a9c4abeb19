//! The pool of samples, and the rule by which one of them is chosen.

use std::time::Duration;

use base_kit::Moment;

use crate::endpoint::EndpointId;

/// With fewer samples there is nothing to choose from.
pub(super) const FEWEST: usize = 2;
/// Loads that the quantile is taken of: the last ones sampled.
const REMEMBERED: usize = 64;
/// Members of which the busiest shall be hot, however few there are: one, and a half for chance.
const BUSIEST: f64 = 1.5;
/// The quantile is worked out anew after so many samples.
const EVERY: usize = 8;

/// What was seen of an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// In the members last given.
    pub(super) index: usize,
    pub(super) id: EndpointId,
    /// Requests in flight by weight.
    pub(super) load: f64,
    /// Of an answer, in nanoseconds.
    pub(super) latency: f64,
    pub(super) at: Moment,
    /// How often it may still be used.
    pub(super) uses: u32,
}

#[derive(Debug)]
pub(super) struct Samples {
    /// The oldest first.
    pool: Vec<Sample>,
    capacity: usize,
    /// As set, and as used among so many members.
    cold_quantile: f64,
    quantile: f64,
    /// Of the last samples, in a ring.
    loads: Vec<f64>,
    next_load: usize,
    /// Above this a sample is hot.
    threshold: f64,
    /// Whether the worst is the next to be dropped.
    drops_worst: bool,
}

impl Samples {
    pub(super) const fn new(cold_quantile: f64) -> Self {
        Self {
            pool: Vec::new(),
            capacity: 0,
            cold_quantile,
            quantile: cold_quantile,
            loads: Vec::new(),
            next_load: 0,
            threshold: 0.0,
            drops_worst: false,
        }
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets members that are gone and finds the others' new places.
    pub(super) fn renew(
        &mut self,
        capacity: usize,
        members: usize,
        place: impl Fn(EndpointId) -> Option<usize>,
    ) {
        self.capacity = capacity;
        // Of few members the busiest alone are more than the share that is hot among many: then none would ever be hot.
        self.quantile = self.cold_quantile.min(1.0 - BUSIEST / members.max(1) as f64).max(0.0);
        self.pool.retain_mut(|sample| match place(sample.id) {
            Some(index) => {
                sample.index = index;
                true
            }
            None => false,
        });
        self.pool.truncate(capacity);
    }

    /// Takes in a sample, in place of an older one of the same endpoint, or of the oldest if there are enough.
    pub(super) fn add(&mut self, sample: Sample) {
        self.remember(sample.load);
        let place = self.pool.iter().position(|known| known.id == sample.id);
        match place {
            Some(place) => drop(self.pool.remove(place)),
            None if self.pool.len() >= self.capacity && !self.pool.is_empty() => drop(self.pool.remove(0)),
            None => {}
        }
        if self.pool.len() < self.capacity {
            self.pool.push(sample);
        }
    }

    fn remember(&mut self, load: f64) {
        match self.loads.get_mut(self.next_load) {
            Some(place) => *place = load,
            None => self.loads.push(load),
        }
        self.next_load = (self.next_load + 1) % REMEMBERED;
        if self.next_load.is_multiple_of(EVERY) || self.loads.len() < EVERY {
            self.threshold = self.load_at_quantile();
        }
    }

    fn load_at_quantile(&self) -> f64 {
        let mut loads = [0.0; REMEMBERED];
        let Some(sorted) = loads.get_mut(..self.loads.len()) else { return 0.0 };
        sorted.copy_from_slice(&self.loads);
        let place = (self.quantile * (sorted.len() - 1) as f64) as usize;
        let (_, quantile, _) = sorted.select_nth_unstable_by(place, f64::total_cmp);
        *quantile
    }

    pub(super) fn forget_older_than(&mut self, age: Duration, now: Moment) {
        self.pool.retain(|sample| now.since(sample.at) <= age);
    }

    /// The quickest of the cold ones, or the idlest if all are hot. `None` if fewer than [`FEWEST`] are there to choose from.
    pub(super) fn choose(&self, tried: &[EndpointId]) -> Option<usize> {
        let open = || self.pool.iter().filter(|sample| !tried.contains(&sample.id));
        if open().count() < FEWEST {
            return None;
        }
        let cold = open().filter(|sample| !self.is_hot(sample));
        let quickest = cold.min_by(|a, b| a.latency.total_cmp(&b.latency).then(a.load.total_cmp(&b.load)));
        let chosen = quickest.or_else(|| open().min_by(|a, b| a.load.total_cmp(&b.load)));
        chosen.map(|sample| sample.index)
    }

    fn is_hot(&self, sample: &Sample) -> bool {
        sample.load > self.threshold
    }

    /// Counts a request that its endpoint gets: it is busier by one, and the sample is worn by one use.
    pub(super) fn used(&mut self, index: usize, load: f64) {
        self.pool.retain_mut(|sample| {
            if sample.index == index {
                sample.load += load;
                sample.uses -= 1;
            }
            sample.uses > 0
        });
    }

    /// Drops the oldest or, the other time, the worst: the busiest of the hot ones, or the slowest if all are cold.
    pub(super) fn wear_out(&mut self) {
        if self.pool.len() <= FEWEST {
            return;
        }
        self.drops_worst = !self.drops_worst;
        let place = if self.drops_worst { self.worst() } else { Some(0) };
        if let Some(place) = place {
            self.pool.remove(place);
        }
    }

    fn worst(&self) -> Option<usize> {
        let all = || self.pool.iter().enumerate();
        let hot = all().filter(|(_, sample)| self.is_hot(sample));
        let busiest = hot.max_by(|(_, a), (_, b)| a.load.total_cmp(&b.load));
        let worst = busiest.or_else(|| all().max_by(|(_, a), (_, b)| a.latency.total_cmp(&b.latency)));
        worst.map(|(place, _)| place)
    }

    pub(super) fn check_invariants(&self, members: usize) {
        assert!(self.pool.len() <= self.capacity && self.loads.len() <= REMEMBERED);
        assert!(self.pool.iter().all(|sample| sample.index < members && sample.uses > 0));
        assert!(self.pool.is_sorted_by_key(|sample| sample.at), "the oldest first");
    }
}
