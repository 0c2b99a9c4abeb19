//! What is shown, computed from counts: rates and quantiles between two readings.

use std::collections::{HashMap, VecDeque};

use control_api::{Answers, Durations};
use serde::Serialize;

use super::reading::{Endpoint, Pool, Reading};

/// Readings kept. Rates are between the last two; quantiles are over all, because a second holds too few answers for them.
const READINGS: usize = 11;
/// Failures listed: more than any terminal shows.
const MAX_TROUBLES: usize = 200;

/// The last readings, oldest first.
#[derive(Default)]
pub(super) struct History(VecDeque<Reading>);

impl History {
    /// Adds a reading. One of another process begins anew: its counts started from zero.
    pub(super) fn add(&mut self, reading: Reading) {
        let follows =
            |last: &Reading| last.started_ms == reading.started_ms && last.clock_us < reading.clock_us;
        if !self.0.back().is_some_and(follows) {
            self.0.clear();
        }
        self.0.push_back(reading);
        if self.0.len() > READINGS {
            self.0.pop_front();
        }
    }

    /// What the readings say; nothing before the first.
    pub(super) fn figures(&self) -> Figures {
        let Some(now) = self.0.back() else { return Figures::default() };
        let before = self.0.iter().rev().nth(1);
        let oldest = self.0.front().filter(|_| before.is_some());
        Span::new(now, before, oldest).figures()
    }
}

/// The figures of the whole process.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) version: String,
    pub(super) generation: u64,
    pub(super) workers: u32,
    pub(super) draining: bool,
    pub(super) uptime_seconds: u64,
    /// When it was read, in milliseconds since 1970-01-01 UTC.
    pub(super) now_ms: u64,
    /// Between the two readings that rates come from.
    pub(super) interval_seconds: Option<f64>,
    pub(super) connections: u64,
    pub(super) in_flight: u64,
    /// Requests that wait for an endpoint with room.
    pub(super) waiting: u64,
    pub(super) requests_per_second: Option<f64>,
    /// Part of the requests answered with 5xx, 0 to 1; nothing if there were no requests.
    pub(super) error_share: Option<f64>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) failures: Vec<FailureRate>,
    pub(super) pools: Vec<PoolFigures>,
    /// The latest first.
    pub(super) troubles: Vec<Trouble>,
}

/// How often requests fail for a reason.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FailureRate {
    pub(super) reason: String,
    pub(super) blame: String,
    pub(super) per_second: Option<f64>,
    /// Since the process started.
    pub(super) count: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct PoolFigures {
    pub(super) name: String,
    pub(super) balance: String,
    pub(super) connections: u64,
    pub(super) retries_per_second: Option<f64>,
    /// Requests that wait for an endpoint with room.
    pub(super) waiting: u32,
    /// Whether so little of it is fit that all endpoints get traffic.
    pub(super) panic: bool,
    #[serde(flatten)]
    pub(super) load: Load,
    pub(super) endpoints: Vec<EndpointFigures>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct EndpointFigures {
    pub(super) address: String,
    pub(super) resolved: Option<String>,
    pub(super) condition: String,
    pub(super) eligible: bool,
    pub(super) cause: Option<String>,
    pub(super) weight: u32,
    /// The part of its weight that counts, where it is not all of it.
    pub(super) share_percent: Option<u32>,
    #[serde(flatten)]
    pub(super) load: Load,
}

/// What pools and endpoints have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Load {
    pub(super) requests_per_second: Option<f64>,
    /// Part of the attempts that failed or were answered with 5xx, 0 to 1; nothing if there were no attempts.
    pub(super) error_share: Option<f64>,
    pub(super) in_flight: u64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Since the process started.
    pub(super) requests: u64,
    pub(super) errors: u64,
}

/// Something that went wrong at an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Trouble {
    /// When, in milliseconds since 1970-01-01 UTC.
    pub(super) at_ms: u64,
    pub(super) pool: String,
    pub(super) endpoint: String,
    pub(super) what: String,
}

/// Readings that are compared.
struct Span<'a> {
    now: &'a Reading,
    before: Option<&'a Reading>,
    oldest: Option<&'a Reading>,
    seconds: Option<f64>,
    pools_before: HashMap<&'a str, &'a Pool>,
    pools_oldest: HashMap<&'a str, &'a Pool>,
}

fn by_name(reading: Option<&Reading>) -> HashMap<&str, &Pool> {
    reading.into_iter().flat_map(|reading| &reading.pools).map(|pool| (pool.name.as_str(), pool)).collect()
}

