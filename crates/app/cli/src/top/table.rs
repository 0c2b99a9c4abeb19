//! Which lines the table has, and in which order.

use std::cmp::Ordering;

use super::figures::{EndpointFigures, Figures, Load, PoolFigures};

/// A line: a pool, or an endpoint of it.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) pool: &'a PoolFigures,
    pub(super) endpoint: Option<&'a EndpointFigures>,
}

impl<'a> Row<'a> {
    pub(super) fn load(&self) -> &'a Load {
        self.endpoint.map_or(&self.pool.load, |endpoint| &endpoint.load)
    }

    /// Endpoints that get traffic; of an endpoint, itself.
    pub(super) fn eligible(&self) -> usize {
        let one = |endpoint: &EndpointFigures| usize::from(endpoint.eligible);
        self.endpoint.map_or_else(|| self.pool.endpoints.iter().map(one).sum(), one)
    }

    /// The part of its weight that counts, where it is not all of it; nothing of what is out.
    pub(super) fn share(&self) -> Option<u32> {
        self.endpoint.filter(|endpoint| endpoint.eligible).and_then(|endpoint| endpoint.share_percent)
    }

    /// Whether something of a pool gets less than its share.
    pub(super) fn is_lowered(&self) -> bool {
        let pool = self.pool;
        let lowered =
            |endpoint| Row { pool, endpoint: Some(endpoint) }.share().is_some_and(|share| share < 100);
        pool.endpoints.iter().any(lowered)
    }

    /// Whether something is wrong: it gets no traffic, less than its share, or errors.
    pub(super) fn is_troubled(&self) -> bool {
        let all = if self.endpoint.is_some() { 1 } else { self.pool.endpoints.len() };
        self.eligible() < all
            || (self.endpoint.is_none() && (self.pool.panic || self.pool.waiting > 0))
            || self.share().is_some_and(|share| share < 100)
            || self.load().error_share.is_some_and(|share| share > 0.0)
    }
}

/// Which lines there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lines {
    /// Each pool, its endpoints below it.
    #[default]
    All,
    /// Endpoints of all pools, side by side.
    Endpoints,
    /// Pools alone.
    Pools,
}

impl Lines {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::All => Self::Endpoints,
            Self::Endpoints => Self::Pools,
            Self::Pools => Self::All,
        }
    }
}

/// What lines are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// As in the configuration.
    #[default]
    Configured,
    Name,
    State,
    Weight,
    Rate,
    Errors,
    InFlight,
    P50,
    P99,
}

impl Sort {
    const ALL: [Self; 9] = [
        Self::Configured,
        Self::Name,
        Self::State,
        Self::Weight,
        Self::Rate,
        Self::Errors,
        Self::InFlight,
        Self::P50,
        Self::P99,
    ];

    /// The one so many further to the right.
    pub(super) fn moved(self, by: usize) -> Self {
        let place = Self::ALL.iter().position(|sort| *sort == self).unwrap_or_default();
        Self::ALL.get((place + by) % Self::ALL.len()).copied().unwrap_or_default()
    }

    /// The one to the left.
    pub(super) fn previous(self) -> Self {
        self.moved(Self::ALL.len() - 1)
    }

    /// What is worth looking at comes first: the largest number, the worst state, the first name.
    fn compare(self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        let (one, two) = (a.load(), b.load());
        let descending = |a: Option<f64>, b: Option<f64>| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0));
        match self {
            Self::Configured => Ordering::Equal,
            Self::Name => name(a).cmp(name(b)),
            Self::State => missing(b).cmp(&missing(a)),
            Self::Weight => weight(b).cmp(&weight(a)),
            Self::Rate => descending(one.requests_per_second, two.requests_per_second),
            Self::Errors => descending(one.error_share, two.error_share),
            Self::InFlight => two.in_flight.cmp(&one.in_flight),
            Self::P50 => descending(one.p50_ms, two.p50_ms),
            Self::P99 => descending(one.p99_ms, two.p99_ms),
        }
    }
}

fn name<'a>(row: &Row<'a>) -> &'a str {
    row.endpoint.map_or(&row.pool.name, |endpoint| &endpoint.address)
}

/// How many endpoints get no traffic.
fn missing(row: &Row<'_>) -> usize {
    let all = if row.endpoint.is_some() { 1 } else { row.pool.endpoints.len() };
    all - row.eligible()
}

fn weight(row: &Row<'_>) -> u64 {
    match row.endpoint {
        Some(endpoint) => u64::from(endpoint.weight) * u64::from(endpoint.share_percent.unwrap_or(100)),
        None => row.pool.endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum(),
    }
}

/// What is to be seen of the figures.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) lines: Lines,
    pub(super) sort: Sort,
    pub(super) is_reversed: bool,
    /// Words, each of which a line must have somewhere in pool, address or state.
    pub(super) filter: String,
    /// Only lines where something is wrong.
    pub(super) only_troubled: bool,
}

impl Choice {
    /// The lines, in order.
    pub(super) fn rows<'a>(&self, figures: &'a Figures) -> Vec<Row<'a>> {
        let words: Vec<_> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        let mut groups = Vec::new();
        for pool in &figures.pools {
            let mut members: Vec<_> =
                pool.endpoints.iter().map(|endpoint| Row { pool, endpoint: Some(endpoint) }).collect();
            members.retain(|row| self.takes(row, &words));
            let head = Row { pool, endpoint: None };
            if self.takes(&head, &words) || !members.is_empty() {
                groups.push((head, members));
            }
        }
        match self.lines {
            Lines::All => {
                self.order(&mut groups, |(head, _)| head);
                for (_, members) in &mut groups {
                    self.order(members, |row| row);
                }
                groups.into_iter().flat_map(|(head, members)| std::iter::once(head).chain(members)).collect()
            }
            Lines::Endpoints => {
                let mut rows: Vec<_> = groups.into_iter().flat_map(|(_, members)| members).collect();
                self.order(&mut rows, |row| row);
                rows
            }
            Lines::Pools => {
                let mut rows: Vec<_> = groups.into_iter().map(|(head, _)| head).collect();
                self.order(&mut rows, |row| row);
                rows
            }
        }
    }

    fn takes(&self, row: &Row<'_>, words: &[String]) -> bool {
        let endpoint = row.endpoint.map(|endpoint| (&*endpoint.address, &*endpoint.condition));
        let (address, condition) = endpoint.unwrap_or_default();
        let text = format!("{} {address} {condition}", row.pool.name).to_lowercase();
        (!self.only_troubled || row.is_troubled()) && words.iter().all(|word| text.contains(word))
    }

    /// Equals stay in the order of the configuration.
    fn order<'a, T>(&self, items: &mut [T], row: impl Fn(&T) -> &Row<'a>) {
        items.sort_by(|a, b| {
            let order = self.sort.compare(row(a), row(b));
            if self.is_reversed { order.reverse() } else { order }
        });
        if self.is_reversed && self.sort == Sort::Configured {
            items.reverse();
        }
    }
}
