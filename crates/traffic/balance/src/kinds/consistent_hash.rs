//! `consistent-hash`: requests that have something in common go to the same endpoint, and few of them move when endpoints come
//! or go.

mod load;
mod maglev;
mod ring;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use base_kit::{KindInfo, Moment, Rng, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::balancer::{
    Balancer, BalancerKind, FactsNeeded, KeySource, Member, RequestFacts, SettingsError, read_sound_settings,
};
use crate::endpoint::{EndpointId, EndpointState};
use crate::methods::draw::Urn;
use crate::methods::hash::hash_key;
use crate::methods::rendezvous::Rendezvous;

use self::load::LoadBound;
use self::maglev::Maglev;
use self::ring::Ring;

/// The kind.
pub(super) struct ConsistentHashKind;

const NAME: &str = "consistent-hash";

/// What is hashed, and how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// What requests must have in common: `address`, `path`, `host`, `{header: NAME}`, `{cookie: NAME}` or `{query: NAME}`. A request
    /// that does not have it goes to a random endpoint.
    key: Key,
    /// `maglev`: the most even and the fastest, a few more keys move than must. `ring`: only keys of the endpoint that comes or goes
    /// move, shares are off by some per cent. `rendezvous`: only those keys move, too, and shares are more even, by some per cent with
    /// 100 endpoints; the first request of a key after a change looks at all endpoints.
    method: Method,
    /// No endpoint gets more than this times its fair share of the requests in flight; what is above goes to the next one.
    /// From 1 on; 1.25 is usual. Without it there is no bound.
    load_factor: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Key {
    #[default]
    Address,
    Path,
    Host,
    Header(String),
    Cookie(String),
    Query(String),
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Method {
    #[default]
    Maglev,
    Ring,
    Rendezvous,
}

impl Settings {
    fn problem(&self) -> Option<String> {
        if let Key::Header(name) | Key::Cookie(name) | Key::Query(name) = &self.key
            && name.is_empty()
        {
            return Some("the name in `key` is empty".to_owned());
        }
        let unfit = self.load_factor.filter(|factor| !(1.0..=100.0).contains(factor));
        unfit.map(|factor| format!("`load-factor` is 1 to 100, not {factor}"))
    }

    fn key_source(&self) -> Option<KeySource> {
        match &self.key {
            Key::Address => None,
            Key::Path => Some(KeySource::Path),
            Key::Host => Some(KeySource::Host),
            Key::Header(name) => Some(KeySource::Header(name.clone())),
            Key::Cookie(name) => Some(KeySource::Cookie(name.clone())),
            Key::Query(name) => Some(KeySource::Query(name.clone())),
        }
    }
}

impl BalancerKind for ConsistentHashKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: NAME,
            summary: "Requests with the same key (address, path, host, header, cookie or query parameter) go to the same \
                      endpoint, keys are spread in proportion to weight, and few of them move when endpoints come or go.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Settings)
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Balancer>, SettingsError> {
        let settings = read_sound_settings(NAME, settings, Settings::problem)?;
        let table: Box<dyn Table> = match settings.method {
            Method::Maglev => Box::new(Maglev::default()),
            Method::Ring => Box::new(Ring::default()),
            Method::Rendezvous => Box::new(Rendezvous::default()),
        };
        Ok(Box::new(ConsistentHash {
            source: settings.key_source(),
            bound: settings.load_factor.map(LoadBound::new),
            table,
            states: Vec::new(),
            urn: Urn::default(),
        }))
    }
}

/// Who gets a key.
trait Table: fmt::Debug {
    /// From now on among these.
    fn fill(&mut self, members: &[Member]);

    /// The first in the key's order of members that is wanted. Each is offered at least once before none is found.
    fn find(&self, key: u64, wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize>;

    fn check_invariants(&self);
}

#[derive(Debug)]
struct ConsistentHash {
    /// `None`: the client's address.
    source: Option<KeySource>,
    bound: Option<LoadBound>,
    table: Box<dyn Table>,
    states: Vec<(EndpointId, Arc<EndpointState>)>,
    /// For requests without a key.
    urn: Urn,
}

impl ConsistentHash {
    fn key(&self, request: &RequestFacts) -> Option<u64> {
        match self.source {
            Some(_) => request.key,
            None => Some(match request.client.to_canonical() {
                std::net::IpAddr::V4(address) => hash_key(address.octets()),
                std::net::IpAddr::V6(address) => hash_key(address.octets()),
            }),
        }
    }
}

impl Balancer for ConsistentHash {
    fn update(&mut self, members: &[Member]) {
        self.table.fill(members);
        self.urn.fill(members);
        self.states.clear();
        self.states.extend(members.iter().map(|member| (member.id, Arc::clone(&member.state))));
        if let Some(bound) = &mut self.bound {
            bound.fill(members);
        }
    }

    fn needs(&self) -> FactsNeeded {
        FactsNeeded { client: self.source.is_none(), key: self.source.clone(), ..FactsNeeded::default() }
    }

    fn affinity(&self, request: &RequestFacts) -> Option<u64> {
        self.key(request)
    }

    fn pick(
        &mut self,
        request: &RequestFacts,
        tried: &[EndpointId],
        _now: Moment,
        rng: &mut dyn Rng,
    ) -> Option<usize> {
        let Some(key) = self.key(request) else { return self.urn.draw(tried, rng) };
        let states = &self.states;
        let untried = |index: usize| states.get(index).is_some_and(|(id, _)| !tried.contains(id));
        if let Some(bound) = &mut self.bound {
            bound.look(states.iter().map(|(_, state)| &**state));
            let has_room = |index: usize| {
                states.get(index).is_some_and(|(_, state)| bound.has_room(index, state.in_flight()))
            };
            let found = self.table.find(key, &mut |index| untried(index) && has_room(index));
            if found.is_some() {
                return found;
            }
        }
        self.table.find(key, &mut |index| untried(index))
    }

    fn check_invariants(&self) {
        self.table.check_invariants();
        self.urn.check_invariants();
    }
}

impl Table for Rendezvous {
    fn fill(&mut self, members: &[Member]) {
        *self = Self::new(members);
    }

    fn find(&self, key: u64, wanted: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        self.find_where(key, wanted)
    }

    fn check_invariants(&self) {
        Self::check_invariants(self);
    }
}
