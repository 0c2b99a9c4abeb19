//! `prequal`: the quickest of the endpoints sampled of late that are not busy, or the idlest if all are.
//!
//! After Wydrowski, Kleinberg, Rumble and Archer, "Load is not what you should balance: Introducing Prequal" (2023,
//! arXiv 2312.10172), with its parameters. Each request samples a few endpoints at random for their requests in flight and
//! answer time; the samples are kept for a second in a small pool, used a few times, and worn out on purpose: the oldest and the
//! worst are dropped in turn, so that the pool does not fill up with what nobody wants. Among the samples those above a quantile of
//! the requests in flight are hot. Of the cold ones the quickest is taken; if all are hot, the idlest.
//!
//! Samples are what Aya itself knows of an endpoint: requests in flight over its workers, and how long answers took of late with about
//! as many in flight.

mod samples;
#[cfg(test)]
mod tests;

use base_kit::{KindInfo, Moment, Rng, Status, TimeSpan};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::balancer::{
    Balancer, BalancerKind, Feedback, Member, RequestFacts, SettingsError, read_sound_settings,
};
use crate::endpoint::{EndpointId, EndpointState};
use crate::kinds::power_of_two::PowerOfTwo;
use crate::methods::draw::Urn;
use crate::methods::latency;

use self::samples::{Sample, Samples};

/// The kind.
pub(super) struct PrequalKind;

const NAME: &str = "prequal";

/// With fewer endpoints the pool of samples would hold all of them, and all workers would choose the same one.
const FEWEST_MEMBERS: usize = 8;

/// How endpoints are sampled and chosen. The defaults are those of the paper.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Endpoints sampled for each request.
    #[schemars(range(min = 1, max = 16))]
    probes: u32,
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
            probes: 3,
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
        let in_range = (1..=16).contains(&self.probes)
            && (2..=64).contains(&self.pool_size)
            && self.removals <= 16
            && (0.0..=1.0).contains(&self.cold_quantile)
            && !self.max_age.is_zero();
        if !in_range {
            return Some(
                "`probes` is 1 to 16, `pool-size` 2 to 64, `removals` 0 to 16, `cold-quantile` 0 to 1, `max-age` not zero"
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
                      for their weight, or the idlest if all have many; below 8 endpoints as `power-of-two`.",
            status: Status::Trial,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Settings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let settings = read_sound_settings(NAME, settings, Settings::problem)?;
        Ok(Box::new(Prequal {
            settings,
            latency: settings.latency(),
            urn: Urn::default(),
            entries: Vec::new(),
            samples: Samples::new(settings.cold_quantile),
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
    samples: Samples,
    /// Chooses where there are few endpoints, or few samples.
    two: PowerOfTwo,
}

impl Prequal {
    fn sample(&mut self, now: Moment, rng: &mut dyn Rng) {
        for _ in 0..self.settings.probes {
            let Some(index) = self.urn.draw(&[], rng) else { return };
            let Some((id, entry)) = self.entries.get(index) else { continue };
            // One that has not answered yet counts as quick: so it is asked.
            let latency = entry.latency_at_load(&self.latency, now).unwrap_or_default()
                + entry.penalty(&self.latency, now);
            self.samples.add(Sample {
                index,
                id: *id,
                load: entry.load(),
                latency,
                at: now,
                uses: self.uses(),
            });
        }
    }

    /// How often a sample may be used: so often that the pool neither runs dry nor grows old (the paper's equation 1, with a
    /// net growth of 1).
    fn uses(&self) -> u32 {
        const NET_GROWTH: f64 = 1.0;
        let fresh = 1.0 - self.samples.capacity() as f64 / self.entries.len().max(1) as f64;
        let gained = fresh * f64::from(self.settings.probes) - f64::from(self.settings.removals);
        let most = self.samples.capacity() as f64;
        if gained > 0.0 { ((1.0 + NET_GROWTH) / gained).clamp(1.0, most) as u32 } else { most as u32 }
    }
}

impl Balancer for Prequal {
    fn update(&mut self, members: &[Member]) {
        self.urn.fill(members);
        self.two.update(members);
        self.entries.clear();
        self.entries.extend(members.iter().map(|member| (member.id, latency::Entry::from(member))));
        let capacity = (self.settings.pool_size as usize).min(members.len() / 2);
        // Samples name members by their place.
        self.samples.renew(capacity, |id| members.iter().position(|member| member.id == id));
    }

    fn pick(
        &mut self,
        request: &RequestFacts,
        tried: &[EndpointId],
        now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        if self.entries.len() < FEWEST_MEMBERS {
            return self.two.pick(request, tried, now, rng);
        }
        self.sample(now, rng);
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

    fn check_invariants(&self) {
        self.urn.check_invariants();
        self.samples.check_invariants(self.entries.len());
    }
}
