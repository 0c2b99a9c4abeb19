//! From the routes of a configuration to the tables that are looked up.

use std::collections::HashMap;

use base_model::model::{HostPattern, PathPattern, Route};

use crate::conditions;
use crate::error::CompileError;
use crate::limits::MAX_PATH_SEGMENTS;
use crate::regexes::Regexes;
use crate::tables::hosts::{HostTable, configured_name};
use crate::tables::paths::Host;
use crate::tables::plant::{HostDraft, Planter, Shape};
use crate::tables::{Rule, Tables};

/// Hosts in the making, each with its name.
#[derive(Default)]
struct HostDrafts {
    places: HashMap<Vec<u8>, usize>,
    drafts: Vec<(Vec<u8>, HostDraft)>,
}

impl HostDrafts {
    fn draft(&mut self, name: Vec<u8>) -> Option<&mut HostDraft> {
        let next = self.drafts.len();
        let place = *self.places.entry(name.clone()).or_insert(next);
        if place == next {
            self.drafts.push((name, HostDraft::default()));
        }
        self.drafts.get_mut(place).map(|(_, draft)| draft)
    }

    fn plant(self, planter: &mut Planter<'_>) -> Result<Vec<(Vec<u8>, Host)>, CompileError> {
        self.drafts.into_iter().map(|(name, draft)| Ok((name, planter.plant(draft)?))).collect()
    }
}

#[derive(Default)]
struct Drafts {
    exact: HostDrafts,
    below: HostDrafts,
    any: HostDraft,
}

/// See [`crate::Router::compile`].
pub(crate) fn compile(routes: &[Route]) -> Result<Tables, CompileError> {
    let mut regexes = Regexes::default();
    let mut drafts = Drafts::default();
    let mut rules = Vec::with_capacity(routes.len());
    for (number, route) in routes.iter().enumerate() {
        let number = u32::try_from(number).map_err(|_| CompileError::TooLarge)?;
        drafts.add(route, number, &mut regexes)?;
        let conditions = conditions::compile(route, &mut regexes)?;
        rules.push(Rule { conditions, hosts: route.matches.hosts.clone().into() });
    }
    let conditions: Vec<usize> = rules.iter().map(|rule| rule.conditions.len()).collect();
    let mut planter = Planter::new(&conditions);
    let exact = drafts.exact.plant(&mut planter)?;
    let below = drafts.below.plant(&mut planter)?;
    let any = planter.plant(drafts.any)?;
    let hosts = exact.iter().chain(&below).map(|(_, host)| host).chain([&any]);
    let forest = planter.finish(hosts);
    Ok(Tables { hosts: HostTable::new(exact, below, any), forest, rules: rules.into() })
}

impl Drafts {
    fn add(&mut self, route: &Route, number: u32, regexes: &mut Regexes) -> Result<(), CompileError> {
        let shape = Shape::of(route.matches.path.as_ref());
        if matches!(&shape, Shape::Segments(segments, _) if segments.len() > MAX_PATH_SEGMENTS) {
            return Err(CompileError::TooManySegments { route: route.name.to_string() });
        }
        let regex = match &route.matches.path {
            Some(PathPattern::Regex(pattern)) => Some(regexes.whole(pattern, route)?),
            _ => None,
        };
        if route.matches.hosts.is_empty() {
            self.any.add(&shape, regex.as_ref(), number);
        }
        for pattern in &route.matches.hosts {
            let (HostPattern::Exact(host) | HostPattern::Below(host)) = pattern;
            let invalid = || CompileError::Host { route: route.name.to_string(), host: host.to_string() };
            let name = configured_name(host).ok_or_else(invalid)?;
            let drafts = match pattern {
                HostPattern::Exact(_) => &mut self.exact,
                HostPattern::Below(_) => &mut self.below,
            };
            if let Some(draft) = drafts.draft(name) {
                draft.add(&shape, regex.as_ref(), number);
            }
        }
        Ok(())
    }
}
