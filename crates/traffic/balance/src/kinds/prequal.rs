//! `prequal`: the quickest of the endpoints sampled of late that are not busy, or the idlest if all are.
//!
//! After Wydrowski, Kleinberg, Rumble and Archer, "Load is not what you should balance: Introducing Prequal" (2023,
//! arXiv 2312.10172), with its parameters. Each request samples a few endpoints at random for their requests in flight and
//! answer time; the samples are kept for a second in a small pool, used a few times, and worn out on purpose: the oldest and the
//! worst are dropped in turn, so that the pool does not fill up with what nobody wants. Among the samples those above a quantile of
//! the requests in flight are hot. Of the cold ones the quickest is taken; if all are hot, the idlest.
//!
//! With `probe`, endpoints are asked what they have to do, beside the requests and never in their way; so all that share them see
//! the same. Without, samples are what Aya itself knows of an endpoint: its own requests in flight over its workers, and how long
//! answers took of late with about as many in flight.

mod samples;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use base_kit::{KindInfo, Moment, Rng, Status, TimeSpan};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::balancer::{
    Balancer, BalancerKind, Feedback, Member, Probing, RequestFacts, SettingsError, read_sound_settings,
};
use crate::endpoint::{EndpointId, EndpointState, ProbeAnswer};
use crate::kinds::power_of_two::PowerOfTwo;
use crate::methods::draw::Urn;
use crate::methods::latency;

use self::samples::{Sample, Samples};

/// The kind.
pub(super) struct PrequalKind;

const NAME: &str = "prequal";

/// With fewer endpoints, what Aya knows by itself tells no more than requests in flight do.
const FEWEST_UNASKED: usize = 8;
/// Among few endpoints samples cannot be had fast enough to be used a few times only; each use counts as one more in flight, so
/// that they still do not mislead for long.
const MOST_USES: f64 = 16.0;
/// A path is a part of a request that is sent often.
const MAX_PATH_BYTES: usize = 1024;
/// Samples that may be due at once: requests that come together do not bring a flood of probes.
const MAX_DUE: f64 = 16.0;

/// How endpoints are sampled and chosen. The defaults are those of the paper.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Path that endpoints answer with what they have to do, in the field `endpoint-load-metrics`. Without it they are not asked.
    #[schemars(regex(pattern = "^/"))]
    probe: Option<String>,
    /// When a probe's answer comes too late.
    probe_timeout: TimeSpan,
    /// How long there may be no probe: then one is sent without a request.
    idle_interval: TimeSpan,
    /// Endpoints sampled for each request; 0.5 is one for every second request.
    #[schemars(range(min = 0.1, max = 16))]
    probes: f64,
    /// Samples kept; never more than half of the endpoints.
    #[schemars(range(min = 2, max = 64))]
    pool_size: u32,
    /// How long a sample is believed.
    max_age: TimeSpan,
    /// Samples dropped after each request, the oldest and the worst in turn.
    #[schemars(range(min = 0, max = 16))]
    removals: u32,
    /// Share of the samples that are cold by their requests in flight. 0 looks at requests in flight only, 1 at answer times only.
    #[schemars(range(min = 0, max = 1))]
    cold_quantile: f64,
    /// For how long an answer time counts: one of this age weighs 1/e of a new one.
    decay: TimeSpan,
    /// What an endpoint that failed, or answered 429 or 503, is believed to take longer: failing fast must not attract traffic.
    penalty: TimeSpan,
    /// How fast the penalty fades: to 1/e in this time.
    penalty_decay: TimeSpan,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            probe: None,
            probe_timeout: TimeSpan::from_millis(100),
            idle_interval: TimeSpan::from_millis(200),
            probes: 3.0,
            pool_size: 16,
            max_age: TimeSpan::from_secs(1),
            removals: 1,
            // 2^(-1/4).
            cold_quantile: 0.84,
            decay: TimeSpan::from_secs(1),
            penalty: TimeSpan::from_secs(1),
            penalty_decay: TimeSpan::from_secs(5),
        }
    }
}

impl Settings {
    fn latency(&self) -> latency::Settings {
        latency::Settings::new(self.decay, self.penalty, self.penalty_decay)
    }

    fn problem(&self) -> Option<String> {
        let path = self.probe.as_deref().unwrap_or("/");
        if !path.starts_with('/')
            || path.len() > MAX_PATH_BYTES
            || !path.bytes().all(|b| b.is_ascii_graphic())
        {
            return Some(format!(
                "`probe` is a path: it begins with `/`, has no blanks and at most {MAX_PATH_BYTES} bytes, as `/load`"
            ));
        }
        if self.probe_timeout.is_zero() || self.idle_interval.is_zero() {
            return Some("`probe-timeout` and `idle-interval` are longer than zero".to_owned());
        }
        let in_range = (0.1..=16.0).contains(&self.probes)
            && (2..=64).contains(&self.pool_size)
            && self.removals <= 16
            && (0.0..=1.0).contains(&self.cold_quantile)
            && !self.max_age.is_zero();
        if !in_range {
            return Some(
                "`probes` is 0.1 to 16, `pool-size` 2 to 64, `removals` 0 to 16, `cold-quantile` 0 to 1, `max-age` not zero"
                    .to_owned(),
            );
        }
        self.latency().problem()
    }
}

impl BalancerKind for PrequalKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "Of a pool of endpoints sampled at random of late, the quickest of those with few requests in flight \
                      for their weight, or the idlest if all have many. Samples come from the endpoints themselves, or \
                      else from what Aya sees of them; then it is `power-of-two` below 8 endpoints.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Settings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let settings = read_sound_settings(NAME, settings, Settings::problem)?;
        let samples = Samples::new(settings.cold_quantile);
        let latency = settings.latency();
        Ok(Box::new(Prequal {
            settings,
            latency,
            urn: Urn::default(),
            entries: Vec::new(),
            places: HashMap::new(),
            samples,
            due: 0.0,
            last_probe: Moment::ZERO,
            two: PowerOfTwo::default(),
        }))
    }
}

