//! From the routes of a configuration to the tables that are looked up.

use std::collections::HashMap;

use base_model::model::{HostPattern, PathPattern, Route};
use regex::bytes::{Regex, RegexBuilder};

use crate::conditions;
use crate::hosts::{HostTable, MAX_HOST_BYTES, configured_name};
use crate::paths::Host;
use crate::plant::{HostDraft, Planter, Shape};
use crate::router::{Router, Rule};

/// Segments in one path pattern. A look-up recurses once a segment, so this bounds the stack it takes.
pub const MAX_PATH_SEGMENTS: usize = 256;

/// Compiled size of one regular expression, and of its lazily built automaton. Ordinary expressions take some KiB; one that
/// repeats large classes thousands of times would take memory without end. Twice what the check of a configuration allows:
/// here the expression is also tied to both ends of the path.
const MAX_REGEX_BYTES: usize = 2 << 20;

/// Why routes cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A regular expression is not valid, or larger than the limit.
    #[error("route {route}: the regular expression `{pattern}` cannot be used: {problem}")]
    Regex {
        /// The route's name.
        route: String,
        /// As written.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// A host name is empty or too long.
    #[error("route {route}: the host `{host}` is empty or longer than {MAX_HOST_BYTES} characters")]
    Host {
        /// The route's name.
        route: String,
        /// As written.
        host: String,
    },
    /// A path pattern has too many segments.
    #[error("route {route}: the path has more than {MAX_PATH_SEGMENTS} segments")]
    TooManySegments {
        /// The route's name.
        route: String,
    },
    /// More routes, paths or hosts than the tables can number.
    #[error("the routes take more room than the routing tables have")]
    TooLarge,
}

/// Compiles regular expressions, each distinct one once.
#[derive(Default)]
pub(crate) struct Regexes(HashMap<(String, bool), Regex>);

impl Regexes {
    /// Found somewhere in a value.
    pub(crate) fn anywhere(&mut self, pattern: &str, route: &Route) -> Result<Regex, CompileError> {
        self.compile(pattern, false, route)
    }

    /// Matches the whole of a path.
    fn whole(&mut self, pattern: &str, route: &Route) -> Result<Regex, CompileError> {
        self.compile(pattern, true, route)
    }

    fn compile(&mut self, pattern: &str, whole: bool, route: &Route) -> Result<Regex, CompileError> {
        let key = (pattern.to_owned(), whole);
        if let Some(regex) = self.0.get(&key) {
            return Ok(regex.clone());
        }
        // Checked by itself first, so that a message shows what was written, and `a)|(b` does not pass.
        let mut regex = build(pattern);
        if whole && regex.is_ok() {
            regex = build(&format!(r"\A(?:{pattern})\z"));
        }
        let regex = regex.map_err(|error| CompileError::Regex {
            route: route.name.to_string(),
            pattern: pattern.to_owned(),
            problem: error.to_string(),
        })?;
        self.0.insert(key, regex.clone());
        Ok(regex)
    }
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build()
}

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

/// See [`Router::compile`].
pub(crate) fn compile(routes: &[Route]) -> Result<Router, CompileError> {
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
    Ok(Router { hosts: HostTable::new(exact, below, any), forest, rules: rules.into() })
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