fn by_address(pool: Option<&Pool>) -> HashMap<&str, &Endpoint> {
    let endpoints = pool.into_iter().flat_map(|pool| &pool.endpoints);
    endpoints.map(|endpoint| (endpoint.endpoint.address.as_str(), endpoint)).collect()
}

impl<'a> Span<'a> {
    fn new(now: &'a Reading, before: Option<&'a Reading>, oldest: Option<&'a Reading>) -> Self {
        let seconds = before.map(|before| (now.clock_us - before.clock_us) as f64 / 1e6);
        let (pools_before, pools_oldest) = (by_name(before), by_name(oldest));
        Self { now, before, oldest, seconds, pools_before, pools_oldest }
    }

    fn figures(&self) -> Figures {
        let Self { now, before, .. } = self;
        let pools: Vec<_> = now.pools.iter().map(|pool| self.pool(pool)).collect();
        let all = |reading: &Reading| total(&reading.answers) + reading.unanswered;
        let requests = before.map(|before| all(now).saturating_sub(all(before)));
        let errors =
            before.map(|before| now.answers.server_error.saturating_sub(before.answers.server_error));
        let durations = self.oldest.map(|oldest| &oldest.durations);
        Figures {
            version: now.version.clone(),
            generation: now.generation,
            workers: now.workers,
            draining: now.draining,
            uptime_seconds: now.now_ms.saturating_sub(now.started_ms) / 1_000,
            now_ms: now.now_ms,
            interval_seconds: self.seconds,
            connections: now.connections,
            in_flight: pools.iter().map(|pool| pool.load.in_flight).sum(),
            waiting: pools.iter().map(|pool| u64::from(pool.waiting)).sum(),
            requests_per_second: self.rate(requests),
            error_share: share(errors, requests),
            p50_ms: self.quantile(0.5, &now.durations, durations),
            p99_ms: self.quantile(0.99, &now.durations, durations),
            failures: self.failures(),
            pools,
            troubles: troubles(now),
        }
    }

    fn pool(&self, pool: &Pool) -> PoolFigures {
        let before = self.pools_before.get(pool.name.as_str()).copied();
        let oldest = self.pools_oldest.get(pool.name.as_str()).copied();
        let (endpoints_before, endpoints_oldest) = (by_address(before), by_address(oldest));
        let mut load = Load::default();
        let (mut requests, mut errors) = (before.map(|_| 0), before.map(|_| 0));
        let mut endpoints = Vec::new();
        for endpoint in &pool.endpoints {
            let address = endpoint.endpoint.address.as_str();
            let past = endpoints_before.get(address).copied();
            let more = past.map(|past| {
                (sent(endpoint).saturating_sub(sent(past)), failed(endpoint).saturating_sub(failed(past)))
            });
            // One that is new adds nothing to the pool until it has been seen twice.
            requests = requests.zip(more.or(Some((0, 0)))).map(|(sum, (more, _))| sum + more);
            errors = errors.zip(more.or(Some((0, 0)))).map(|(sum, (_, more))| sum + more);
            let figures = self.endpoint(endpoint, more, endpoints_oldest.get(address).copied());
            load.in_flight += figures.load.in_flight;
            load.requests += figures.load.requests;
            load.errors += figures.load.errors;
            endpoints.push(figures);
        }
        let past = oldest.map(|oldest| &oldest.first_byte);
        let retries = before.map(|before| pool.retries.saturating_sub(before.retries));
        PoolFigures {
            name: pool.name.clone(),
            balance: pool.balance.clone(),
            connections: pool.connections,
            retries_per_second: self.rate(retries),
            waiting: pool.waiting,
            panic: pool.panic,
            load: Load {
                requests_per_second: self.rate(requests),
                error_share: share(errors, requests),
                p50_ms: self.quantile(0.5, &pool.first_byte, past),
                p99_ms: self.quantile(0.99, &pool.first_byte, past),
                ..load
            },
            endpoints,
        }
    }

    fn endpoint(
        &self,
        endpoint: &Endpoint,
        more: Option<(u64, u64)>,
        oldest: Option<&Endpoint>,
    ) -> EndpointFigures {
        let state = &endpoint.endpoint;
        let past = oldest.map(|oldest| &oldest.first_byte);
        let (requests, errors) = (more.map(|(requests, _)| requests), more.map(|(_, errors)| errors));
        EndpointFigures {
            address: state.address.clone(),
            resolved: state.resolved.clone(),
            condition: if state.condition.is_empty() {
                "unknown".to_owned()
            } else {
                state.condition.clone()
            },
            eligible: state.eligible,
            cause: state.cause.clone(),
            weight: state.weight,
            share_percent: state.share(),
            load: Load {
                requests_per_second: self.rate(requests),
                error_share: share(errors, requests),
                in_flight: u64::from(state.in_flight),
                p50_ms: self.quantile(0.5, &endpoint.first_byte, past),
                p99_ms: self.quantile(0.99, &endpoint.first_byte, past),
                requests: sent(endpoint),
                errors: failed(endpoint),
            },
        }
    }

