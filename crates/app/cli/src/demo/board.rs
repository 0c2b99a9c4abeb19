//! What is shown, made of what clients notice and what Aya knows.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use base_kit::{Moment, WallClock};

use super::EndpointView;
use super::event::Event;
use super::traffic::Ledger;

/// Rates are those of the last moments: short enough to show a change, long enough not to flicker.
const WINDOW: Duration = Duration::from_secs(2);
/// More events than any terminal shows.
const MAX_EVENTS: usize = 200;

/// The state of the demo at a moment.
pub(super) struct Board {
    pub(super) proxy: SocketAddr,
    pub(super) admin: Option<SocketAddr>,
    pub(super) elapsed: Duration,
    pub(super) rate_per_second: f64,
    pub(super) answered: u64,
    /// Failures that clients saw.
    pub(super) failures: u64,
    pub(super) rows: Vec<Row>,
    /// The last ones, oldest first.
    pub(super) events: VecDeque<Event>,
    /// How many there have been in all.
    pub(super) events_so_far: usize,
    start: Moment,
    /// Counts of answers at moments of the window.
    samples: VecDeque<(Moment, Vec<u64>)>,
}

/// A backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// What Aya says of it.
    pub(super) endpoint: EndpointView,
    pub(super) rate_per_second: f64,
    /// Its part of all answers, of late; 0 to 1.
    pub(super) share: f64,
    /// Its part of all answers since the start; 0 to 1.
    pub(super) share_overall: f64,
    pub(super) answered: u64,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    /// How often it stopped and began again to get requests.
    pub(super) left: u32,
    pub(super) returned: u32,
}

impl Board {
    pub(super) fn new(
        backends: Vec<(&'static str, SocketAddr)>,
        proxy: SocketAddr,
        admin: Option<SocketAddr>,
        now: Moment,
    ) -> Self {
        let row = |(name, address): (&'static str, SocketAddr)| {
            let endpoint = EndpointView { name: address.to_string(), ..EndpointView::default() };
            Row { name, endpoint, ..Row::default() }
        };
        Self {
            proxy,
            admin,
            elapsed: Duration::ZERO,
            rate_per_second: 0.0,
            answered: 0,
            failures: 0,
            rows: backends.into_iter().map(row).collect(),
            events: VecDeque::new(),
            events_so_far: 0,
            start: now,
            samples: VecDeque::new(),
        }
    }

    /// Takes in what is known at `now`.
    pub(super) fn update(&mut self, now: Moment, ledger: &Ledger, endpoints: &[EndpointView]) {
        self.elapsed = now - self.start;
        if ledger.failures > self.failures {
            let count = ledger.failures - self.failures;
            self.note(format!("clients saw {count} failed: {}", ledger.last_failure));
        }
        self.failures = ledger.failures;
        self.answered = ledger.answered();
        self.take_endpoints(endpoints);
        self.take_answers(now, ledger);
    }

    /// Whether clients got answers, and nothing but answers.
    pub(super) fn all_went_well(&self) -> bool {
        self.answered > 0 && self.failures == 0
    }

    fn note(&mut self, what: String) {
        self.events.push_back(Event { at: WallClock.since_epoch(), what });
        self.events_so_far += 1;
        if self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
    }

    fn take_endpoints(&mut self, endpoints: &[EndpointView]) {
        let mut happened = Vec::new();
        for row in &mut self.rows {
            if let Some(seen) = endpoints.iter().find(|endpoint| endpoint.name == row.endpoint.name) {
                happened.extend(row.take_endpoint(seen));
            }
        }
        for what in happened {
            self.note(what);
        }
    }

    fn take_answers(&mut self, now: Moment, ledger: &Ledger) {
        let counts: Vec<u64> = ledger.answers.iter().map(|answers| answers.count).collect();
        self.samples.push_back((now, counts));
        while self.samples.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
            self.samples.pop_front();
        }
        let Some((since, before)) = self.samples.front() else { return };
        let seconds = (now - *since).as_secs_f64();
        let mut rates: Vec<f64> = Vec::new();
        for (answers, before) in ledger.answers.iter().zip(before) {
            let more = answers.count.saturating_sub(*before) as f64;
            rates.push(if seconds > 0.0 { more / seconds } else { 0.0 });
        }
        self.rate_per_second = rates.iter().sum();
        for ((row, answers), rate) in self.rows.iter_mut().zip(&ledger.answers).zip(rates) {
            row.rate_per_second = rate;
            row.share = part(rate, self.rate_per_second);
            row.share_overall = part(answers.count as f64, self.answered as f64);
            row.answered = answers.count;
            row.p50 = answers.percentile(0.5);
            row.p99 = answers.percentile(0.99);
        }
    }
}

impl Row {
    /// Takes over what Aya says; returns what is worth telling.
    fn take_endpoint(&mut self, seen: &EndpointView) -> Option<String> {
        let before = std::mem::replace(&mut self.endpoint, seen.clone());
        let because = if seen.cause.is_empty() { String::new() } else { format!(": {}", seen.cause) };
        match (before.takes_traffic, seen.takes_traffic) {
            (true, false) => {
                self.left += 1;
                Some(format!("{} left{because}", self.name))
            }
            (false, true) if self.left > self.returned => {
                self.returned += 1;
                Some(format!("{} returned{because}", self.name))
            }
            // The first time is no return: it was never gone.
            (false, true) => Some(format!("{} is {}", self.name, seen.state)),
            (true, true) if seen.state == "degraded" && before.state != seen.state => {
                Some(format!("{} gets less{because}", self.name))
            }
            // The cause was that of its leaving.
            _ if before.state != seen.state && !before.state.is_empty() => {
                Some(format!("{} is {}", self.name, seen.state))
            }
            _ => None,
        }
    }
}

fn part(of: f64, whole: f64) -> f64 {
    if whole > 0.0 { of / whole } else { 0.0 }
}