#[derive(Debug)]
struct Prequal {
    settings: Settings,
    latency: latency::Settings,
    urn: Urn,
    entries: Vec<(EndpointId, latency::Entry)>,
    /// Where each member is among the entries.
    places: HashMap<EndpointId, usize>,
    samples: Samples,
    /// Samples that requests have brought due; fractions add up.
    due: f64,
    last_probe: Moment,
    /// Chooses where there are few endpoints, or few samples.
    two: PowerOfTwo,
}

impl Prequal {
    const fn asks(&self) -> bool {
        self.settings.probe.is_some()
    }

    fn is_used(&self) -> bool {
        self.entries.len() >= if self.asks() { samples::FEWEST } else { FEWEST_UNASKED }
    }

    /// Takes the samples that are due from what Aya knows.
    fn sample(&mut self, now: Moment, rng: &mut dyn Rng) {
        while self.due >= 1.0 {
            self.due -= 1.0;
            let Some(index) = self.urn.draw(&[], rng) else { return };
            self.take(index, ProbeAnswer::default(), now);
        }
    }

    /// Takes in what an endpoint says; Aya's own knowledge fills what it does not.
    fn take(&mut self, index: usize, answer: ProbeAnswer, now: Moment) {
        let Some((id, entry)) = self.entries.get(index) else { return };
        let in_flight = answer.in_flight.unwrap_or_else(|| entry.in_flight());
        // One that has not answered yet counts as quick: so it is asked.
        let latency = answer.latency.map(|latency| latency.as_nanos() as f64);
        let latency =
            latency.or_else(|| entry.latency_with(in_flight, &self.latency, now)).unwrap_or_default();
        // Failing is quick, and leaves an endpoint idle: what counts is what a good answer costs.
        let repeated = entry.requests_per_answer(&self.latency, now);
        self.samples.add(Sample {
            index,
            id: *id,
            load: ((f64::from(in_flight) + 1.0) * repeated - 1.0) * entry.share(),
            latency: latency * repeated + entry.penalty(&self.latency, now),
            at: now,
            uses: self.uses(),
        });
    }

    /// How often a sample may be used: so often that the pool neither runs dry nor grows old (the paper's equation 1, with a
    /// net growth of 1).
    fn uses(&self) -> u32 {
        const NET_GROWTH: f64 = 1.0;
        let fresh = 1.0 - self.samples.capacity() as f64 / self.entries.len().max(1) as f64;
        let gained = fresh * self.settings.probes - f64::from(self.settings.removals);
        if gained > 0.0 {
            ((1.0 + NET_GROWTH) / gained).clamp(1.0, MOST_USES) as u32
        } else {
            MOST_USES as u32
        }
    }
}

impl Balancer for Prequal {
    fn update(&mut self, members: &[Member]) {
        self.urn.fill(members);
        self.two.update(members);
        self.entries.clear();
        self.entries.extend(members.iter().map(|member| (member.id, latency::Entry::from(member))));
        self.places.clear();
        self.places.extend(members.iter().enumerate().map(|(index, member)| (member.id, index)));
        // With samples of most endpoints at hand, all who sample would choose the same one.
        let capacity = (members.len() / 2).max(samples::FEWEST).min(self.settings.pool_size as usize);
        // Samples name members by their place.
        self.samples.renew(capacity, members.len(), |id| self.places.get(&id).copied());
    }

    fn pick(
        &mut self,
        request: &RequestFacts,
        tried: &[EndpointId],
        now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        if !self.is_used() {
            return self.two.pick(request, tried, now, rng);
        }
        self.due = (self.due + self.settings.probes).min(MAX_DUE);
        if !self.asks() {
            self.sample(now, rng);
        }
        self.samples.forget_older_than(self.settings.max_age.duration(), now);
        let Some(picked) = self.samples.choose(tried) else {
            return self.two.pick(request, tried, now, rng);
        };
        let weight_share = self.entries.get(picked).map_or(1.0, |(_, entry)| entry.share());
        self.samples.used(picked, weight_share);
        (0..self.settings.removals).for_each(|_| self.samples.wear_out());
        Some(picked)
    }

    fn feedback(&mut self, endpoint: &EndpointState, event: Feedback, now: Moment) {
        self.latency.learn(endpoint, event, now, |learned, sample| {
            learned.latency_at.observe(sample.latency, sample.others, sample.decay, now);
        });
    }

    fn probing(&self) -> Option<Probing> {
        let path = self.settings.probe.clone()?;
        Some(Probing { path, timeout: self.settings.probe_timeout.duration() })
    }

    fn next_probe(&mut self, now: Moment, rng: &mut dyn Rng) -> Option<usize> {
        if !self.asks() || !self.is_used() {
            return None;
        }
        let is_idle = now.since(self.last_probe) >= self.settings.idle_interval.duration();
        if self.due < 1.0 && !is_idle {
            return None;
        }
        self.due = (self.due - 1.0).max(0.0);
        self.last_probe = now;
        self.urn.draw(&[], rng)
    }

    fn probed(&mut self, endpoint: &EndpointState, answer: ProbeAnswer, now: Moment) {
        if let Some(index) = self.places.get(&endpoint.id()).copied() {
            self.take(index, answer, now);
        }
    }

    fn check_invariants(&self) {
        self.urn.check_invariants();
        self.samples.check_invariants(self.entries.len());
        assert!((0.0..=MAX_DUE).contains(&self.due), "{}", self.due);
    }
}