    /// Reasons, those that happen now first, then the most frequent.
    fn failures(&self) -> Vec<FailureRate> {
        let count_before = |reason: &str| {
            let failures = self.before.map(|before| &before.failures)?;
            Some(failures.iter().find(|failure| failure.reason == reason).map_or(0, |failure| failure.count))
        };
        let mut rates: Vec<_> = self
            .now
            .failures
            .iter()
            .map(|failure| FailureRate {
                reason: failure.reason.clone(),
                blame: failure.blame.clone(),
                per_second: self
                    .rate(count_before(&failure.reason).map(|past| failure.count.saturating_sub(past))),
                count: failure.count,
            })
            .collect();
        rates.sort_by(|a, b| {
            let rate = |failure: &FailureRate| failure.per_second.unwrap_or_default();
            rate(b).total_cmp(&rate(a)).then(b.count.cmp(&a.count))
        });
        rates
    }

    fn rate(&self, count: Option<u64>) -> Option<f64> {
        Some(count? as f64 / self.seconds.filter(|seconds| *seconds > 0.0)?)
    }

    /// In milliseconds; nothing without answers. Within a bucket, durations are taken to be spread evenly.
    fn quantile(&self, quantile: f64, now: &Durations, past: Option<&Durations>) -> Option<f64> {
        let past = |place: usize| past?.buckets.get(place).copied();
        let counts = now.buckets.iter().enumerate();
        let counts: Vec<u64> =
            counts.map(|(place, count)| count.saturating_sub(past(place).unwrap_or_default())).collect();
        let total: u64 = counts.iter().sum();
        // Before there is a past there is nothing to compare with: all since the start is not "now".
        self.oldest.filter(|_| total > 0)?;
        let rank = quantile * total as f64;
        let (mut below, mut lower) = (0, 0.0);
        for (place, count) in counts.into_iter().enumerate() {
            // Longer than every bound: the last bound is all that is known.
            let Some(upper) = self.now.bounds_us.get(place).map(|bound| *bound as f64 / 1e3) else { break };
            if count > 0 && (below + count) as f64 >= rank {
                return Some(lower + (upper - lower) * (rank - below as f64) / count as f64);
            }
            (below, lower) = (below + count, upper);
        }
        Some(lower)
    }
}

fn total(answers: &Answers) -> u64 {
    let Answers { informational, successful, redirected, client_error, server_error } = answers;
    informational + successful + redirected + client_error + server_error
}

/// Attempts at an endpoint.
fn sent(endpoint: &Endpoint) -> u64 {
    endpoint.endpoint.requests
}

/// Those of them that went wrong.
fn failed(endpoint: &Endpoint) -> u64 {
    endpoint.endpoint.failures + endpoint.answers.server_error
}

fn share(part: Option<u64>, whole: Option<u64>) -> Option<f64> {
    let (part, whole) = part.zip(whole).filter(|(_, whole)| *whole > 0)?;
    Some(part as f64 / whole as f64)
}

/// States that nobody asked for.
const TROUBLED: [&str; 3] = ["down", "ejected", "degraded"];

/// What is wrong with endpoints, and the last failure of each.
fn troubles(now: &Reading) -> Vec<Trouble> {
    let mut found = Vec::new();
    for pool in &now.pools {
        if let (Some(at_ms), Some(cause)) = (pool.panic_since_ms, &pool.panic_cause) {
            let (pool, what) = (pool.name.clone(), format!("panic: {cause}"));
            found.push(Trouble { at_ms, pool, endpoint: "all".to_owned(), what });
        }
        for state in pool.endpoints.iter().map(|endpoint| &endpoint.endpoint) {
            let trouble = |at_ms: u64, what: String| Trouble {
                at_ms,
                pool: pool.name.clone(),
                endpoint: state.address.clone(),
                what,
            };
            let is_troubled = TROUBLED.contains(&state.condition.as_str());
            if let (true, Some(at), Some(cause)) = (is_troubled, state.cause_ms, &state.cause) {
                found.push(trouble(at, format!("{}: {cause}", state.condition)));
            }
            if let Some(last) = &state.last_failure {
                found.push(trouble(last.at_ms, last.reason.clone()));
            }
        }
    }
    found.sort_by_key(|trouble| std::cmp::Reverse(trouble.at_ms));
    found.truncate(MAX_TROUBLES);
    found
}
